"""DVC's side of a stage, by its Python API: what `dvc repro` does before and after a stage's command.

After dvc/repo/reproduce.py, dvc/stage/run.py and Stage.run of DVC 3.67.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import psutil
from dvc.lock import make_lock
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, rwlock
from dvc.stage import PipelineStage, Stage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.run import prepare_kwargs
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml, load_yaml


class LockFile:
    """A dvc.lock that is whole at every moment: the bytes that DVC would write, in one move.

    New stages stand in the order in which `dvc repro` would have run them.
    """

    def __init__(self, path: Path, order: Sequence[str]):
        self.path, self._order = path, {name: place for place, name in enumerate(order)}
        self._text: str | None = None

    def _read(self) -> None:
        """The file in parts: a block of text a stage. Read again where another program wrote it."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        if text == self._text:
            return
        self._text, data = text, load_yaml(self.path) if text else {"schema": "2.0"}
        self._blocks = {name: self.block(name, entry) for name, entry in data.pop("stages", {}).items()}
        self._head = dumps_yaml(data)
        self._old = list(self._blocks)

    @staticmethod
    def block(name: str, entry: Mapping) -> str:
        return dumps_yaml({"stages": {name: entry}}).partition("\n")[2]

    def write(self, stage: PipelineStage) -> bool:
        """Whether the stage's entry changed the file."""
        self._read()
        before = self._text
        self._blocks |= {name: self.block(name, entry) for name, entry in to_lockfile(stage).items()}
        new = sorted(self._blocks.keys() - set(self._old), key=self._order.__getitem__)
        blocks = (self._blocks[name] for name in [*self._old, *new])
        self._text = f"{self._head}stages:\n{''.join(blocks)}"
        if self._text != before:
            part = self.path.with_name(self.path.name + ".part")
            part.write_text(self._text, encoding="utf-8")
            os.replace(part, self.path)
        return self._text != before


def clear_dead_locks(folder: str) -> None:
    """Delete DVC's file of locks where a kill left it half-written, or nobody in it lives any more.

    DVC alone would stop at the first, and at a process number that has been given out again.
    """
    path = Path(folder, RWLOCK_FILE)
    with make_lock(os.path.join(folder, RWLOCK_LOCK), tmp_dir=folder):
        try:
            locks = json.loads(path.read_text())
            holders = [*locks.get("write", {}).values(), *chain(*locks.get("read", {}).values())]
            if any(psutil.pid_exists(holder["pid"]) and
                   psutil.Process(holder["pid"]).create_time() <= path.stat().st_mtime
                   for holder in holders):
                return
        except FileNotFoundError:
            return
        except (ValueError, psutil.NoSuchProcess):
            pass
        path.unlink()


class Repository:
    """The stages that are asked for and what they need, in DVC's order. DVC's errors pass through."""

    def __init__(self, targets: Sequence[str]):
        # a finished stage waits for DVC's lock, as `dvc --wait-for-lock`, rather than being lost
        self.repo = Repo(_wait_for_lock=True)
        clear_dead_locks(self.repo.tmp_dir)
        with self.repo.lock:
            graph = get_active_graph(self.repo.index.graph)  # an edge leads to what a stage needs
            self.order = plan_repro(graph, collect_stages(self.repo, targets or ["dvc.yaml"]))
        self.needs = {stage: set(graph.successors(stage)) for stage in self.order}
        self._held: dict[Stage, ExitStack] = {}
        self._lock_files: dict[Path, LockFile] = {}

    def survey(self, stages: Sequence[Stage]) -> dict[Stage, bool | None]:
        """The stages that may have to run: True for changed ones, None for those downstream of one."""
        wanted: dict[Stage, bool | None] = {}
        with self.repo.lock:
            for stage in stages:
                if self.needs[stage] & wanted.keys():
                    wanted[stage] = None
                elif stage.changed():
                    wanted[stage] = True
        return wanted

    def begin(self, stage: Stage, changed: bool | None = None) -> str:
        """"run" where the stage's command is to be run, its outs are cleared and it is held; else what
        DVC did without."""
        with self.repo.lock, self.repo.scm_context:
            if changed is None and not stage.changed():
                return "unchanged"
            if stage.frozen or not stage.cmd:  # no command to run: verified or imported by DVC
                stage.reproduce()
                self._write(stage)
                return "unchanged"
            stage.remove_outs()
            try:
                self.repo.stage_cache.restore(stage)
            except RunCacheNotFoundError:
                stage.save_deps()
                self._hold(stage)
                return "run"
            self._save(stage)
        return "from the cache"

    def command(self, stage: Stage) -> tuple[list[str], str, dict[str, str]]:
        """What DVC would run: commands, working directory, environment."""
        options = prepare_kwargs(stage)
        commands = stage.cmd if isinstance(stage.cmd, list) else stage.cmd.splitlines()
        return commands, options["cwd"], options["env"]

    def commit(self, stage: Stage) -> None:
        """Take what the command has made into cache, run cache and dvc.lock."""
        with self.repo.lock, self.repo.scm_context:
            self._save(stage)
        self.release(stage)

    def release(self, stage: Stage) -> None:
        """Let other DVC processes at the stage's files again."""
        with self._held.pop(stage, ExitStack()):
            pass

    def _hold(self, stage: Stage) -> None:
        """Keep other DVC processes off the stage's files while its command runs, as `dvc repro` does."""
        paths = [[entry.fs_path for entry in entries] for entries in (stage.deps, stage.outs)]
        self._held[stage] = ExitStack()
        self._held[stage].enter_context(rwlock(
            self.repo.tmp_dir, self.repo.fs, " ".join(sys.argv), *paths,
            self.repo.config["core"].get("hardlink_lock", False)))

    def _save(self, stage: Stage) -> None:
        stage.save(run_cache=all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs))
        stage.commit()
        self._write(stage)

    def _write(self, stage: Stage) -> None:
        if not isinstance(stage, PipelineStage):
            stage.dump()
            return
        path = Path(stage.path).with_suffix(".lock")
        if path not in self._lock_files:
            names = [other.name for other in self.order if other.path == stage.path]
            self._lock_files[path] = LockFile(path, names)
        if self._lock_files[path].write(stage):
            self.repo.scm_context.track_file(os.path.relpath(path))
