"""What the networks of a record predict, where it varies that: is the order of degradations the target's,
and which target is best for each?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.verdict import TTest, paired
from kelvin.report.kit.table import Row
from kelvin.report.kit.verdict_words import SAMPLERS
from kelvin.report.kit.words import listed, named
from kelvin.report.parts.arms import Arm
from kelvin.report.parts.contrast_words import headlines, span, where
from kelvin.report.parts.contrasts import Effect, Page

SIDES = {-1: "below", 0: "on either side of", 1: "above"}  # of an interval, and 1


@dataclass(frozen=True)
class Change:
    """A degradation's FMD under a target and under the first one, each by its own declared sampler with
    the most evaluations; test: of log FMD, seed by seed, None where that cannot be."""

    arm: Arm
    first: Arm
    ratio: float
    test: TTest | None

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.test is None else self.test.ratios()


def order(page: Page, baseline: str) -> str:
    """Each degradation's FMD over the baseline's, target by target, and whether it stays on its side of
    1."""
    groups, sides = page.by_contrast(), dict[str, set[int]]()
    by_target: dict[tuple[str, str], list[str]] = {}
    for head in headlines(groups):
        for e in groups[head]:
            arm = page.sides[e.verdict.contrast.candidate]
            title = arm.plain_title
            by_target.setdefault((arm.target, where(head)), []).append(
                f"{in_short(e)} for {named(title)}")
            sides.setdefault(title, set()).add(side_of(e.interval))
    hows = list(dict.fromkeys(how for _, how in by_target))
    parts = [f"{listed(ratios)} where they predict {target}" + f" ({how})" * (len(hows) > 1)
             for (target, how), ratios in by_target.items()]
    same = {title: min(seen) for title, seen in sides.items() if len(seen) == 1}
    stay = [f"{SIDES[side]} 1 of {listed([named(t) for t, s in same.items() if s == side])}"
            for side in (-1, 0, 1) if side in same.values()]
    moved = [named(title) for title in sides if title not in same]
    ends = f" Under every target the interval lies {listed(stay)}." if stay else ""
    ends += f" It does not stay on one side for {listed(moved)}." if moved else ""
    alike = f"{hows[0]} " if len(hows) == 1 else ""
    return (f"No degradation is shown to be better or worse than {named(baseline)}, or as good. The "
            f"numbers, which are no verdict: {alike}the FMD of networks over that of {named(baseline)} "
            f"under the same target is, with its 95 % interval, {'; '.join(parts)}.{ends}")


def changes(arms: Sequence[Arm]) -> list[Change]:
    """Every degradation and tying under each target but the first; none where one target is all."""
    grouped: dict[tuple[str, str], list[Arm]] = {}
    for arm in arms:
        grouped.setdefault((arm.base, arm.tie), []).append(arm)
    out = []
    for first, *others in grouped.values():
        for arm in others:
            if not (arm.declared and first.declared):
                continue
            before, after = np.log(values(first)), np.log(values(arm))
            try:
                test = paired(before, after) if len(before) > 1 else None
            except KelvinError:  # one difference of all seeds, or other seeds
                test = None
            out.append(Change(arm, first, float(np.exp(after.mean() - before.mean())), test))
    return out


def rows(arms: Sequence[Arm]) -> list[Row]:
    """One a degradation and target; the first target has no ratio."""
    by_arm = {(change.arm.degradation, change.arm.tie): change for change in changes(arms)}
    out: list[Row] = []
    for arm in (arm for arm in arms if by_arm and arm.declared):
        change, (kind, nfe) = by_arm.get((arm.degradation, arm.tie)), best(arm)
        low, high = (change and change.interval) or (None, None)
        out.append({"run": arm.run.name, "title": arm.plain_title, "tie": arm.tie, "target": arm.target,
                    "sampler": SAMPLERS[kind], "nfe": nfe,
                    "fmd": float(np.exp(np.log(values(arm)).mean())),
                    "ratio": change and change.ratio, "ratio_low": low, "ratio_high": high})
    return out


def gains(arms: Sequence[Arm]) -> str:
    """For which degradations another target than the first has a lower or a higher FMD."""
    found, parts = changes(arms), []
    for target in dict.fromkeys(change.arm.target for change in found):
        own = [change for change in found if change.arm.target == target]
        each = [f"{word} for " + listed([f"{named(c.arm.plain_title)} ({in_short(c)})" for c in own
                                         if side_of(c.interval) == side])
                for side, word in ((-1, "lower"), (1, "higher"), (0, "not told apart"))
                if any(side_of(c.interval) == side for c in own)]
        parts.append(f"with {target} in place of {own[0].first.target} FMD is {', '.join(each)}")
    return ("What is predicted, each by its own declared sampler, on the same seeds (ratio of FMD and "
            f"its 95 % interval, no verdict): {'; '.join(parts)}.") if parts else ""


def best(arm: Arm) -> tuple[str, int]:
    """The declared sampler of the most evaluations."""
    nfe = max(arm.declared)
    return arm.declared[nfe], nfe


def values(arm: Arm) -> list[float]:
    return arm.fmd(place=best(arm))


def in_short(e: Effect | Change) -> str:
    """A ratio and its interval: 0.65 [0.54, 0.78]."""
    return f"{e.ratio:.2f}{span(e.interval)}"


def side_of(interval: tuple[float, float] | None) -> int:
    """Of 1: -1 below, 1 above, 0 where it is inside or there is no interval."""
    return 0 if interval is None else -1 if interval[1] < 1 else 1 if interval[0] > 1 else 0
