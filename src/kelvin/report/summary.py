"""summary.json: the few numbers that DVC shows of a pipeline (`dvc metrics diff`, `dvc exp show`)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from kelvin.metrics.measures import MEASURES
from kelvin.report.results import TEMPERATURES, Results, Run

SHOWN = ["sampler", "nfe", *(key for m in MEASURES.within("summary") for key in m.keys)]


def summary(results: Results, records: dict[str, dict[str, Any]], costs: dict[str, dict[str, Any]]
            ) -> dict[str, Any]:
    """The best run of each family by FMD, with the protocol, the cost and the versions."""
    best = {family: run for family in TEMPERATURES if (run := results.best(family))}
    spent = list(costs.values())
    return {
        **{family: one(run, records[run.name]) for family, run in best.items()},
        "protocol": {"dataset": results.plan.dataset, "scale": results.plan.scale,
                     "runs": len(results.every), "seeds": len(results.replicates),
                     "n": results.calibration["n"], "floor": results.calibration["floor"]},
        "seconds": {"training": sum(cost["train_seconds"] for cost in spent),
                    "sampling": sum(sum(cost["sample_seconds"].values()) for cost in spent)},
        "versions": {"kelvin": version("kelvin-diffusion"), "torch": version("torch")}}


def one(run: Run, record: dict[str, Any]) -> dict[str, Any]:
    sampler = run.record["sampler"]
    return {"run": run.name, **{key: record.get(key) for key in SHOWN}, "sampler": sampler}
