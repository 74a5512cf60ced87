"""DVC's own command line, quicker where this many stages and parameters make it slow.

DVC 3.67 reads params.yaml anew for every stage that it looks at and dvc.lock for every target: here a
text of YAML is parsed once a process. After every stage it reads and writes all of dvc.lock with a
parser that keeps comments (8 s at 600 KB): here that stage's lines alone are written anew, to the same
text. Under `make repro` a stage's `python stages/...` is started by kelvin.fork_server. What DVC does
is the same; `dvc repro` without this module too.
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

from kelvin.files import write_text
from kelvin.fork_server import ADDRESS, start


def remember_yaml() -> dict[str, Any]:
    """Replace DVC's parser by one that remembers; whoever changes what it gives changes a copy.

    Returns what it knows by text, to be added to.
    """
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
    return known


def with_entry(text: str, stages: Mapping[str, Any], name: str, entry: Any) -> str | None:
    """dvc.lock's text with the stage's entry as DVC would write it, in its place or else at the end;
    None where that place is not found in the text."""
    from dvc.utils.serialize import _yaml

    new = _yaml.dumps_yaml({"stages": {name: entry}}).partition("\n")[2]
    lines = text.splitlines(keepends=True)
    if name not in stages:  # only right where the stages end the file
        return text + new if stages and lines[-1].startswith(" ") and text.endswith("\n") else None
    places = [i for i, line in enumerate(lines) if line == new.partition("\n")[0] + "\n"]
    if len(places) != 1:
        return None
    end = next((i for i in range(places[0] + 1, len(lines)) if re.match(r" {0,2}[^\s]", lines[i])),
               len(lines))
    return "".join([*lines[:places[0]], new, *lines[end:]])


def write_entries(known: dict[str, Any]) -> None:
    """Let DVC write into dvc.lock the lines of the stage that has run, not the file."""
    from dvc.dvcfile import Lockfile
    from dvc.stage import serialize
    from dvc.utils.serialize import _yaml

    usual = Lockfile.dump_stages

    def dump_stages(self: Lockfile, stages: list, **options: Any) -> None:
        path = Path(self.path)
        before = text = path.read_text(encoding="utf-8") if path.exists() else ""
        data = _yaml.parse_yaml(text, self.path)
        for stage in stages:
            for name, entry in serialize.to_lockfile(stage, **options).items():
                if data.get("stages", {}).get(name) == entry:
                    continue
                text = with_entry(text, data.get("stages", {}), name, entry)
                if text is None:
                    return usual(self, stages, **options)
                data["stages"][name] = entry
        if text != before:
            known[text] = copy.deepcopy(data)
            write_text(path, text)
            self.repo.scm_context.track_file(self.relpath)

    Lockfile.dump_stages = dump_stages


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

    write_entries(remember_yaml())
    fork_stages()
    return dvc(sys.argv[1:]) or 0


if __name__ == "__main__":
    sys.exit(main())
