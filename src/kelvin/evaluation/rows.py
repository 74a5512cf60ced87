"""Summaries of a run's arrays and files: losses, and rows over epochs, times and noise levels."""

from __future__ import annotations

from typing import Any

import numpy as np

from kelvin.artifacts.models import LOSSES, EpochSamplesFile
from kelvin.artifacts.samples import Bound, Restorations, SnrErrors
from kelvin.evaluation.protocol import Protocol
from kelvin.evaluation.rows_over_t import distortions
from kelvin.metrics.intervals import standard_error
from kelvin.metrics.measures import MEASURES

UNIT = 255.0
OVERFLOW = "the values are too large for 32-bit numbers: the network has all but diverged"


def bound_summary(bound: Bound, groups: np.ndarray
                  ) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """The variational bound's parts, means over images in bits per dimension, the error by groups of
    images; and its terms over t."""
    parts, n = bound.parts, len(bound.parts)
    if not all(np.isfinite(values).all() for values in (parts, bound.terms)):
        return {"bits_per_dim": None, "bits_why": OVERFLOW}, []
    total = parts.sum(1)
    record = {"bits_per_dim": float(total.mean()),
              "bits_per_dim_se": standard_error(total, groups), "bits_n": n,
              "grey_levels": bound.grey_levels,
              **{key: float(value) for key, value in zip(
                  ("bits_l0", "bits_between", "bits_prior"), parts.mean(0), strict=True)}}
    terms = zip(bound.times.tolist(), bound.terms.T.tolist(), strict=True)
    return record, [{"t": t, "bits": bits, "bits_se": error} for t, (bits, error) in terms]


def final_losses(rows: list[dict[str, float]], epoch: int | None = None) -> dict[str, float]:
    """Losses of training's history: its last row, or that of the epoch whose weights were kept."""
    last = rows[-1 if epoch is None else epoch - 1]
    return {key: last[key] for key in LOSSES}


def epoch_rows(protocol: Protocol, file: EpochSamplesFile) -> list[dict[str, float]]:
    """FMD of the samples drawn during training, by the honest protocol and by study A's small one; and
    FID, where Inception's weights are there."""
    samples, fid = file.samples, protocol.references.get("inception")
    n, rows = samples.shape[1], []
    key = "sampling.epoch_images"
    scale, small = protocol.scale(n, key=key), protocol.small()
    fid_scale = protocol.scale(n, "inception", key) if fid else None
    for epoch, images in zip(file.epochs.tolist(), samples, strict=True):
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


def restoration_rows(restorations: Restorations, window: int, protocol: Protocol
                     ) -> list[dict[str, Any]]:
    """SSIM, PSNR and RMSE over t: mean, standard deviation over images, standard error by groups of
    images (the frames of one object); and FMD.

    FMD of restored images is at their own n and never stands in one column with that of samples.
    """
    truth, rows = restorations.truth / UNIT, []
    scale = protocol.scale(len(truth), key="sampling.restore_images")
    for method, images in {"untouched": restorations.degraded, **restorations.methods}.items():
        for t, restored in zip(restorations.times.tolist(), images / UNIT, strict=True):
            row: dict[str, Any] = {"method": method, "t": t, "n": len(truth),
                                   **distortions(truth, restored, window, restorations.groups)}
            score = scale.score(protocol.judge(np.round(restored * UNIT).astype(np.uint8))[0])
            rows.append(row | {"fmd": score.value, "fmd_normalised": score.normalised})
    return rows


def mean_over_t(rows: list[dict[str, Any]], method: str) -> dict[str, float]:
    """A method's SSIM, PSNR, RMSE and FMD, averaged over the evenly spaced times."""
    chosen = [row for row in rows if row["method"] == method]
    return {m.key: float(np.mean([row[m.key] for row in chosen])) for m in MEASURES.within("restored")}


def log_snr_rows(snr_errors: SnrErrors | None, groups: np.ndarray) -> list[dict[str, float]]:
    """Mean squared x0 error on the common log-SNR grid, the error by groups of images; empty for a
    process without noise.

    Of a network that has nearly diverged the squares may overflow: null, and `why`.
    """
    if snr_errors is None:
        return []
    rows = []
    for value, errors in zip(snr_errors.log_snr.tolist(), snr_errors.errors, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            mean, se = float(errors.mean()), standard_error(errors, groups)
            overflows = not np.isfinite([mean, errors.std()]).all()
        row = {"log_snr": value, "x0_error": mean, "x0_error_se": se}
        if overflows:
            row |= {"x0_error": None, "x0_error_se": None, "why": OVERFLOW}
        rows.append(row)
    return rows
