"""Tables of all runs. Generation and restoration never share a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kelvin.artifacts.names import RAW, decay_of, without_decay
from kelvin.common.trees import leaves
from kelvin.metrics.measures import MEASURES
from kelvin.report.kit.measured import columns as columns_of
from kelvin.report.kit.table import NOTHING, Column, Row, Table, number
from kelvin.report.kit.words import machine
from kelvin.report.parts import calibrating
from kelvin.report.parts import columns as shared
from kelvin.report.results import Results, Run, StudyResults


def flag(row: Row) -> str:
    words = ["copier"] * bool(row["copier"]) + (row.get("apart") or "").split(", ") + \
        ["below floor"] * bool(row["below_floor"])
    return ", ".join(dict.fromkeys(filter(None, words))) or NOTHING


def generation_table(results: Results, metrics: Mapping[str, Row]) -> Table:
    """Every run's first sampler, and the calibrating rows that give the numbers a scale."""
    rows = calibrating.rows(results)
    for name in results.runs:
        record = metrics[name]
        flat = {k: v for k, v in record.items() if not isinstance(v, dict) and k != "fid_why"}
        rows.append({"run": name, **flat})
    elsewhere = {measure.key for measure in MEASURES.within("restoration")}
    head = [key for key in dict.fromkeys(key for row in rows for key in row)
            if key.partition("_")[0] not in elsewhere]
    rows = [{key: row.get(key) for key in head} for row in rows]
    columns = [
        shared.RUN, Column("kind", lambda r: NOTHING if calibrating.is_one(r) else r["family"]),
        shared.SAMPLER, shared.NFE, *columns_of("generation"), Column("flag", flag)]
    level = f"{100 * results.plan.metrics.confidence:.0f} %"
    over = "over images" if len(results.replicates) == 1 else "over training seeds" + (
        " (runs on folds: each with another fold held out)"
        if any(run.config.split != "given" for run in results.runs.values()) else "")
    caption = (f"Generation, n = {results.calibration['n']} samples of every run's first sampler. "
               f"Brackets: {level} interval {over}{calibrating.note(results)}. Bold: lowest of the "
               "runs that are not flagged.")
    return Table("generation", caption, columns, rows,
                 lambda r: not calibrating.is_one(r) and flag(r) == NOTHING,
                 page=("kind", "sampler", "normalised", "recall", "nearest", "flag"))


def samplers_table(results: Results) -> Table:
    """Every sampler of every run, EMA weights, and raw weights with the first sampler."""
    rows: list[Row] = []
    scored = [key for key, m in MEASURES.items()
              if key != "nfe" and (m.within("compact") or m.within("samplers"))]
    for run in results.runs.values():
        first = run.record["sampler"]
        for name in run.record["samplers"]:
            records = [r.record["samplers"][name] for r in run.replicates]
            decay = decay_of(name)
            weights = RAW if name == RAW else "EMA" if decay is None else f"EMA {decay:g}"
            row = {"run": run.name, "title": run.title,
                   "sampler": first if name == RAW else without_decay(name),
                   "weights": weights if run.trained else NOTHING}
            for key in ("nfe", "n", *scored, "copy_fraction", "copier"):
                values = [scores[key] for scores in records]
                row[key] = values[0] if values[0] is None or isinstance(values[0], bool) \
                    else float(np.mean(values)) if len(values) > 1 else values[0]
            row["below_floor"] = float(np.mean([s["fmd_normalised"] for s in records])) < 0
            rows.append(row)
    columns = [
        shared.RUN, shared.SAMPLER, shared.text("weights"), shared.NFE, *columns_of("samplers"),
        Column("flag", flag)]
    return Table("samplers", "Generation by every sampler of every run. EMA: exponential moving "
                 "average of the weights; raw: the last weights themselves, by the run's first "
                 "sampler. Bold: lowest of a run.", columns, rows, lambda r: flag(r) == NOTHING, "run",
                 page=("sampler", "weights", "NFE", "normalised", "nearest", "flag"))


def cost_table(results: Results, costs: Mapping[str, Row], seconds: str = "") -> Table:
    """seconds: what else the seconds are of, such as runs side by side."""
    rows = []
    for name, cost in costs.items():
        run = results.every[name]
        first = run.record["sampler"]
        rows.append({"run": name, "title": run.title, **{k: cost[k] for k in (
            "hardware", "precision", "threads", "parameters", "updates", "flops_per_image",
            "peak_memory_bytes", "train_seconds")}, "sampler": first, "nfe": cost["nfe"][first],
            "sample_ms": 1000 * cost["sample_seconds"][first] / run.record["n"]})
    columns = [shared.RUN, *map(shared.value, ("parameters", "updates")),
               shared.value("train_seconds", "training, s"),
               Column("MFLOPs / evaluation", lambda r: number(r["flops_per_image"] / 1e6)),
               Column("training memory, MiB", lambda r: NOTHING if r["peak_memory_bytes"] is None
                      else number(r["peak_memory_bytes"] / 2**20)),
               shared.SAMPLER, shared.NFE,
               Column("GFLOPs / sample", lambda r: number(r["flops_per_image"] * r["nfe"] / 1e9)),
               shared.value("sample_ms", "ms / sample"),
               Column("hardware", lambda r: machine(r, "hardware", "precision"))]
    return Table("cost", "What each run cost: one image's forward pass, the sampler of the table of "
                 f"generation, and wall-clock seconds on the hardware named{seconds and f', {seconds}'}. "
                 "Training memory: counted, "
                 "for one fp32 step (weights, gradients, Adam, EMA, activations that autograd keeps).",
                 columns, rows, page=("parameters", "updates", "training, s", "training memory, MiB",
                                      "sampler", "NFE", "ms / sample"))


def parameter_table(study: StudyResults) -> Table | None:
    """The resolved parameters in which a study's runs differ; None with fewer than two runs."""
    differing = differences(study.runs)
    if len(study.runs) < 2 or not differing:
        return None
    rows = [{"run": run.name, "title": run.title, **{key: values[run.name]
             for key, values in differing.items()}} for run in study.runs]
    columns = [shared.RUN, *(Column(key, lambda r, key=key: r[key]) for key in differing)]
    return Table(f"parameters-{study.name}", f"{study.study.title}: the parameters in which the runs "
                 "differ; all others are equal.", columns, rows)


def differences(runs: list[Run]) -> dict[str, dict[str, str]]:
    """{dotted key: {run: value}} of the resolved configurations that are not all alike."""
    flat = {run.name: {".".join(at): value for at, value in leaves(run.config.model_dump())
                       if at != ("title",)} for run in runs}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    texts = {key: {name: shown_value(values.get(key, NOTHING)) for name, values in flat.items()}
             for key in keys}
    return {key: values for key, values in texts.items() if len(set(values.values())) > 1}


def shown_value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def fid_note(results: Results) -> str:
    """The features that FID was measured in, or why it was not measured."""
    about = results.calibration
    if about["fid_why"]:
        return f"FID n/a: {about['fid_why'].removeprefix('FID is null: ')}"
    inception = about["extractors"]["inception"]
    return (f"FID: Inception's pool features of every image, {inception['preprocessing']} "
            f"({inception['hash'][:16]}).")
