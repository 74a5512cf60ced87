"""What changes the fingerprint of raw data, and what does not."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from kelvin.datasets.sources.raw_state import folder_fingerprint, raw_fingerprint

CONTENTS = {"train/Äpfel rot/1.png": b"one", "train/b/2.png": b"two", "test/b/3.png": b"three"}


@pytest.fixture
def fingerprint(make_spec, tmp_path):
    def of(root=tmp_path, **changes):
        return raw_fingerprint(make_spec(**changes), {"KELVIN_DATA": str(root)})

    return of


def _edited(root):
    (root / "train/b/2.png").write_bytes(b"more")


def _touched(root):
    os.utime(root / "train/b/2.png", ns=(0, 1))


def _added(root):
    (root / "train/b/new.png").write_bytes(b"x")


def _removed(root):
    (root / "train/b/2.png").unlink()


def _renamed(root):
    (root / "train/b/2.png").rename(root / "train/b/2b.png")


@pytest.mark.parametrize("change", [_edited, _touched, _added, _removed, _renamed])
@pytest.mark.parametrize("linked", [False, True])
def test_a_changed_picture_changes_it(make_tree, fingerprint, tmp_path, change, linked):
    root = make_tree(CONTENTS)
    if linked:
        (root / "train").rename(tmp_path / "elsewhere")
        (root / "train").symlink_to(tmp_path / "elsewhere")
    before, run_before = fingerprint(), folder_fingerprint(root)
    assert before == fingerprint() == run_before and len(before) == 16
    change(root)
    assert fingerprint() != before and folder_fingerprint(root) != run_before


def test_another_root_changes_it_by_its_files_alone(make_tree, fingerprint, tmp_path):
    roots = [make_tree(CONTENTS, f"{name}/tree").parent for name in "ab"]
    for root in roots:
        for file in CONTENTS:
            os.utime(root / "tree" / file, ns=(0, 7))
    first = fingerprint(roots[0])
    assert fingerprint(roots[1]) == first
    os.utime(roots[1] / "tree/train/b/2.png", ns=(0, 8))
    assert fingerprint(roots[1]) != first


@pytest.mark.parametrize("entry", ["groups", "labels"])
def test_a_table_is_part_of_it(make_tree, fingerprint, tmp_path, entry):
    make_tree(CONTENTS)
    option = {"groups": {"csv": "table.csv"}} if entry == "groups" else {"labels": "table.csv"}
    absent = fingerprint(**option)
    (tmp_path / "table.csv").write_text("file,group\n")
    present = fingerprint(**option)
    assert present == fingerprint(**option)
    (tmp_path / "table.csv").write_text("file,group\na,b\n")
    assert len({fingerprint(), absent, present, fingerprint(**option)}) == 4


def test_nothing_else_changes_it(make_tree, fingerprint):
    root = make_tree(CONTENTS)
    before = fingerprint()
    (root / "train/b/2.png").read_bytes()
    (root / ".DS_Store").write_bytes(b"x")
    (root / "train/b/._2.png").write_bytes(b"x")
    (root / "train/.ipynb_checkpoints").mkdir()
    (root.parent / "another.png").write_bytes(b"x")
    assert fingerprint(image_size=8, channels=3, seed=7, validation=3) == before


def test_what_lies_in_a_systems_folder_does_not_count(make_tree, fingerprint):
    root = make_tree(CONTENTS | {"train/b/@eaDir/2.png/SYNO.jpg": b"x"})
    before = fingerprint()
    (root / "train/b/@eaDir/2.png/SYNO.jpg").write_bytes(b"longer")
    assert fingerprint() == before


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz"])
def test_an_archive_counts_by_its_size_and_time(make_tar, fingerprint, name):
    path = make_tar({"a/1.png": b"x"}, name)
    os.utime(path, ns=(0, 5))
    before = fingerprint(path=name)
    assert before == fingerprint(path=name) == folder_fingerprint(path)
    os.utime(path, ns=(0, 6))
    assert len({before, fingerprint(path=name), fingerprint(path="gone.tar")}) == 3


@pytest.mark.parametrize(
    "changes",
    [{"path": None}, {"path": "nowhere"}, {"path": "bad\0name"}, {"path": "x" * 5000}],
)  # fmt: skip
def test_missing_data_are_absent_and_no_error(fingerprint, changes):
    assert fingerprint(**changes) == fingerprint(path="nowhere as well")


def test_a_loop_of_links_is_no_error(make_tree, fingerprint):
    root = make_tree(CONTENTS)
    before = fingerprint()
    (root / "train/loop").symlink_to(root)
    assert fingerprint() not in (before, fingerprint(path="nowhere"))


def test_a_published_set_is_its_name(make_tree, fingerprint):
    """Its files are held to published checksums: a download in between changes nothing."""
    before = fingerprint(source="torchvision", name="MNIST")
    make_tree({"MNIST/raw/train-images-idx3-ubyte": b"x"}, ".")
    assert fingerprint(source="torchvision", name="MNIST") == before
    assert fingerprint(source="torchvision", name="CIFAR10") != before


def test_scikit_learns_sets_count_by_its_version(fingerprint, monkeypatch):
    before = fingerprint(source="sklearn", name="digits")
    assert before == fingerprint(source="sklearn", name="photos", root="elsewhere")
    monkeypatch.setattr("kelvin.datasets.sources.raw_state.version",
                        lambda package: version(package) + ".1")
    assert fingerprint(source="sklearn", name="digits") != before


def test_it_imports_no_heavy_library():
    code = ("import sys, kelvin.datasets.sources.raw_state; "
            "print(*{'torch', 'torchvision', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))")
    source = Path(__file__).resolve().parents[2] / "src"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(source)})  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
