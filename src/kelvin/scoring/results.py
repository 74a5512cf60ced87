"""What a score holds, and how it reads on a terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kelvin.scoring.images import words

TITLES = {"pixels": "pixels", "random": "random network", "imagenet": "EfficientNet",
          "inception": "Inception (FID)"}
HEAD = ("images", "n", "features", "FD", "95 % interval", "floor at n", "KID x 1000", "precision",
        "recall", "density", "coverage", "copies")
ABOUT = (
    "FD: squared Fréchet distance to all real images, lower is nearer; its interval is over images at "
    "this n. Floor: the same of n real images against the other half of them, n/a where half of them are "
    "not more than n. Compare FD at one n only. "
    "KID: kernel distance. Precision, recall, density and coverage: 3 nearest neighbours. Copies: nearer "
    "to a real image than all but 1 % of real images are to one another. EfficientNet: features learnt "
    "on ImageNet, FD in 64 principal components of them; without precision and recall, which rise under "
    "noise there. It is not FID.")


@dataclass(frozen=True)
class FeatureScore:
    """One set in one extractor's features.

    fd: squared Frechet distance to all real images; low, high: its 95 % interval over the images at this
    n. floor, floor_sd: the same of n real images against the other half of them, None where half of the
    real ones are not more than n. kid: kernel distance (Binkowski et al. 2018), with interval. precision,
    recall (Kynkaanniemi et al. 2019), density, coverage (Naeem et al. 2020) with k = 3. In EfficientNet's
    features these four are None, and fd is of their first 64 principal components. Against published mu
    and sigma only fd and its interval are there.
    """

    features: str
    fd: float
    fd_low: float
    fd_high: float
    floor: float | None = None
    floor_sd: float | None = None
    kid: float | None = None
    kid_low: float | None = None
    kid_high: float | None = None
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class SetScore:
    """One set of images. copies: share that is nearer to a real image than all but 1 % of real images are
    to one another, and alone in being so near (kelvin.scoring.copies), sought among all real images; None
    where fewer than 10 different ones are there. by_features: one an extractor."""

    name: str
    n: int
    copies: float | None
    by_features: tuple[FeatureScore, ...]


@dataclass(frozen=True)
class Scores:
    """Scores of several sets against one set of real images. fid_why, effnet_why: why there is no FID,
    and nothing in EfficientNet's features, or None. real_n: real images; real_distinct: those left
    where each counts once, which copies are sought among. Both are 0 for published mu and sigma."""

    real: str
    real_n: int
    shape: tuple[int, ...]
    sets: tuple[SetScore, ...]
    fid_why: str | None = None
    effnet_why: str | None = None
    real_distinct: int = 0

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return table(self)


def number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def row(name: str, n: int, copies: float | None, f: FeatureScore) -> tuple[str, ...]:
    floor = "n/a" if f.floor is None else f"{number(f.floor)} ± {number(f.floor_sd)}"
    kid = "n/a" if f.kid is None else (
        f"{1000 * f.kid:.3g} [{1000 * f.kid_low:.3g}, {1000 * f.kid_high:.3g}]")
    balls = (number(v) for v in (f.precision, f.recall, f.density, f.coverage))
    return (name, f"{n:,}", TITLES[f.features], number(f.fd),
            f"{number(f.fd_low)} to {number(f.fd_high)}", floor, kid, *balls,
            "n/a" if copies is None else f"{100 * copies:.1f} %")


def rows(scores: Scores) -> list[tuple[str, ...]]:
    return [row(s.name, s.n, s.copies, f) for s in scores.sets for f in s.by_features]


def table(scores: Scores) -> str:
    """A table whose columns are aligned, and what its columns mean."""
    lines = [HEAD, *rows(scores)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], "", *notes(scores)])


def notes(scores: Scores) -> list[str]:
    real = f"Against {scores.real}: " + (
        f"{scores.real_n:,} images, {words(scores.shape)}." if scores.real_n
        else "published mu and sigma.")
    return [real, ABOUT, *filter(None, (_repeats(scores), scores.effnet_why, scores.fid_why))]


def _repeats(scores: Scores) -> str | None:
    """What became of copies where real images occur twice; None where none does."""
    repeats = scores.real_n - scores.real_distinct
    if not repeats:
        return None
    few = all(s.copies is None for s in scores.sets)
    return (f"Real images that repeat another: {repeats:,}. Copies are "
            + ("n/a: too few different real images, " if few else "sought among the different ones, ")
            + f"{scores.real_distinct:,}.")
