"""Do two measures put the runs in one order?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError


@dataclass(frozen=True)
class Agreement:
    """tau: Kendall's tau-b, from -1 (opposite orders) to 1 (one order), None where a measure is equal
    for all runs. p: two-sided, of independent orders; without ties it is never below 2 / n! of n runs,
    with ties it is that of the normal approximation. n: runs that both measures rank."""

    tau: float | None
    p: float | None
    n: int


def kendall_tau(a: Mapping[str, float | None], b: Mapping[str, float | None]) -> Agreement:
    """Agreement of two measures, {run: value}, over the runs that have a finite value of both.

    Ties count for neither order (tau-b: Kendall 1945). Both measures must point the same way: lower is
    better in both, or in neither. KelvinError: fewer than 2 such runs.
    """
    from scipy.stats import kendalltau  # late: most of a second to import

    runs = [run for run in a if run in b and _finite(a[run]) and _finite(b[run])]
    if len(runs) < 2:
        raise KelvinError(f"rankings need at least 2 runs with a value of both measures, there are "
                          f"{len(runs)}")
    result = kendalltau([a[run] for run in runs], [b[run] for run in runs])
    if np.isnan(result.statistic):
        return Agreement(None, None, len(runs))
    return Agreement(float(result.statistic), float(result.pvalue), len(runs))


def _finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))
