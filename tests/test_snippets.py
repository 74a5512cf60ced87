"""What README and docs tell a user to type is run, or read by the command itself."""

import re
import shlex

import numpy as np
import pytest
import typer
from conftest import ROOT
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner

from kelvin.cli import app
from kelvin.config.resolve import Params, read
from kelvin.pipeline.checks.params import check

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {path.name: path.read_text(encoding="utf-8")
             for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands(text):
    """The lines of its sh blocks, and what it quotes in the line, that call `kelvin`."""
    lines = [line for block in blocks("sh", text) for line in block.splitlines()]
    lines += re.findall(r"`(kelvin [^`\n]+)`", text)
    return [shlex.split(line, comments=True) for line in lines if line.startswith("kelvin ")]


CALLED = [(name, words) for name, text in DOCUMENTS.items() for words in commands(text)]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the repository's weights and two sets of pictures, as a user has them."""
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    for seed, name in enumerate(("mine", "real")):
        (tmp_path / name).mkdir()
        images = np.random.default_rng(seed).integers(0, 256, (24, 8, 8), np.uint8)
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_python_snippets_run_as_they_stand(place):
    """Of README and docs, each in names of its own: what one needs it imports."""
    found = [(name, text) for name, page in DOCUMENTS.items() for text in blocks("python", page)]
    assert [name for name, _ in found] == ["README.md", "README.md", "using.md"]
    for name, text in found:
        exec(compile(text, name, "exec"), {"__name__": "snippet"})
    assert Image.open(place / "digits.png").size == ((8 * 9 - 1) * 8, (2 * 9 - 1) * 8)
    assert (place / "restored.png").exists() and (place / "way.png").exists()


def test_the_command_that_scores_runs_as_it_stands(place):
    (words,) = [words for words in commands(README) if words[1] == "score"]
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    assert "KID" in done.output and "<html" in (place / "scores.html").read_text()


def test_the_readmes_own_degradation_is_a_run(place):
    """Under its name of the README, checked as the first stage does."""
    (module,) = [text for text in blocks("python") if "class Dim" in text]
    (place / re.match(r"# (\w+\.py)\n", module)[1]).write_text(module)
    raw = read(ROOT / "params.yaml")
    raw["runs"] |= YAML(typ="safe").load(blocks("yaml")[0])
    params = Params(raw | {"active": ["dim"]})
    check(params)
    assert params.run("dim").degradation.kind == "my_module:Dim"


@pytest.mark.parametrize("document, words", CALLED, ids=lambda value: " ".join(value)
                         if isinstance(value, list) else value)
def test_a_command_that_a_document_names_is_one(document, words):
    """By kelvin's own parser: the command and, where it has any, its arguments and options."""
    group = typer.main.get_command(app)
    name, *rest = words[1:]
    if name == "--help":
        return
    assert name in group.commands, f"{document}: kelvin {name}"
    if rest and "..." not in rest:  # else it is named in passing
        assert group.commands[name].make_context(name, rest).info_name == name
