"""Decoding into a mapped file: the same images as in memory, and never two of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.preparation import prepare
from kelvin.datasets.sources.archives import open_tree
from kelvin.datasets.sources.reading import in_file, keep_rows, read_images
from kelvin.datasets.store import PreparedStore


@pytest.mark.parametrize("good", [0b1011101, 0b1, 0b1111111, 0b1000000])
@pytest.mark.parametrize("mapped", [True, False])
def test_rows_are_kept_in_place_and_the_file_is_what_numpy_would_save(
    random_images, tmp_path, good, mapped, monkeypatch
):
    monkeypatch.setattr("kelvin.datasets.sources.reading._BLOCK", 2)
    mask = np.array([good >> i & 1 for i in range(7)], bool)
    images = random_images(7, (3, 5, 4))
    room = in_file(tmp_path / "a.npy")(images.shape) if mapped else images.copy()
    room[:] = images
    assert np.array_equal(keep_rows(room, mask), images[mask])
    if mapped:
        np.save(tmp_path / "b.npy", images[mask])
        assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_many_files_in_the_order_of_their_names(make_tar, picture, tmp_path):
    order = np.random.default_rng(0).permutation(150)
    contents = {f"{i}.png": picture(int(i)) if i % 7 else b"x" for i in order}
    names = [f"{i}.png" for i in range(150)]
    with open_tree(make_tar(contents)) as tree:
        images, good, broken = read_images(tree, names, None, None, in_file(tmp_path / "x.npy"))
    assert images[:, 0, 0, 0].tolist() == [i for i in range(150) if i % 7]
    assert np.array_equal(good, np.arange(150) % 7 > 0) and set(broken) == set(np.array(names)[::7])


MODES = {"palette": ("P", (9, 8, 7)), "cmyk": ("CMYK", (10, 20, 30, 40)), "grey": ("L", 99),
         "one bit": ("1", 1)}


@pytest.mark.parametrize("mode", MODES)
def test_other_modes_become_colour(make_tree, make_spec, picture, tmp_path, mode):
    name, value = MODES[mode]
    odd = picture(value, mode=name, format="JPEG" if name == "CMYK" else "PNG")
    plain = picture((1, 2, 3), mode="RGB")
    make_tree({"a/1.png": plain, "a/2.png": plain, "a/3.png": odd, "a/4.png": plain})
    prepare("set", make_spec(channels=3, test=1, validation=2), {"KELVIN_DATA": str(tmp_path)},
            tmp_path / "out")
    assert PreparedStore(tmp_path / "out").images.shape == (4, 3, 4, 4)


BAD = {
    "cut.jpg": lambda picture: picture(5, (64, 64), format="JPEG")[:-40],
    "deep.tif": lambda picture: picture(5, mode="F", format="TIFF"),
    "ü leer .png": lambda picture: b"",
    "numbers.npy": lambda picture: b"hello",
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_is_refused_or_skipped_and_counted(make_tree, make_spec, picture, tmp_path, bad):
    good = {f"Äpfel rot/{i} ü.png": picture(i) for i in range(6)}
    make_tree(good | {f"Äpfel rot/{bad}": BAD[bad](picture)})
    environ, options = {"KELVIN_DATA": str(tmp_path)}, {"test": 2, "validation": 2, "groups": "folder"}
    with pytest.raises(KelvinError, match=f"^datasets.set: tree: 'Äpfel rot/{bad}'"):
        prepare("set", make_spec(**options), environ, tmp_path / "out")
    manifest = prepare("set", make_spec(**options, on_error="skip"), environ, tmp_path / "out")
    assert [entry["file"] for entry in manifest["skipped"]] == [f"Äpfel rot/{bad}"]
    store = PreparedStore(tmp_path / "out")
    store.verify()
    assert store.images[:, 0, 0, 0].tolist() == list(range(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tree"]


def test_a_class_of_one_image_is_named(make_tree, make_spec, picture, tmp_path):
    make_tree({f"a/{i}.png": picture(i) for i in range(6)} | {"Kiwi 1/1.png": picture(9)})
    with pytest.raises(KelvinError, match="class 'Kiwi 1' has 1 images and needs 3"):
        prepare("set", make_spec(test=2), {"KELVIN_DATA": str(tmp_path)}, tmp_path / "out")


# 300 images of 3x400x400 are 144 MB; the limit leaves room for them once and a half. One file is broken,
# so that rows must be closed up: `images[good]` in memory would be the second copy.
_UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from PIL import Image
from kelvin.datasets.preparation import prepare
from kelvin.datasets.store import PreparedStore
folder = Path(sys.argv[1])
spec = SimpleNamespace(source="folder", name="", path="big", image_size=None, channels=3, classes=None,
    validation=30, test=30, seed=0, licence="CC0", on_error="skip", groups="folder",
    order="listed", labels=None, split_by="images",
    folds=SimpleNamespace(k=4, seed=0))
size = 300 * 3 * 400 * 400
used = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + size * 3 // 2,) * 2)
if sys.argv[2] == "twice":
    images = np.zeros((300, 3, 400, 400), np.uint8)
    images[np.arange(300) > 0]
manifest = prepare("big", spec, {"KELVIN_DATA": str(folder)}, folder / "out")
assert len(manifest["skipped"]) == 1, manifest["skipped"]
store = PreparedStore(folder / "out")
assert isinstance(store.images, np.memmap) and len(store.images) == 300
store.verify()
assert all(store.images[i, 0, 0, 0] == i % 50 for i in range(300))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on address space is Linux's")
@pytest.mark.parametrize("times", ["once", "twice"])
def test_images_are_never_held_twice(picture, make_tree, tmp_path, times):
    if times == "once":
        kinds = [picture((i, i, i), (400, 400), "RGB") for i in range(50)]
        contents = {f"{'abcdef'[i // 50]}/{i}.png": kinds[i % 50] for i in range(300)}
        make_tree(contents | {"a/5_broken.png": b"x"}, "big")
    source = Path(__file__).resolve().parents[2] / "src"
    environ = os.environ | {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                            "PYTHONPATH": str(source)}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", _UNDER_A_LIMIT, str(tmp_path), times], env=environ,
                          capture_output=True, text=True)  # fmt: skip
    if times == "once":
        assert done.returncode == 0, done.stderr
    else:  # the limit is one that two copies break
        assert done.returncode != 0 and "MemoryError" in done.stderr
