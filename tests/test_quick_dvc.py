"""DVC with a parser that remembers: the same results, and nobody changes what another gets."""

import subprocess
import sys

import pytest
from dvc.utils import strictyaml
from dvc.utils.serialize import YAMLFileCorruptedError, _yaml

from kelvin.quick_dvc import remember_yaml

TEXT = "a: 1e-4\nb: [1, {c: 2024-01-01}]\n"


def test_a_text_is_parsed_once_and_given_as_a_copy(monkeypatch):
    calls, parse = [], _yaml.parse_yaml

    def counted(text, path, typ="safe"):
        calls.append(typ)
        return parse(text, path, typ)

    monkeypatch.setattr(_yaml, "parse_yaml", counted)
    monkeypatch.setattr(strictyaml, "parse_yaml", counted)
    remember_yaml()
    first, again = _yaml.parse_yaml(TEXT, "x"), strictyaml.parse_yaml(TEXT, "y")
    assert first == again == parse(TEXT, "x") and calls == ["safe"]
    first["b"].append("changed")
    assert _yaml.parse_yaml(TEXT, "x") == again
    assert _yaml.parse_yaml_for_update(TEXT, "x") is not _yaml.parse_yaml_for_update(TEXT, "x")
    assert calls == ["safe", "rt", "rt"]
    for _ in range(2):
        with pytest.raises(YAMLFileCorruptedError):
            _yaml.parse_yaml("a: [", "x")


def test_it_is_dvcs_own_command_line():
    said = [subprocess.run([sys.executable, "-m", module, "repro", "--nonsense"], capture_output=True)
            for module in ("dvc", "kelvin.quick_dvc")]
    assert said[0].returncode == said[1].returncode != 0
