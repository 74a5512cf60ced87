"""The one tag of EXIF that moves pixels: 0x112, the orientation (TIFF 6.0, page 36; CIPA DC-008, 4.6.5).

Nothing else of EXIF is parsed, so that no damaged comment or date can stop a sound picture.
"""

import struct
from dataclasses import dataclass

from PIL import Image

_TAG = 0x112
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG
_TURN = Image.Transpose
# What brings a picture upright that was stored so; 1 is upright.
_UPRIGHT = {
    2: _TURN.FLIP_LEFT_RIGHT, 3: _TURN.ROTATE_180, 4: _TURN.FLIP_TOP_BOTTOM, 5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_270, 7: _TURN.TRANSVERSE, 8: _TURN.ROTATE_90,
}  # fmt: skip


@dataclass(frozen=True)
class _Widths:
    """Of a TIFF's numbers: their letters in `struct`, the bytes of an entry (tag, type, count, value),
    and where the first offset stands in the file and the value in an entry."""

    offset: str
    entries: str
    entry: int
    first: int
    value: int


# by the number behind the order of bytes: TIFF 6.0, and BigTIFF, which counts in 64 bits
_FORMATS = {42: _Widths("I", "H", 12, 4, 8), 43: _Widths("Q", "Q", 20, 8, 12)}


@dataclass(frozen=True)
class Directory:
    """Entries of a TIFF header and its first directory.

    orientation 1..8, and the offset of its entry (None without one); more: whether another directory,
    in a TIFF file another picture, follows.
    """

    orientation: int = 1
    entry: int | None = None
    more: bool = False
    widths: _Widths = _FORMATS[42]


def read_directory(tiff: bytes) -> Directory:
    """The first directory of TIFF bytes; an orientation that is damaged or not 1..8 is taken as 1."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        widths = _FORMATS[struct.unpack_from(f"{order}H", tiff, 2)[0]]
        (start,) = struct.unpack_from(f"{order}{widths.offset}", tiff, widths.first)
        (count,) = struct.unpack_from(f"{order}{widths.entries}", tiff, start)
    except (struct.error, KeyError, OverflowError):
        return Directory()
    start += struct.calcsize(f"={widths.entries}")
    end = start + count * widths.entry
    offsets = range(start, min(end, len(tiff) - widths.entry + 1), widths.entry)
    entry = next((i for i in offsets if struct.unpack_from(f"{order}H", tiff, i) == (_TAG,)), None)
    more = any(tiff[end : end + struct.calcsize(f"={widths.offset}")])
    orientation = 1 if entry is None else _orientation(tiff, entry, order, widths)
    return Directory(orientation, entry, more, widths)


def exif_orientation(info: dict) -> int:
    """1..8, of the EXIF bytes that Pillow found in a PNG or WebP (its `info`)."""
    exif = info.get("exif")
    if exif is None:
        exif = _raw_profile(info.get("Raw profile type exif", ""))
    if not isinstance(exif, bytes):
        return 1
    return read_directory(exif.removeprefix(b"Exif\0\0")).orientation


def without_metadata(content: bytes) -> tuple[bytes, int]:
    """A JPEG without EXIF and further pictures, a TIFF marked as upright; and the orientation it had.

    Other contents come back as they are, with 1.
    """
    if content.startswith(b"\xff\xd8"):
        return _plain_jpeg(content)
    directory = read_directory(content)
    if directory.entry is None:
        return content, 1
    order = "little" if content.startswith(b"II") else "big"
    plain = bytearray(content)
    value = directory.widths.value
    for place, size, number in ((2, 2, 3), (4, value - 4, 1), (value, 2, 1), (value + 2, 2, 0)):
        at = directory.entry + place  # SHORT, one of them, 1
        plain[at : at + size] = number.to_bytes(size, order)
    return bytes(plain), directory.orientation


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture, turned upright."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _plain_jpeg(content: bytes) -> tuple[bytes, int]:
    """Segments of EXIF and of several pictures become APP15, which no decoder reads (ITU-T T.81, B.1)."""
    plain, orientation, at = bytearray(content), None, 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] not in (0xD9, 0xDA):
        if content[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        body = content[at + 4 : at + 2 + length]
        is_exif = content[at + 1] == 0xE1 and body.startswith(b"Exif\0\0")
        if is_exif and orientation is None:
            orientation = read_directory(body[6:]).orientation
        if is_exif or content[at + 1] == 0xE2 and body.startswith(b"MPF\0"):
            plain[at + 1] = 0xEF
        at += 2 + length
    return bytes(plain), orientation or 1


def _orientation(tiff: bytes, entry: int, order: str, widths: _Widths) -> int:
    kind, count = struct.unpack_from(f"{order}H{widths.offset}", tiff, entry + 2)
    if kind not in _INTEGERS or count != 1:
        return 1
    (value,) = struct.unpack_from(order + _INTEGERS[kind], tiff, entry + widths.value)
    return value if value in _UPRIGHT else 1


def _raw_profile(text: str) -> bytes | None:
    """EXIF as ImageMagick writes it into a PNG's text: name, length, then hexadecimal lines."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except (ValueError, AttributeError):
        return None
