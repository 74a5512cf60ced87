"""Single-shot restoration at many t, by part and rule: means, deviations over images, errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kelvin.metrics.measures import MEASURES


def summary(values: np.ndarray, name: str) -> dict[str, float]:
    """Mean, sample standard deviation over images, and standard error of the mean."""
    sd = float(values.std(ddof=1))
    return {name: float(values.mean()), f"{name}_sd": sd, f"{name}_se": sd / len(values) ** 0.5}


def distortions(truth: np.ndarray, restored: np.ndarray, window: int) -> dict[str, float]:
    """Every measure of a restored image against its original, (n, C, H, W) in [0, 1], summarised."""
    return {key: value for m in MEASURES.values() if m.pair
            for key, value in summary(m.pair(truth, restored, window), m.key).items()}


def over_time_rows(arrays: Mapping[str, np.ndarray], window: int) -> list[dict[str, Any]]:
    """SSIM, PSNR (dB) and RMSE of uint8 images: one row a part ('test', 'seen'), rule and t."""
    rows = []
    for key, images in arrays.items():
        if not key.startswith("at/") or "/rule/" not in key:
            continue
        _, part, _, rule = key.split("/")
        truth = arrays[f"at/{part}/truth"] / 255.0
        for t, restored in zip(arrays["at/times"].tolist(), images, strict=True):
            rows.append({"part": part, "rule": rule, "t": t, "n": len(truth),
                         **distortions(truth, restored / 255.0, window)})
    return rows


def brightness_rows(arrays: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Mean brightness, 0..1, along ancestral sampling by way and t, and that of the real images;
    `shown`: where the network's range is drawn without being mapped back to [0, 1]; `finite`, `black`:
    the shares of pixels that are finite numbers and near black (sampling.single_shot.Brightness)."""
    if "brightness_times" not in arrays:
        return []
    truth, (low, high) = arrays["at/test/truth"] / 255, arrays["brightness_range"]
    real = {"real": float(truth.mean()),
            "real_shown": float((low + (high - low) * truth).clip(0, 1).mean()),
            "real_black": float(arrays["brightness_black"].mean()),
            "near_black": float(arrays["near_black"])}
    return [{"way": way, "t": t, "n": len(means), **real, **summary(means, "brightness"),
             **summary(shown, "shown"), "finite": float(finite.mean()), **summary(black, "black")}
            for way in (key.split("/")[1] for key in arrays if key.startswith("brightness/"))
            for t, means, shown, finite, black in zip(
                arrays["brightness_times"].tolist(), *(
                    arrays[f"{name}/{way}"] for name in ("brightness", "shown", "finite", "black")),
                strict=True)]
