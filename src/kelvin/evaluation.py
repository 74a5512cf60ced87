"""One run under the protocol: its flat record, and the details that figures are drawn from."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kelvin.files import read_arrays, read_json
from kelvin.metrics.asked import asked_accuracy
from kelvin.metrics.fmd import Scale
from kelvin.metrics.over_time import brightness_rows, over_time_rows
from kelvin.metrics.similarity import psnr, rmse, ssim
from kelvin.protocol import Protocol

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore

UNIT = 255.0
OVERFLOW = "the values are too large for 32-bit numbers: the network has all but diverged"
RESTORED = ("ssim", "psnr", "rmse", "fmd", "fmd_normalised")  # what a restoration is measured by


def scale_record(scale: Scale, prefix: str) -> dict[str, Any]:
    """A scale as it stands in calibration.json."""
    return {f"{prefix}n": scale.n, f"{prefix}floor": scale.band.mean,
            f"{prefix}floor_sd": scale.band.sd, f"{prefix}floor_draws": len(scale.band.values),
            f"{prefix}ceiling": scale.ceiling}


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
    record |= scored[primary][0] | protocol.more(arrays[f"samples/{primary}"])
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
        record |= {name: one_shot[name] for name in ("ssim", "psnr", "rmse")}
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


def bound_summary(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """The variational bound's parts, means over images in bits per dimension; and its terms over t."""
    parts, n = arrays["bound"], len(arrays["bound"])  # (n, 3): L_0, between, L_T
    if not all(np.isfinite(arrays[key]).all() for key in ("bound", "bound_terms")):
        return {"bits_per_dim": None, "bits_why": OVERFLOW}, []
    total = parts.sum(1)
    record = {"bits_per_dim": float(total.mean()),
              "bits_per_dim_se": float(total.std(ddof=1) / n ** 0.5), "bits_n": n,
              "grey_levels": int(arrays["bound_grey_levels"]),
              **{key: float(value) for key, value in zip(
                  ("bits_l0", "bits_between", "bits_prior"), parts.mean(0), strict=True)}}
    terms = zip(arrays["bound_times"].tolist(), arrays["bound_terms"].T.tolist(), strict=True)
    return record, [{"t": t, "bits": bits, "bits_se": error} for t, (bits, error) in terms]


def final_losses(path: Path, epoch: int | None = None) -> dict[str, float]:
    """Losses of history.csv: its last row, or that of the epoch whose weights were kept."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    last = rows[-1 if epoch is None else epoch - 1]
    return {key: float(last[key]) for key in ("train_loss", "val_loss", "val_loss_ema")}


def epoch_rows(protocol: Protocol, path: Path) -> list[dict[str, float]]:
    """FMD of the samples that training kept, by the honest protocol and by study A's small one; and FID,
    where Inception's weights are there."""
    kept, fid = read_arrays(path), protocol.references.get("inception")
    n, rows = kept["samples"].shape[1], []
    scale, small = protocol.scale(n), protocol.small()
    fid_scale = protocol.scale(n, "inception") if fid else None
    for epoch, images in zip(kept["epochs"].tolist(), kept["samples"], strict=True):
        features, _ = protocol.judge(images)
        honest, few = scale.score(features), small.score(features[:small.n])
        rows.append({"epoch": epoch, "n": n, "fmd": honest.value,
                     "fmd_normalised": honest.normalised, "floor": scale.band.mean,
                     "floor_sd": scale.band.sd, "small_n": small.n, "small_fmd": few.value,
                     "small_fmd_normalised": few.normalised, "small_floor": small.band.mean,
                     "small_floor_sd": small.band.sd})
        if fid and fid_scale:
            rows[-1] |= {"fid": fid_scale.score(fid.extractor(images)).value,
                         "fid_floor": fid_scale.band.mean, "fid_floor_sd": fid_scale.band.sd}
    return rows


def restoration_rows(arrays: Mapping[str, np.ndarray], window: int, protocol: Protocol
                     ) -> list[dict[str, Any]]:
    """SSIM, PSNR and RMSE over t: mean, standard deviation over images, standard error; and FMD.

    FMD of restored images is at their own n and never stands in one column with that of samples.
    """
    truth, rows = arrays["restore_truth"] / UNIT, []
    scale = protocol.scale(len(truth))
    methods = {"untouched": arrays["restore_degraded"]} | {
        key.removeprefix("restore/"): a for key, a in arrays.items() if key.startswith("restore/")}
    for method, images in methods.items():
        for t, restored in zip(arrays["restore_times"].tolist(), images / UNIT, strict=True):
            row: dict[str, Any] = {"method": method, "t": t, "n": len(truth)}
            for name, measure in (("ssim", ssim(truth, restored, window)),
                                  ("psnr", psnr(truth, restored)), ("rmse", rmse(truth, restored))):
                # two equal images have no PSNR; it is capped at one grey level in all pixels
                values = np.minimum(measure, 20 * np.log10(UNIT)) if name == "psnr" else measure
                row |= {name: float(values.mean()), f"{name}_sd": float(values.std(ddof=1)),
                        f"{name}_se": float(values.std(ddof=1) / len(values) ** 0.5)}
            found = scale.score(protocol.judge(np.round(restored * UNIT).astype(np.uint8))[0])
            rows.append(row | {"fmd": found.value, "fmd_normalised": found.normalised})
    return rows


def mean_over_t(rows: list[dict[str, Any]], method: str) -> dict[str, float]:
    """A method's SSIM, PSNR, RMSE and FMD, averaged over the evenly spaced times."""
    chosen = [row for row in rows if row["method"] == method]
    return {name: float(np.mean([row[name] for row in chosen])) for name in RESTORED}


def log_snr_rows(arrays: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """Mean squared x0 error on the common log-SNR grid; empty for a process without noise.

    Of a network that has nearly diverged the squares may overflow: null, and `why`.
    """
    if "log_snr" not in arrays:
        return []
    rows = []
    for value, errors in zip(arrays["log_snr"].tolist(), arrays["log_snr_error"], strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            mean, se = float(errors.mean()), float(errors.std(ddof=1) / len(errors) ** 0.5)
        row = {"log_snr": value, "x0_error": mean, "x0_error_se": se}
        if not np.isfinite([mean, se]).all():
            row |= {"x0_error": None, "x0_error_se": None, "why": OVERFLOW}
        rows.append(row)
    return rows
