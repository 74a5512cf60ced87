"""One run under the protocol: its flat record, and the details that figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kelvin.common.files import read_arrays, read_json
from kelvin.evaluation.calibration import scale_record
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
             samples: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Record and details of one run; a folder of images has neither history nor restorations."""
    config, arrays = read_json(model / "config.json"), read_arrays(samples / "samples.npz")
    cost = read_json(samples / "cost.json")
    metrics = protocol.config
    scale = protocol.scale(protocol.n)
    scored = {name.removeprefix("samples/"): protocol.score(images, scale)
              for name, images in arrays.items() if name.startswith("samples/")}
    if "labels" in arrays:
        for name, (scores, _) in scored.items():
            probabilities = protocol.judge(arrays[f"samples/{name}"])[1]
            scores |= asked_accuracy(probabilities, arrays["labels"], metrics.confidence)
    primary = next(iter(scored))
    record = {key: config[key] for key in ("run", "replicate", "dataset", "scale", "fingerprint")}
    record |= {"sampler": primary, "nfe": cost["nfe"].get(primary),
               "reference": about["reference"], "reference_n": about["reference_n"],
               "extractor": about["extractor"],
               "extractors": {name: about["extractors"][name]["key"] for name in about["extractors"]}}
    if "classes" in about:  # a scale of its own
        record |= {"classes": about["classes"], **scale_record(scale, "")}
    if start := config.get("start"):
        record["pretrain_updates"] = start["updates"]
    record |= scored[primary][0] | protocol.more(arrays[f"samples/{primary}"], scale)
    details = {"histograms": {name: d["histogram"] for name, (_, d) in scored.items()},
               "nearest": {k: scored[primary][1][k] for k in ("nearest_sample", "nearest_training")}}
    if "many" in arrays:
        details |= {"bias": protocol.bias(arrays["many"]), "slips": protocol.slips(arrays["many"])}
    if config["source"] == "train":
        model_cost = read_json(model / "cost.json")
        record |= final_losses(model / "history.csv", model_cost.get("best_epoch"))
        record |= {key: model_cost[key] for key in ("best_epoch", "stopped_epoch") if key in model_cost}
        record |= {key: model_cost[key] for key in ("updates", "parameters", "flops_per_image")}
        record["training_precision"] = model_cost["precision"]
        rows = restoration_rows(arrays, metrics.ssim_window, protocol)
        record["prior"] = protocol.score(arrays["prior"], scale)[0]
        details |= {"restoration": rows, "epochs": epoch_rows(protocol, model / "samples.npz"),
                    "log_snr": log_snr_rows(arrays), "cost": {**model_cost, **cost}}
        one_shot = mean_over_t(rows, "one-shot")
        record |= {m.key: one_shot[m.key] for m in MEASURES.within("restoration")}
        if "at/times" in arrays:
            details["over_time"] = over_time_rows(arrays, metrics.ssim_window)
            details["brightness"] = brightness_rows(arrays)
        if "bound" in arrays:
            bound, details["bound"] = bound_summary(arrays)
            record |= bound
        record["restoration"] = {method: mean_over_t(rows, method)
                                 for method in dict.fromkeys(r["method"] for r in rows)}
    record["samplers"] = {name: {"nfe": cost["nfe"].get(name), **scores}
                          for name, (scores, _) in scored.items()}
    return record, details
