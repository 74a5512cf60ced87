"""The keys of stored results, built and parsed in this one place."""

from __future__ import annotations

RAW, FOLDER = "raw", "folder"  # samples by the last weights; images that no run of ours drew
GUIDED, AVERAGED, STARTED = "@w=", "@ema=", "@start="
NOTHING_CLIPPED, CLIPPED, FED_BACK = "", "clipped", "fed back"


def guided(sampler: str, weight: float) -> str:
    """A sampler with another guidance weight than 1: <sampler>@w=<weight>."""
    return f"{sampler}{GUIDED}{weight:g}"


def averaged(sampler: str, decay: float) -> str:
    """A sampler with a further average of the weights: <sampler>@ema=<decay>."""
    return f"{sampler}{AVERAGED}{decay:g}"


def weight_of(name: str) -> float | None:
    """The guidance weight in a name of samples; None where it has none."""
    _, mark, weight = name.partition(GUIDED)
    return float(weight) if mark else None


def decay_of(name: str) -> float | None:
    """The decay of the average in a name of samples; None where it has none."""
    _, mark, decay = name.partition(AVERAGED)
    return float(decay) if mark else None


def started(sampler: str, start: str) -> str:
    """A sampler that starts from something else than the prior: <sampler>@start=<start>."""
    return f"{sampler}{STARTED}{start}"


def start_of(name: str) -> str | None:
    """The start in a name of samples; None where it is the prior."""
    _, mark, start = name.partition(STARTED)
    return start if mark else None


def without_decay(name: str) -> str:
    return name.partition(AVERAGED)[0]


def way(rule: str, how: str = NOTHING_CLIPPED) -> str:
    """A way of ancestral sampling: a rule, and what is done with x0_hat at every step."""
    return f"{rule}, {how}" if how else rule


def rule_and_how(name: str) -> tuple[str, str]:
    """The rule and the treatment of x0_hat in a `way`."""
    rule, _, how = name.partition(", ")
    return rule, how
