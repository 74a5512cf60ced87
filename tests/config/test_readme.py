"""params.yaml as README uses it: what `-S` names is written where it points, and it stays short."""

import io
import re

import pytest
from conftest import ROOT

from kelvin.config.resolve import Params, read

OVERRIDES = re.findall(r"-S '?([\w.-]+)=", (ROOT / "README.md").read_text())


@pytest.mark.parametrize("key", sorted(set(OVERRIDES)))
def test_a_key_that_the_readme_overrides_is_written_out(key):
    node = read(ROOT / "params.yaml")
    for part in key.split("."):
        assert part in node, f"{key}: {part} is not written there"
        node = node[part]


def test_the_readme_has_overrides():
    assert {"runs.ddpm-default.schedule.steps", "scale", "dataset", "replicates"} <= set(OVERRIDES)


def test_params_is_a_document_of_at_most_650_lines():
    assert len((ROOT / "params.yaml").read_text().splitlines()) <= 650


def test_params_survives_being_written_by_an_override():
    """`dvc exp run -S` writes the file anew with ruamel.yaml, which drops quotes that it thinks idle."""
    from ruamel.yaml import YAML

    yaml, text = YAML(), io.StringIO()
    yaml.dump(yaml.load((ROOT / "params.yaml").read_text()), text)
    assert YAML(typ="safe").load(text.getvalue()) == read(ROOT / "params.yaml")


def test_a_study_is_of_the_kind_it_is_named_after():
    studies = Params(read(ROOT / "params.yaml")).house.studies
    assert (studies["blur"].kind, studies["architectures"].kind) == ("blur", "comparison")
