"""Orientation of single pictures, in EXIF and TIFF directories written by hand."""

import io
import struct

import numpy as np
import pytest
from encoded import BASE, tiff
from PIL import Image

from kelvin.datasets.sources.archives import open_tree
from kelvin.datasets.sources.decoding import decode
from kelvin.datasets.sources.exif import read_directory, without_metadata
from kelvin.datasets.sources.reading import read_images


def exif(order="<", orientation=6, kind=3, count=1, beside=()):
    """EXIF bytes with the orientation tag (none for None) among others, (tag, type, count, value)."""
    entries = list(beside)
    if orientation is not None:
        wide = struct.pack(f"{order}I", orientation)
        field = struct.pack(f"{order}HH", orientation, 0) if kind == 3 else wide
        entries.append((0x112, kind, count, field))
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, entry_kind, entry_count, field in sorted(entries):
        out += struct.pack(f"{order}HHI", tag, entry_kind, entry_count) + field
    return out + bytes(4) + bytes(range(64))


def bigtiff(order, orientation, more):
    """The header and first directory of a BigTIFF (its specification, version 0.3)."""
    entries = [(0x100, 3, 1, 12)] + ([] if orientation is None else [(0x112, 3, 1, orientation)])
    out = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, len(entries))
    for tag, kind, count, value in entries:
        out += struct.pack(f"{order}HHQHHI", tag, kind, count, value, 0, 0)
    return out + struct.pack(f"{order}Q", more << 40)


# Of CIPA DC-008: where row 0 and column 0 of what is stored are seen.
SEEN = {
    1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
    5: lambda p: p.T, 6: lambda p: np.rot90(p, -1), 7: lambda p: np.rot90(p, 2).T, 8: np.rot90,
}  # fmt: skip


def _with_exif(kind, content):
    file = io.BytesIO()
    options = {"JPEG": {"quality": 100, "exif": b"Exif\0\0" + content}, "PNG": {"exif": content},
               "WEBP": {"exif": content, "lossless": True}}[kind]  # fmt: skip
    (BASE if kind != "WEBP" else BASE.convert("RGB")).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", SEEN)
def test_every_orientation(kind, order, orientation):
    pixels = decode(_with_exif(kind, exif(order, orientation)), None, 1)[0].astype(int)
    assert np.abs(pixels - SEEN[orientation](np.asarray(BASE))).max() <= 2


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", SEEN)
def test_every_orientation_of_tiff(order, orientation):
    samples = np.arange(96).reshape(8, 12) * 514
    content = tiff(samples, order, (274, 3, orientation))
    assert np.array_equal(decode(content, None, None)[0], SEEN[orientation](samples // 257))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", [None, *SEEN])
@pytest.mark.parametrize("more", [0, 1])
def test_a_bigtiff_is_read_as_a_tiff(order, orientation, more):
    """Its counts and offsets have 64 bits; several pictures are refused."""
    known = None if orientation is None else orientation
    content = bigtiff(order, known, more)
    directory = read_directory(content)
    assert (directory.orientation, directory.more) == (orientation or 1, bool(more))
    plain, _ = without_metadata(content)
    assert read_directory(plain).orientation == 1 and len(plain) == len(content)


@pytest.mark.parametrize("orientation", SEEN)
def test_every_orientation_of_bigtiff(orientation, tmp_path):
    tags, file = Image.Exif(), io.BytesIO()
    tags[0x112] = orientation
    BASE.save(file, "TIFF", exif=tags, big_tiff=True)
    assert file.getvalue()[:4] == b"II+\0"
    assert np.array_equal(decode(file.getvalue(), None, None)[0], SEEN[orientation](np.asarray(BASE)))


def test_several_pictures_in_a_bigtiff_are_refused():
    file = io.BytesIO()
    BASE.save(file, "TIFF", save_all=True, append_images=[BASE], big_tiff=True)
    with pytest.raises(ValueError, match="holds several pictures"):
        decode(file.getvalue(), None, None)


@pytest.mark.parametrize("end", range(0, 48, 3))
def test_a_cut_bigtiff_has_no_directory_or_one(end):
    assert read_directory(bigtiff("<", 6, 1)[:end]).orientation in (1, 6)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_is_taken_as_upright(orientation):
    assert np.array_equal(decode(_with_exif("PNG", exif(orientation=orientation)), None, None)[0],
                          np.asarray(BASE))  # fmt: skip


@pytest.mark.parametrize(("kind", "count"), [(2, 4), (3, 2), (5, 1), (10, 1), (12, 1), (99, 1)])
def test_an_orientation_of_a_wrong_type_is_taken_as_upright(kind, count):
    content = exif(kind=kind, count=count)
    assert np.array_equal(decode(_with_exif("PNG", content), None, None)[0], np.asarray(BASE))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("container", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kind", [*range(14), 255])
def test_damage_beside_the_orientation_stops_no_picture(container, kind):
    tags = (0x10E, 0x11A, 0x128, 0x132, 0x213, 0x501B, 0x8769, 0x8825, 0xC4A5)
    fields = [(count, struct.pack("<I", value)) for count in (0, 1, 38, 1 << 31)
              for value in (0, 7, 38, 0xFFFFFFFF)]  # fmt: skip
    upright = decode(_with_exif(container, exif(beside=[])), None, None)
    unit = (0x128, 3, 1, struct.pack("<HH", 2, 0))  # with it Pillow goes on to the resolution
    for tag in tags:
        for count, field in fields:
            beside = [(tag, kind, count, field)] + [unit] * (tag == 0x11A)
            content = _with_exif(container, exif(beside=beside))
            assert np.array_equal(decode(content, None, None), upright), (tag, count, field)


def test_cut_exif_stops_no_picture():
    whole = exif(beside=[(0x10E, 5, 1, bytes(4))])
    for end in range(len(whole)):
        pixels = decode(_with_exif("PNG", whole[:end]), None, None)
        assert pixels.shape in ((1, 8, 12), (1, 12, 8)), end


def test_exif_that_imagemagick_wrote_as_text():
    from PIL import PngImagePlugin

    text, content, file = PngImagePlugin.PngInfo(), b"Exif\0\0" + exif(), io.BytesIO()
    text.add_text("Raw profile type exif", f"\nexif\n{len(content):8}\n{content.hex()}\n")
    BASE.save(file, "PNG", pnginfo=text)
    assert np.array_equal(decode(file.getvalue(), None, None)[0], np.rot90(np.asarray(BASE), -1))


def test_a_directory_says_whether_another_follows():
    content = exif(orientation=3)
    assert read_directory(content).orientation == 3 and not read_directory(content).more
    chained = content[: 8 + 2 + 12] + b"\x20\0\0\0" + content[8 + 2 + 12 + 4 :]
    assert read_directory(chained).more


def test_warnings_of_pillow_do_not_reach_the_user(make_tree, recwarn):
    content = _with_exif("JPEG", exif(beside=[(0x128, 3, 9, bytes(4)), (0x11A, 5, 1, b"\xff" * 4)]))
    with open_tree(make_tree({"a.jpg": content})) as tree:
        assert len(read_images(tree, ["a.jpg"], None, None)[0]) == 1
    assert not recwarn.list
