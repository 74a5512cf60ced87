"""Short names for what decides a result: its parameters, and the code that a stage can reach."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
# what no result depends on: the resolved parameters stand in the plan, an error ends the stage
LEFT_OUT = ("kelvin.config", "kelvin.errors")


def fingerprint(*parts: Any) -> str:
    """16 hex digits of a SHA-256 over JSON values and pydantic models."""
    text = json.dumps(parts, sort_keys=True, default=lambda o: o.model_dump())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest(script: Path, own: tuple[str, ...] = (), root: Path | None = None) -> str:
    """16 hex digits over the syntax (no comments, no docstrings) of a script and of every module of
    this package and of the project's root that it can reach by imports.

    own: further modules, by name: those of a user's own parts (`module:name` in params.yaml).
    """
    digest = hashlib.sha256(syntax(script.resolve())[0].encode())
    for name, path in sorted(reach(script, own, root).items()):
        digest.update(f"{name}\n{syntax(path)[0]}".encode())
    return digest.hexdigest()[:16]


def reach(script: Path, own: tuple[str, ...] = (), root: Path | None = None) -> dict[str, Path]:
    """{module: file} of all that `script` imports, at its top or within functions, and what that
    imports in turn; importing a.b imports a too. Imports for type checkers alone do not count."""
    root, found = (root or Path.cwd()).resolve(), {}
    waiting = [*syntax(script.resolve())[1], *own]
    while waiting:
        name = waiting.pop()
        if name in found or name.startswith(LEFT_OUT):
            continue
        if path := module_file(name, root):
            found[name] = path
            waiting += syntax(path)[1]
        if parent := name.rpartition(".")[0]:
            waiting.append(parent)
    return found


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


def syntax(path: Path) -> tuple[str, tuple[str, ...]]:
    """(The file's syntax tree as text without docstrings, the names that it may import)."""
    stat = path.stat()
    return _syntax(path, stat.st_size, stat.st_mtime_ns)


@cache
def _syntax(path: Path, size: int, time: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_bytes(), str(path))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and body \
                and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) \
                and isinstance(body[0].value.value, str):
            del body[0]
    return ast.dump(tree), tuple(dict.fromkeys(imports(tree)))


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
