"""Named parts (schedules, degradations, networks, samplers ...) and the check of their options.

A part is a function or class. Its keyword-only parameters, with their annotations, ARE its entry in
params.yaml: nothing is declared twice. Positional parameters come from the code that builds it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from kelvin.common.errors import KelvinError
from kelvin.config.sentences import dotted, excerpt, sentences

OWN_PART = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")  # module:name, a user's own part


@cache
def options_model(part: Callable) -> type[BaseModel]:
    """The pydantic model of a part's keyword-only parameters: strict types, finite numbers, unknown keys
    refused."""
    target = part.__init__ if inspect.isclass(part) else part
    hints = typing.get_type_hints(target, include_extras=True)
    fields = {
        name: (hints[name], ... if p.default is inspect.Parameter.empty else p.default)
        for name, p in inspect.signature(target).parameters.items()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return create_model(part.__name__, __config__=config, **fields)


@cache
def with_shared(part: Callable, shared: tuple[tuple[str, Any], ...]) -> type[BaseModel]:
    """The model of a part's options and of those that its section must have besides, name and type."""
    return create_model(part.__name__, __base__=options_model(part),
                        **{name: (kind, ...) for name, kind in shared})


class Registry:
    """What a `kind` in params.yaml may name; a user's own part is named as `module:name`."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._parts: dict[str, Callable] = {}

    def register(self, kind: str) -> Callable:
        """Decorator: enter a function or class under `kind`, once."""
        def enter(part: Callable) -> Callable:
            if kind in self._parts:
                raise KelvinError(f"{self.what} {kind!r} is registered twice: by "
                                  f"{self._parts[kind].__name__} and by {part.__name__}")
            self._parts[kind] = part
            return part
        return enter

    def kinds(self) -> list[str]:
        return sorted(self._parts)

    def find(self, kind: str, where: str = "") -> Callable:
        """The part of that name; raises KelvinError naming the known ones."""
        if kind in self._parts:
            return self._parts[kind]
        if not OWN_PART.match(kind):
            raise KelvinError(f"{where or self.what}.kind = {excerpt(kind)}: no such {self.what}; known "
                              f"are {', '.join(self.kinds())}, or your own as module:name")
        module, name = kind.split(":")
        try:
            part = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise KelvinError(f"{where or self.what}.kind = {excerpt(kind)}: {error}; it must be "
                              "importable from the project's root or installed") from error
        try:
            options_model(part)
        except (TypeError, ValueError, NameError) as error:
            raise KelvinError(f"{where or self.what}.kind = {excerpt(kind)} is no function or class "
                              f"whose options can be read ({error})") from error
        return part

    def check(self, section: Mapping[str, Any], where: str, shared: Mapping[str, Any] | None = None
              ) -> tuple[Callable, dict[str, Any]]:
        """The part that a section of params.yaml names, and its validated options.

        shared: options, name -> type, that the section must have besides the part's own. KelvinError
        with a line for every option that is wrong.
        """
        options = {key: value for key, value in section.items() if key != "kind"}
        part = self.find(section["kind"], where)
        model = with_shared(part, tuple(shared.items())) if shared else options_model(part)
        try:
            return part, dict(model.model_validate(options))
        except ValidationError as error:
            lines = sentences(error.errors(include_url=False), options,
                              lambda at: f"{where}.{dotted(at)}")
            takes = ", ".join(model.model_fields) or "no option"
            hint = f"; {section['kind']} takes {takes}"  # the wrong kind may be the fault
            raise KelvinError("\n".join(
                line + hint if line.endswith((" is missing", " is not a known parameter")) else line
                for line in lines)) from error

    def build(self, section: Mapping[str, Any], *context: Any, where: str = "") -> Any:
        """Call the part with `context` (positional) and its validated options."""
        part, options = self.check(section, where or self.what)
        return part(*context, **options)
