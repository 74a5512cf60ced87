"""Parts of a store are read when their images are asked for, and only those that are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kelvin.datasets.splitting.classes import ClassSubset
from kelvin.datasets.splitting.folds import folds_text, make_folds
from kelvin.datasets.splitting.held_out import FoldView
from kelvin.datasets.store import ARRAYS, PreparedStore

N, SHAPE = 4000, (3, 256, 256)  # 786 MB, of which the disk holds next to nothing
SPLIT = np.repeat([0, 1, 2], [3000, 400, 600])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store whose images are a hole in a file."""
    folder = tmp_path_factory.mktemp("sparse")
    labels, groups = np.arange(N) % 2, np.arange(N) % 20
    sizes = {"train": 3000, "validation": 400, "test": 600}
    counts = {part: size // 2 for part, size in sizes.items()}
    manifest = {"dataset": "sparse", "licence": "", "seed": 0, "image_shape": SHAPE, "sizes": sizes,
                "grey_levels": 1, "classes": [{"name": name, **counts} for name in "ab"],
                "sha256": dict.fromkeys(ARRAYS, ""), "sources": {}, "skipped": []}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    folds = make_folds(labels[SPLIT < 2], groups[SPLIT < 2], 5, 0)
    (folder / "folds.json").write_text(folds_text(folds))
    arrays = {"labels": labels, "groups": groups, "split": SPLIT.astype(np.uint8)}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (N, *SHAPE))
    return folder


VIEWS = {"store": lambda store: store, "fold": lambda store: FoldView(store, "grouped", 1),
         "classes": lambda store: ClassSubset(store, [1])}


@pytest.mark.parametrize("view", VIEWS)
def test_a_split_knows_its_rows_before_they_are_read(folder, view):
    store = PreparedStore(folder)
    part = VIEWS[view](store).split("train")
    head = part.first(5)
    assert part.shape == (len(part), *SHAPE) and len(part.labels) == len(part.groups) == len(part)
    assert head.shape == head.images.shape == (5, *SHAPE)
    for mine, whole in ((head.labels, part.labels), (head.groups, part.groups),
                        (head.indices, part.indices)):
        assert np.array_equal(mine, whole[:5])
    assert len(part.first(None)) == len(part.first(N)) == len(part)
    assert not head.images.any() and not isinstance(head.images, np.memmap)


# The limit leaves 100 MB; the smallest part's images are 79, the next ones' 118, 64 images are 13.
_UNDER_A_LIMIT = """
import resource, sys
from kelvin.datasets.store import ARRAYS, PreparedStore
from kelvin.datasets.splitting.held_out import split_for
from kelvin.networks import Shape
from kelvin.restoration.assemble import shape_of
from kelvin.sampling.sample_run import head
store = split_for(PreparedStore(sys.argv[1]), sys.argv[2], 1)
used = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
if sys.argv[3] == "all":
    store.split("test").images
for part in ("train", "validation", "test"):
    found = store.split(part)
    print(part, len(found), found.shape[0], len(found.labels), found.first(64).images.shape[0])
assert shape_of(store) == Shape(3, 256, 256)
assert len(head(store, "test", 64, "cpu")) == 64
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on address space is Linux's")
@pytest.mark.parametrize(("kind", "asked"), [("given", "some"), ("grouped", "some"), ("given", "all")])
def test_shape_labels_and_head_read_no_more(folder, kind, asked):
    source = Path(__file__).resolve().parents[2] / "src"
    environ = os.environ | {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                            "PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, "-c", _UNDER_A_LIMIT, str(folder), kind, asked], env=environ,
                          capture_output=True, text=True)
    if asked == "all":  # the limit is one that a part breaks
        assert done.returncode != 0 and "MemoryError" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["train", "validation", "test"]
    assert all(n == shape == labels and head == "64" for _, n, shape, labels, head in rows)
