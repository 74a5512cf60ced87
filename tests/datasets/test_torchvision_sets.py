import functools
import gzip
import hashlib
import http.server
import os
import pickle
import socket
import struct
import threading
import urllib.error
from pathlib import Path

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources import torchvision_sets
from kelvin.datasets.sources.archives import file_hash
from kelvin.datasets.sources.torchvision_sets import UNPACKED_MD5, load_published

REAL = Path(os.environ.get("KELVIN_DATA", "data/raw"))


def _idx(array):
    """The IDX format as yann.lecun.com/exdb/mnist describes it: type 8 is unsigned byte."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return {
        f"{stem}-{kind}-ubyte": random.integers(0, top, shape, dtype=np.uint8)
        for stem, n in (("train", 20), ("t10k", 8))
        for kind, top, shape in (("images-idx3", 256, (n, 28, 28)), ("labels-idx1", 10, (n,)))
    }


@pytest.fixture
def write_idx(tmp_path, arrays):
    def write(name, root="data"):
        folder = tmp_path / root / name / "raw"
        folder.mkdir(parents=True)
        for file, array in arrays.items():
            (folder / file).write_bytes(_idx(array))
        return tmp_path / root

    return write


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def test_idx_files_are_read_bit_exact(write_idx, arrays):
    raw = load_published("FashionMNIST", [write_idx("FashionMNIST")])
    assert raw.images.shape == (28, 1, 28, 28)
    for kind, ours in (("images-idx3", raw.images[:, 0]), ("labels-idx1", raw.labels)):
        theirs = np.concatenate([arrays[f"{stem}-{kind}-ubyte"] for stem in ("train", "t10k")])
        assert np.array_equal(ours, theirs)
    assert raw.labels.dtype == np.int64
    assert raw.given_test.tolist() == [False] * 20 + [True] * 8
    assert raw.class_names[9] == "Ankle boot" and raw.grey_levels == 256
    name = "FashionMNIST/raw/t10k-labels-idx1-ubyte"
    expected = hashlib.md5(_idx(arrays["t10k-labels-idx1-ubyte"])).hexdigest()
    assert raw.checksums[name] == f"md5:{expected}" and len(raw.checksums) == 4


def test_the_first_root_that_is_complete_wins(write_idx, arrays, tmp_path):
    incomplete = write_idx("FashionMNIST", "one")
    (incomplete / "FashionMNIST/raw/train-labels-idx1-ubyte").unlink()
    raw = load_published("FashionMNIST", [tmp_path, incomplete, write_idx("FashionMNIST", "two")])
    assert len(raw.images) == 28


def test_a_file_unlike_its_published_md5_is_refused_by_name(write_idx):
    with pytest.raises(KelvinError, match=r"train-images-idx3-ubyte: its md5 is .* published"):
        load_published("MNIST", [write_idx("MNIST")])


def test_one_changed_byte_is_found(write_idx, arrays, monkeypatch):
    root = write_idx("MNIST")
    md5 = {name: hashlib.md5(_idx(array)).hexdigest() for name, array in arrays.items()}
    monkeypatch.setitem(UNPACKED_MD5, "MNIST", md5)
    assert load_published("MNIST", [root]).class_names == list("0123456789")
    path = root / "MNIST/raw/t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(KelvinError, match="t10k-images-idx3-ubyte: its md5"):
        load_published("MNIST", [root])


def test_packed_files_beside_guard_the_unpacked(write_idx, arrays, monkeypatch):
    import torchvision

    root = write_idx("FashionMNIST")
    packed = {file: gzip.compress(_idx(array)) for file, array in arrays.items()}
    for file, content in packed.items():
        (root / f"FashionMNIST/raw/{file}.gz").write_bytes(content)
    with pytest.raises(KelvinError, match=r"train-images-idx3-ubyte\.gz: its md5"):
        load_published("FashionMNIST", [root])
    resources = [(f"{file}.gz", hashlib.md5(c).hexdigest()) for file, c in packed.items()]
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)
    assert len(load_published("FashionMNIST", [root]).images) == 28
    (root / "FashionMNIST/raw/train-labels-idx1-ubyte").write_bytes(_idx(np.zeros(20)))
    with pytest.raises(KelvinError, match=r"train-labels-idx1-ubyte: its md5"):
        load_published("FashionMNIST", [root])


def test_an_old_processed_folder_is_not_trusted(write_idx, arrays):
    import torch

    root = write_idx("FashionMNIST")
    (root / "FashionMNIST/processed").mkdir()
    for part in ("training", "test"):
        fake = (torch.zeros(2, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
        torch.save(fake, root / f"FashionMNIST/processed/{part}.pt")
    assert len(load_published("FashionMNIST", [root]).images) == 28


@pytest.mark.parametrize("cut", [2, 10, 500])
def test_a_cut_idx_file_is_refused(write_idx, cut):
    root = write_idx("FashionMNIST")
    path = root / "FashionMNIST/raw/t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(KelvinError, match="t10k-images-idx3-ubyte: not a whole IDX file"):
        load_published("FashionMNIST", [root])


def test_images_without_labels_are_refused(write_idx):
    root = write_idx("FashionMNIST")
    (root / "FashionMNIST/raw/train-labels-idx1-ubyte").write_bytes(_idx(np.zeros(19)))
    with pytest.raises(KelvinError, match="20 images and 19 labels"):
        load_published("FashionMNIST", [root])


def test_cifar_batches(tmp_path, monkeypatch):
    import torchvision

    library = torchvision.datasets.CIFAR10
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    folder = tmp_path / library.base_folder
    folder.mkdir()
    contents = {
        "one": {"data": pixels[:4].reshape(4, -1), "labels": [1, 0, 1, 0]},
        "two": {"data": pixels[4:].reshape(2, -1), "labels": [0, 1]},
        "meta": {"label_names": ["cat", "dog"]},
    }
    md5 = {}
    for file, content in contents.items():
        (folder / file).write_bytes(pickle.dumps(content))
        md5[file] = file_hash(folder / file, "md5")
    monkeypatch.setattr(library, "train_list", [["one", md5["one"]]])
    monkeypatch.setattr(library, "test_list", [["two", md5["two"]]])
    meta = {"filename": "meta", "key": "label_names", "md5": md5["meta"]}
    monkeypatch.setattr(library, "meta", meta)
    raw = load_published("CIFAR10", [tmp_path])
    assert np.array_equal(raw.images, pixels)
    assert raw.labels.tolist() == [1, 0, 1, 0, 0, 1] and raw.class_names == ["cat", "dog"]
    assert raw.given_test.tolist() == [False] * 4 + [True] * 2
    (folder / "two").write_bytes(pickle.dumps("evil"))
    with pytest.raises(KelvinError, match="two: its md5"):
        load_published("CIFAR10", [tmp_path])


def test_an_unknown_set_is_refused_with_the_known_ones():
    with pytest.raises(KelvinError, match="'KMNIST' is unknown; choose from MNIST, FashionMNIST"):
        load_published("KMNIST", [])


def test_missing_data_is_one_sentence(tmp_path, no_network):
    roots = [tmp_path / "mine", tmp_path / "data/raw"]
    with pytest.raises(KelvinError) as caught:
        load_published("MNIST", roots)
    message = str(caught.value)
    for piece in ("MNIST/raw/train-images-idx3-ubyte", "no network here", "set KELVIN_DATA=",
                  f"{roots[0]} (no such folder)", str(roots[1])):  # fmt: skip
        assert piece in message
    assert "\n" not in message and ". " not in message


def test_the_nearest_root_says_which_file_is_missing(write_idx, no_network, tmp_path):
    root = write_idx("FashionMNIST")
    (root / "FashionMNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(KelvinError, match=r"t10k-labels-idx1-ubyte \(file 4 of 4\)"):
        load_published("FashionMNIST", [tmp_path / "none", root])


def test_nothing_is_downloaded_outside_data_raw(tmp_path, no_network):
    blocked = tmp_path / "file/data/raw"
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(KelvinError, match="no root is a writable data/raw"):
        load_published("CIFAR100", [tmp_path / "mine", blocked])
    assert not (tmp_path / "mine").exists()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder, and the address under which this machine serves it."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    monkeypatch.setattr(handler.func, "log_message", lambda *args: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_download_into_the_first_data_raw(tmp_path, mirror, arrays, monkeypatch):
    import torchvision

    mirror, address = mirror
    resources = []
    for file, array in arrays.items():
        (mirror / f"{file}.gz").write_bytes(gzip.compress(_idx(array)))
        resources.append((f"{file}.gz", file_hash(mirror / f"{file}.gz", "md5")))
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)
    roots = [tmp_path / "mine", tmp_path / "data/raw", tmp_path / "other/data/raw"]
    raw = load_published("FashionMNIST", roots)
    assert np.array_equal(raw.images[:20, 0], arrays["train-images-idx3-ubyte"])
    assert (roots[1] / "FashionMNIST/raw").is_dir()
    assert not roots[0].exists() and not roots[2].exists()


def test_a_download_gives_up_on_silence_and_restores_the_timeout(tmp_path, monkeypatch):
    seen = []

    def note(*args, **kwargs):
        seen.append(socket.getdefaulttimeout())
        raise TimeoutError("silence")

    monkeypatch.setattr("urllib.request.urlopen", note)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(7)
    try:
        with pytest.raises(KelvinError, match="silence"):
            load_published("CIFAR10", [tmp_path / "data/raw"])
        assert socket.getdefaulttimeout() == 7
    finally:
        socket.setdefaulttimeout(before)
    assert set(seen) == {torchvision_sets._SILENCE}


@pytest.mark.skipif(
    not (REAL / "MNIST/raw/train-images-idx3-ubyte").is_file(),
    reason="needs the real MNIST under KELVIN_DATA",
)
def test_real_mnist_is_bit_exact():
    raw = load_published("MNIST", [REAL])
    assert raw.images.shape == (70_000, 1, 28, 28) and raw.given_test.sum() == 10_000
    # An independent reader: the published file is a header of 16 bytes and the pixels in order.
    for stem, held_out in (("train", False), ("t10k", True)):
        content = (REAL / f"MNIST/raw/{stem}-images-idx3-ubyte").read_bytes()
        assert raw.images[raw.given_test == held_out].tobytes() == content[16:]
        content = (REAL / f"MNIST/raw/{stem}-labels-idx1-ubyte").read_bytes()
        assert raw.labels[raw.given_test == held_out].astype(np.uint8).tobytes() == content[8:]
    assert np.bincount(raw.labels[raw.given_test])[:2].tolist() == [980, 1135]
