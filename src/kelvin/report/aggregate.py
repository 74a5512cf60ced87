"""One flat record for each run in metrics.json, over its training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kelvin.metrics.intervals import mean_interval
from kelvin.metrics.measures import MEASURES
from kelvin.report.results import Results, Run

IDENTITY = ("run", "replicate", "fingerprint", "dataset", "scale", "extractor",
            "extractors")
NESTED = ("samplers", "restoration", "prior")
INTERVALS = {key for key, measure in MEASURES.items() if measure.over_seeds}
COMPACT = [measure.key for measure in MEASURES.within("compact")]
CONDITIONAL = MEASURES["asked_accuracy"].keys  # of runs with class labels only
RESTORED = [measure.key for measure in MEASURES.within("restored")]
OVER_IMAGES, OVER_SEEDS = "over images", "over training seeds"


def metrics(results: Results) -> dict[str, dict[str, Any]]:
    """{run: record}, without seconds: the same seed gives the same bytes."""
    level = results.plan.metrics.confidence
    return {name: run_record(run, level) for name, run in results.every.items()}


def run_record(run: Run, level: float) -> dict[str, Any]:
    """Of one replicate its record's values; of several the mean, `<key>_sd` and t intervals."""
    records = [replicate.record for replicate in run.replicates]
    several = len(records) > 1
    out: dict[str, Any] = {"title": run.title, "family": run.family, "replicates": len(records),
                           "interval": OVER_SEEDS if several else OVER_IMAGES,
                           "interval_level": level, "apart": ", ".join(run.entry.apart)}
    flat = [{k: v for k, v in r.items() if k not in (*IDENTITY, *NESTED)} for r in records]
    out |= over_seeds(flat, level) if several else flat[0]
    label_keys = tuple(key for key in CONDITIONAL if key in records[0])
    out["samplers"] = {name: combined([r["samplers"][name] for r in records], [*COMPACT, *label_keys])
                       for name in records[0]["samplers"]}
    if "restoration" in records[0]:
        out["restoration"] = {
            name: combined([r["restoration"][name] for r in records], RESTORED)
            for name in records[0]["restoration"]}
    if "prior" in records[0]:  # x_T scored as a sample: the prior alone
        out["prior"] = combined([r["prior"] for r in records],
                                [key for key in COMPACT if key != "nfe"])
    return out


def over_seeds(records: list[dict[str, Any]], level: float) -> dict[str, Any]:
    """Means over records; numbers that vary get `_sd`, measures `over_seeds` a t interval."""
    out: dict[str, Any] = {}
    for key in dict.fromkeys(key for record in records for key in record):
        values = [record.get(key) for record in records]
        if key.endswith("_why"):  # there is one where a value is null
            out[key] = next(filter(None, values), None)
            continue
        if key.endswith(("_low", "_high")) and key.rsplit("_", 1)[0] in INTERVALS:
            continue  # an interval over images says nothing about seeds
        out[key] = middle(values)
        if not constant(values) and isinstance(out[key], float):
            out[f"{key}_sd"] = float(np.std(values, ddof=1))
        if key in INTERVALS and out[key] is not None:
            interval = mean_interval(values, level)
            out |= {f"{key}_low": interval.low, f"{key}_high": interval.high}
    if out.get("fmd_normalised") is not None:
        out["below_floor"] = out["fmd_normalised"] < 0  # of the mean, not of any seed
    return out


def combined(records: list[dict[str, Any]], keys: Sequence[str]) -> dict[str, Any]:
    return {key: middle([record[key] for record in records]) for key in keys}


def constant(values: list[Any]) -> bool:
    return all(value == values[0] for value in values)


def middle(values: list[Any]) -> Any:
    """Numbers: the mean. Flags: whether any is true. Text: the first. None where any value is missing."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], bool):
        return any(values)
    if isinstance(values[0], (int, float)) and not constant(values):
        return float(np.mean(values))
    return values[0]


def costs(results: Results) -> dict[str, dict[str, Any]]:
    """{run: cost}, means over seeds: seconds differ from call to call, so they stay out of the
    metrics."""
    return {name: run_cost(run) for name, run in results.every.items() if run.trained}


def run_cost(run: Run) -> dict[str, Any]:
    costs = [replicate.details["cost"] for replicate in run.replicates]
    out = {key: middle([cost[key] for cost in costs])
           for key in ("hardware", "precision", "threads", "processes", "parameters", "updates",
                       "flops_per_image", "train_seconds")}
    out["peak_memory_bytes"] = middle([cost.get("peak_memory_bytes") for cost in costs])
    out["nfe"] = costs[0]["nfe"]
    out["sample_seconds"] = {name: middle([float(cost["seconds"][name]) for cost in costs])
                             for name in costs[0]["seconds"]}
    return out
