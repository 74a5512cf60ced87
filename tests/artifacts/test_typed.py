"""Trees of JSON against types, each fault by its place."""

from typing import Annotated, Any, NotRequired, TypedDict

import pytest

from kelvin.artifacts.typed import Numbers, type_fault


class Words(TypedDict, total=False):
    name: str


class Tree(TypedDict):
    n: int
    share: float | None
    rows: list[Annotated[dict[str, Any], Numbers(Words)]]
    more: NotRequired[dict[str, list[int]]]


WHOLE = {"n": 1, "share": 1, "rows": [{"name": "a", "fmd": 0.5, "copier": True, "fid": None}],
         "extra": []}


@pytest.mark.parametrize("change", [{}, {"share": None}, {"share": 0.5}, {"more": {"a": [1, 2]}},
                                    {"rows": []}])
def test_a_tree_of_its_types_has_no_fault(change):
    assert type_fault(WHOLE | change, Tree) is None


@pytest.mark.parametrize(("change", "fault"), [
    ({"n": 1.0}, "n is a number, not a whole number"),
    ({"n": True}, "n is true or false, not a whole number"),
    ({"n": None}, "n is null, not a whole number"),
    ({"share": "x"}, "share is text, not a number or null"),
    ({"share": False}, "share is true or false, not a number or null"),
    ({"rows": {}}, "rows is a mapping of keys, not a list"),
    ({"rows": [3]}, "rows.0 is a whole number, not a map"),
    ({"rows": [{}, {"name": 3}]}, "rows.1.name is a whole number, not text"),
    ({"rows": [{"fmd": "x"}]}, "rows.0.fmd is text, not a number or true or false or null"),
    ({"rows": [{"fmd": []}]}, "rows.0.fmd is a list, not a number"),
    ({"more": {"a": [1, "x"]}}, "more.a.1 is text, not a whole number"),
    ({"more": None}, "more is null, not a mapping of keys")])
def test_a_fault_names_its_place(change, fault):
    assert type_fault(WHOLE | change, Tree).startswith(fault)


def test_what_is_missing_and_what_is_no_tree():
    assert type_fault({"n": 1, "rows": []}, Tree) == "it has no 'share'"
    assert type_fault([], Tree) == "it is a list, not a mapping of keys"
    assert type_fault({"a": {"b": [1, 2.5]}}, dict[str, dict[str, list[int]] | None]) == \
        "a.b.1 is a number, not a whole number"
