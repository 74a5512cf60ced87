import os
import tarfile

import pytest

from kelvin.datasets.archives import file_hash, open_tree, printable
from kelvin.errors import KelvinError


def _member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_disk_and_tar_hold_the_same_tree(make_tree, make_tar):
    contents = {"a/1.png": b"one", "a/b c/2.png": b"two", "Ünï.png": b"three"}
    paths = [make_tree(contents), make_tar(contents), make_tar(contents, "tree.tar.gz")]
    for path in paths:
        with open_tree(path) as tree:
            assert sorted(tree.files) == sorted(contents)
            order = tree.reading_order(sorted(contents))
            assert {name: tree.read(name) for name in order} == contents


def test_a_packed_tar_is_read_forward(make_tar):
    with open_tree(make_tar({"b": b"1", "c": b"2", "a": b"3"}, "t.tar.gz")) as tree:
        assert tree.reading_order(["a", "b", "c"]) == ["b", "c", "a"]


def test_leading_dots_and_repeated_members(make_tar):
    path = make_tar({"./a/1.png": b"old", "a/1.png": b"new"})
    with open_tree(path) as tree:
        assert tree.files == ["a/1.png"]
        assert tree.read("a/1.png") == b"new"  # as unpacking would leave it


@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png"])
def test_names_that_leave_the_tar_are_refused(make_tar, name):
    with pytest.raises(KelvinError, match="points outside"), open_tree(make_tar({name: b"x"})):
        pass


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_are_refused(make_tar, kind):
    path = make_tar({"a.png": b"x", "evil": _member("evil.png", kind, "a.png")})
    with pytest.raises(KelvinError, match=r"evil\.png.*link or a device"), open_tree(path):
        pass


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz"])
def test_a_cut_tar_is_refused_wherever_it_is_cut(make_tar, name):
    path = make_tar({f"{i}.png": os.urandom(700) for i in range(3)}, name)
    whole = path.read_bytes()
    end = 3 * (512 + 1024) if name == "t.tar" else len(whole) - 30
    for cut in range(0, end + 1, 128):
        path.write_bytes(whole[:cut])
        with pytest.raises(KelvinError, match="not a whole"), open_tree(path):
            pass


def test_what_is_no_tar_or_missing_is_refused(tmp_path):
    (tmp_path / "x.tar").write_text("hello")
    with pytest.raises(KelvinError, match="not a whole"), open_tree(tmp_path / "x.tar"):
        pass
    with pytest.raises(KelvinError, match="no such folder or tar"), open_tree(tmp_path / "y"):
        pass


def test_checksums_see_names_and_contents(make_tree, make_tar):
    def of(path, names):
        with open_tree(path) as tree:
            return tree.checksum(names)

    base = of(make_tree({"a": b"1", "b": b"2"}, "x"), ["a", "b"])
    assert base == of(make_tree({"a": b"1", "b": b"2"}, "same"), ["a", "b"])
    assert base != of(make_tree({"a": b"1", "b": b"3"}, "content"), ["a", "b"])
    assert base != of(make_tree({"a": b"1", "c": b"2"}, "name"), ["a", "c"])
    tar = make_tar({"a": b"1"})
    assert of(tar, ["a"]) == f"sha256:{file_hash(tar, 'sha256')}"


def test_file_hash_and_printable_names(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    # RFC 1321, appendix A.5
    assert file_hash(tmp_path / "f", "md5") == "900150983cd24fb0d6963f7d28e17f72"
    assert printable("Ä b") == "Ä b"
    assert printable(os.fsdecode(b"a\xff.png")) == "a\\xff.png"
