"""Small published weights: one safetensors file with network, process, prior and sampler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from kelvin.artifacts.weights import Tensors, read_weights, write_weights
from kelvin.common import arguments
from kelvin.common.arguments import finite_number, shown, whole_number
from kelvin.common.errors import KelvinError
from kelvin.common.files import finite
from kelvin.common.streams import BlockRandom
from kelvin.degradations import State
from kelvin.restoration import assemble
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.samplers import check, samplers
from kelvin.sampling.trajectories import decoding, generate, last, trajectory
from kelvin.weights import checks
from kelvin.weights.images import Degraded, Samples, Trajectory, joined, unit_images, words

MOST = 10_000_000  # images of a call
BATCH = 256  # images at once; no result depends on it
LIMIT = 2_000_000  # bytes of a published file
NOTHING = 1e-4  # standard deviation along a direction, in the model's range: no grey level shows it
Section = Mapping[str, Any]  # an entry of `samplers` in params.yaml
Labels = int | Sequence[int] | None


@dataclass(frozen=True, repr=False)
class Published:
    """A trained restorer, the sections of params.yaml that describe it, and the sampler that it was
    measured with (None for weights that were not published).

    Below, sampler: an entry as params.yaml's `samplers` has them, {"kind": "ddim", "steps": 50,
    "eta": 0.0}, or a kind that needs no option but steps; None: the published one. steps: in place of
    the sampler's own, or "all". labels: the class of all images, or (n,) of each, where the network was
    trained with classes; guidance: weight of classifier-free guidance. seed: image i is the same
    whatever n is. Errors are KelvinErrors of one sentence.
    """

    restorer: Restorer
    run: Mapping[str, Any]
    sampler: Section | None
    about: Mapping[str, Any]

    def sample(self, n: int, seed: int = 0, labels: Labels = None, guidance: float = 1.0,
               sampler: Section | str | None = None, steps: int | str | None = None) -> Samples:
        """n new images from a seed alone, at most 10,000,000."""
        refuse_unfit(seed, guidance, n=n)
        refuse_idle(guidance, labels)
        result = generate(self.restorer, self.section(sampler, steps), n, (seed, "samples"), BATCH,
                          labels=classes(labels, n), guidance=guidance)
        return Samples(result.images.numpy())

    def trajectory(self, n: int = 8, count: int = 8, seed: int = 0, labels: Labels = None,
                   guidance: float = 1.0, sampler: Section | str | None = None,
                   steps: int | str | None = None) -> Trajectory:
        """The first n of `sample`, at about `count` + 1 times on their way from x_T to x_0."""
        refuse_unfit(seed, guidance, n=n, count=count)
        refuse_idle(guidance, labels)
        restorer = self.conditional(classes(labels, n), guidance)
        times, images = decoding(restorer, self.section(sampler, steps), n, (seed, "samples"), count)
        return Trajectory(times, images.numpy())

    @torch.no_grad()
    def degrade(self, images: Any, t: int, seed: int = 0) -> Degraded:
        """x_t of images (see kelvin.weights.images.unit_images) at t in 0..T; z is that of the seed,
        the same at every t."""
        refuse_unfit(seed)
        t = self.time(t, 0)
        image, process = self.restorer.image, self.restorer.degradation
        x0, parts, randomness = unit_images(images, image.shape), [], []
        for span, random in batches(len(x0), seed, "degrade"):
            z = process.draw(random)
            parts.append(image.to_unit(process.degrade(image.encode(x0[span]), at(t, random.n), z)))
            randomness += [] if z is None else [z]
        return Degraded(finite(torch.cat(parts)).float().numpy(), t,
                        torch.cat(randomness) if randomness else None, self.process())

    @torch.no_grad()
    def restore(self, images: Any, t: int, sampler: Section | str | None = None,
                steps: int | str | None = None, seed: int = 0, labels: Labels = None,
                guidance: float = 1.0) -> Samples:
        """x_0 of images that are degraded to t in 1..T, each by the sampler from there.

        images: what `degrade` returned, of these weights or of others of the same process, or degraded
        images from elsewhere. The sampler does not get their noise, but it gets which pixels a mask
        removed: there give what `degrade` returned. The sampler `direct` restores in one shot.
        """
        refuse_unfit(seed, guidance)
        refuse_idle(guidance, labels)
        t = self.time(t, 1)
        section, process = self.section(sampler, steps), self.restorer.degradation
        images = joined(images, self.restorer.image.shape)
        x, z = unit_images(images, self.restorer.image.shape, is_bounded=False), None
        if isinstance(images, Degraded):
            if images.t != t:
                raise KelvinError(f"these images are degraded to t = {images.t}, not {t}")
            checks.refuse_other_process(images, self.process())
            z = images.z
        if z is None and section["kind"] != "direct" and self.needs_z():
            raise KelvinError(f"{type(process).__name__} takes away what these images do not show "
                              "(z): give what degrade returned, or restore by the sampler direct")
        named, parts = classes(labels, len(x)), []
        for span, random in batches(len(x), seed, "restore"):
            own = None if z is None else process.public(z[span])
            state = State(self.restorer.image.encode(x[span]), own, hidden=process.can_estimate_z)
            restorer = self.conditional(None if named is None else named[span], guidance)
            states = trajectory(restorer, section, state, t, random)[1]
            parts.append(self.restorer.image.decode(finite(last(states).x)))
        return Samples(torch.cat(parts).numpy())

    def needs_z(self) -> bool:
        """Whether a restoration needs a part of z."""
        process = self.restorer.degradation
        z = process.draw(BlockRandom(0, 1, "z"))
        return z is not None and process.public(z) is not None

    def conditional(self, labels: torch.Tensor | None, guidance: float) -> Restorer:
        return self.restorer if labels is None else self.restorer.conditional(labels, guidance)

    def process(self) -> dict[str, str]:
        """What an image becomes at each t: the sections of its process, range and shape, as JSON."""
        image = self.restorer.image
        parts = {name: self.run[name] for name in ("degradation", "schedule", "prior")}
        parts |= {"range": (float(image.low), float(image.high)), "shape": image.shape}
        return {name: json.dumps(part, sort_keys=True) for name, part in parts.items()}

    def time(self, t: Any, first: int) -> int:
        """t as an int in first..T."""
        steps = self.restorer.degradation.steps
        if isinstance(t, bool) or not isinstance(t, Integral) or not first <= int(t) <= steps:
            raise KelvinError(f"t = {shown(t)} is no time of these weights; choose a whole number from "
                              f"{first} to {steps}")
        return int(t)

    def section(self, sampler: Section | str | None, steps: int | str | None) -> Section:
        """The entry of `samplers` to use: its kind and options are right."""
        chosen = self.sampler if sampler is None else sampler
        if chosen is None:
            raise KelvinError("these weights name no sampler, since they were not published: give one, "
                              'such as sampler={"kind": "improved", "steps": "all", "z": "kept"}')
        if isinstance(chosen, str):
            chosen = self.sampler if self.sampler and self.sampler["kind"] == chosen else named(chosen)
        elif not isinstance(chosen, Mapping) or not isinstance(chosen.get("kind"), str):
            raise KelvinError(f"sampler = {shown(chosen)} is no sampler; give a kind "
                              f"({', '.join(samplers.kinds())}), or an entry with its kind and options")
        entry = {key: as_python(value) for key, value in chosen.items()}
        if steps is not None:
            entry["steps"] = as_python(steps)
        try:
            check(entry, f"samplers.{entry['kind']}")
        except KelvinError as error:
            raise KelvinError(checks.one_line(str(error).splitlines())) from error
        return entry

    def __repr__(self) -> str:
        run, process = self.run, self.restorer.degradation
        network: Any = self.restorer.network
        size = sum(p.numel() for p in network.parameters())
        parts = [f"{run['degradation']['kind']}, {run['schedule']['kind']} schedule, T = {process.steps} "
                 f"({process.temperature})", f"{words(self.restorer.image.shape)} images",
                 f"{run['network']['kind']} of {size:,} parameters that predicts "
                 f"{run['restorer']['parameterisation']}"]
        if named_classes := getattr(network, "classes", 0):
            parts.append(f"{named_classes} classes")
        if self.sampler:
            parts.append("sampler " + ", ".join(f"{key} {value}" if key != "kind" else str(value)
                                                for key, value in in_order(self.sampler)))
        return f"<{self.about.get('run', 'weights')}: {'; '.join(parts)}>"


def named(kind: str) -> Section:
    """A sampler of that kind with as many steps as there are, where it leaves them open."""
    is_fixed = getattr(samplers.find(kind, "sampler"), "steps", None)
    return {"kind": kind} if is_fixed else {"kind": kind, "steps": "all"}


def as_python(value: Any) -> Any:
    """A number of numpy's as one of Python's, which alone an option may be."""
    return value.item() if isinstance(value, np.generic) else value


def in_order(section: Section) -> list[tuple[str, Any]]:
    return sorted(section.items(), key=lambda item: (item[0] != "kind", item[0]))


def classes(labels: Any, n: int) -> torch.Tensor | None:
    """Labels (n,), of one for all or of one for each."""
    if labels is None:
        return None
    if (axes := getattr(labels, "ndim", 1)) > 1:
        raise KelvinError(f"labels of the shape {tuple(labels.shape)} are no classes: give the number of "
                          "each image's class, not a row of zeros and a one")
    if axes == 0:
        labels = labels.item()
    if isinstance(labels, Integral):
        return torch.full((n,), whole_number("labels", labels, 0, MOST))
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise KelvinError(f"labels = {shown(labels)}: give one for all images, or one for each")
    each = [label.item() if getattr(label, "ndim", None) == 0 else label for label in labels]
    if len(each) != n:
        raise KelvinError(f"{len(each)} labels were given for {n} images; give one, or one for each")
    return torch.tensor([whole_number("a label", label, 0, MOST) for label in each])


def refuse_unfit(seed: Any, guidance: Any = 1.0, **counts: Any) -> None:
    """KelvinError for a seed, a guidance or a count that is none."""
    arguments.seed(seed)
    finite_number("guidance", guidance)
    for name, value in counts.items():
        whole_number(name, value, 1, MOST)


def refuse_idle(guidance: float, labels: Labels) -> None:
    if guidance != 1 and labels is None:
        raise KelvinError(f"guidance = {guidance:g} is of a class, and no labels are given: give labels, "
                          "or leave guidance at 1")


def batches(n: int, *seed: object) -> Iterator[tuple[slice, BlockRandom]]:
    """Spans of n images, each with the random stream of its images."""
    for first in range(0, n, BATCH):
        end = min(first + BATCH, n)
        yield slice(first, end), BlockRandom(first, end, *seed)


def at(t: int, n: int) -> torch.Tensor:
    return torch.full((n,), t)


def publish(weights: Path, sampler: Section, about: Mapping[str, Any], path: Path) -> None:
    """Copy trained weights to `path` with their sampler and where they come from.

    The same weights make the same bytes, so the repository does not grow by them; a digest in it tells
    `load` of any change. Where the file would
    be larger than LIMIT, a fitted prior's directions go in half precision (see `halved`), and where that
    does not suffice the network's weights too. KelvinError, and no file, where the file is still larger.
    """
    trained = read_weights(weights)
    about = {**trained.about, "sampler": dict(sampler), "about": dict(about)}
    small = replace(trained, prior=halved(trained.prior))
    for tried in (trained, small, replace(small, network=in_half(trained.network))):
        named = replace(tried, about=about)
        write_weights(path, replace(named, about={**about, checks.DIGEST: checks.digest(named)}))
        if (size := path.stat().st_size) <= LIMIT:
            return
    path.unlink()
    raise KelvinError(f"{weights} make a file of {size:,} bytes, and at most {LIMIT:,} are published: "
                      "take a run with a smaller network")


def in_half(network: Tensors) -> Tensors:
    """Weights in half precision (11 bits) where they are float32 and within its range."""
    most = torch.finfo(torch.half).max
    return {name: tensor.half() if tensor.dtype == torch.float and bool((tensor.abs() <= most).all())
            else tensor for name, tensor in network.items()}


def halved(prior: Tensors) -> Tensors:
    """A fitted prior whose directions are in half precision, without those along which nothing varies.

    x_T then differs by less than a thousandth of its spread along each direction.
    """
    if "directions" not in prior:
        return prior
    directions = prior["directions"]  # the largest first
    varied = int((directions.norm(dim=0) > NOTHING).sum())
    return {**prior, "directions": directions[:, :varied].half(),
            "count": torch.tensor(directions.shape[1])}


def whole(prior: Tensors) -> Tensors:
    """A prior that `halved` may have made, with as many directions as it had: an image takes its draws
    by their number."""
    if "count" not in prior:
        return prior
    directions = prior["directions"].float()
    count = whole_number("its number of directions", int(prior["count"]), directions.shape[1],
                         len(directions))  # a covariance has no more than pixels
    missing = torch.zeros(len(directions), count - directions.shape[1])
    return {"mean": prior["mean"], "directions": torch.cat([directions, missing], 1)}


def load(path: str | Path, *, own_parts: bool = False) -> Published:
    """A file that `publish` wrote, or the ema.safetensors of a trained run, which names no sampler.

    own_parts: run the code of the user's own parts (module:name) that the file names; without it a file
    that names one is refused, and nothing of it is imported. KelvinError where the file is missing,
    damaged or something else.
    """
    path = Path(path)
    about: Mapping[str, Any] = {}
    try:
        weights = read_weights(path)
        about = weights.about
        checks.refuse_odd(weights)
        if not own_parts:
            checks.refuse_own_parts(about)
        checks.refuse_changed(weights)
        checks.refuse_large(weights)
        restorer = assemble.restored(replace(weights, prior=whole(weights.prior)), path)
        checks.refuse_unfit(restorer, about)
    except (KelvinError, ValidationError) as error:
        raise KelvinError(checks.sentence(error, path, about)) from error
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError, MemoryError,
            ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200]  # RecursionError is a RuntimeError
        raise KelvinError(f"{path} is damaged, or no weight file of Kelvin "
                          f"({type(error).__name__}: {reason})") from error
    return Published(restorer, about["run"], about.get("sampler"), about.get("about", {}))
