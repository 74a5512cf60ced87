"""Samplers in words: a title shows no key of params.yaml."""

from __future__ import annotations

from kelvin.report.kit.verdict_words import SAMPLERS

WORDS = SAMPLERS | {"direct": "one step", "heun": "Heun's method", "euler": "Euler's method",
                    "raw": "last weights", "one-shot": "one evaluation", "linear": "least squares",
                    "linear-8-bit": "least squares, 8 bits", "untouched": "untouched"}


def sampler_words(name: str) -> str:
    """A sampler or a method of restoration: `ddim-50` is DDIM, 50 steps; a user's own name stays."""
    if name in WORDS:
        return WORDS[name]
    kind, _, count = name.rpartition("-")
    counted = kind in WORDS and (count.isdigit() or count == "all")
    return f"{WORDS[kind]}, {count} steps" if counted else name
