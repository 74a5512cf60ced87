"""Digests of all that decides a result: its parameters, and the code that a stage can reach."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).parents[1]
# modules that no result depends on: the plan holds the resolved parameters, an error or a check ends the
# stage, and the package's own __init__ loads published weights
LEFT_OUT = ("kelvin.config", "kelvin.common.errors", "kelvin.pipeline.checks")


def fingerprint(*parts: Any) -> str:
    """16 hex digits of a SHA-256 over JSON values and pydantic models."""
    text = json.dumps(parts, sort_keys=True, default=lambda o: o.model_dump())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Module(NamedTuple):
    """digest: of a file's syntax, without comments and docstrings; names: what it may import."""

    digest: str
    names: list[str]


class Code:
    """The modules of this package and of the project's root, parsed once.

    A file keeps the digests by size and time of change of each source; a damaged one is written again.
    """

    def __init__(self, root: Path | None = None, memory: Path = Path(".kelvin/syntax.json")) -> None:
        self.root, self.memory = (root or Path.cwd()).resolve(), memory
        self.entries: dict[str, list] = {}
        with suppress(OSError, ValueError):
            content = json.loads(memory.read_text(encoding="utf-8"))
            self.entries = content["files"] if content["python"] == platform.python_version() else {}
        self.changed = False
        self._digests: dict[tuple, str] = {}

    def digest(self, script: Path, own: tuple[str, ...] = (), left_out: tuple[str, ...] = LEFT_OUT
               ) -> str:
        """16 hex digits over a script and every module that it can reach by imports.

        own: further modules, by name: those of a user's own parts (`module:name` in params.yaml).
        """
        if (key := (script, own, left_out)) not in self._digests:
            digest = hashlib.sha256(self.module(script.resolve()).digest.encode())
            for name, path in sorted(self.reach(script, own, left_out).items()):
                digest.update(f"{name} {self.module(path).digest}\n".encode())
            self._digests[key] = digest.hexdigest()[:16]
        return self._digests[key]

    def reach(self, script: Path, own: tuple[str, ...] = (), left_out: tuple[str, ...] = LEFT_OUT
              ) -> dict[str, Path]:
        """{module: file} of all that `script` imports, at its top or within functions, and what that
        imports in turn; importing a.b imports a too. Imports for type checkers alone do not count."""
        waiting, reached = [*self.module(script.resolve()).names, *own], {}
        visited: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in visited or name == PACKAGE.name or name.startswith(left_out):
                continue
            visited.add(name)
            if path := module_file(name, self.root):
                reached[name] = path
                waiting += (names := self.module(path).names)
                if path.name == "__init__.py" and "pkgutil" in names:  # it imports every file beside it
                    waiting += [f"{name}.{file.stem}" for file in path.parent.glob("*.py")]
            if parent := name.rpartition(".")[0]:
                waiting.append(parent)
        return reached

    def module(self, path: Path) -> Module:
        stat = path.stat()
        state = [stat.st_size, stat.st_mtime_ns]
        entry = self.entries.get(str(path))
        if entry is None or entry[0] != state:
            entry = self.entries[str(path)] = [state, *parsed(path)]
            self.changed = True
        return Module(*entry[1:])

    def remember(self) -> None:
        """Write what was parsed; a place that cannot be written costs time alone."""
        if self.changed:
            part = self.memory.with_suffix(f".{os.getpid()}.part")
            with suppress(OSError):
                self.memory.parent.mkdir(exist_ok=True)
                part.write_text(json.dumps({"python": platform.python_version(), "files": self.entries}),
                                encoding="utf-8")
                os.replace(part, self.memory)


@cache
def module_file(name: str, root: Path) -> Path | None:
    """The source of a module of this package or of the project's root; None for any other."""
    package, _, rest = name.partition(".")
    top = PACKAGE if package == PACKAGE.name else root / package
    stem = top.joinpath(*rest.split(".")) if rest else top
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def parsed(path: Path) -> Module:
    tree = ast.parse(path.read_bytes(), str(path))
    names = list(dict.fromkeys(imports(tree)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and body \
                and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) \
                and isinstance(body[0].value.value, str):
            del body[0]
    return Module(hashlib.sha256(written(tree).encode()).hexdigest()[:16], names)


def written(tree: ast.Module) -> str:
    """Its syntax as Python 3.11 writes it, whichever Python runs: a result made by one is up to date
    under another."""
    for node in ast.walk(tree):
        if getattr(node, "type_params", None) == []:  # of Python 3.12 and newer
            delattr(node, "type_params")
        if isinstance(node, ast.JoinedStr):  # some parsers end a nested one by an empty text
            node.values = [part for part in node.values if getattr(part, "value", None) != ""]
    # Python 3.13 leaves empty lists out
    return ast.dump(tree, **({"show_empty": True} if sys.version_info >= (3, 13) else {}))


def imports(node: ast.AST) -> Iterator[str]:
    """Names that may be modules: `from a import b` yields a and a.b."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from imports(other)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        else:
            yield from imports(child)
