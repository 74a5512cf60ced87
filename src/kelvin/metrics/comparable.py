"""Which records may stand in one table: those of equal n, reference and extractor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kelvin.common.errors import KelvinError

NEEDED = ("n", "dataset", "reference_n", "extractor")
# a record need not name its reference, nor the classes that it is of
KEYS = ("n", "dataset", "reference", "reference_n", "extractor", "classes")

PRECISION = "training_precision"


def refuse_mixed(records: Iterable[Mapping[str, Any]]) -> None:
    """Raise a KelvinError, naming the runs and what differs, unless all records are comparable.

    records: each with run, n, dataset, reference_n and extractor (its hash), perhaps reference (the
    split's name), classes (those that were scored, where not all) and extractors ({name: the key of its
    statistics}, made of data, extractor hash and preprocessing), compared where two records hold the
    same name. A Frechet distance is biased by an amount that n and the reference's n decide, and
    another extractor measures something else: in one column they would pass for better or worse.
    training_precision (fp32, bf16) is compared among the records that name it: real images and images
    from elsewhere have none.
    """
    first: Mapping[str, Any] | None = None
    trained: Mapping[str, Any] | None = None  # the first record that names its precision
    for record in records:
        lacking = [key for key in NEEDED if record.get(key) is None]
        if lacking:
            raise KelvinError(f"run {record.get('run')} cannot stand in a table: its record lacks "
                              f"{' and '.join(lacking)}")
        first = record if first is None else first
        differing = [key for key in KEYS if record.get(key) != first.get(key)]
        keys, others = record.get("extractors", {}), first.get("extractors", {})
        odd = [name for name in keys if name in others and keys[name] != others[name]]
        if odd and not differing:
            raise KelvinError(f"runs {first['run']} and {record['run']} cannot stand in one table: the "
                              f"statistics of the extractor {' and '.join(odd)} are not the same "
                              "(its hash, preprocessing or data differ); evaluate both by one protocol")
        if differing:
            what = ", ".join(f"{key} is {first.get(key)} and {record.get(key)}" for key in differing)
            raise KelvinError(f"runs {first['run']} and {record['run']} cannot stand in one table: "
                              f"{what}; evaluate both by one protocol")
        if record.get(PRECISION) is not None:
            trained = trained or record
            if record[PRECISION] != trained[PRECISION]:
                raise KelvinError(f"runs {trained['run']} and {record['run']} cannot stand in one table: "
                                  f"they were trained in {trained[PRECISION]} and {record[PRECISION]}; "
                                  "set one training.precision for both")
