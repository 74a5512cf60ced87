"""The four gates that a run must pass before its degradation is compared with another.

A network that restores worse than least squares, that more training would still change, whose
degradation is not as wanted, or that was trained too few times says nothing about degradations.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kelvin.common.errors import KelvinError

RESTORATION, BUDGET, SEVERITY, SEEDS = "restoration", "budget", "severity", "seeds"
GATES = (RESTORATION, BUDGET, SEVERITY, SEEDS)
FACTOR = 1.1  # one-shot RMSE over the linear restorer's, at most
MOVE = 0.05  # of log FMD at twice the updates, below
FRESH = 5  # seeds that tuned nothing
FRESH_SHORT = 10  # up to SHORT updates, where seeds differ more
SHORT = 1120
LISTED = 6  # times of a sentence; of more their range is given


@dataclass(frozen=True)
class Gate:
    """A gate's result. numbers: what was compared. sentence: the result in plain words, without the run.
    conditional: missed, and no budget in reach passes; verdicts hold of the run as trained."""

    name: str
    passed: bool
    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)
    conditional: bool = False


def restoration_gate(times: Sequence[int], one_shot: Sequence[float], linear: Sequence[float],
                     grey_levels: int, in_reach: bool = True) -> Gate:
    """Is one-shot RMSE at most 1.1 times the linear restorer's wherever that one is visible?

    one_shot, linear: RMSE, pixels in [0, 1], at each t of `times`; the linear restorer is the least
    squares whose input was rounded to 8 bits. Only t at which it exceeds half a grey level of the data,
    0.5 / (grey_levels - 1), count. in_reach: whether a larger budget passes or may do so; if not, a miss
    is conditional. Without such a t the gate is passed: least squares leaves nothing to restore.
    """
    t = np.asarray(times)
    network, least = (np.asarray(v, dtype=np.float64) for v in (one_shot, linear))
    if not (t.ndim == 1 and len(t) and t.shape == network.shape == least.shape):
        raise KelvinError("the restoration gate needs one RMSE of each restorer at each t: "
                          f"{t.size} times, {network.size} and {least.size} values")
    if not all(np.isfinite(v).all() and v.min() >= 0 for v in (network, least)):
        raise KelvinError("the restoration gate needs finite RMSE, 0 or above")
    if grey_levels < 2:
        raise KelvinError(f"the restoration gate needs at least 2 grey levels, given {grey_levels}")
    half = 0.5 / (grey_levels - 1)
    counted = least > half
    missed = counted & (network > FACTOR * least)
    ratio = np.divide(network, least, out=np.zeros_like(network), where=counted)
    worst = int(ratio.argmax())
    numbers = {"half_grey_level": half, "times": t[counted].tolist(), "missed_at": t[missed].tolist(),
               "ratio": float(ratio[worst]), "ratio_at": int(t[worst])}
    if not counted.any():
        return Gate(RESTORATION, True, f"Least squares restores to within half a grey level ({half:.3g}) "
                    "at every t, so that there is nothing left to compare.",
                    numbers | {"ratio": None, "ratio_at": None})
    most = f"at most {ratio[worst]:.3g} times" if not missed.any() else f"{ratio[worst]:.3g} times"
    where = f"{most} that of least squares (at t = {t[worst]})"
    allowed = f"{FACTOR} is allowed wherever least squares leaves more than half a grey level"
    if not missed.any():
        return Gate(RESTORATION, True, f"One-shot RMSE is {where}; {allowed}.", numbers)
    at = ", ".join(str(v) for v in t[missed]) if missed.sum() <= LISTED else (
        f"{t[missed].min()} to {t[missed].max()} ({missed.sum()} of {counted.sum()} times)")
    return Gate(RESTORATION, False, f"Least squares restores better at t = {at}: one-shot RMSE is up to "
                f"{where}; {allowed}.", numbers, conditional=not in_reach)


def budget_gate(updates: tuple[int, int], before: Sequence[float], after: Sequence[float]) -> Gate:
    """Does doubling the updates move log FMD by less than 5 %?

    before, after: FMD a seed at updates[0] and at updates[1], at least twice as many. Of more than a
    doubling the move is divided by the number of doublings; FMD flattens with training, so that this is
    more than the last doubling moved. Judged by the means; the standard error is given beside it.
    """
    first, last = updates
    if first <= 0 or last < 2 * first:
        raise KelvinError(f"the budget gate needs at least twice the updates: {first:,} and {last:,}")
    logs = [_logs(values, f"{count:,} updates") for count, values in
            zip(updates, (before, after), strict=True)]
    doublings = float(np.log2(last / first))
    move = float(logs[1].mean() - logs[0].mean()) / doublings
    error = float(np.sqrt(sum(v.var(ddof=1) / len(v) for v in logs if len(v) > 1))) / doublings \
        if min(map(len, logs)) > 1 else None
    passed = abs(move) < MOVE
    beside = f" (log FMD {_signed(move)}, standard error {error:.2g})" if error is not None else ""
    each = "Doubling" if last == 2 * first else "Each doubling of"
    return Gate(BUDGET, passed, f"{each} the updates from {first:,} to {last:,} multiplies FMD by "
                f"{np.exp(move):.2f}{beside}; a change of log FMD below {MOVE:g} is "
                f"{'allowed' if passed else 'needed'}.",
                {"updates": [first, last], "move": move, "standard_error": error})


def severity_gate(clamped_from: int | None, left: float | None = None, wanted: float | None = None
                  ) -> Gate:
    """Is the degradation as severe as wanted at every t? clamped_from: the first t at which it is not.

    left, wanted: shares of the signal variance at T, for the sentence.
    """
    numbers = {"clamped_from": clamped_from, "left": left, "wanted": wanted}
    if clamped_from is None:
        return Gate(SEVERITY, True, "The degradation is as severe as asked at every t.", numbers)
    shares = "" if left is None or wanted is None else (
        f": {100 * left:.2g} % of the variance is left at T, where {100 * wanted:.2g} % was asked for")
    return Gate(SEVERITY, False, f"The degradation is clamped from t = {clamped_from}{shares}.", numbers)


def seeds_gate(seeds: Collection[int], updates: int, tuned: Collection[int] = ()) -> Gate:
    """Are there enough seeds that tuned nothing: 5, or 10 at no more than 1,120 updates?"""
    fresh = sorted(set(seeds) - set(tuned))
    needed = FRESH_SHORT if updates <= SHORT else FRESH
    passed = len(fresh) >= needed
    return Gate(SEEDS, passed, f"{len(fresh)} fresh training seed{'s' * (len(fresh) != 1)} at "
                f"{updates:,} updates; {needed} are needed.",
                {"fresh": fresh, "needed": needed, "updates": updates})


def missed(gates: Sequence[Gate]) -> list[Gate]:
    """The gates that leave a run without a verdict: missed, and not conditionally."""
    return [gate for gate in gates if not gate.passed and not gate.conditional]


def _logs(values: Sequence[float], what: str) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64).ravel()
    if not len(x) or not np.isfinite(x).all() or x.min() <= 0:
        raise KelvinError(f"the budget gate needs positive FMD values at {what}: given {x.tolist()}")
    return np.log(x)


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")
