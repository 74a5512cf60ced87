"""PNG and TIFF files by their specifications, and a picture, for tests of what is read of them."""

import struct
import zlib

import numpy as np
from PIL import Image

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6  # colour types of PNG
BASE = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12) * 2)


def chunk(kind, body):
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
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *more,
                     chunk(b"IDAT", zlib.compress(content)), chunk(b"IEND", b"")])  # fmt: skip


def with_pixels(samples, content, interlaced):
    """An 8-bit grey PNG whose pixel stream is `content`, filter bytes among them."""
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 8, GREY, 0, 0, interlaced)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header),
                     chunk(b"IDAT", zlib.compress(content)), chunk(b"IEND", b"")])  # fmt: skip


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
