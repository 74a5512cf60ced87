"""DVC's side of a stage, by its Python API: what `dvc repro` does before and after a stage's command.

After dvc/repo/reproduce.py, dvc/stage/run.py and Stage.run of DVC 3.67.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from itertools import chain
from pathlib import Path

import psutil
from dvc.lock import make_lock
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, rwlock
from dvc.stage import PipelineStage, Stage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml, load_yaml

from kelvin.common.errors import KelvinError


class Repository:
    """The stages that are asked for and what they need, in DVC's order. DVC's errors pass through."""

    def __init__(self, targets: Sequence[str]) -> None:
        os.chdir(Repo.find_root())
        # a finished stage waits for DVC's lock, as `dvc --wait-for-lock`, rather than being lost
        self.repo = Repo(_wait_for_lock=True)
        self._is_hardlink = self.repo.config["core"].get("hardlink_lock", False)
        clear_dead_locks(self.repo.tmp_dir, self._is_hardlink)
        with self.repo.lock:
            self._stages = [stage for stage in self.repo.index.stages if stage.path_in_repo == "dvc.yaml"]
        refuse_wrong_stages(self._stages)
        outs = [out.fs_path for stage in self._stages for out in stage.outs]
        # The plan: it makes what the others depend on, and runs before they are judged.
        self.first = [stage for stage in self._stages[:1]
                      if stage.always_changed and not stage.frozen and not any(
                          dep.fs.isin_or_eq(dep.fs_path, out) for dep in stage.deps for out in outs)]
        self.needs: dict[Stage, set[Stage]] = dict.fromkeys(self.first, set())
        self._targets, self._held = targets, {}
        self._lock_files: dict[Path, LockFile] = {}

    @cached_property
    def order(self) -> list[Stage]:
        """In which `dvc repro` would run them; then `needs` is complete."""
        with self.repo.lock:
            graph = get_active_graph(self.repo.index.graph)  # an edge leads to what a stage needs
            targets = collect_stages(self.repo, self._targets) if self._targets else self._stages
        order = plan_repro(graph, targets)
        self.needs |= {stage: set(graph.successors(stage)) for stage in order}
        return order

    def survey(self, stages: Sequence[Stage]) -> dict[Stage, bool | None]:
        """The stages that may have to run: True for changed ones, None for those downstream of one."""
        wanted: dict[Stage, bool | None] = {}
        with self.repo.lock:
            for stage in stages:
                if self.needs[stage] & wanted.keys():
                    wanted[stage] = None
                elif is_changed(stage):
                    wanted[stage] = True
        return wanted

    def begin(self, stage: Stage, is_changed: bool | None) -> str:
        """"run" where the stage's command is to be run, its outs cleared; else what DVC did without."""
        with self.repo.lock, self.repo.scm_context:
            if not is_changed and not stage.changed():
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
                # other DVC processes are kept off its files meanwhile, as by `dvc repro`
                paths = [[entry.fs_path for entry in entries] for entries in (stage.deps, stage.outs)]
                held = self._held[stage] = ExitStack()
                held.enter_context(rwlock(self.repo.tmp_dir, self.repo.fs, " ".join(sys.argv), *paths,
                                          self._is_hardlink))
                return "run"
            self._save(stage)
        return "from the cache"

    def commit(self, stage: Stage) -> None:
        """Take what the command has made into cache, run cache and dvc.lock."""
        with self.repo.lock, self.repo.scm_context:
            self._save(stage)
        self.release(stage)

    def release(self, stage: Stage) -> None:
        self._held.pop(stage, ExitStack()).close()

    def _save(self, stage: Stage) -> None:
        stage.save(run_cache=all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs))
        stage.commit()
        self._write(stage)

    def _write(self, stage: Stage) -> None:
        path = Path(stage.path).with_suffix(".lock")
        if not isinstance(stage, PipelineStage):  # of `dvc add` or `dvc import`
            stage.dump()
            return
        if path not in self._lock_files:
            names = [other.name for other in self.order if other.path == stage.path]
            self._lock_files[path] = LockFile(path, names)
        if self._lock_files[path].write(stage):
            self.repo.scm_context.track_file(os.path.relpath(path))


def is_changed(stage: Stage) -> bool:
    """Stage.changed, which locks every file for itself; here the whole repository is locked."""
    is_run_again = not stage.frozen and (stage.is_callback or stage.always_changed)
    entries = [*([] if stage.frozen else stage.deps), *stage.outs]
    return is_run_again or stage.changed_stage() or any(entry.status() for entry in entries)


def refuse_wrong_stages(stages: Sequence[Stage]) -> None:
    """KelvinError where there is none, or where one makes, and so deletes, what lies elsewhere."""
    if not stages:
        raise KelvinError("dvc.yaml is not there, or has no stages: bring it back by `git checkout "
                          "dvc.yaml`")
    for stage in stages:
        for out in stage.outs:
            if not out.is_in_repo:
                raise KelvinError(f"the stage {stage.addressing} would make {out.def_path}, outside this "
                                  "project; names in params.yaml and dvc.yaml take no ..")


class LockFile:
    """A dvc.lock that is whole at every moment: the bytes that DVC would write, in one move.

    New stages stand in the order in which `dvc repro` would have run them.
    """

    def __init__(self, path: Path, order: Sequence[str]) -> None:
        self.path, self._order, self._text = path, list(order), None

    def write(self, stage: PipelineStage) -> bool:
        """Whether the stage's entry changed the file."""
        before = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        entries = to_lockfile(stage)
        if before != self._text:  # not read yet, or written by another program
            data = load_yaml(self.path) if before else {"schema": "2.0"}
            stages = data.pop("stages", {})
            if all(stages.get(name) == entry for name, entry in entries.items()):
                return False
            self._head, self._old = dumps_yaml(data), list(stages)
            self._blocks = {name: self.block(name, entry) for name, entry in stages.items()}
        self._blocks |= {name: self.block(name, entry) for name, entry in entries.items()}
        new = sorted(self._blocks.keys() - set(self._old), key=self._order.index)
        self._text = f"{self._head}stages:\n" + "".join(self._blocks[name] for name in [*self._old, *new])
        if self._text == before:
            return False
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(self._text, encoding="utf-8")
        os.replace(part, self.path)
        return True

    @staticmethod
    def block(name: str, entry: Mapping) -> str:
        """Its lines; far quicker than to write the whole file by DVC's means for every stage."""
        return dumps_yaml({"stages": {name: entry}}).partition("\n")[2]


def clear_dead_locks(folder: str, is_hardlink: bool = False) -> None:
    """Delete DVC's file of locks where a kill left it half-written, or nobody in it lives any more.

    DVC alone would stop at the first, and at a process number that has been given out again.
    """
    path = Path(folder, RWLOCK_FILE)
    with make_lock(os.path.join(folder, RWLOCK_LOCK), tmp_dir=folder, hardlink_lock=is_hardlink):
        try:
            locks, time = json.loads(path.read_text()), path.stat().st_mtime
            holders = [*locks.get("write", {}).values(), *chain(*locks.get("read", {}).values())]
            pids = [holder["pid"] for holder in holders if psutil.pid_exists(holder["pid"])]
            is_dead = all(psutil.Process(pid).create_time() > time for pid in pids)
        except FileNotFoundError:
            return
        except (ValueError, psutil.NoSuchProcess):
            is_dead = True
        if is_dead:
            path.unlink()
