"""How often the verdict rule is wrong, and how often it detects a true difference: by simulation.

    python -m kelvin.metrics.operating

A page of contrasts is drawn many times over: one baseline and a few candidates, log measures normal over
seeds with the spreads of real trainings. The rule itself is run on each page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from kelvin.metrics.gates import GATES, Gate
from kelvin.metrics.verdict import (
    DEPENDS,
    HIGHER,
    LEVEL,
    LOWER,
    OPEN,
    SAME,
    Contrast,
    TTest,
    Verdict,
    found_with,
    verdicts,
)

# Standard deviation over five training seeds of log FMD (the median over five classifiers), log FD pixels
# and log FD random (deviation over mean), of the record hot-cold-digits.
SPREADS = {
    "tied-noise after 224 updates": (0.078, 0.096, 0.169),
    "tied-blur-noise after 224 updates": (0.087, 0.065, 0.140),
    "tied-blur after 224 updates": (0.203, 0.185, 0.165),
    "tied-noise after 8,960 updates": (0.268, 0.063, 0.196),
    "tied-blur-noise after 8,960 updates": (0.090, 0.068, 0.225),
    "tied-blur after 8,960 updates": (0.162, 0.128, 0.180)}
PAGE = tuple(SPREADS)[-3:]  # of the longest training: the first is the baseline
MEASURES = ("fmd", "fd_pixels", "fd_random")
CONTRASTS = len(PAGE) - 1  # on a page
SHARED = 0.5  # correlation over seeds between two measures of one training; assumed
PASSED = tuple(Gate(name, True, "") for name in GATES)
WORDS = (LOWER, HIGHER, DEPENDS, SAME, OPEN)


def page(rng: np.random.Generator, seeds: int, effects: Sequence[float],
         spreads: Sequence[Sequence[float]]) -> list[Verdict]:
    """Verdicts of one simulated page. effects: log FMD ratio of each candidate to the baseline, the same
    in all measures; spreads: of the baseline and of each candidate, a row of three."""
    draws = [effect + normal_draws(rng, seeds, sd)
             for effect, sd in zip((0.0, *effects), spreads, strict=True)]
    return verdicts([contrast(str(i), draws[0], draws[i]) for i in range(1, len(draws))])


def normal_draws(rng: np.random.Generator, seeds: int, sd: Sequence[float]) -> np.ndarray:
    """Log measures (seeds, 3) of mean 0, with the correlation SHARED between measures."""
    common = rng.standard_normal((seeds, 1))
    own = rng.standard_normal((seeds, len(MEASURES)))
    return (SHARED ** 0.5 * common + (1 - SHARED) ** 0.5 * own) * np.asarray(sd)


def contrast(name: str, baseline: np.ndarray, candidate: np.ndarray) -> Contrast:
    measures = {key: (np.exp(baseline[:, k]), np.exp(candidate[:, k])) for k, key in enumerate(MEASURES)}
    return Contrast("0", name, "ddim", 20, measures, {"0": PASSED, name: PASSED})


def shares(seeds: int, effects: Sequence[float], spreads: Sequence[Sequence[float]], pages: int,
           seed: int = 0) -> dict[str, float]:
    """Share of the contrasts with each outcome, and `page`: of the pages that call any degradation
    better or worse."""
    rng = np.random.default_rng(seed)
    outcomes = [[v.outcome for v in page(rng, seeds, effects, spreads)] for _ in range(pages)]
    flat = [word for words in outcomes for word in words]
    return {word: flat.count(word) / len(flat) for word in WORDS} | {
        "page": float(np.mean([bool({LOWER, HIGHER} & set(words)) for words in outcomes]))}


@cache
def false_positives(seeds: int, pages: int = 2000) -> float:
    """Share of pages of equal degradations (D1's spreads) on which any is called better or worse."""
    return shares(seeds, [0.0] * CONTRASTS, [SPREADS[name] for name in PAGE], pages)["page"]


@cache
def false_equalities(seeds: int, pages: int = 2000) -> float:
    """Share of contrasts called no difference where FMD differs by exactly 10 %; at the least spread."""
    return shares(seeds, [np.log(1.1)], [min(SPREADS.values())] * 2, pages)[SAME]


def power(seeds: int, spread: Sequence[float], ratio: float = 1.2, pages: int = 300) -> float:
    """Share of contrasts in which FMD (and every measure) higher by 20 % is detected; two sides of one
    spread, on a page whose contrasts have all the same effect."""
    return shares(seeds, [float(np.log(ratio))] * CONTRASTS, [spread] * len(PAGE), pages)[HIGHER]


def alone(seeds: int, sd: float, ratio: float = 1.2, family: int = CONTRASTS) -> float:
    """Closed form: the power of the test of log FMD alone, at the strictest step of a family."""
    return found_with(float(np.log(ratio)) / (sd * (2 / seeds) ** 0.5), 2 * (seeds - 1), LEVEL / family)


def equalities(seeds: int, spread: Sequence[float], pages: int = 300) -> float:
    """Share of contrasts of equal degradations that are called so."""
    return shares(seeds, [0.0] * CONTRASTS, [spread] * len(PAGE), pages)[SAME]


def detectable(seeds: int, sd: float, family: int = CONTRASTS) -> float:
    """Closed form: the share by which FMD must be higher to be detected with power 0.8, at the strictest
    step of a family, when both sides have this standard deviation of log FMD."""
    return float(np.expm1(TTest(0, sd * (2 / seeds) ** 0.5, 2 * (seeds - 1)).detectable(LEVEL / family)))


def table(spreads: Mapping[str, Sequence[float]] = SPREADS) -> str:
    """Markdown, as docs/verdict.md shows it."""
    lines = ["| spread of | s.d. of log FMD | 20 % is found | by FMD alone | found in 4 of 5 "
             "| equal ones called so |", "|---|---|---|---|---|---|"]
    for name, spread in spreads.items():
        each = [(f"{100 * power(n, spread):.0f}", f"{100 * alone(n, spread[0]):.0f}",
                 f"{100 * detectable(n, spread[0]):.0f}", f"{100 * equalities(n, spread):.0f}")
                for n in (5, 10)]
        cells = [f"{five} %, {ten} %" for five, ten in zip(*each, strict=True)]
        lines.append(f"| {name} | {spread[0]:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def errors() -> str:
    """Markdown, as docs/verdict.md shows it."""
    rates = {n: (100 * false_positives(n), 100 * false_equalities(n)) for n in (5, 10)}
    return "\n".join(f"- {n} seeds: {false:.1f} % of the pages. Of two degradations that differ by "
                     f"exactly 10 % the rule says no difference in {equal:.1f} % of the contrasts."
                     for n, (false, equal) in rates.items())


if __name__ == "__main__":
    print(errors(), table(), sep="\n\n")
