"""Raw data that nobody may write: read-only rights, and for root, whom they do not hold, a guard."""

import os
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

# Every way by which Python opens for writing, makes, moves or removes a file, refused below the folder.
GUARD = """
import errno, os, sys
from pathlib import Path

root = os.path.realpath(sys.argv[1])
WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate",
           "os.utime", "os.chmod", "os.chown", "shutil.move", "shutil.rmtree"}

def guard(event, arguments):
    if event == "open" and arguments[2] & WRITE:
        paths = arguments[:1]
    elif event in CHANGES:
        paths = arguments[:2]
    else:
        return
    for path in paths:
        if not isinstance(path, int | None) and os.path.realpath(os.fsdecode(path)).startswith(root):
            raise OSError(errno.EROFS, "Read-only file system", os.fsdecode(path))

sys.addaudithook(guard)
"""

PREPARE = GUARD + """
from kelvin.config.schema import Images
from kelvin.config.values import validated
from kelvin.datasets.preparation import prepare
from kelvin.datasets.sources.folders import load_folder_images
from kelvin.datasets.sources.raw_state import raw_fingerprint
from kelvin.pipeline.checks.expected import expected_manifest

entry = {"source": "folder", "path": sys.argv[2], "test": 4, "validation": 2,
         "labels": sys.argv[3] or None, "folds": {"k": 2, "seed": 0}}
spec, environ = validated(Images, entry, ""), {"KELVIN_DATA": root}
raw_fingerprint(spec, environ)
asked = expected_manifest(spec, environ)
made = prepare("mine", spec, environ, Path("prepared/mine"))
scored, _ = load_folder_images(Path(root) / sys.argv[2], (8, 8), 1)
print(made["sizes"] == asked["sizes"], len(scored))
"""


@pytest.fixture
def read_only(tmp_path):
    root = tmp_path / "raw"
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(8)]
    for i, name in enumerate(names):
        (root / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(root / "tree" / name)
    (root / "labels.csv").write_text("file,label\n" + "".join(f"{n},{n[:3]}\n" for n in names))
    with tarfile.open(root / "tree.tar.gz", "w:gz") as tar:
        tar.add(root / "tree", "tree")
    with zipfile.ZipFile(root / "tree.zip", "w") as archive:
        for name in names:
            archive.write(root / "tree" / name, name)
    places = [root, *root.rglob("*")]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    yield root
    for place in places:
        place.chmod(0o755)


def python(code, *arguments, cwd):
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=cwd, text=True,
                          capture_output=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})


@pytest.mark.parametrize(("path", "labels"), [("tree", ""), ("tree.tar.gz", ""), ("tree.zip", ""),
                                              ("tree", "labels.csv")])
def test_read_only_raw_data_are_prepared_and_scored(path, labels, read_only, tmp_path):
    before = {place: place.stat().st_mtime_ns for place in [read_only, *read_only.rglob("*")]}
    done = python(PREPARE, read_only, path, labels, cwd=tmp_path)
    assert done.stdout == "True 16\n", done.stderr
    assert {place: place.stat().st_mtime_ns for place in [read_only, *read_only.rglob("*")]} == before


@pytest.mark.parametrize("write", [
    "open(path, 'a')", "os.open(path, os.O_RDWR)", "os.mkdir(path.with_name('new'))", "path.unlink()",
    "os.replace(path, 'stolen')", "path.with_name('new').touch()"])
def test_the_guard_itself_refuses_every_way_to_write(write, read_only, tmp_path):
    done = python(GUARD + f"path = Path(root) / 'labels.csv'\n{write}", read_only, cwd=tmp_path)
    assert done.returncode == 1 and "Read-only file system" in done.stderr
