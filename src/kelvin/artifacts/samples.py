"""The results of a run's sample stage: new images, strips, restorations, likelihood bound.

Images are uint8 (n, C, H, W), 0 black to 255 white; K and R count times, t = 0..T.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from kelvin.artifacts.reading import ArrayFile, read_json
from kelvin.common.files import write_arrays, write_json

if TYPE_CHECKING:
    import numpy as np


class Sampling(TypedDict):
    """config.json. sampling: the run's section; samplers: by name, with their options."""

    sampling: dict[str, Any]
    samplers: dict[str, dict[str, Any]]


class Cost(TypedDict):
    """cost.json, by name of samples. nfe: network evaluations an image; seconds: of all images."""

    nfe: dict[str, int]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Strip:
    """The same images at several times. times (K,) int64; states uint8 (K, n, C, H, W)."""

    times: np.ndarray
    states: np.ndarray


@dataclass(frozen=True)
class Bound:
    """The variational bound in bits per dimension. parts float64 (n, 3): L_0, the steps, L_T of n test
    images; terms float64 (2, K): L_t at `times` float32 (K,), and its standard error."""

    parts: np.ndarray
    times: np.ndarray
    terms: np.ndarray
    grey_levels: int


@dataclass(frozen=True)
class Restorations:
    """Test images degraded and restored. times (R,) int64; truth uint8 (n, C, H, W); degraded and, by
    method, restored uint8 (R, n, C, H, W); groups (n,) int64: which images show one object."""

    times: np.ndarray
    truth: np.ndarray
    degraded: np.ndarray
    methods: Mapping[str, np.ndarray]
    groups: np.ndarray | None = None  # None: not recorded


@dataclass(frozen=True)
class SnrErrors:
    """Squared error of x0_hat on a grid of log-SNR: log_snr float64 (G,); errors float32 (G, n)."""

    log_snr: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class Gates:
    """Squared errors by image, float32 (R, n), at times (R,) int64, in units of [0, 1]: of one-shot
    restorations by the network, and by least squares from 8 bits (kelvin.sampling.gates)."""

    times: np.ndarray
    one_shot: np.ndarray
    linear: np.ndarray


@dataclass(frozen=True)
class Gaps:
    """||D(x0_hat, t, z) - x_t|| along sampling: times (K,) int64; rmse float32 (K, n), in units of [0, 1]
    (kelvin.sampling.consistency)."""

    times: np.ndarray
    rmse: np.ndarray


@dataclass(frozen=True)
class SingleShot:
    """Images of one part restored in one shot at R times. kinds (n,): the classes' names; truth uint8
    (n, C, H, W); degraded and, by rule, x0_hat uint8 (R, n, C, H, W); groups (n,) int64: which images
    show one object."""

    kinds: np.ndarray
    truth: np.ndarray
    degraded: np.ndarray
    rules: Mapping[str, np.ndarray]
    groups: np.ndarray | None = None  # None: not recorded


@dataclass(frozen=True)
class Way:
    """One way of ancestral sampling over K times: mean, unmapped, finite, black float32 (K, n) in [0, 1]
    as in kelvin.sampling.single_shot.Brightness; image uint8 (K, C, H, W): the first of them."""

    mean: np.ndarray
    unmapped: np.ndarray
    finite: np.ndarray
    black: np.ndarray
    image: np.ndarray


@dataclass(frozen=True)
class Brightness:
    """Brightness along ancestral sampling. times (K,) int64, from T to 0; low, high: the network's range;
    near_black: the share of the range below which a pixel counts; real_black float32 (m,): the share of
    such pixels of held-out images; ways: see kelvin.artifacts.names.way."""

    times: np.ndarray
    low: float
    high: float
    near_black: float
    real_black: np.ndarray
    ways: Mapping[str, Way]


@dataclass(frozen=True)
class Samples:
    """All of samples.npz. samples: by sampler, the run's first sampler first (kelvin.artifacts.names has
    the further names); labels (n,) int64: the classes that were requested; many: the first sampler's
    larger number of images; prior: x_T of the samples; encoding: test images degraded; decoding: the
    first samples over time, by sampler; at_times (R,) int64 of `parts`: single-shot restoration of held
    out images (`test`) and, on a fold, of seen objects (`seen`); gates: errors of one-shot restorations;
    consistency: by sampler.
    """

    samples: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    many: np.ndarray | None = None
    prior: np.ndarray | None = None
    encoding: Strip | None = None
    decoding: Mapping[str, Strip] = field(default_factory=dict)
    bound: Bound | None = None
    restorations: Restorations | None = None
    snr_errors: SnrErrors | None = None
    at_times: np.ndarray | None = None
    parts: Mapping[str, SingleShot] = field(default_factory=dict)
    brightness: Brightness | None = None
    gates: Gates | None = None
    consistency: Mapping[str, Gaps] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """By the keys of the file, in its order."""
        import numpy as np

        out = {"labels": self.labels, **{f"samples/{s}": x for s, x in self.samples.items()},
               "many": self.many, "prior": self.prior}
        if self.encoding:
            out |= {"encoding_times": self.encoding.times, "encoding": self.encoding.states}
        for name, strip in self.decoding.items():
            out |= {f"decoding_times/{name}": strip.times, f"decoding/{name}": strip.states}
        if self.bound:
            out |= {"bound": self.bound.parts, "bound_times": self.bound.times,
                    "bound_terms": self.bound.terms,
                    "bound_grey_levels": np.array(self.bound.grey_levels)}
        if self.restorations:
            r = self.restorations
            out |= {"restore_times": r.times, "restore_truth": r.truth, "restore_degraded": r.degraded,
                    "restore_groups": r.groups,
                    **{f"restore/{method}": x for method, x in r.methods.items()}}
        if self.snr_errors:
            out |= {"log_snr": self.snr_errors.log_snr, "log_snr_error": self.snr_errors.errors}
        out["at/times"] = self.at_times
        for name, part in self.parts.items():
            out |= {f"at/{name}/kinds": part.kinds, f"at/{name}/truth": part.truth,
                    f"at/{name}/degraded": part.degraded, f"at/{name}/groups": part.groups,
                    **{f"at/{name}/rule/{rule}": x for rule, x in part.rules.items()}}
        if self.brightness:
            b = self.brightness
            out |= {"brightness_times": b.times, "brightness_range": np.array([b.low, b.high]),
                    "near_black": np.array(b.near_black), "brightness_black": b.real_black}
            for name, x in b.ways.items():
                out |= {f"brightness/{name}": x.mean, f"shown/{name}": x.unmapped,
                        f"finite/{name}": x.finite, f"black/{name}": x.black, f"drawn/{name}": x.image}
        if self.gates:
            out |= {"gate_times": self.gates.times, "gate_one_shot": self.gates.one_shot,
                    "gate_linear": self.gates.linear}
        for name, gaps in self.consistency.items():
            out |= {f"consistency_times/{name}": gaps.times, f"consistency/{name}": gaps.rmse}
        return {name: array for name, array in out.items() if array is not None}


@dataclass(frozen=True)
class SamplesFile:
    """`Samples` as they lie in samples.npz: each array is read on access, and not cached."""

    file: ArrayFile

    @cached_property
    def samplers(self) -> list[str]:
        """Names of samples, the run's first sampler first."""
        return self.file.under("samples/")

    def samples(self, name: str) -> np.ndarray:
        return self.file.take(f"samples/{name}", "u", 4)

    @property
    def labels(self) -> np.ndarray | None:
        return self.file.take("labels", "i", 1) if "labels" in self.file else None

    @property
    def many(self) -> np.ndarray | None:
        return self.file.take("many", "u", 4) if "many" in self.file else None

    @property
    def prior(self) -> np.ndarray:
        return self.file.take("prior", "u", 4)

    @property
    def encoding(self) -> Strip | None:
        return self._strip("encoding_times", "encoding")

    def decoding(self, sampler: str) -> Strip | None:
        return self._strip(f"decoding_times/{sampler}", f"decoding/{sampler}")

    def _strip(self, times: str, states: str) -> Strip | None:
        if states not in self.file:
            return None
        return Strip(self.file.take(times, "i", 1), self.file.take(states, "u", 5))

    @property
    def bound(self) -> Bound | None:
        """None for a process that has no bound."""
        if "bound" not in self.file:
            return None
        take = self.file.take
        return Bound(take("bound", "f", 2), take("bound_times", "f", 1), take("bound_terms", "f", 2),
                     int(take("bound_grey_levels", "i", 0)))

    @property
    def restorations(self) -> Restorations:
        take = self.file.take
        return Restorations(take("restore_times", "i", 1), take("restore_truth", "u", 4),
                            take("restore_degraded", "u", 5),
                            {method: take(f"restore/{method}", "u", 5)
                             for method in self.file.under("restore/")},
                            self._groups("restore_groups"))

    def _groups(self, key: str) -> np.ndarray | None:
        return self.file.take(key, "i", 1) if key in self.file else None

    @property
    def snr_errors(self) -> SnrErrors | None:
        """None for a process without noise."""
        if "log_snr" not in self.file:
            return None
        return SnrErrors(self.file.take("log_snr", "f", 1), self.file.take("log_snr_error", "f", 2))

    @property
    def gates(self) -> Gates:
        take = self.file.take
        return Gates(take("gate_times", "i", 1), take("gate_one_shot", "f", 2),
                     take("gate_linear", "f", 2))

    @property
    def consistency(self) -> dict[str, Gaps]:
        """By sampler; empty for a process with Gaussian noise."""
        take = self.file.take
        return {name: Gaps(take(f"consistency_times/{name}", "i", 1), take(f"consistency/{name}", "f", 2))
                for name in self.file.under("consistency/")}

    @property
    def at_times(self) -> np.ndarray | None:
        """None where single-shot restoration was not asked for."""
        return self.file.take("at/times", "i", 1) if "at/times" in self.file else None

    @property
    def parts(self) -> dict[str, SingleShot]:
        """By part: test, seen."""
        take, under = self.file.take, self.file.under
        names = [name.removesuffix("/truth") for name in under("at/") if name.endswith("/truth")]
        return {name: SingleShot(take(f"at/{name}/kinds", "U", 1), take(f"at/{name}/truth", "u", 4),
                                 take(f"at/{name}/degraded", "u", 5),
                                 {rule: take(f"at/{name}/rule/{rule}", "u", 5)
                                  for rule in under(f"at/{name}/rule/")},
                                 self._groups(f"at/{name}/groups")) for name in names}

    @property
    def brightness(self) -> Brightness | None:
        """None for a process without noise."""
        if "brightness_times" not in self.file:
            return None
        take = self.file.take
        low, high = take("brightness_range", "f", 1).tolist()
        ways = {name: Way(*(take(f"{key}/{name}", "f", 2) for key in
                            ("brightness", "shown", "finite", "black")), take(f"drawn/{name}", "u", 4))
                for name in self.file.under("brightness/")}
        return Brightness(take("brightness_times", "i", 1), low, high, float(take("near_black", "f", 0)),
                          take("brightness_black", "f", 1), ways)


@dataclass(frozen=True)
class SampleFolder:
    """data/samples/<dataset>/<run>-<replicate>."""

    path: Path

    @property
    def stage(self) -> str:
        return f"sample@{self.path.name}"

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def samples_file(self) -> Path:
        return self.path / "samples.npz"

    def config(self) -> Sampling:
        return read_json(self.config_file, self.stage, Sampling)

    def write_config(self, config: Sampling) -> None:
        write_json(self.config_file, config)

    def cost(self) -> Cost:
        return read_json(self.path / "cost.json", self.stage, Cost)

    def write_cost(self, cost: Cost) -> None:
        write_json(self.path / "cost.json", cost)

    def samples(self) -> SamplesFile:
        return SamplesFile(ArrayFile(self.samples_file, self.stage))

    def write_samples(self, samples: Samples) -> None:
        write_arrays(self.samples_file, **samples.arrays())
