import gzip
import os
import stat
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.archives import file_hash, open_tree, printable

SYSTEM = "belongs to a system or a program"


def _member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_disk_tar_and_zip_hold_the_same_tree(make_tree, make_tar, make_zip):
    contents = {"a/1.png": b"one", "a/b c/2.png": b"two", "Ünï.png": b"three"}
    packed = [make_tar(contents, f"tree.tar{kind}") for kind in ("", ".gz", ".bz2", ".xz")]
    paths = [make_tree(contents), *packed, make_zip(contents)]
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


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz", "t.tar.bz2", "t.tar.xz", "t.zip"])
def test_a_cut_archive_is_refused_wherever_it_is_cut(make_tar, make_zip, name):
    contents = {f"{i}.png": os.urandom(700) for i in range(3)}
    path = make_zip(contents, name) if name == "t.zip" else make_tar(contents, name)
    whole = path.read_bytes()
    end = 3 * (512 + 1024) if name == "t.tar" else len(whole) - 1
    for cut in range(0, end + 1, 128):
        path.write_bytes(whole[:cut])
        with pytest.raises(KelvinError, match="not a whole"), open_tree(path):
            pass


NOISE = {f"{i}.jpg": np.random.default_rng(i).bytes(300) for i in range(3)}
PACKED = ["t.tar.gz", "t.tar.bz2", "t.tar.xz", "t.zip"]


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("bit", [0, 5])
def test_a_flipped_byte_never_gives_other_contents(make_tar, make_zip, name, bit):
    path = make_zip(NOISE, name) if name == "t.zip" else make_tar(NOISE, name)
    whole, refused = path.read_bytes(), 0
    positions = range(bit, len(whole), 3)
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            with open_tree(path) as tree:
                assert {member: tree.read(member) for member in tree.files} == NOISE
        except KelvinError as error:  # the archive, in one sentence
            assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 300
            refused += 1
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
            # One member, which read_images names.
            refused += 1
    # What is left are dates, rights and the like.
    assert refused > 0.7 * len(positions)


def test_a_tar_behind_a_tar_is_not_dropped(make_tar):
    first, second = make_tar({"a.png": b"x"}, "1.tar"), make_tar({"b.png": b"y"}, "2.tar")
    first.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(KelvinError, match="another tar follows its end"), open_tree(first):
        pass


def test_a_tar_of_the_first_format_behind_a_tar_is_seen(make_tar):
    """It has no word that tells it from other bytes, but the checksum of its headers."""
    first, second = make_tar({"a.png": b"x"}, "1.tar"), make_tar({"b.png": b"y"}, "2.tar")
    old = bytearray(second.read_bytes())
    old[257:265], old[148:156] = bytes(8), b" " * 8
    old[148:156] = b"%06o\0 " % sum(old[:512])
    second.write_bytes(old)
    with open_tree(second) as tree:
        assert tree.files == ["b.png"]
    first.write_bytes(first.read_bytes() + old)
    with pytest.raises(KelvinError, match="another tar follows its end"), open_tree(first):
        pass


def test_a_zip_before_a_zip_is_not_dropped(make_zip):
    first, second = make_zip({"a.png": b"x"}, "1.zip"), make_zip({"b.png": b"y"}, "2.zip")
    second.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(KelvinError, match="another zip stands before it"), open_tree(second):
        pass


@pytest.mark.parametrize("behind", [b"\n", b"garbage" * 9, bytes(5000)])
@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_bytes_behind_a_zip_change_nothing(make_zip, behind, comment):
    path = make_zip({"a.png": b"x"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
    path.write_bytes(path.read_bytes() + behind)
    with open_tree(path) as tree:
        assert tree.read("a.png") == b"x"


def test_a_wrong_checksum_in_the_table_of_a_zip_is_seen(make_zip):
    path = make_zip({"a.png": b"x"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 16] ^= 1  # APPNOTE 4.3.12
    path.write_bytes(content)
    with open_tree(path) as tree, pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"):
        tree.read("a.png")


@pytest.mark.parametrize("piece", [700, 5000])
def test_a_gzip_of_several_members_is_one_tar(make_tar, piece):
    """As parallel packers write it; the checksum of each member is compared."""
    content = make_tar(NOISE, "t.tar").read_bytes()
    members = [gzip.compress(content[:piece]), gzip.compress(content[piece:])]
    path = make_tar({}, "t.tar.gz")
    path.write_bytes(b"".join(members))
    with open_tree(path) as tree:
        assert {name: tree.read(name) for name in tree.files} == NOISE
    damaged = bytearray(members[0])
    damaged[-8] ^= 1  # RFC 1952: its CRC-32
    path.write_bytes(damaged + members[1])
    with pytest.raises(KelvinError, match="CRC check failed"), open_tree(path):
        pass


OTHER = {
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(600), "is one PNG picture; name the folder"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(600), "is one JPEG picture"),
    "empty": (b"", r"is empty \(0 bytes\)"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "is a 7z archive, which is not read; unpack it"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(600), "is a rar archive"),
    "text": (b"hello", "not a whole .tar"),
    "gzip of text": (gzip.compress(b"hello"), "not a whole .tar"),
    "head of a zip": (b"PK\3\4" + bytes(600), "not a whole .tar"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_what_is_no_archive_is_one_sentence(tmp_path, kind):
    content, message = OTHER[kind]
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(KelvinError, match=message) as caught, open_tree(tmp_path / "x.tar"):
        pass
    assert "\n" not in str(caught.value) and "method" not in str(caught.value)


def _zip_info(name, mode=stat.S_IFREG, flags=0):
    info = zipfile.ZipInfo(name)
    info.external_attr, info.flag_bits = mode << 16, flags
    return info


@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png", "C:/x.png"])
def test_names_that_leave_the_zip_are_refused(make_zip, name):
    with pytest.raises(KelvinError, match="points outside"), open_tree(make_zip({name: b"x"})):
        pass


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(make_zip, kind):
    path = make_zip({"a.png": b"x", _zip_info("evil.png", kind): b"a.png"})
    with pytest.raises(KelvinError, match=r"evil\.png.*link or a device"), open_tree(path):
        pass


def test_an_encrypted_zip_is_refused(make_zip):
    path = make_zip({"a.png": b"x"})
    content = bytearray(path.read_bytes())
    table = content.index(b"PK\1\2")
    content[6] |= 1  # the flag in front of the member (APPNOTE 4.4.4), and in the table
    content[table + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(KelvinError, match="'a.png' is encrypted; unpack it"), open_tree(path):
        pass


@pytest.mark.parametrize("name", PACKED)
def test_an_archive_that_swells_is_refused_before_it_is_read(make_tar, make_zip, monkeypatch, name):
    contents = {"a.png": bytes(1 << 20), "b.png": b"x"}
    path = make_zip(contents, name) if name == "t.zip" else make_tar(contents, name)
    monkeypatch.setattr("kelvin.datasets.sources.archives.LARGEST", 1 << 19)
    with pytest.raises(KelvinError, match=r"claims to hold 104857[67] bytes or more in"), open_tree(path):
        pass


@pytest.mark.parametrize("kind", ["tree", "tree.tar", "tree.zip"])
def test_one_picture_of_absurd_size_is_not_read(make_tree, make_tar, make_zip, monkeypatch, kind):
    make = {"tree": make_tree, "tree.tar": make_tar, "tree.zip": make_zip}[kind]
    path = make({"a.png": os.urandom(2000), "b.png": b"x"}, kind)
    monkeypatch.setattr("kelvin.datasets.sources.archives.LARGEST", 1000)
    with open_tree(path) as tree:
        assert tree.read("b.png") == b"x"
        with pytest.raises(ValueError, match="2000 bytes are more than the 1000"):
            tree.read("a.png")


@pytest.mark.parametrize("flagged", [True, False])
def test_a_zip_without_the_flag_of_utf8_keeps_its_letters(make_zip, flagged):
    path = make_zip({"Grün/1.png": b"x"})
    if not flagged:
        content = path.read_bytes()
        for record, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = content.index(record) + offset
            content = content[: at + 1] + bytes([content[at + 1] & ~8]) + content[at + 2 :]
        path.write_bytes(content)
    with open_tree(path) as tree:
        assert tree.files == ["Grün/1.png"] and tree.read("Grün/1.png") == b"x"


def test_backslashes_of_windows_part_folders(make_zip):
    info = zipfile.ZipInfo("a\\1.png")
    info.create_system = 0
    with open_tree(make_zip({info: b"x"})) as tree:
        assert tree.files == ["a/1.png"] and tree.read("a/1.png") == b"x"


LITTER = ["__MACOSX/a/._1.png", "a/@eaDir/1.png/X.jpg", "a/.ipynb_checkpoints/1.png", "lost+found/x.png",
          "$RECYCLE.BIN/1.png", ".git/x.png", ".hidden.png"]  # fmt: skip


@pytest.mark.parametrize("kind", ["tree", "tree.tar", "tree.zip"])
def test_what_a_system_leaves_behind_is_named_and_not_entered(make_tree, make_tar, make_zip, kind):
    make = {"tree": make_tree, "tree.tar": make_tar, "tree.zip": make_zip}[kind]
    with open_tree(make({"a/1.png": b"x"} | dict.fromkeys(LITTER, b"y"), kind)) as tree:
        assert tree.files == ["a/1.png"]
        assert tree.left_out == {
            "__MACOSX/": SYSTEM, "a/@eaDir/": SYSTEM, "lost+found/": SYSTEM, "$RECYCLE.BIN/": SYSTEM,
            "a/.ipynb_checkpoints/": "is hidden", ".git/": "is hidden", ".hidden.png": "is hidden",
        }  # fmt: skip


@pytest.mark.parametrize("kind", ["class", "top", "inside"])
def test_linked_folders_are_followed(make_tree, kind):
    root = make_tree({"cat/1.png": b"x"})
    elsewhere = make_tree({"2.png": b"y", "sub/3.png": b"z"}, "elsewhere")
    link = {"class": "dog", "top": "linked", "inside": "cat/more"}[kind]
    (root / link).symlink_to(elsewhere, target_is_directory=True)
    with open_tree(root) as tree:
        assert sorted(tree.files) == sorted(["cat/1.png", f"{link}/2.png", f"{link}/sub/3.png"])
        assert tree.read(f"{link}/sub/3.png") == b"z"


def test_the_folder_itself_is_no_folder_of_the_tree(make_tar):
    """`tar cf pictures.tar .` packs it as ./"""
    root, inside = _member("./", tarfile.DIRTYPE), _member("./a", tarfile.DIRTYPE)
    with open_tree(make_tar({"./": root, "./a": inside, "./a/1.png": b"x"})) as tree:
        assert tree.folders == ["a"] and tree.files == ["a/1.png"]


@pytest.mark.parametrize("target", [".", "..", "cat", "cat/deep"])
def test_links_that_lead_to_one_folder_twice_are_refused_by_name(make_tree, target):
    root = make_tree({"tree/cat/deep/1.png": b"x"}, "outer") / "tree"
    (root / "cat/deep/zzz").symlink_to(root / target, target_is_directory=True)
    with pytest.raises(KelvinError, match="zzz.*is the same folder as.*remove the link"), open_tree(root):
        pass


def test_a_dangling_link_is_listed_as_a_file(make_tree):
    root = make_tree({"1.png": b"x"})
    (root / "2.png").symlink_to(root / "gone.png")
    (root / "3.png").symlink_to(root / "3.png")
    with open_tree(root) as tree:
        assert tree.files == ["1.png", "2.png", "3.png"]
        for name in ("2.png", "3.png"):
            with pytest.raises(OSError):
                tree.read(name)


def test_what_is_no_tar_or_missing_is_refused(tmp_path):
    (tmp_path / "x.tar").write_text("hello")
    with pytest.raises(KelvinError, match="not a whole"), open_tree(tmp_path / "x.tar"):
        pass
    with pytest.raises(KelvinError, match="no such folder, tar or zip"), open_tree(tmp_path / "y"):
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
