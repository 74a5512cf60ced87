"""DVC's own command line, in which a text of YAML is parsed once a process, and stages are forked.

DVC 3.67 reads params.yaml anew for every stage that it looks at, and dvc.lock for every target: with
this many stages and parameters that is most of what starting it costs. Under `make repro` a stage's
`python stages/...` is started by kelvin.fork_server. What DVC does is the same; `dvc repro` without
this module too.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kelvin.fork_server import ADDRESS, start


def remember_yaml() -> None:
    """Replace DVC's parser by one that remembers; whoever changes what it gives changes a copy."""
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    parse, known = _yaml.parse_yaml, {}

    def parse_once(text: str, path: str, typ: str = "safe") -> Any:
        if typ != "safe":  # a document with its comments, to be edited and written back
            return parse(text, path, typ)
        if text not in known:
            known[text] = parse(text, path, typ)
        return copy.deepcopy(known[text])

    _yaml.parse_yaml = strictyaml.parse_yaml = parse_once


def python_words(command: str, env: Mapping[str, str]) -> list[str] | None:
    """What follows `python` in a command of plain words that means this interpreter, else None."""
    first, *rest = command.split()
    plain = first == "python" and re.fullmatch(r"[\w\s./@+=:-]+", command)
    found = shutil.which("python", path=env.get("PATH")) if plain else None
    return rest if found and rest and Path(found).parent == Path(sys.executable).parent else None


def fork_stages() -> None:
    """Let DVC start its stages by the fork server, where there is one."""
    from dvc.stage import run
    from dvc.stage.exceptions import StageCmdFailedError

    usual = run._run

    def run_stage(executable: str, command: str, **options: Any) -> None:
        if (words := python_words(command, options["env"])) is None:
            return usual(executable, command, **options)
        # as DVC does: Ctrl-C ends the stage, and DVC is told by its status
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if status := start(words, 1, options["cwd"], options["env"]).wait():
                raise StageCmdFailedError(command, status)
        finally:
            signal.signal(signal.SIGINT, handler)

    if ADDRESS in os.environ:
        run._run = run_stage


def main() -> int:
    from dvc.cli import main as dvc

    remember_yaml()
    fork_stages()
    return dvc(sys.argv[1:]) or 0


if __name__ == "__main__":
    sys.exit(main())
