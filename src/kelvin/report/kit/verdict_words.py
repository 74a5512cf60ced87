"""Verdicts in plain English: what differs, by how much, over what, and under which condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kelvin.metrics.verdict import (
    DEPENDS,
    HIGHER,
    JUDGED,
    LEVEL,
    LOWER,
    NONE,
    OPEN,
    SAME,
    Verdict,
)
from kelvin.report.kit.words import listed, named

TITLES = {"fmd": "FMD", "fd_pixels": "FD pixels", "fd_random": "FD random net", "kid": "KID",
          "fid": "FID"}
SAMPLERS = {"naive": "Algorithm 1", "improved": "Algorithm 2", "ddim": "DDIM",
            "ancestral": "ancestral sampling", "declared": "each one's declared sampler"}
TIMES = 2.0  # from this ratio on a difference is put as a multiple


def sentence(verdict: Verdict, titles: Mapping[str, str]) -> str:
    """One verdict as a paragraph; titles: {run: its title}."""
    c, outcome = verdict.contrast, verdict.outcome
    baseline, candidate = (_named(run, titles) for run in (c.baseline, c.candidate))
    if outcome == NONE:
        reasons = " ".join(verdict.reasons)
        for run in (c.baseline, c.candidate):
            reasons = reasons.replace(f"“{run}”", _named(run, titles))
        return f"No verdict on {candidate} against {baseline}. {reasons}"
    size, interval = effect(verdict.ratio, verdict.interval)
    than = "as" if size.endswith("high") else "than"
    fmd = f"the FMD of {candidate} is {size} {than} that of {baseline}"
    interval = f"95 % interval {interval}"
    tested = f"{interval}; p {p_value(verdict.p)}{_corrected(verdict)}"
    power = f"an FMD {change(1 + verdict.detectable)} would have been found in 4 of 5 such experiments"
    others = [TITLES.get(key, key) for key in verdict.signs if key != JUDGED]
    odd = [TITLES.get(key, key) for key, sign in verdict.signs.items() if sign != verdict.signs[JUDGED]]
    disagree = listed(odd) if odd else ""
    body = {
        LOWER: f"{candidate} is better than {baseline}: {fmd} ({tested}; {power}). {_all(others)}.",
        HIGHER: f"{candidate} is worse than {baseline}: {fmd} ({tested}; {power}). {_all(others)}.",
        SAME: f"no difference beyond 10 %: {fmd} ({interval}; two one-sided tests, p "
              f"{p_value(verdict.p_same)}{_corrected(verdict)}).",
        OPEN: f"inconclusive: {fmd} ({tested}); {power}.",
        DEPENDS: f"the order depends on the measure: {fmd} ({tested}), but by {disagree} it is not."
        if verdict.p < LEVEL else
        f"the order depends on the measure: {fmd} ({interval}), which is no difference beyond 10 %, "
        f"but by {listed(others)} there is one."}[outcome]
    where = f"By {_sampler(c.sampler)} with {c.nfe:,} evaluations an image, over {_seeds(verdict)}, "
    return " ".join([where + body, *_conditions(verdict, titles)])


def effect(ratio: float, interval: tuple[float, float]) -> tuple[str, str]:
    """A ratio and its interval in words, both as multiples where one end is one, else both as changes."""
    if interval[1] >= TIMES or ratio >= TIMES:
        return f"{digits(ratio)} times as high", f"{digits(interval[0])} to {digits(interval[1])} times"
    return change(ratio), between(*interval)


def change(ratio: float) -> str:
    """A ratio as `12 % lower`, `20 % higher` or `3.4 times as high`."""
    if ratio >= TIMES:
        return f"{digits(ratio)} times as high"
    return f"{digits(100 * abs(ratio - 1))} % {'lower' if ratio < 1 else 'higher'}"


def between(low: float, high: float) -> str:
    """An interval of ratios, as `8 % to 31 % lower`; both sides are named where they differ, and both are
    multiples where one is."""
    if high >= TIMES:
        end = f"{digits(high)} times"
        return f"{digits(low)} to {end} as high"
    first, last = (change(v) for v in ((high, low) if high < 1 else (low, high)))
    side = " " + last.rsplit(" ", 1)[-1]
    return f"{first.removesuffix(side)} to {last}"


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def digits(value: float) -> str:
    """Two significant digits of a value above 1 or below 0.095, and whole numbers from 10 on; never an
    exponent."""
    if 0 < value < 0.095:
        return np.format_float_positional(value, precision=2, fractional=False)
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}"


def _named(run: str, titles: Mapping[str, str]) -> str:
    return named(titles.get(run, run))


def _sampler(name: str) -> str:
    return SAMPLERS.get(name, name)


def _corrected(verdict: Verdict) -> str:
    return f" after Holm's correction for {verdict.family}" if verdict.family > 1 else ""


def _seeds(verdict: Verdict) -> str:
    a, b = verdict.seeds
    return f"{a} training seeds each" if a == b else f"{b} and {a} training seeds"


def _all(others: Sequence[str]) -> str:
    return f"{listed(others)} agree{'s' * (len(others) == 1)}"


def _conditions(verdict: Verdict, titles: Mapping[str, str]) -> list[str]:
    """What a verdict holds under, where a gate is missed whatever the budget."""
    conditions = [f"{_named(run, titles)}: {why}" for run, why in (verdict.conditions or {}).items()]
    return ["This holds of the networks as trained, and no budget in reach passes the gate of "
            f"restoration. {' '.join(conditions)}"] if conditions else []
