"""What the numbers say, in plain words computed from them.

One rule for the words: with fewer than 5 training seeds a value is lower or higher "on this seed";
only a paired test over 5 or more seeds may call a run better or worse, or find no significant
difference (kelvin.metrics.comparisons).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kelvin.metrics.authenticity import COPYING
from kelvin.metrics.comparisons import LEAST, Comparison, compare
from kelvin.report.kit.table import fixed, number
from kelvin.report.results import Run


@dataclass(frozen=True)
class Score:
    """A run's FMD: values by training seed, and the interval of its record (over images or seeds)."""

    title: str
    values: list[float]
    low: float
    high: float
    normalised: float
    copier: bool
    below_floor: bool
    copy_fraction: float = 0.0
    c_t: float | None = None

    @property
    def fmd(self) -> float:
        return sum(self.values) / len(self.values)


def score(run: Run, record: Mapping[str, Any]) -> Score:
    return Score(run.title, run.values("fmd"), record["fmd_low"], record["fmd_high"],
                 record["fmd_normalised"], record["copier"], record["below_floor"],
                 record["copy_fraction"], record.get("c_t_within"))


def named(title: str) -> str:
    """A run's title in quotation marks."""
    return f"“{title}”"


def seeds(count: int) -> str:
    return "on this seed" if count == 1 else f"on these {count} seeds"


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def machine(cost: Mapping[str, Any], *keys: str) -> str:
    """The hardware of a cost, by these of its keys, and its threads."""
    return ", ".join([*(cost[key] for key in keys),
                      f"{cost['threads']} thread{'s' * (cost['threads'] > 1)}"])


def ranking(scores: Sequence[Score], level: float) -> list[str]:
    """Sentences: the lowest and highest FMD, and whether intervals overlap with the lowest's."""
    count = len(scores[0].values)
    over = "the sampled images" if count == 1 else "training seeds"
    about = f"{100 * level:.0f} % interval over {over}"
    low, high = min(scores, key=lambda s: s.fmd), max(scores, key=lambda s: s.fmd)
    if len(scores) == 1:
        return [f"{named(low.title)} has an FMD of {between(low)} ({about}), normalised "
                f"{fixed(low.normalised)}, {seeds(count)}."]
    out = [f"Of {len(scores)} runs {named(low.title)} has the lowest FMD {seeds(count)}, {between(low)} "
           f"({about}; normalised {fixed(low.normalised)}), and {named(high.title)} the highest, "
           f"{between(high)} (normalised {fixed(high.normalised)})."]
    near = [named(s.title) for s in scores if s is not low and s.low <= low.high and low.low <= s.high]
    return [*out, "The interval of the lowest overlaps with "
            + (f"that of {listed(near)}." if near else "no other run's.")]


def between(s: Score) -> str:
    return f"{number(s.fmd)} [{number(s.low)}, {number(s.high)}]"


def verdicts(baseline: Score, others: Sequence[Score], level: float) -> list[str]:
    """A sentence of paired t-tests against the baseline; none with fewer than 5 seeds."""
    count = len(baseline.values)
    if not others or count < LEAST:
        return []
    tests = compare(baseline.values, {str(i): s.values for i, s in enumerate(others)}, level)
    parts = [f"{named(s.title)}: {verdict(tests[str(i)])}" for i, s in enumerate(others)]
    return [f"Against {named(baseline.title)} (paired t-tests of FMD over {count} training seeds, Holm's "
            f"correction for {len(others)}, level {100 * (1 - level):.0f} %): {'; '.join(parts)}."]


def verdict(c: Comparison) -> str:
    effect = "" if c.effect is None else (
        f", d_z {number(c.effect)} [{number(c.effect_low)}, {number(c.effect_high)}]")
    if c.p is None:
        return f"{c.verdict} (FMD difference {number(c.difference)})"
    return (f"{c.verdict} (FMD difference {number(c.difference)} [{number(c.low)}, "
            f"{number(c.high)}]{effect}, p = {number(c.p, 2)})")


def flags(scores: Sequence[Score]) -> list[str]:
    """A sentence for each copier and for each value below the floor."""
    out = [f"{named(s.title)} copies: {100 * s.copy_fraction:.0f} % of its samples are nearer to a "
           "training image than held-out images are, so its FMD is no sign of quality."
           for s in scores if s.copier]
    out += [f"{named(s.title)} may copy, and is set apart: its samples lie nearer to the training images "
            f"than these do to one another (C_T {number(s.c_t, 2)}, below {number(COPYING, 1)}), and "
            f"{100 * s.copy_fraction:.1f} % of them are near-copies. Repeating and blurring training "
            "images both lower C_T, and may lower FMD."
            for s in scores if not s.copier and s.c_t is not None and s.c_t < COPYING]
    out += [f"{named(s.title)} scores below the floor of held-out real images (normalised "
            f"{fixed(s.normalised)}): that is within the floor's own spread or a sign of copying, not "
            "of images more real than real ones."
            for s in scores if s.below_floor]
    return out


def unanswered(missing: Sequence[str], runs: Sequence[Any]) -> list[str]:
    """A sentence that names the study's runs that are not active; none where all are."""
    if not runs:
        return [f"No run of this study is active, so it says nothing here; it needs {listed(missing)}."]
    return [f"Not active, and so missing here: {listed(missing)}."] if missing else []
