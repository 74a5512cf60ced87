"""Depth, transparency and damage of single pictures, against files written by hand."""

import io
import struct

import numpy as np
import pytest
from encoded import BASE, COLOUR, COLOUR_ALPHA, GREY, GREY_ALPHA, PALETTE, chunk, png, tiff, with_pixels
from PIL import Image

from kelvin.datasets.sources.archives import open_tree
from kelvin.datasets.sources.decoding import decode
from kelvin.datasets.sources.reading import read_images

CHANNELS = {GREY: 1, COLOUR: 3, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
LEVELS = [0, 1, 127, 128, 129, 256, 257, 300, 32767, 32768, 65278, 65279, 65406, 65407, 65534, 65535]


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
    content = png(samples, bits, GREY, chunk(b"tRNS", struct.pack(">H", highest)))
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
    content = png(samples, bits, COLOUR, chunk(b"tRNS", struct.pack(">3H", *key)))
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
    content = png(np.ones((4, 4), int), 4, PALETTE, chunk(b"PLTE", bytes(range(9))),
                  chunk(b"tRNS", bytes([0, alpha])))  # fmt: skip
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
    whole = png(samples, bits, PALETTE, chunk(b"PLTE", bytes(colours.tolist())))
    assert decode(whole, None, None)[:, 0, 0].tolist() == colours[-3:].tolist()
    with pytest.raises(ValueError, match="a colour that its palette does not hold"):
        decode(png(samples, bits, PALETTE, chunk(b"PLTE", bytes(colours[:-3].tolist()))), None, None)


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


def with_fewer(content, tag):
    """A little-endian TIFF whose tag has one entry less."""
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    out = bytearray(content)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, place) == (tag,):
            (entries,) = struct.unpack_from("<I", content, place + 4)
            struct.pack_into("<I", out, place + 4, entries - 1)
            return bytes(out)
    raise AssertionError(f"no tag {tag}")


@pytest.mark.parametrize(("shape", "options", "tag", "words"), [
    ((12, 10), {"rowsperstrip": 3}, 273, "3 of the 4 strips"),
    ((12, 10, 3), {"rowsperstrip": 4, "photometric": "rgb"}, 273, "2 of the 3 strips"),
    ((3, 12, 10), {"rowsperstrip": 4, "photometric": "rgb", "planarconfig": "separate"}, 273,
     "8 of the 9 strips"),
    ((48, 32), {"tile": (16, 16)}, 324, "5 of the 6 tiles")])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_without_its_last_strip_or_tile_is_refused(tmp_path, shape, options, tag, words, dtype):
    """Pillow reads it, black where they are missing."""
    import tifffile

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full(shape, np.iinfo(dtype).max, dtype), byteorder="<", **options)
    whole = path.read_bytes()
    if dtype == np.uint8:  # deep colour in planes is refused for another reason
        assert (decode(whole, None, None) == 255).all()
    with pytest.raises(ValueError, match=words):
        decode(with_fewer(whole, tag), None, None)
