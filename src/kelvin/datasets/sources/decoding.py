"""One encoded picture to 8-bit grey or colour, by rules that look at the file's own depth.

- PNG, JPEG, BMP, TIFF and WebP are read; one picture a file (of a phone's multi-picture JPEG the first).
- Samples of more than 8 bits become value * 255 / highest value, rounded to the nearest.
- A picture with a pixel that is not wholly opaque is refused: no background is the right one to invent.
- The EXIF orientation is applied (see kelvin.datasets.sources.exif), then channels, crop and size.
"""

import io
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401, or Pillow imports every plugin

from kelvin.datasets.sources.convert import as_array, fit
from kelvin.datasets.sources.exif import exif_orientation, read_directory, upright, without_metadata

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_GREY, _COLOUR = ("1", "L", "LA"), ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")
_DEEP = ("I;16", "I;16B", "I;16L")
# TIFF tags: BitsPerSample, PhotometricInterpretation, PlanarConfiguration, SampleFormat
_BITS, _INVERTED, _PLANAR, _FORMAT = 258, 262, 284, 339
# ImageWidth, ImageLength, SamplesPerPixel, RowsPerStrip, StripOffsets; TileWidth, TileLength, TileOffsets
_WIDTH, _HEIGHT, _SAMPLES, _ROWS, _STRIPS = 256, 257, 277, 278, 273
_TILE_WIDTH, _TILE_HEIGHT, _TILES = 322, 323, 324
_SIGNED = 2  # of SampleFormat
# Of each pass of an interlaced PNG: x and y of its first pixel, and the steps to the next (PNG 1.2, 2.6).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
# The other byte of a 16-bit sample: Pillow's name of the order of bytes, reversed.
_OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def decode(content: bytes, image_size: int | Sequence[int] | None, channels: int | None) -> np.ndarray:
    """One encoded picture as uint8 (C, H, W), by the rules of this module.

    None keeps the native size or channels. Raises what Pillow raises on broken bytes, and ValueError
    for pixels that have no 8-bit grey or colour value.
    """
    depth = _read_depth(content)
    # Pillow would parse all tags of a TIFF or a JPEG, and stop at a damaged one.
    content, orientation = without_metadata(content)
    with _open(content) as image:
        _refuse_several(image, content)
        _refuse_missing(image)
        image.load()
        if depth:
            depth.refuse_short()
        plain = _plain(image, depth, content)
        if image.format in ("PNG", "WEBP"):
            orientation = exif_orientation(image.info)
    return as_array(fit(upright(plain, orientation), image_size, channels))


@dataclass(frozen=True)
class _Depth:
    """Of a PNG: its header, the one grey level or colour that is transparent, if any, the colours of its
    palette, and its compressed pixels."""

    header: bytes
    key: tuple[int, ...] | None
    colours: int
    pixels: bytes

    @property
    def bits(self) -> int:
        """Bits a sample."""
        return self.header[8]

    def refuse_short(self) -> None:
        """ValueError where pixels are missing: Pillow would leave whole rows black."""
        width, height, bits, colour, interlaced = struct.unpack(">IIBBxxB", self.header)
        passes = [(-(-(width - x) // across), -(-(height - y) // down))
                  for x, y, across, down in (_ADAM7 if interlaced else ((0, 0, 1, 1),))]
        samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        whole = sum(rows * (1 + (columns * samples * bits + 7) // 8)
                    for columns, rows in passes if columns > 0 and rows > 0)
        held = len(zlib.decompressobj().decompress(self.pixels, whole))
        if held < whole:
            raise ValueError(f"holds {held:,} of the {whole:,} bytes of its pixels")


def _read_depth(content: bytes) -> _Depth | None:
    """From a PNG's header; None for other formats. ValueError where a chunk is not what was written."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    header, bits, colour, key = None, 0, -1, None
    start, colours, pixels = 8, 256, []
    while start + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        body = content[start + 8 : start + 8 + length]
        checksum = content[start + 8 + length : start + 12 + length]
        # Pillow checks no pixel data; upper case marks what a picture cannot do without.
        if (kind[:1].isupper() or kind == b"tRNS") and checksum != zlib.crc32(kind + body).to_bytes(4):
            raise ValueError(f"chunk {kind.decode('latin-1')!r} is cut or damaged: its CRC is another")
        if kind == b"IHDR":
            header, bits, colour = body, body[8], body[9]
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind == b"PLTE":
            colours = len(body) // 3
        elif kind == b"tRNS" and colour in (0, 2):
            mask = (1 << bits) - 1  # PNG 1.2, 4.2.1.1: only the low bits count
            key = tuple(value & mask for value in struct.unpack(f">{1 if colour == 0 else 3}H", body))
        elif kind == b"IEND":
            break
        start += 12 + length
    return None if header is None else _Depth(header, key, colours, b"".join(pixels))


def _open(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.format == "TIFF":
        image.getexif = Image.Exif  # an empty one in place of all tags
    return image


def _refuse_several(image: Image.Image, content: bytes) -> None:
    several = read_directory(content).more if image.format == "TIFF" else (
        image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1)
    if several:
        raise ValueError("holds several pictures, not one")


def _refuse_missing(image: Image.Image) -> None:
    """ValueError where a TIFF names fewer strips or tiles than its pixels fill: Pillow would leave the
    others black (TIFF 6.0, pages 39 and 66)."""
    if image.format != "TIFF":
        return
    tags = image.tag_v2
    width, height, tile_width = tags.get(_WIDTH), tags.get(_HEIGHT), tags.get(_TILE_WIDTH)
    planes = tags.get(_SAMPLES, 1) if tags.get(_PLANAR) == 2 else 1
    if tile_width:
        across, rows, key, what = -(-width // tile_width), tags.get(_TILE_HEIGHT), _TILES, "tiles"
    else:
        across, rows, key, what = 1, tags.get(_ROWS, height), _STRIPS, "strips"
    whole = across * -(-height // rows) * planes
    held = np.size(tags.get(key, ()))
    if held < whole:
        raise ValueError(f"names {held} of the {whole} {what} of its pixels")


def _plain(image: Image.Image, depth: _Depth | None, content: bytes) -> Image.Image:
    """The opaque picture in mode L or RGB, by conversions that invent no pixel."""
    bits = depth.bits if depth else _tiff_bits(image)
    key = depth.key if depth else None
    if bits > 8:
        samples, alpha = _deep_samples(image, content, bits)
        _refuse_transparent(samples, alpha, key, (1 << bits) - 1)
        return _eight_bits(samples, (1 << bits) - 1)
    if image.mode not in _GREY + _COLOUR:
        raise ValueError(f"has pixels of mode {image.mode}, not grey or colour of 8 or 16 bits")
    if depth and image.mode == "P" and np.asarray(image).max() >= depth.colours:
        raise ValueError("has pixels of a colour that its palette does not hold")
    if image.format == "TIFF" and _SIGNED in np.atleast_1d(image.tag_v2.get(_FORMAT, 1)):
        raise ValueError("has signed pixels, of which 0 is no black")
    if key is not None:
        step = 255 // ((1 << bits) - 1)  # Pillow spreads 1, 2 and 4 bits over 0..255
        samples = np.asarray(image.convert("L" if len(key) == 1 else "RGB"))
        _refuse_transparent(samples, None, tuple(value * step for value in key), 255)
    elif image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        _refuse_transparent(None, alpha, None, 255)
    # A fresh image: convert() would take the transparent level along.
    return Image.fromarray(np.asarray(image.convert("L" if image.mode in _GREY else "RGB")))


def _tiff_bits(image: Image.Image) -> int:
    if image.format != "TIFF":
        return 8
    bits = image.tag_v2.get(_BITS, 1)
    return max(bits) if isinstance(bits, tuple) else bits


def _deep_samples(image: Image.Image, content: bytes, bits: int) -> tuple[np.ndarray, np.ndarray | None]:
    """uint16 grey (H, W) or colour (H, W, 3), and alpha (H, W) where there is one."""
    if image.mode in _DEEP:
        grey = np.asarray(image).astype(np.uint16)
        white_is_zero = image.format == "TIFF" and image.tag_v2.get(_INVERTED) == 0
        return (((1 << bits) - 1) - grey if white_is_zero else grey), None
    with _open(content) as again:
        raw_mode = _raw_mode(again)
        if raw_mode == "LA;16B":  # four bytes a pixel, which Pillow can hand over as they are
            _set_raw_mode(again, "RGBA")
            parts = np.asarray(again).astype(np.uint16)
            return parts[..., 0] << 8 | parts[..., 1], parts[..., 2] << 8 | parts[..., 3]
        planar = again.format == "TIFF" and again.tag_v2.get(_PLANAR) == 2
        if bits != 16 or planar or image.mode not in ("RGB", "RGBA") or ";16" not in raw_mode:
            raise ValueError(f"has {bits} bits a channel in mode {image.mode}, which is not read")
        # Pillow keeps the high byte of a sample; with the bytes reversed, that is the low one.
        _set_raw_mode(again, raw_mode[:-1] + _OTHER[raw_mode[-1]])
        samples = np.asarray(image).astype(np.uint16) << 8 | np.asarray(again)
    return samples[..., :3], samples[..., 3] if samples.shape[2] == 4 else None


def _raw_mode(image: Image.Image) -> str:
    arguments = image.tile[0].args
    return arguments if isinstance(arguments, str) else arguments[0]


def _set_raw_mode(image: Image.Image, raw_mode: str) -> None:
    image.tile = [
        tile._replace(args=raw_mode if isinstance(tile.args, str) else (raw_mode, *tile.args[1:]))
        for tile in image.tile
    ]


def _refuse_transparent(samples: np.ndarray | None, alpha: np.ndarray | None, key: Any,
                        highest: int) -> None:
    is_transparent = alpha is not None and (alpha < highest).any()
    if key is not None:
        same = samples == np.array(key if len(key) == 3 else key[0])
        is_transparent = is_transparent or (same.all(axis=-1) if len(key) == 3 else same).any()
    if is_transparent:
        raise ValueError("has transparent pixels")


def _eight_bits(samples: np.ndarray, highest: int) -> Image.Image:
    wide = samples.astype(np.uint32)
    return Image.fromarray(((wide * 255 + highest // 2) // highest).astype(np.uint8))
