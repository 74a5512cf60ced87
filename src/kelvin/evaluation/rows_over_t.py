"""Single-shot restoration at many t, by part and rule: means, deviations over images, errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kelvin.artifacts.samples import Brightness, SingleShot
from kelvin.metrics.intervals import standard_error
from kelvin.metrics.measures import MEASURES


def summary(values: np.ndarray, name: str, groups: np.ndarray | None = None) -> dict[str, float]:
    """Mean, sample standard deviation over images, and standard error of the mean, by groups of images
    where they are given (the frames of one object; see metrics.intervals.standard_error)."""
    error = standard_error(values, np.arange(len(values)) if groups is None else groups)
    return {name: float(values.mean()), f"{name}_sd": float(values.std(ddof=1)), f"{name}_se": error}


def distortions(truth: np.ndarray, restored: np.ndarray, window: int, groups: np.ndarray | None = None
                ) -> dict[str, float]:
    """Every measure of a restored image against its original, (n, C, H, W) in [0, 1], summarised."""
    return {key: value for m in MEASURES.values() if m.pair
            for key, value in summary(m.pair(truth, restored, window), m.key, groups).items()}


def over_time_rows(times: np.ndarray, parts: Mapping[str, SingleShot], window: int
                   ) -> list[dict[str, Any]]:
    """SSIM, PSNR (dB) and RMSE of uint8 images: one row a part ('test', 'seen'), rule and t."""
    rows = []
    for name, part in parts.items():
        truth = part.truth / 255.0
        for rule, images in part.rules.items():
            for t, restored in zip(times.tolist(), images, strict=True):
                rows.append({"part": name, "rule": rule, "t": t, "n": len(truth),
                             **distortions(truth, restored / 255.0, window, part.groups)})
    return rows


def brightness_rows(brightness: Brightness, held_out: np.ndarray) -> list[dict[str, Any]]:
    """Mean brightness, 0..1, along ancestral sampling by way and t, and that of uint8 `held_out`;
    `shown`: where the network's range is drawn as if it were [0, 1]; `finite`, `black`:
    the shares of pixels that are finite numbers and near black (sampling.single_shot.Brightness)."""
    truth, low, high = held_out / 255, brightness.low, brightness.high
    real = {"real": float(truth.mean()),
            "real_shown": float((low + (high - low) * truth).clip(0, 1).mean()),
            "real_black": float(brightness.real_black.mean()), "near_black": brightness.near_black}
    return [{"way": way, "t": t, "n": len(mean), **real, **summary(mean, "brightness"),
             **summary(unmapped, "shown"), "finite": float(finite.mean()), **summary(black, "black")}
            for way, x in brightness.ways.items()
            for t, mean, unmapped, finite, black in zip(
                brightness.times.tolist(), x.mean, x.unmapped, x.finite, x.black, strict=True)]
