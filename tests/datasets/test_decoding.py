"""Depth, transparency and orientation of single pictures, against files written by hand."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kelvin.datasets.sources.archives import open_tree
from kelvin.datasets.sources.decoding import decode
from kelvin.datasets.sources.exif import read_directory, without_metadata
from kelvin.datasets.sources.reading import read_images

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
LEVELS = [0, 1, 127, 128, 129, 256, 257, 300, 32767, 32768, 65278, 65279, 65406, 65407, 65534, 65535]


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples, bits, colour, *more):
    """A PNG as its specification has it, of samples (H, W) or (H, W, C), without a filter."""
    samples = np.asarray(samples)
    rows = samples.reshape(len(samples), -1)
    if bits == 16:
        packed = rows.astype(">u2").view(np.uint8)
    else:
        spread = np.unpackbits(rows.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
        packed = np.packbits(spread.reshape(len(rows), -1), axis=-1)
    content = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colour, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header), *more,
                     _chunk(b"IDAT", zlib.compress(content)), _chunk(b"IEND", b"")])  # fmt: skip


def with_pixels(samples, content, interlaced):
    """An 8-bit grey PNG whose pixel stream is `content`, filter bytes among them."""
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 8, GREY, 0, 0, interlaced)
    return b"".join([b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header),
                     _chunk(b"IDAT", zlib.compress(content)), _chunk(b"IEND", b"")])  # fmt: skip


def tiff(samples, order, *more):
    """An uncompressed 16-bit TIFF of one strip, samples (H, W) or (H, W, C); more: (tag, type, value)."""
    samples = np.asarray(samples)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    content = samples.astype(f"{order}u2").tobytes()
    bits_at = 8 + len(content)
    tags = {256: (3, 1, samples.shape[1]), 257: (3, 1, samples.shape[0]), 259: (3, 1, 1),
            258: (3, channels, 16 if channels == 1 else bits_at), 262: (3, 1, 1 if channels == 1 else 2),
            273: (4, 1, 8), 277: (3, 1, channels), 278: (3, 1, samples.shape[0]),
            279: (4, 1, len(content))}  # fmt: skip
    tags |= {tag: (kind, 1, value) for tag, kind, value in more}
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", bits_at + 8) + content
    out += struct.pack(f"{order}4H", 16, 16, 16, 16) + struct.pack(f"{order}H", len(tags))
    for tag in sorted(tags):
        kind, count, value = tags[tag]
        field = struct.pack(f"{order}HH" if kind == 3 and count == 1 else f"{order}I",
                            *((value, 0) if kind == 3 and count == 1 else (value,)))  # fmt: skip
        out += struct.pack(f"{order}HHI", tag, kind, count) + field
    return out + struct.pack(f"{order}I", 0)


def _scaled(samples):
    return np.rint(np.asarray(samples, np.float64) * 255 / 65535).astype(np.uint8)


def _planes(samples):
    samples = np.asarray(samples)
    return samples[None] if samples.ndim == 2 else np.moveaxis(samples, -1, 0)


@pytest.fixture
def deep():
    """deep(colour) -> uint16 samples, every level of interest among random ones; alpha is opaque."""

    def make(colour):
        channels = CHANNELS[colour]
        samples = np.random.default_rng(colour).integers(0, 65536, (6, 16, channels))
        samples[0] = np.array(LEVELS)[:, None]
        if colour in (GREY_ALPHA, COLOUR_ALPHA):
            samples[..., -1] = 65535
        return samples[..., 0] if channels == 1 else samples

    return make


@pytest.mark.parametrize("height, width", [(1, 1), (2, 5), (5, 2), (8, 8), (9, 13)])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_png_without_its_last_rows_is_refused(height, width, interlaced):
    """Whole, with a row fewer, and half; a stream that ends at the end of a row is drawn black by Pillow.
    Interlaced rows by the pattern of PNG 1.2, 2.6, written out."""
    pattern = ["16462646", "77777777", "56565656", "77777777",
               "36463646", "77777777", "56565656", "77777777"]  # fmt: skip
    samples = np.random.default_rng(height * width).integers(1, 255, (height, width), dtype=np.uint8)
    rows = [b"\0" + row.tobytes() for row in samples]
    if interlaced:
        rows = [b"\0" + bytes(row) for number in "1234567" for y in range(height)
                if (row := [samples[y, x] for x in range(width) if pattern[y % 8][x % 8] == number])]
    whole = with_pixels(samples, b"".join(rows), interlaced)
    assert np.array_equal(decode(whole, None, None)[0], samples)
    for count in {len(rows) - 1, len(rows) // 2}:
        content = b"".join(rows[:count])
        with pytest.raises((ValueError, OSError), match="bytes of its pixels|truncated"):
            decode(with_pixels(samples, content, interlaced), None, None)


@pytest.mark.parametrize("colour", CHANNELS)
def test_sixteen_bits_of_png_are_scaled_and_rounded(deep, colour):
    samples = deep(colour)
    opaque = samples if colour in (GREY, COLOUR) else samples[..., :-1]
    opaque = opaque[..., 0] if colour == GREY_ALPHA else opaque
    assert np.array_equal(decode(png(samples, 16, colour), None, None), _planes(_scaled(opaque)))


@pytest.mark.parametrize("colour", [GREY_ALPHA, COLOUR_ALPHA])
def test_one_step_of_sixteen_bit_transparency_is_seen(deep, colour):
    samples = deep(colour)
    samples[2, 3, -1] = 65534
    with pytest.raises(ValueError, match="transparent"):
        decode(png(samples, 16, colour), None, None)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("colour", [GREY, COLOUR])
def test_sixteen_bits_of_tiff_are_scaled_and_rounded(deep, order, colour):
    samples = deep(colour)
    assert np.array_equal(decode(tiff(samples, order), None, None), _planes(_scaled(samples)))


def test_a_tiff_whose_white_is_zero_is_inverted(deep):
    samples = deep(GREY)
    content = tiff(samples, "<", (262, 3, 0))
    assert np.array_equal(decode(content, None, None), _planes(_scaled(65535 - samples)))


@pytest.mark.parametrize("compression", ["tiff_deflate", "tiff_lzw", "packbits"])
def test_compressed_deep_tiff(deep, compression):
    file, samples = io.BytesIO(), deep(GREY)
    Image.fromarray(samples.astype(np.uint16)).save(file, "TIFF", compression=compression)
    assert np.array_equal(decode(file.getvalue(), None, None), _planes(_scaled(samples)))


def test_compressed_deep_colour_tiff(deep, tmp_path):
    import tifffile  # scikit-image needs it

    samples = deep(COLOUR).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", samples, photometric="rgb", compression="zlib")
    pixels = decode((tmp_path / "x.tif").read_bytes(), None, None)
    assert np.array_equal(pixels, _planes(_scaled(samples)))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_what_has_no_highest_value_is_refused(picture, mode):
    with pytest.raises(ValueError, match=f"32 bits a channel in mode {mode}, which is not read"):
        decode(picture(5, mode=mode, format="TIFF"), None, None)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_several_pictures_in_one_file_are_refused(kind):
    file = io.BytesIO()
    frames = [Image.new("RGB", (4, 4), (value,) * 3) for value in (0, 255)]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="holds several pictures"):
        decode(file.getvalue(), None, None)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("used", [True, False])
def test_a_transparent_grey_counts_at_the_files_own_depth(bits, used):
    highest = (1 << bits) - 1
    samples = np.full((8, 8), highest if used else 0)
    content = png(samples, bits, GREY, _chunk(b"tRNS", struct.pack(">H", highest)))
    if used:
        with pytest.raises(ValueError, match="transparent"):
            decode(content, None, None)
    else:
        assert (decode(content, None, None) == 0).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("used", [True, False])
def test_a_transparent_colour_counts_as_a_whole(bits, used):
    key = (3, 2, 1) if bits == 8 else (770, 514, 258)
    samples = np.zeros((4, 4, 3), int) + (key if used else (key[0], key[1], 0))
    content = png(samples, bits, COLOUR, _chunk(b"tRNS", struct.pack(">3H", *key)))
    if used:
        with pytest.raises(ValueError, match="transparent"):
            decode(content, None, None)
    else:
        assert decode(content, None, None)[:, 0, 0].tolist() == [3, 2, 0]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_spread_over_all_levels(bits):
    highest = (1 << bits) - 1
    samples = np.arange(highest + 1).repeat(8).reshape(-1, 8)
    assert np.array_equal(decode(png(samples, bits, GREY), None, None)[0], samples * 255 // highest)


@pytest.mark.parametrize("alpha", [255, 254])
def test_a_palettes_transparency(alpha):
    content = png(np.ones((4, 4), int), 4, PALETTE, _chunk(b"PLTE", bytes(range(9))),
                  _chunk(b"tRNS", bytes([0, alpha])))  # fmt: skip
    if alpha < 255:
        with pytest.raises(ValueError, match="transparent"):
            decode(content, None, None)
    else:
        assert decode(content, None, None)[:, 0, 0].tolist() == [3, 4, 5]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_colour_that_the_palette_lacks_is_refused(bits):
    highest = (1 << bits) - 1
    colours = np.arange(3 * (highest + 1)) % 251
    samples = np.full((8, 8), highest)
    whole = png(samples, bits, PALETTE, _chunk(b"PLTE", bytes(colours.tolist())))
    assert decode(whole, None, None)[:, 0, 0].tolist() == colours[-3:].tolist()
    with pytest.raises(ValueError, match="a colour that its palette does not hold"):
        decode(png(samples, bits, PALETTE, _chunk(b"PLTE", bytes(colours[:-3].tolist()))), None, None)


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_signed_pixels_of_a_tiff_are_refused(kind, tmp_path):
    """Their 0 is in the middle, where a picture's is black."""
    import tifffile

    tifffile.imwrite(tmp_path / "x.tif", np.arange(96, dtype=kind).reshape(8, 12))
    with pytest.raises(ValueError, match="signed pixels|16 bits a channel in mode I"):
        decode((tmp_path / "x.tif").read_bytes(), None, None)


def test_a_damaged_checksum_of_pixels_is_seen():
    content = png(np.zeros((4, 4), int), 8, GREY)
    at = content.index(b"IEND") - 5  # the last byte of the CRC before it
    with pytest.raises(ValueError, match="'IDAT' is cut or damaged"):
        decode(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], None, None)


def test_the_first_picture_of_a_phones_jpeg_is_taken():
    file = io.BytesIO()
    BASE.save(file, "MPO", save_all=True, append_images=[Image.new("L", (12, 8), 255)], quality=100)
    assert np.abs(decode(file.getvalue(), None, None)[0].astype(int) - np.asarray(BASE)).max() <= 2


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


BASE = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12) * 2)
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


@pytest.mark.parametrize(
    "error", [AttributeError, ZeroDivisionError, OverflowError, KeyError, RuntimeError, AssertionError])
def test_whatever_a_decoder_throws_names_the_file(make_tree, monkeypatch, error):
    def broken(*arguments):
        raise error("first line\n at 0x7f00dead")

    monkeypatch.setattr("kelvin.datasets.sources.reading.decode", broken)
    with open_tree(make_tree({"a.png": b"x"})) as tree:
        _, good, why = read_images(tree, ["a.png"], None, None)
    assert not good.any() and "\n" not in why["a.png"] and "0x7f" not in why["a.png"]
    assert why["a.png"].startswith("is no usable image (")
