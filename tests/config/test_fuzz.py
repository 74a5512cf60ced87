"""A fuzz of params.yaml in process: no traceback, every refusal a line that names the user's key."""

import copy
import math
import random
import re

import pytest
import torch
from conftest import ROOT
from ruamel.yaml import YAML

from kelvin.common.errors import KelvinError
from kelvin.common.trees import leaves
from kelvin.config.plan import plan_path
from kelvin.config.resolve import Params, read
from kelvin.networks import Shape
from kelvin.pipeline.checks.images import manifest_faults
from kelvin.pipeline.checks.params import checked_params, faults
from kelvin.pipeline.planning import Planner
from kelvin.restoration import assemble

RAW = read(ROOT / "params.yaml")
ACTIVE = ["ddpm-default", "blur-strong", "tied-noise", "tied-heat", "guided", "fold-grouped",
          "pretrain-10"]
KEPT = {*ACTIVE, "blur-best", "pretrain-0", "ddpm-cosine", "ddpm-p2", "arch-resnet", "arch-simple"}
RAW |= {"scale": "smoke", "active": ACTIVE,  # fewer runs, the same kinds of keys: an edit takes less time
        "runs": {name: run for name, run in RAW["runs"].items() if name in KEPT},
        "studies": {"schedules": RAW["studies"]["schedules"] | {"runs": ["ddpm-default", "ddpm-cosine"]}},
        "records": {"one": RAW["records"]["full"]}}
VALUES = [None, True, -1, 0, 1, 2, 3, 10**6, 10**12, 2**32, 2**64, -1e300, 1e-300, 0.5, 1.5, 1e9,
          math.inf, math.nan, "", "x", "a\nb", "z" * 500, "all", "../../x", [], [[]], [None], ["x"],
          [1e-300], [10**12], [0, 0], {}, {"x": 1}, {"kind": "x"}, {"kind": None}]
SECTIONS = ("datasets", "scales", "classifier", "metrics", "defaults", "samplers", "runs", "studies",
            "records")
COUNT = 500  # edits of one value; the structural ones and those of bytes are more
NEVER = (" = inf", " = nan", " = [[]]", " = [None]", " = {'x': 1}", " = {'kind': None}", " = -1e+300")
FREE = ("records.one.set",)  # of any key
KEY = re.compile(rf"(?:{'|'.join(RAW)})(?:[ .]|$)|x |'")
# train, validation and test images of digits by hand: what a store's manifest says
SIZES = {"train": 1077, "validation": 180, "test": 540}
MANIFEST = {"sizes": SIZES, "image_shape": [1, 8, 8], "grey_levels": 17, "classes": [
    {"name": str(i)} | {part: n // 10 + (i < n % 10) for part, n in SIZES.items()} for i in range(10)]}


class NoCode:
    """In place of the digest of the code, which no edit of params.yaml touches."""

    def digest(self, *_):
        return "0" * 16


def put(path, value):
    """RAW with one value replaced (or, with KeyError as value, removed)."""
    raw = copy.deepcopy(RAW)
    node = raw
    for key in path[:-1]:
        node = node[key]
    if value is KeyError:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return raw


def edits():
    """(name, file) of every edit; seeded, each leaf as often as another."""
    source = random.Random(20)
    places = [path for path, _ in leaves(RAW)]
    for path in source.choices(places, k=COUNT):
        value = source.choice(VALUES)
        yield f"{'.'.join(map(str, path))} = {value!r:.40}", put(path, value)
    for path in source.sample(places, 40):
        yield f"{'.'.join(map(str, path))} removed", put(path, KeyError)
        above = path[:-1]
        if above:
            yield f"{'.'.join(map(str, above))} = null", put(above, None)
            yield f"{'.'.join(map(str, above))} = x", put(above, "x")
    for key in RAW:
        for value in (KeyError, None, [], {}, "x", 3):
            yield f"{key} = {value}", put((key,), value)
    for key in SECTIONS:
        for name in ("a\nb", "a b", "ü", "", "x" * 100, "..", 3):
            yield f"{key}.{name!r:.20} added", put((key,), {**RAW[key], name: {}})
    for key, value in BY_HAND:
        yield f"{key} = {value!r:.40}", put(tuple(key.split(".")), value)


RUN = "runs.ddpm-default"
BY_HAND = [
    ("classifier.channels", []), (f"{RUN}.scales", None), (f"{RUN}.scales", [1]),
    (f"{RUN}.scales.laptop", None), (f"{RUN}.scales.laptop", 3), ("seed", 2**32), ("seed", 2**64),
    ("replicates", [2**32]), ("datasets.digits.image_size", 2), ("datasets.digits.image_size", 100000),
    ("scales.smoke.run.network.multipliers", [1] * 12), ("metrics.random_dim", 10**9),
    ("classifier.features", 10**12), ("runs.blur-strong.degradation.kernel", 1e9),
    ("runs.blur-strong.schedule.steps", 10**12), ("runs.blur-strong.schedule.steps", 10**7),
    (f"{RUN}.sampling", {"many": 10**12}), ("metrics.kid.coef0", math.inf),
    ("defaults.training.weighting", {"kind": "min-snr", "gamma": math.inf}),
    ("defaults.training.grad_clip", math.inf), ("runs.blur-strong.prior.jitter", math.inf),
    ("metrics.mmd.multiples", [1e-300]), ("runs.blur-strong.degradation.sigma", 1e-300),
    ("runs.blur-best.degradation.growth", "constant"),
    ("runs.blur-strong.schedule",
     {"kind": "matched", "steps": 20, "beta_min": 1e-4, "alpha_bar_end": 0.01}),
    ("replicates", ["2023-05-09"]), ("active", None), ("dataset", ""), ("datasets.digits.folds", None),
    ("datasets.digits.groups", {"pattern": "("}), ("datasets.digits.classes", [99]),
    ("metrics.ssim_window", 8), ("metrics.ssim_window", 99), ("metrics.neighbours", 10**6),
    ("metrics.copy_quantile", 1e-9), ("scales.smoke.run.sampling.restore_images", 10**6),
    ("runs.blur-strong.sampling.samplers", ["ddim-5"]), ("runs.pretrain-0.classes", [3]),
    ("runs.pretrain-0.classes", [99]), (f"{RUN}.network", {"kind": "no_module:Net"}),
    (f"{RUN}.network", {"kind": "os:path"}),
    (f"{RUN}.network", {"kind": "kelvin.common.errors:KelvinError"}),
    (f"{RUN}.degradation", {"kind": "math:pi"}), (f"{RUN}.like", "ddpm-default"), (f"{RUN}.path", "x"),
]


def outcome(raw):
    """('accepted', plan) or ('refused', lines); anything else is thrown, and is the fault looked for."""
    if lines := faults(raw):
        return "refused", lines
    try:
        plans = dict(Planner(Params(raw), ROOT / "stages", {}, NoCode()).files())
    except KelvinError as error:
        return "refused", str(error).splitlines()
    return "accepted", plans[plan_path("pretrain")]


def test_no_edit_ends_in_a_traceback_and_every_refusal_names_a_key(capsys):
    """Every accepted edit is also held against digits, and a sample of them is built and evaluated."""
    counts = {"refused": 0, "refused for the images": 0, "accepted": 0}
    thrown, nameless, long, accepted, built = [], [], [], [], {}
    for name, raw in edits():
        try:
            kind, result = outcome(raw)
            if kind == "accepted":
                kind, result = ("refused for the images", lines) if (
                    lines := manifest_faults(result.checked, MANIFEST, 2**33, built)) else (kind, result)
        except Exception as error:  # noqa: BLE001 - a traceback is what is looked for
            thrown.append(f"{name}: {type(error).__name__}: {error}")
            continue
        counts[kind] += 1
        if kind == "accepted":
            accepted.append((name, result.checked))
            continue
        nameless += [f"{name}: {line}" for line in result if not KEY.match(line)]
        long += [f"{name}: {line}" for line in result if len(line) > 320 or "constrained" in line]
    followed = random.Random(1).sample(accepted, 20)
    for name, checked in followed:
        try:
            follow(checked)
        except Exception as error:  # noqa: BLE001
            thrown.append(f"{name}, followed: {type(error).__name__}: {error}")
    with capsys.disabled():
        print(f"\nfuzz of params.yaml: {sum(counts.values())} edits, {counts}, {len(followed)} followed, "
              f"{len(thrown)} tracebacks")
    assert thrown == [] and nameless == [] and long == []
    assert [name for name, _ in accepted if name.endswith(NEVER) and not name.startswith(FREE)] == []
    assert sum(counts.values()) >= 500 and min(counts.values()) > 0


def follow(checked):
    """The restorers of three runs, built for the images of digits and evaluated once."""
    for name, run in list(checked.runs.items())[:3]:
        restorer = assemble.build(run, Shape(1, 8, 8), f"runs.{name}", 10)
        with torch.no_grad():
            out = restorer.network(torch.zeros(2, 1, 8, 8), torch.ones(2))
        assert out.isfinite().all()


@pytest.mark.parametrize("content", [
    "title: Grün\n".encode("latin-1"), "seed: 0\n".encode("utf-16"), b"\xff\xfe", b"\x00", b"", b"[]",
    b"x", b"seed: 0\nseed: 1\n", b"a: {b: 1, b: 2}\n", b"a: [1,\n", b"\tseed: 0\n", b"a: &x *y\n",
    b"!!python/x {}\n",
    b"<<<<<<< HEAD\nseed: 0\n=======\nseed: 1\n>>>>>>> x\n", b"a: 2023-13-45\n", b"a: 2023-05-09\n",
    b"? [1, 2]\n: 3\n", b"{1: 2}\n", b"a: !!binary x\n", b"- &a [*a]\n", b"a: &a {b: *a}\n",
    b"---\na: 1\n---\n"])
def test_bytes_that_are_no_parameters_are_refused(content, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(KelvinError) as error:
        checked_params(path)
    assert str(error.value).startswith((str(path), "params.yaml: "))


def test_a_refused_file_begins_with_its_name(tmp_path):
    path = tmp_path / "params.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump({**RAW, "threads": 0}, file)
    with pytest.raises(KelvinError, match="^params.yaml: threads = 0"):
        checked_params(path)
