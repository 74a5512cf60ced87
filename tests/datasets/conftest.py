"""Tiny trees, tars and specs for the data set tests."""

import io
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kelvin.datasets.sources.folders import load_folder


@pytest.fixture
def make_spec():
    def make(**changes):
        is_folder = changes.get("source", "folder") == "folder"
        entry = {
            "source": "folder", "name": "", "path": "tree" if is_folder else None,
            "image_size": None, "channels": None, "classes": None, "validation": 0.25, "test": None,
            "seed": 0, "licence": "CC0", "on_error": "refuse", "groups": None, "labels": None,
            "folds": None, "order": "listed", "split_by": "images",
        }  # fmt: skip
        return SimpleNamespace(**entry | changes)

    return make


@pytest.fixture
def picture():
    """picture(value, ...) -> encoded bytes of one image with that constant value."""

    def encode(value=0, size=(4, 4), mode="L", format="PNG", **options):
        file = io.BytesIO()
        Image.new(mode, size, value).save(file, format, **options)
        return file.getvalue()

    return encode


@pytest.fixture
def make_tree(tmp_path):
    def make(contents, name="tree"):
        for path, content in contents.items():
            file = tmp_path / name / path
            if content is None:
                file.mkdir(parents=True, exist_ok=True)
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return tmp_path / name

    return make


@pytest.fixture
def make_tar(tmp_path):
    """make_tar({name: bytes}) -> path; a TarInfo may stand for the bytes."""

    def make(contents, name="tree.tar"):
        path = tmp_path / name
        packed = name.rpartition(".")[2]
        with tarfile.open(path, f"w:{packed}" if packed in ("gz", "bz2", "xz") else "w") as tar:
            for member, content in contents.items():
                if isinstance(content, tarfile.TarInfo):
                    tar.addfile(content)
                    continue
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return path

    return make


@pytest.fixture
def make_zip(tmp_path):
    """make_zip({name: bytes}) -> path; a ZipInfo may stand for the name."""

    def make(contents, name="tree.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in contents.items():
                archive.writestr(member, content)
        return path

    return make


@pytest.fixture
def random_images():
    def make(n, shape=(1, 6, 6), seed=0):
        return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)

    return make


@pytest.fixture
def load(make_tree, make_spec):
    """load({name: bytes}, key=value, ...) -> the images of a tree with these files."""
    def run(contents, **changes):
        return load_folder(make_tree(contents), make_spec(**changes))

    return run
