"""docs/architecture.md is true: its rooms and their order are those of the tree and of the contracts."""

import re
import tomllib

import pytest
from conftest import ROOT

TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "src/kelvin"
DRAWN = re.search(r"```text\n(.*?)```", TEXT, re.S)[1]
FLOORS = [[name.strip() for name in line.split(" : ")[0].split("|")] for line in DRAWN.splitlines()]


def rooms():
    """Packages of src/kelvin and its modules that are none's."""
    names = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return names | {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}


def test_every_room_is_drawn_once():
    drawn = [name for floor in FLOORS for name in floor if name != "stages/"]
    assert sorted(drawn) == sorted(rooms())


def test_the_floors_are_those_of_the_contracts():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in tool["contracts"] if contract["type"] == "layers")
    expected = [sorted(re.findall(r"\w+", layer)) for layer in layers if layer != "__main__"]
    assert [sorted(floor) for floor in FLOORS if floor != ["stages/"]] == expected


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./]+/[\w./]*)`", TEXT))))
def test_paths_it_names_exist(path):
    places = (ROOT, PACKAGE, ROOT / "data")
    written = {"data/plan", "data/prepared", "data/models", "data/samples", "data/evaluations",
               "reports/runs", "data/starts"}  # by the pipeline, of a checkout that has run it
    assert path.rstrip("/") in written or any((place / path).exists() for place in places)
