"""The tests themselves: each asserts, and each lies in the room of what it tests."""

import ast

import pytest
from conftest import ROOT

TESTS = ROOT / "tests"
FILES = sorted(TESTS.rglob("test_*.py"))
# of the project as a whole: its documents, its layers, its tests
WHOLE = {"test_architecture.py", "test_claims.py", "test_docs.py", "test_layers.py", "test_snippets.py",
         "test_tests.py", "test_warm.py"}


def idle(source):
    """Names of the tests that hold no assertion, neither themselves nor by a function of their module."""
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def asserts(function, seen=()):
        for node in ast.walk(function):
            if isinstance(node, ast.Assert):
                return True
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).rpartition(".")[2]
                if called.startswith("assert") or called in ("raises", "warns"):
                    return True
                if called in functions and called not in (*seen, function.name) and asserts(
                        functions[called], (*seen, function.name)):
                    return True
        return False

    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
            and node.name.startswith("test_") and not asserts(node)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_asserts(path):
    assert idle(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("body, is_idle", [
    ("f()", True), ("assert f()", False), ("with pytest.raises(E):\n        f()", False),
    ("np.testing.assert_allclose(1, 1)", False), ("helper()", False), ("again()", True)])
def test_a_test_that_cannot_fail_is_named(body, is_idle):
    source = f"def helper():\n    assert f()\ndef again():\n    again()\ndef test_x():\n    {body}\n"
    assert idle(source) == ["test_x"] * is_idle


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_tests_lie_in_the_rooms_of_src(path):
    rooms = path.relative_to(TESTS).parent
    room = ROOT / "src/kelvin" / rooms
    if rooms.parts:
        assert room.is_dir()
    else:
        assert path.name in WHOLE or (room / path.name.removeprefix("test_")).is_file()
