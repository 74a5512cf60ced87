"""Types of a tree of JSON: one sentence for the first value that is not of the type its reader names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
Number = float | bool | None  # of a measure: null where it has no value


@dataclass(frozen=True)
class Numbers:
    """Of a mapping: the values are numbers, but for those of the keys of `others`, a TypedDict."""

    others: type


def type_fault(value: Any, kind: Any, at: str = "") -> str | None:
    """The first value of a tree of JSON that is missing or not of type `kind`; None where all fit.

    kind: of Any, str, int, float (which a whole number is, too), bool, None, unions, list[...],
    dict[str, ...], a TypedDict, whose further keys may be of any type, or Annotated with Numbers.
    at: the place of the value, in dotted keys.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return fault_beside(value, parts[1].others, Number, at)
    if is_typeddict(kind):
        return fault_beside(value, kind, Any, at)
    if origin in (Union, UnionType):
        faults = [type_fault(value, part, at) for part in parts]
        # of a container within the union, what it says of its own parts
        own = next((fault for fault, part in zip(faults, parts, strict=True)
                    if isinstance(value, get_origin(part) or ())), None)
        return None if None in faults else own or wrong(value, at, parts)
    if origin is list and isinstance(value, list):
        return first(type_fault(item, parts[0], f"{at}.{i}") for i, item in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return first(type_fault(item, parts[1], dotted(at, key)) for key, item in value.items())
    if kind is Any or isinstance(value, bool) and kind is bool:
        return None
    accepted = (int, float) if kind is float else origin or kind
    fits = isinstance(value, accepted) and not isinstance(value, bool)
    return None if fits else wrong(value, at, (kind,))


def fault_beside(value: Any, typed: Any, others: Any, at: str) -> str | None:
    """The same of a mapping with the keys of a TypedDict, and of `others` under any other key."""
    if not isinstance(value, Mapping):
        return wrong(value, at, (dict,))
    hints = get_type_hints(typed, include_extras=True)
    missing = [key for key in hints if key in typed.__required_keys__ and key not in value]
    if missing:
        return f"it has no {dotted(at, missing[0])!r}"
    return first(type_fault(item, bare(hints.get(key, others)), dotted(at, key))
                 for key, item in value.items())


def bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is NotRequired else hint


def first(faults: Any) -> str | None:
    return next((fault for fault in faults if fault is not None), None)


def dotted(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def wrong(value: Any, at: str, kinds: tuple[Any, ...]) -> str:
    wanted = " or ".join(word(get_origin(kind) or kind) for kind in kinds)
    return f"{at or 'it'} is {word(type(value))}, not {wanted}"


def word(kind: type) -> str:
    return WORDS.get(kind) or ("a list" if kind is list else "a mapping of keys")
