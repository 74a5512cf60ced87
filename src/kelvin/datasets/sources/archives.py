"""A tree of files: a folder on disk, or one tar or zip that is read without being unpacked.

Hidden files and what a system leaves behind are in no tree: `left_out` names them. A tar is read to its
end before anything of it is used, so that its checksum (gzip, bzip2, xz) has been compared; a zip keeps
one checksum a member, which is compared when the member is read.
"""

import hashlib
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.walk import (
    FOLDER,
    LEFT_OUT,
    is_hidden,
    is_system_folder,
    printable,
    reason,
    walk,
)

LARGEST = 1 << 30  # bytes of one picture file: more is no picture, or a bomb
_CHUNK = 1 << 20
_END_RECORD, _LONGEST_COMMENT = 22, 1 << 16  # bytes at the end of a zip
_LONGEST = 100  # letters of a library's own message
_SWELLING = 200  # an archive that claims more than this times its size, and than LARGEST, is a bomb
_KINDS = ".tar, .tar.gz, .tar.bz2, .tar.xz or .zip"
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, OSError, EOFError, ValueError,
    RuntimeError, LookupError, TypeError, ArithmeticError, struct.error,
)  # fmt: skip
_PICTURES = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"GIF8": "GIF"}
_FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar", b"\x28\xb5\x2f\xfd": "zstd"}
_PACKED = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ": "xz", b"\x5d\x00\x00": "xz"}


class DiskTree:
    """The files below a folder, links followed; names are relative, with forward slashes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[str] = []
        self.folders: list[str] = []
        self.left_out: dict[str, str] = {}
        for entry in walk(path):
            if entry.kind == LEFT_OUT:
                self.left_out[entry.name] = reason(PurePosixPath(entry.name).name)
            else:
                (self.folders if entry.kind == FOLDER else self.files).append(entry.name)

    def read(self, name: str) -> bytes:
        file = self.path / name
        if not file.is_file():  # reading a pipe would wait for ever
            raise OSError("not a regular file")
        _refuse_huge(file.stat().st_size)
        return file.read_bytes()

    def reading_order(self, names: Sequence[str]) -> Sequence[str]:
        return names

    def checksum(self, names: Sequence[str]) -> str:
        """SHA-256 over name and content of the files, in the order given."""
        digest = hashlib.sha256()
        for name in names:
            digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(self.read(name)).digest())
        return f"sha256:{digest.hexdigest()}"


class ArchiveTree:
    """The regular files of an archive; links, devices and names that leave the tree are refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: dict = {}
        self.folders: list[str] = []
        self.left_out: dict[str, str] = {}

    @property
    def files(self) -> list[str]:
        return list(self.members)

    def checksum(self, names: Sequence[str]) -> str:
        """SHA-256 of the archive itself, whatever part of it is used."""
        return f"sha256:{file_hash(self.path, 'sha256')}"

    def refuse_swelling(self, total: int) -> None:
        """KelvinError where members of so many bytes cannot be a set of pictures."""
        packed = self.path.stat().st_size
        if total > max(LARGEST, _SWELLING * packed):
            raise KelvinError(
                f"{self.path}: claims to hold {total} bytes or more in {packed}, which no set of "
                "pictures does; pack the pictures again"
            )

    def admit(self, name: str, member: tarfile.TarInfo | zipfile.ZipInfo, is_folder: bool,
              is_file: bool) -> None:
        """Enter one member under its name; a repeated name replaces the first, as unpacking would."""
        clean = PurePosixPath(name)
        if clean.is_absolute() or ".." in clean.parts or clean.drive or name[1:2] == ":":
            raise KelvinError(
                f"{self.path}: member {printable(name)!r} points outside the archive; "
                "pack it again with relative names"
            )
        if not is_folder and not is_file:
            raise KelvinError(
                f"{self.path}: member {printable(name)!r} is a link or a device; "
                "pack only regular files and folders"
            )
        # A file's own name may be that of a system's folder.
        folders = clean.parts if is_folder else clean.parts[:-1]
        odd = next((i for i, part in enumerate(clean.parts)
                    if is_hidden(part) or i < len(folders) and is_system_folder(part)), None)
        if odd is not None:
            outer = "/".join(clean.parts[: odd + 1])
            self.left_out[f"{outer}/" if odd < len(folders) else outer] = reason(clean.parts[odd])
        elif is_folder:
            self.folders += [clean.as_posix()] if clean.parts else []  # not the whole, `./`
        else:
            self.members[clean.as_posix()] = member


class TarTree(ArchiveTree):
    """A tar, plain or compressed."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        super().__init__(path)
        self.tar = tar
        total = 0
        for member in tar:
            total += member.size
            self.refuse_swelling(total)
            self.admit(member.name, member, member.isdir(), member.isreg())
        self._read_to_end()

    def read(self, name: str) -> bytes:
        _refuse_huge(self.members[name].size)
        return self.tar.extractfile(self.members[name]).read()

    def reading_order(self, names: Sequence[str]) -> Sequence[str]:
        # A compressed tar can only be read forward: going back means unpacking it from the start.
        return sorted(names, key=lambda name: self.members[name].offset)

    def _read_to_end(self) -> None:
        # tarfile takes a torn header for the end: only the block of zeros there tells them apart.
        self.tar.fileobj.seek(self.tar.offset)
        if self.tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it ends in the middle")
        # A compressed stream compares its checksum at its very end.
        while piece := self.tar.fileobj.read(_CHUNK):
            blocks = range(0, len(piece), tarfile.BLOCKSIZE)
            if any(_is_header(piece[i : i + tarfile.BLOCKSIZE]) for i in blocks):
                raise tarfile.ReadError("another tar follows its end")


class ZipTree(ArchiveTree):
    """A zip; encrypted members are refused, and sizes that no set of pictures has."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        super().__init__(path)
        self.archive = archive
        members = archive.infolist()
        self._refuse_short_table()
        self.refuse_swelling(sum(member.file_size for member in members))
        for member in members:
            name = _zip_name(member)
            if member.flag_bits & 1:
                raise KelvinError(
                    f"{path}: member {printable(name)!r} is encrypted; unpack it and name the folder")
            mode = stat.S_IFMT(member.external_attr >> 16)
            # The name in front of the content is compared with the one in the table.
            with archive.open(member):
                self.admit(name, member, member.is_dir() or name.endswith("/"), mode in (0, stat.S_IFREG))

    def _refuse_short_table(self) -> None:
        # zipfile trusts the table's lengths; the record behind it counts the members (APPNOTE 4.3.16).
        with self.path.open("rb") as file:
            file.seek(-min(self.path.stat().st_size, _END_RECORD + _LONGEST_COMMENT), os.SEEK_END)
            end = file.read()
        (count,) = struct.unpack_from("<H", end, end.rfind(b"PK\5\6") + 10)
        members = self.archive.infolist()
        if count not in (len(members), 0xFFFF):
            raise zipfile.BadZipFile(f"{len(members)} of {count} members are listed")
        # It also takes the last of several archives in one file for the whole.
        if min((member.header_offset for member in members), default=0) > 0:
            raise zipfile.BadZipFile("another zip stands before it")

    def read(self, name: str) -> bytes:
        size = self.members[name].file_size
        _refuse_huge(size)
        with self.archive.open(self.members[name]) as file:
            return file.read(size)  # and no more, whatever it unpacks to

    def reading_order(self, names: Sequence[str]) -> Sequence[str]:
        return sorted(names, key=lambda name: self.members[name].header_offset)


Tree = DiskTree | TarTree | ZipTree


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The tree at this path: a folder, or a tar or zip of one."""
    if path.is_dir():
        yield DiskTree(path)
        return
    if not path.is_file():
        raise KelvinError(f"{path}: there is no such folder, tar or zip; check the path")
    with ExitStack() as stack:
        try:
            head = _head(path)
            if head.startswith((b"PK\3\4", b"PK\5\6")):
                tree = ZipTree(path, stack.enter_context(zipfile.ZipFile(path)))
            else:
                _refuse_other(path, head)
                kind = next((kind for magic, kind in _PACKED.items() if head.startswith(magic)), "")
                tree = TarTree(path, stack.enter_context(tarfile.open(path, f"r:{kind}")))
        except KelvinError:
            raise
        except _BROKEN as error:
            text = " ".join(str(error).split()) or type(error).__name__
            text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
            raise KelvinError(
                f"{path}: not a whole {_KINDS} ({text}); fetch or pack it again"
            ) from error
        yield tree


def file_hash(path: Path, algorithm: str) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _is_header(block: bytes) -> bool:
    """Is this block of a tar the header of a member, by its own checksum?"""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(tarfile.BLOCKSIZE)


def _refuse_other(path: Path, head: bytes) -> None:
    if not head:
        raise KelvinError(f"{path}: is empty (0 bytes), not a whole {_KINDS}; fetch or pack it again")
    if head[257:262] == b"ustar":
        return
    for magic, name in (_PICTURES | _FOREIGN).items():
        if head.startswith(magic):
            advice = ("is one {} picture; name the folder that it lies in" if magic in _PICTURES
                      else "is a {} archive, which is not read; unpack it and name the folder")
            raise KelvinError(f"{path}: {advice.format(name)}")


def _zip_name(member: zipfile.ZipInfo) -> str:
    """The member's name; many programs write UTF-8 without the flag that says so."""
    name = member.filename
    if not member.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = member.filename
    # Some programs of Windows write its own separator.
    return name.replace("\\", "/") if member.create_system == 0 else name


def _refuse_huge(size: int) -> None:
    if size > LARGEST:
        raise ValueError(f"{size} bytes are more than the {LARGEST} that one picture may have")
