"""params.yaml as it is written: its entries as types, before any layer is merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from kelvin.config import vary as grids
from kelvin.config.schema import Images
from kelvin.config.sentences import FOLDER
from kelvin.config.values import (
    Kinded,
    Name,
    Section,
    Seed,
    at_most,
    once,
)

Layer = dict[str, Any]


class Study(Section):
    """A question the report answers from some of the runs."""

    title: str
    kind: Name  # a file of kelvin.report.studies
    question: str
    runs: Annotated[list[Name], Field(min_length=1), AfterValidator(once)]


class Record(Section):
    """A recorded study: which runs and seeds, and what it sets in params.yaml besides.

    vary: {dotted key of a run: values}; each of its runs is then a grid (kelvin.config.vary).
    tuned_by: the record that chose its values, whose seeds it must not share. samplers: {run: those that
    it declared, one for each number of evaluations}. weights: the best hot and the best cold run's are
    published as weights/<this>-hot.safetensors and -cold.
    """

    title: str
    folder: Annotated[str, Field(pattern=FOLDER)]
    runs: Literal["all"] | Annotated[list[Name], AfterValidator(once)] | None
    studies: Annotated[list[Name], AfterValidator(once)] = []
    replicates: Annotated[list[Seed], Field(min_length=1), AfterValidator(once)] = [0]
    set: Layer = {}
    vary: dict[str, list[Any]] = {}
    tuned_by: Name | None = None
    samplers: dict[Name, Annotated[list[Name], Field(min_length=1), AfterValidator(once)]] = {}
    weights: Name | None = None

    @field_validator("vary")
    @classmethod
    def _grid(cls, value: dict[str, list[Any]]) -> dict[str, list[Any]]:
        grids.check(value)
        return value

    @model_validator(mode="after")
    def _runs(self) -> Record:
        if not self.runs and not self.studies:
            raise ValueError("runs or studies must name what is recorded")
        if self.vary and not isinstance(self.runs, list):
            raise ValueError("vary goes with a list of runs")
        if self.samplers and not (self.vary and self.tuned_by):
            raise ValueError("samplers go with vary and tuned_by, the record that declared them")
        return self


class DatasetLayers(Images):
    """A data set's entry: its images, and what it changes of the classifier, protocol and runs.

    One that says nothing of the protocol has its n bounded by its test set.
    """

    classifier: Layer = {}
    metrics: Layer = {"bounded": True}
    run: Layer = {}

    @property
    def images(self) -> Images:
        """The entry without its layers."""
        return Images(**{name: getattr(self, name) for name in Images.model_fields})


class ScaleLayers(Section):
    classifier: Layer
    metrics: Layer
    run: Layer


class RunLayers(Section):
    """A run as it is written: what differs from the run it is `like`, and what a scale changes of it."""

    model_config = ConfigDict(extra="allow")
    like: Name | None = None
    scales: dict[str, Layer] = {}

    @property
    def own(self) -> Layer:
        """Its keys at every scale."""
        return dict(self.model_extra or {})


class House(Section):
    """The file as it is written."""

    dataset: Name
    blend: Name
    scale: Name
    seed: Seed
    threads: Annotated[int, Field(ge=1), at_most(4096, "no machine has more")]
    replicates: Annotated[list[Seed], Field(min_length=1)]
    active: Annotated[list[Name], Field(min_length=1)]
    datasets: dict[Name, DatasetLayers]
    scales: dict[Name, ScaleLayers]
    classifier: Layer
    metrics: Layer
    defaults: Layer
    samplers: dict[Name, Kinded]
    every: Annotated[list[Name], Field(min_length=1), AfterValidator(once)]
    runs: dict[Name, RunLayers]
    studies: dict[Name, Study]
    records: dict[Name, Record]

    @field_validator("studies", mode="before")
    @classmethod
    def _kinds(cls, studies: Any) -> Any:
        # a study is of the kind that it is named after, unless it says another
        if not isinstance(studies, Mapping):
            return studies
        return {name: {"kind": name, **entry} if isinstance(entry, Mapping) else entry
                for name, entry in studies.items()}
