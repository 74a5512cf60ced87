"""What contrasts of degradations say in sentences: no more than their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kelvin.metrics.verdict import DEPENDS, HIGHER, LOWER, NONE, OPEN, SAME, paired
from kelvin.report.kit.table import number
from kelvin.report.kit.verdict_words import SAMPLERS, change, digits, effect, sentence
from kelvin.report.kit.words import listed, named
from kelvin.report.parts.arms import TIED, Arm
from kelvin.report.parts.contrasts import DECIDED, DECLARED, DISAGREE, Effect, Page, Step

LEFT = {OPEN: "inconclusive", DEPENDS: "depending on the measure",
        DISAGREE: "not alike under both tyings", NONE: "without a verdict, by a missed gate"}
HELD_OUT = "held-out"  # a start (sampling.starts)
Key = tuple[str, str, int]


def wins(page: Page, baseline: str) -> str:
    """What is better or worse than the baseline, by how much, under every tying that was trained; without
    anything decided the numbers, and that they are no verdict ("" for those of several targets)."""
    ends, groups, parts = page.conclusions(), page.by_contrast(), []
    for name in dict.fromkeys(key[0] for key in ends):
        own = [key for key in ends if key[0] == name]
        for outcome, word in ((LOWER, "a lower FMD than"), (HIGHER, "a higher FMD than"),
                              (SAME, "an FMD within 10 % of that of")):
            if keys := [key for key in own if ends[key] == outcome]:
                head = headline(keys)
                candidate, base = titles_of(page, groups[head])
                parts.append(f"{candidate} has {word} {base} in {len(keys)} of {len(own)} contrasts "
                             f"({where(head)} {ratio_words(groups[head], page)})")
    if parts:
        agree = "; the other measures agree" if {LOWER, HIGHER} & set(ends.values()) else ""
        return f"{'; '.join(parts)}{agree}."
    if len({arm.target for arm in page.sides.values()}) > 1:
        return ""
    each = [f"{where(head)} the FMD of {titles_of(page, groups[head])[0]} is "
            f"{ratio_words(groups[head], page)}" for head in headlines(ends)]
    updates = sorted({arm.updates for arm in page.sides.values()})
    seeds = min(min(e.verdict.seeds) for e in page.effects)
    return (f"No degradation is shown to be better or worse than {named(baseline)}, or as good. The "
            f"numbers after {listed([f'{n:,}' for n in updates])} updates on {seeds} training "
            f"seed{'s' * (seeds != 1)}, which are no verdict: {'; '.join(each)}.")


def headline(keys: Sequence[Key]) -> Key:
    """By each one's declared sampler where that is among them, with the most evaluations."""
    return max(keys, key=lambda key: (key[1] == DECLARED, key[2]))


def headlines(keys: Iterable[Key]) -> list[Key]:
    """The headline of each degradation."""
    groups: dict[str, list[Key]] = {}
    for key in keys:
        groups.setdefault(key[0], []).append(key)
    return [headline(group) for group in groups.values()]


def where(key: Key) -> str:
    return f"by {SAMPLERS[key[1]]} with {key[2]:,} evaluations"


def ratio_words(group: Sequence[Effect], page: Page) -> str:
    """A ratio with its interval, under each tying where there are two."""
    each = []
    for e in group:
        words = change(e.ratio)
        if e.interval is not None:
            size, interval = effect(e.ratio, e.interval)
            words = f"{size}, 95 % interval {interval}"
        each.append(words
                    + (f", where tied by {TIED[e.tie]}" if len(page.ties) > 1 else ""))
    return " and ".join(each)


def titles_of(page: Page, group: Sequence[Effect]) -> tuple[str, str]:
    """The candidate's and the baseline's title, in quotation marks."""
    contrast = group[0].verdict.contrast
    return named(page.sides[contrast.candidate].title), named(page.sides[contrast.baseline].title)


def full_verdicts(page: Page) -> list[str]:
    """Each verdict in full, of each one's declared sampler with the most evaluations; without those that
    a gate withholds, which `misses` tells."""
    groups = page.by_contrast()
    return [sentence(e.verdict, page.titles) for head in headlines(groups) for e in groups[head]
            if e.verdict.outcome != NONE]


def tested(page: Page, seeds: Sequence[int]) -> str:
    """Under what the contrasts were made: seeds, updates, tyings, samplers, how things were chosen."""
    updates = sorted({arm.updates for arm in page.sides.values()})
    kinds = dict.fromkeys(e.place[0] for e in page.effects if e.place[0] != DECLARED)
    counts = sorted({e.place[1] for e in page.effects})
    family = page.effects[0].verdict.family
    tie = f"severity tied by {listed([TIED[t] for t in page.ties])}" + (
        "" if len(page.ties) > 1 else " alone, so that nothing is said of another tying")
    choices = []
    if any(arm.is_tuned for arm in page.sides.values()):
        choices.append("what was tuned")
    is_declared = any(e.place[0] == DECLARED for e in page.effects)
    tuners = list(dict.fromkeys(arm.tuner for arm in page.sides.values())) if is_declared else []
    declared = [tuner for tuner in tuners if tuner]
    if None in tuners:
        choices.append("the samplers declared for the others" if declared else "the declared samplers")
    whose = "the samplers of those that it has" if None in tuners else "each one's sampler"
    before = f" The record {listed(declared)} declared {whose}, by trainings of its own data set, " \
        "length and seeds; it need not be the best here." if declared else ""
    how = f" FMD against the validation images, on these very seeds, chose {listed(choices)}." \
        if choices else ""
    conditions = dict.fromkeys(f"{named(page.titles[side])}: {end(why)}" for e in page.effects
                               for side, why in (e.verdict.conditions or {}).items())
    holds = " What is said holds of the networks as trained, since no budget in reach passes the gate " \
        f"of restoration ({'; '.join(conditions)})." if conditions else ""
    return (f"Tested on {len(seeds)} training seed{'s' * (len(seeds) != 1)} after "
            f"{listed([f'{n:,}' for n in updates])} updates, {tie}, by "
            f"{listed([SAMPLERS[k] for k in kinds])} with {listed([f'{n:,}' for n in counts])} "
            f"evaluations an image: {len(page.effects)} contrasts, of which {family} "
            f"{'is' if family == 1 else 'are'} judged, as one family.{before}{how}{holds}")


def not_decided(page: Page) -> str:
    """How many contrasts are open, of what and why, and what would have been found."""
    ends = page.conclusions()
    left = {key: word for key, word in ends.items() if word not in DECIDED}
    if not left:
        return "Every contrast of this page is decided."
    why = Counter(left.values())
    groups = page.by_contrast()
    each = [f"{titles_of(page, groups[head])[0]} in {sum(key[0] == head[0] for key in left)}"
            for head in headlines(left)]
    rises = [e.detectable for key, word in left.items() if word == OPEN for e in groups[key]
               if e.detectable is not None]
    power = ""
    if rises:
        low, high = (digits(100 * v) for v in (min(rises), max(rises)))
        power = (f" Where it is inconclusive, a rise of FMD by "
                  f"{low if low == high else f'{low} % to {high}'} % would have been found in 4 of 5 "
                  "such experiments.")
    each_tie = ", each under both tyings," if len(page.ties) > 1 else ""
    reasons = listed([f"{n} {LEFT[word]}" for word, n in why.items()])
    if len(left) == len(ends):
        return f"Not decided: all {len(ends)} contrasts{each_tie} ({reasons}).{power}"
    return (f"Not decided: {len(left)} of {len(ends)} contrasts{each_tie} ({reasons}), of "
            f"{listed(each)}.{power}")


def misses(page: Page) -> str:
    """The runs that miss a gate, each gate named with its numbers; runs that miss alike together."""
    runs_of: dict[tuple[str, str], list[str]] = {}
    for key, gates in page.gates.items():
        for gate in (gate for gate in gates if not gate.passed):
            runs_of.setdefault((gate.name, gate.sentence), []).append(named(page.titles[key]))
    every, many = len(page.gates), 3
    parts = [f"{f'all {every} runs' if len(runs) == every > many else listed(runs)} "
             f"miss{'es' * (len(runs) == 1)} the {gate} gate ({end(sentence)})"
             for (gate, sentence), runs in runs_of.items()]
    return f"Gates: {'; '.join(parts)}." if parts else "Every run passes the four gates."


def over_updates(lines: Sequence[Sequence[Step]]) -> str:
    """How the ratio of FMD moves with training, a degradation after the other."""
    several = len({(steps[0].candidate.base, steps[0].candidate.tie) for steps in lines}) > \
        len({steps[0].candidate.base for steps in lines})
    parts = []
    for steps in lines:
        last = steps[-1]
        tie = f", tied by {TIED[last.candidate.tie]}," if several else ""
        each = [f"{step.ratio:.2f}{span(step.interval)} after {step.candidate.updates:,}"
                for step in steps]
        parts.append(f"of {named(last.candidate.title)}{tie} over that of "
                     f"{named(last.baseline.title)} is {listed(each)} updates")
    return f"With training, by {SAMPLERS[DECLARED]}, the FMD {'; '.join(parts)}." if parts else ""


def span(interval: tuple[float, float] | None) -> str:
    """` [0.51, 0.85]`."""
    return "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"


def starts(scores: Sequence[tuple[str, str, Mapping[str, Sequence[float]]]]) -> str:
    """What the prior costs, of (title, sampler, FMD of each seed by start): the ratio of FMD from x_T of
    held-out images to that from the prior's, seed by seed."""
    parts = []
    for title, sampler, values in scores:
        if HELD_OUT not in values:
            continue
        prior, true = np.log(values[""]), np.log(values[HELD_OUT])
        interval = paired(prior, true).ratios() if len(set((true - prior).round(9))) > 1 else None
        unsure = " (not told apart)" if interval and interval[0] < 1 < interval[1] else ""
        parts.append(f"{float(np.exp(np.mean(true - prior))):.2f} times{span(interval)} for "
                     f"{named(title)} by {sampler}{unsure}")
    return (f"The prior's part: from x_T of held-out images, FMD over that from the prior's x_T is "
            f"{'; '.join(parts)}. A perfect prior would give the former; where x_T still tells its "
            "image, such a prior is as hard to have as a generator.") if parts else ""


def end(sentence: str) -> str:
    return sentence.removesuffix(".")


def rates(arms: Sequence[Arm]) -> str:
    """The learning rate that was chosen for each degradation after the most updates, and whether its grid
    should be wider."""
    parts, edges = [], []
    largest = {(arm.degradation, arm.tie): arm for arm in arms}
    ties = {tie for _, tie in largest}
    for arm in largest.values():
        grid = sorted({run.config.training.lr for run in arm.runs})
        if len(grid) < 2:
            continue
        title = named(arm.title) + (f", tied by {TIED[arm.tie]}," if len(ties) > 1 else "")
        if arm.place is None:
            parts.append(f"none for {title} which was not scored against the validation images")
            continue
        rate, (kind, nfe) = arm.run.config.training.lr, arm.place
        value = float(np.exp(arm.validation(arm.run, arm.place)))
        parts.append(f"{rate:g} for {title} after {arm.updates:,} updates ({number(value)} by "
                     f"{SAMPLERS[kind]} with {nfe:,} evaluations)")
        edges += [title.removesuffix(",")] * (rate in (grid[0], grid[-1]))
    if not parts:
        return ""
    wider = f" At an edge of the grid, which should be wider: {listed(edges)}." if edges else ""
    return f"Learning rate of lowest FMD against the validation images: {'; '.join(parts)}.{wider}"
