"""Rows over t of a run's process and restorations, to be checked before any verdict."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kelvin.artifacts.evaluations import Row
from kelvin.artifacts.models import Process
from kelvin.artifacts.samples import Gaps, Gates


def gate_rows(gates: Gates, process: Process, grey_levels: int) -> list[Row]:
    """One row a t: RMSE over all pixels and images of the network's one-shot restorations and of those by
    least squares from 8 bits, their ratio (None where the latter is below half a grey level of the
    data), and whether the severity is clamped there."""
    half = 0.5 / (grey_levels - 1)
    clamped = process["clamped_from"]
    rows: list[Row] = []
    for t, one_shot, linear in zip(gates.times.tolist(), gates.one_shot, gates.linear, strict=True):
        network, least_squares = (float(np.sqrt(errors.astype(np.float64).mean()))
                                  for errors in (one_shot, linear))
        rows.append({"t": t, "n": len(one_shot), "one_shot_rmse": network, "linear_rmse": least_squares,
                     "ratio": network / least_squares if least_squares > half else None,
                     "clamped": clamped is not None and t >= clamped})
    return rows


def process_rows(process: Process) -> list[Row]:
    """One row a t of the curves of a degradation: signal variance left, recoverability, and what was
    wanted of the one that severity is tied by (None: nothing)."""
    clamped = process["clamped_from"]
    wanted = process["wanted_recoverability"] or [None] * len(process["recoverability_times"])
    return [{"t": t, "signal_variance": process["signal_variance"][t], "recoverability": share,
             "wanted": process["wanted"][t] if process["wanted"] else want,
             "clamped": clamped is not None and t >= clamped}
            for t, share, want in zip(process["recoverability_times"], process["recoverability"], wanted,
                                      strict=True)]


def consistency_rows(by_sampler: Mapping[str, Gaps]) -> list[Row]:
    """One row a sampler and t: RMSE of D(x0_hat, t, z) from x_t, mean over images and standard error."""
    return [{"sampler": sampler, "t": t, "n": len(gap), "rmse": float(gap.mean()),
             "rmse_se": float(gap.std(ddof=1) / len(gap) ** 0.5)}
            for sampler, gaps in by_sampler.items()
            for t, gap in zip(gaps.times.tolist(), gaps.rmse, strict=True)]
