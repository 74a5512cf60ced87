"""One run under the protocol: its flat record, and the details that figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kelvin.artifacts.evaluations import IDENTITY, Details, Record
from kelvin.artifacts.models import ModelFolder
from kelvin.artifacts.samples import SampleFolder
from kelvin.evaluation.calibration import scale_record
from kelvin.evaluation.gate_rows import consistency_rows, gate_rows, process_rows
from kelvin.evaluation.protocol import Protocol
from kelvin.evaluation.rows import (
    bound_summary,
    epoch_rows,
    final_losses,
    log_snr_rows,
    mean_over_t,
    restoration_rows,
)
from kelvin.evaluation.rows_over_t import brightness_rows, over_time_rows
from kelvin.metrics.asked import asked_accuracy
from kelvin.metrics.measures import MEASURES

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore


def evaluate(protocol: Protocol, about: Mapping[str, Any], store: PreparedStore, model: Path,
             samples: Path) -> tuple[Record, Details]:
    """Record and details of one run; a folder of images has neither history nor restorations."""
    training, sampling = ModelFolder(model), SampleFolder(samples)
    config, cost, file = training.config(), sampling.cost(), sampling.samples()
    metrics = protocol.config
    scale = protocol.scale(protocol.n)
    sets = {name: protocol.samples(file.samples(name), scale) for name in file.samplers}
    scored = {name: protocol.score(one) for name, one in sets.items()}
    if (labels := file.labels) is not None:
        for name, (scores, _) in scored.items():
            scores |= asked_accuracy(sets[name].probabilities, labels, metrics.confidence)
    primary = next(iter(scored))
    record = {key: config[key] for key in IDENTITY}
    record |= {"sampler": primary, "nfe": cost["nfe"].get(primary),
               "reference": about["reference"], "reference_n": about["reference_n"],
               "extractor": about["extractor"],
               "extractors": {name: about["extractors"][name]["key"] for name in about["extractors"]}}
    if "classes" in about:  # a scale of its own
        record |= {"classes": about["classes"], **scale_record(scale, "")}
    if start := config.get("start"):
        record["pretrain_updates"] = start["updates"]
    record |= scored[primary][0] | protocol.more(sets[primary])
    details: Details = {
        "histograms": {name: d["histogram"] for name, (_, d) in scored.items()},
               "nearest": {k: scored[primary][1][k] for k in ("nearest_sample", "nearest_training")}}
    if (many := file.many) is not None:
        details |= {"bias": protocol.bias(many), "slips": protocol.slips(many)}
    if config["source"] == "train":
        model_cost = training.cost()
        record |= final_losses(training.history(model_cost["updates"]), model_cost.get("best_epoch"))
        record |= {key: model_cost[key] for key in ("best_epoch", "stopped_epoch") if key in model_cost}
        record |= {key: model_cost[key] for key in ("updates", "parameters", "flops_per_image")}
        # a backward pass costs twice a forward pass (Kaplan et al. 2020, section 2.1)
        record["training_flops"] = 3 * model_cost["flops_per_image"] * model_cost["updates"] \
            * config["config"]["training"]["batch"]
        process = training.process()
        record |= {key: process[key] for key in ("tie", "clamped_from")}
        details |= {"gates": gate_rows(file.gates, process, store.manifest["grey_levels"]),
                    "process": process_rows(process),
                    "consistency": consistency_rows(file.consistency)}
        ratios = [row["ratio"] for row in details["gates"] if row["ratio"] is not None]
        record["one_shot_over_linear"] = max(ratios) if ratios else None
        record["training_precision"] = model_cost["precision"]
        restored = file.restorations
        rows = restoration_rows(restored, metrics.ssim_window, protocol)
        record["prior"] = protocol.score(protocol.samples(file.prior, scale))[0]
        details |= {"restoration": rows, "epochs": epoch_rows(protocol, training.epoch_samples()),
                    "log_snr": log_snr_rows(file.snr_errors, restored.groups),
                    "cost": {**model_cost, **cost}}
        one_shot = mean_over_t(rows, "one-shot")
        record |= {m.key: one_shot[m.key] for m in MEASURES.within("restoration")}
        if (times := file.at_times) is not None:
            parts = file.parts
            details["over_time"] = over_time_rows(times, parts, metrics.ssim_window)
            bright = file.brightness
            details["brightness"] = brightness_rows(bright, parts["test"].truth) if bright else []
        if bound := file.bound:
            values, details["bound"] = bound_summary(bound, restored.groups)
            record |= values
        record["restoration"] = {method: mean_over_t(rows, method)
                                 for method in dict.fromkeys(r["method"] for r in rows)}
    record["samplers"] = {name: {"nfe": cost["nfe"].get(name), **scores}
                          for name, (scores, _) in scored.items()}
    return record, details
