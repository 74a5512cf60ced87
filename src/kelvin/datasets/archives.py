"""A tree of files, on disk or inside one tar that is read without being unpacked."""

import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from kelvin.datasets.walk import printable, walk
from kelvin.errors import KelvinError

_CHUNK = 1 << 20


class DiskTree:
    """The regular files below a folder; names are relative, with forward slashes."""

    def __init__(self, path: Path):
        self.path = path
        self.files: list[str] = []
        self.folders: list[str] = []
        for entry in walk(path):
            (self.folders if entry.is_folder else self.files).append(entry.name)

    def read(self, name: str) -> bytes:
        file = self.path / name
        if not file.is_file():  # reading a pipe would wait for ever
            raise OSError("not a regular file")
        return file.read_bytes()

    def reading_order(self, names: Sequence[str]) -> Sequence[str]:
        return names

    def checksum(self, names: Sequence[str]) -> str:
        """SHA-256 over name and content of the files, in the order given."""
        digest = hashlib.sha256()
        for name in names:
            digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(self.read(name)).digest())
        return f"sha256:{digest.hexdigest()}"


class TarTree:
    """The regular files of a tar; links, devices and names that leave the tree are refused."""

    def __init__(self, path: Path, tar: tarfile.TarFile):
        self.path = path
        self.tar = tar
        self.members: dict[str, tarfile.TarInfo] = {}
        self.folders: list[str] = []
        for member in tar.getmembers():
            self._admit(member)
        self._refuse_cut()
        self.files = list(self.members)

    def read(self, name: str) -> bytes:
        return self.tar.extractfile(self.members[name]).read()

    def reading_order(self, names: Sequence[str]) -> Sequence[str]:
        # A compressed tar can only be read forward: going back means unpacking it from the start.
        return sorted(names, key=lambda name: self.members[name].offset)

    def checksum(self, names: Sequence[str]) -> str:
        """SHA-256 of the tar itself, whatever part of it is used."""
        return f"sha256:{file_hash(self.path, 'sha256')}"

    def _admit(self, member: tarfile.TarInfo) -> None:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise KelvinError(
                f"{self.path}: member {printable(member.name)!r} points outside the archive; "
                "pack it again with relative names"
            )
        if member.isdir():
            self.folders.append(name.as_posix())
        elif member.isreg():
            self.members[name.as_posix()] = member
        else:
            raise KelvinError(
                f"{self.path}: member {printable(member.name)!r} is a link or a device; "
                "pack only regular files and folders"
            )

    def _refuse_cut(self) -> None:
        # tarfile takes a torn header for the end: only the block of zeros there tells them apart.
        self.tar.fileobj.seek(self.tar.offset)
        if self.tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it ends in the middle")


Tree = DiskTree | TarTree


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The tree at this path: a folder, or a .tar or .tar.gz of one."""
    if path.is_dir():
        yield DiskTree(path)
        return
    if not path.is_file():
        raise KelvinError(f"{path}: there is no such folder or tar; check the path")
    with ExitStack() as stack:
        try:
            tree = TarTree(path, stack.enter_context(tarfile.open(path, "r:*")))
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise KelvinError(
                f"{path}: not a whole .tar or .tar.gz ({error}); fetch or pack it again"
            ) from error
        yield tree


def file_hash(path: Path, algorithm: str) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
