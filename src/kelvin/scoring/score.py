"""kelvin.score: how near are these images to real ones, in several features, with floor and intervals?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kelvin.common import arguments
from kelvin.common.errors import KelvinError
from kelvin.features.extractor import Extractor
from kelvin.features.imagenet import NAME as IMAGENET
from kelvin.metrics.fmd import score_band
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.intervals import frechet_interval
from kelvin.metrics.kid import kid
from kelvin.metrics.manifold import balls
from kelvin.metrics.moments import Moments, moments
from kelvin.metrics.principal import principal
from kelvin.scoring.cache import (
    Cache,
    Published,
    Reference,
    identity,
    read_statistics,
    write_statistics,
)
from kelvin.scoring.copies import Originals
from kelvin.scoring.extractors import FEATURES, extractors
from kelvin.scoring.images import Side, checked_sides, checked_source, load_images, one_shape
from kelvin.scoring.results import FeatureScore, Scores, SetScore
from kelvin.scoring.subsets import chosen

COUNTLESS = 10**9  # assumed number of images behind published statistics, which carry no count
LEAST = 10  # images of either side
EXAMPLES = 64  # images of a set on the page
DRAWS = 15  # of real images, for the floor
ROWS = 10_000  # real features for kernels and balls
SUBSET, SUBSETS = 1000, 20  # of KID
NEIGHBOURS = 3


def score(theirs: Sequence[Any] | Any, real: Any, resize: Side = None,
          features: Sequence[str] | None = None, seed: int = 0, cache: str | Path | None = None
          ) -> Scores:
    """Score image sets against real images.

    theirs: one source or a list of them; real: a source; each a folder, tar, zip, .npy or .npz, or a
    uint8 array (kelvin.scoring.images.load_images); real may be an .npz of mu and sigma as well. resize:
    the side, or (height, width), of all after resizing. features: one or a list of pixels, random,
    imagenet and inception; None: all that are available. seed: of subsamples and intervals, never of
    features: distances of two seeds may be compared. cache: a folder for statistics of the real images,
    under a key of data, extractor and preprocessing. KelvinError in one sentence for arguments that mean
    nothing, before any image is read, and for sets that cannot be compared.

    Copies are sought among all real images; that takes as long as images times real images say.
    """
    sources = list(theirs) if isinstance(theirs, (list, tuple)) else [theirs]
    return score_sources(sources, real, resize, features, seed, cache)[0]


def score_sources(sources: Sequence[Any], real: Any, resize: Side = None,
                  features: Sequence[str] | None = None, seed: int = 0, cache: str | Path | None = None,
                  statistics: Path | None = None) -> tuple[Scores, dict[str, np.ndarray]]:
    """The scores, and a draw of images (at most 64, uint8) of every set by name, the real ones first.

    statistics: a file to write mu and sigma of the real images to, in the one feature selected.
    """
    seed, resize, selection = arguments.seed(seed), checked_sides(resize), checked_features(features)
    if not sources:
        raise KelvinError("score needs at least one set beside the real images")
    if cache is not None:
        arguments.place_of_files(f"cache = {arguments.shown(cache)}", arguments.path_of("cache", cache))
    real = checked_source(real, "real")
    sources = [checked_source(source, f"set {i}") for i, source in enumerate(sources, 1)]
    if statistics is not None and (selection is None or len(selection) != 1 or "pixels" in selection):
        raise KelvinError("mu and sigma are of one feature: name random, imagenet or inception by "
                          "--features (components of pixels are those of the images at hand)")
    name = _name(real, -1)
    in_grid = f"{name} (real)"
    names = unlike([*(_name(source, i) for i, source in enumerate(sources)), in_grid])[:-1]
    published = read_statistics(real) if isinstance(real, Path) else None
    if published is not None and statistics is not None:
        raise KelvinError(f"{name} holds mu and sigma itself: there are no images to take them of")
    sets = [load_images(source, resize) for source in sources]
    examples = {of: images[chosen(len(images), EXAMPLES, seed)]
                for of, images in zip(names, sets, strict=True)}
    if published is not None:
        refuse_unlike(sets, names)
        return _against_statistics(published, name, dict(zip(names, sets, strict=True)), selection,
                                   seed), examples
    real_images = load_images(real, resize)
    refuse_unlike([real_images, *sets], [name, *names])
    by_name, missing = extractors(real_images, len(real_images), selection or FEATURES,
                                  selection is not None)
    if statistics is not None:
        write_statistics(statistics, real_images, next(iter(by_name.values())))
    store = Cache(cache, real_images)
    originals = Originals(real_images, seed)
    most = max(ROWS, 2 * max(map(len, sets)) + 2)  # half of them are more than any set
    references = {key: store.reference(extractor, most, seed) for key, extractor in by_name.items()}
    scores = [SetScore(of, len(images), originals.share(images),
                       tuple(_by_features(key, by_name[key], references[key], images, seed)
                             for key in by_name))
              for of, images in zip(names, sets, strict=True)]
    return Scores(name, len(real_images), real_images.shape[1:], tuple(scores), missing.fid,
                  missing.effnet, len(originals.rows)), \
        {in_grid: real_images[chosen(len(real_images), EXAMPLES, seed)], **examples}


def checked_features(features: Any) -> tuple[str, ...] | None:
    """Names of FEATURES, each once; None for none. A str is one name."""
    names = (features,) if isinstance(features, str) else () if features is None else features
    if not isinstance(names, (list, tuple, set, frozenset)):
        raise KelvinError(f"features = {arguments.shown(features)} should be a list; choose from "
                          f"{', '.join(FEATURES)}")
    for name in names:
        if not isinstance(name, str) or name not in FEATURES:
            raise KelvinError(f"features {arguments.shown(name)} are unknown; choose from "
                              f"{', '.join(FEATURES)}")
    return tuple(dict.fromkeys(names)) or None


def refuse_unlike(sets: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """KelvinError where sets differ in shape, or hold too few images."""
    one_shape(list(sets), list(names))
    for images, of in zip(sets, names, strict=True):
        if len(images) < LEAST:
            raise KelvinError(f"{of} holds {len(images)} images; at least {LEAST} are needed")


def unlike(names: Sequence[str]) -> list[str]:
    """Names, none twice: those that occur twice get their place, or the next number that is free."""
    out, taken = [], set(names)
    for place, name in enumerate(names, 1):
        label = name
        while names.count(name) > 1 and label in taken:
            label, place = f"{name} ({place})", place + 1
        taken.add(label)
        out.append(label)
    return out


def _against_statistics(published: Published, name: str, sets: Mapping[str, np.ndarray],
                        selection: tuple[str, ...] | None, seed: int) -> Scores:
    """Frechet distances to mu and sigma alone, in the extractor that made them; where the file does not
    say which, in the trained network that gives as many features."""
    first = next(iter(sets.values()))
    names = tuple(f for f in selection or FEATURES if f != "pixels")  # these need the real images
    by_name, missing = extractors(first, COUNTLESS, names, selection is not None)
    moments_there, made_by = published.moments, published.extractor
    fitting = {key: e for key, e in by_name.items()
               if (identity(e) == made_by if made_by else
                   key != "random" and e.dim == moments_there.dim)}
    if made_by and not fitting:
        raise KelvinError(f"{name} holds mu and sigma in features ({made_by.split(' ')[0]}) that these "
                          "sets are not given: size and colours of the images and --features must be "
                          "those it was written with")
    if not fitting:
        dims = ", ".join(f"{key} has {e.dim}" for key, e in by_name.items()) or "none is here"
        raise KelvinError(f"{name} has mu of {moments_there.dim} features and does not say what made "
                          f"them; no trained network gives so many ({dims})"
                          + "".join(f"; {why}" for why in (missing.effnet, missing.fid) if why))
    out = []
    for of, images in sets.items():
        scores = []
        for key, extractor in fitting.items():
            x, real_moments = _project(extractor, moments_there, extractor(images))
            interval = frechet_interval(x, real_moments, seed=seed)
            scores.append(FeatureScore(key, frechet_from_features(x, real_moments), interval.low_at_n,
                                       interval.high_at_n))
        out.append(SetScore(of, len(images), None, tuple(scores)))
    return Scores(name, 0, first.shape[1:], tuple(out), missing.fid, missing.effnet)


def _project(extractor: Extractor, reference: Moments, *features: np.ndarray) -> tuple[Any, ...]:
    """Features (n, d), one after another, and the reference's moments, as Frechet distances use them."""
    if extractor.components is None:
        return *features, reference
    basis = principal(reference, extractor.components)
    return *map(basis, features), basis.moments(reference)


def _by_features(key: str, extractor: Extractor, reference: Reference, images: np.ndarray, seed: int
                 ) -> FeatureScore:
    x, real_features = extractor(images), reference.subset.astype(np.float64)
    projected, projected_real, real_moments = _project(extractor, reference.moments, x, real_features)
    real_features = some_of(real_features, reference.moments.n, seed)
    interval = frechet_interval(projected, real_moments, seed=seed)
    floor, sd = _floor(projected_real, len(x), seed)
    k = kid(x, real_features, subset_size=min(SUBSET, len(x), len(real_features)), subsets=SUBSETS,
            seed=seed)
    distances = (frechet_from_features(projected, real_moments), interval.low_at_n, interval.high_at_n,
                 floor, sd, k.value, k.low, k.high)
    if key == IMAGENET:  # noise raises them there
        return FeatureScore(key, *distances)
    inside, spread = balls(real_features, x, NEIGHBOURS)
    return FeatureScore(key, *distances, inside.precision, inside.recall, spread.density,
                        spread.coverage)


def some_of(features: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Those of at most ROWS of `count` real images, of the features that `Cache` keeps of more."""
    order = np.random.default_rng(seed).permutation(count)
    return features[np.isin(np.sort(order[:len(features)]), order[:ROWS])]


def _floor(features: np.ndarray, n: int, seed: int) -> tuple[float | None, float | None]:
    """Mean and deviation over draws of n real images against the other half of them."""
    order = np.random.default_rng(seed).permutation(len(features))
    held, rest = np.array_split(features[order], 2)
    if n >= len(held):
        return None, None
    real_moments: Moments = moments(rest)
    band = score_band(held, real_moments, n, DRAWS, seed)
    return band.mean, band.sd


def _name(source: Path | np.ndarray, i: int) -> str:
    if isinstance(source, np.ndarray):
        return "real images" if i < 0 else f"images {i + 1}"
    return source.name or str(source)
