"""From a data set's entry in params.yaml to its prepared store."""

from collections.abc import Mapping
from pathlib import Path

from kelvin.datasets.sources import data_roots, load_source
from kelvin.datasets.splits import make_split
from kelvin.datasets.store import write_store
from kelvin.errors import KelvinError


def prepare(name: str, spec, environ: Mapping[str, str], folder: Path) -> dict:
    """Load, convert, split and store the data set `name`; returns the store's manifest.

    environ is read for KELVIN_DATA and DVC_ROOT. An error names the data set it is about.
    """
    try:
        raw = load_source(spec, data_roots(environ))
        split = make_split(
            raw.labels, raw.class_names, spec.validation, spec.test, spec.seed, raw.given_test
        )
    except KelvinError as error:
        raise KelvinError(f"datasets.{name}: {error}") from error
    return write_store(folder, name, raw, split, spec)
