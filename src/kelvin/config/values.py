"""What a value of params.yaml may be: bounded numbers with the reason of a bound, names, seeds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from kelvin.common.errors import KelvinError
from kelvin.config.sentences import NAME, dotted, sentences


def at_most(limit: int, why: str) -> AfterValidator:
    """A bound that says its reason."""
    def check(value: int) -> int:
        if value > limit:
            raise ValueError(f"at most {limit:,}, since {why}")
        return value
    return AfterValidator(check)


def once(values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"it names {value!r} twice")
    return values


LONG = at_most(10_000_000, "more takes years")
FITS = at_most(65_536, "a square table of that side must fit into memory")
Count = Annotated[int, Field(ge=1), LONG]
Width = Annotated[int, Field(ge=1), FITS]
Features = Annotated[int, Field(ge=1), at_most(16_384, "their covariance would take more than 2 GiB")]
Drawn = Annotated[int, Field(ge=2), LONG]  # images
Index = Annotated[int, Field(ge=0), LONG]
Positive = Annotated[float, Field(ge=1e-12, le=1e6)]  # float32 tells it from 0, its square from infinity
Weight = Annotated[float, Field(ge=0, le=1e6)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # the sum of seed and replicate is one of 32 bits
SeedSum = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(pattern=NAME, max_length=80)]
Share = Annotated[float, Field(gt=0, lt=1)]
Side = Annotated[int, Field(ge=4), at_most(4096, "no network fits a machine")]
Draws = Annotated[int, Field(ge=2), at_most(10_000, "each is a distance of its own")]


def odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"a window has a middle: take {value - 1} or {value + 1}")
    return value


def group_rule(value: Any) -> Any:
    """A rule of kelvin.datasets.sources.groups; ValueError for anything else."""
    types = {"pattern": str, "csv": str, "blocks": int}
    if value in (None, "folder"):
        return value
    if isinstance(value, dict) and len(value) == 1 and all(
            type(option) is types.get(key) for key, option in value.items()):
        if value.get("blocks", 2) < 2:
            raise ValueError("blocks should be at least 2: one block is one group")
        try:
            re.compile(value.get("pattern", ""))
        except re.error as error:
            raise ValueError(f"its pattern is no regular expression: {error}") from error
        return value
    raise ValueError("it should be null, folder, {pattern: regex}, {csv: file} or {blocks: count}")


GroupRule = Annotated[Any, AfterValidator(group_rule)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Kinded(Section):
    """A part by name; its options are checked by the registry that holds the part."""

    model_config = ConfigDict(extra="allow")
    kind: str


def validated(model: type[BaseModel], raw: Any, where: str) -> Any:
    """`raw` as a `model`; KelvinError with a line for every fault."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        prefix = (where,) if where else ()
        lines = sentences(error.errors(include_url=False), raw, lambda at: dotted((*prefix, *at)))
        raise KelvinError("params.yaml: " + "\n".join(lines)) from error
