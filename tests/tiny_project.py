"""A small project with everything that a stage of DVC can have, in a repository of its own."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

DVC_YAML = """\
stages:
  plan:
    cmd: python stages/work.py plan plan/a.txt plan/b.txt plan/c.txt
    always_changed: true
    deps: [params.yaml]
    outs: [plan]
  data:
    cmd: python stages/work.py data data/all.txt
    deps: [plan/a.txt]
    outs: [data]
  keep:
    cmd: python stages/work.py keep kept/b.txt
    deps: [plan/b.txt, data]
    outs:
      - kept:
          persist: true
  train:
    matrix:
      run: ${active}
      seed: [0, 1]
    cmd: python stages/work.py train models/${item.run}-${item.seed}/weights.txt
    deps: [plan/b.txt, data]
    outs:
      - models/${item.run}-${item.seed}
  shell:
    cmd:
      - test "$DVC_STAGE" = shell && mkdir -p shell
      - sort plan/c.txt | cat > shell/out.txt
    deps: [plan/c.txt]
    outs: [shell]
  report:
    cmd: python stages/work.py report reports/metrics.json reports/page.html
    deps: [models, kept, shell, plan/c.txt]
    outs:
      - reports/page.html:
          cache: false
    metrics:
      - reports/metrics.json:
          cache: false
"""
# outs are a digest of params.yaml's `edit` and of all deps; the log counts what has run
WORK = """\
import hashlib, json, os, pathlib, sys, time
stage, *outs = sys.argv[1:]
assert os.getcwd().startswith(os.environ["DVC_ROOT"])  # the queue works in a folder of the root
assert os.environ["DVC_STAGE"].split("@")[0] == stage
params = dict(line.split(": ") for line in pathlib.Path("params.yaml").read_text().splitlines()
              if ": " in line)  # DVC writes a list over several
print("output of", stage)
if params.get("fail") == os.environ["DVC_STAGE"]:
    sys.exit("kelvin: asked to fail")
time.sleep(float(params["seconds"]) if stage != "plan" else 0)
deps = {"plan": [], "data": ["plan/a.txt"], "keep": ["plan/b.txt", "data"],
        "train": ["plan/b.txt", "data"], "report": ["models", "kept", "shell", "plan/c.txt"]}[stage]
text = os.environ["DVC_STAGE"] if stage == "train" else stage
for dep in map(pathlib.Path, deps):
    for file in sorted(dep.rglob("*")) if dep.is_dir() else [dep]:
        text += file.read_text() if file.is_file() else ""
for out in map(pathlib.Path, outs):
    out.parent.mkdir(parents=True, exist_ok=True)
    value = params[out.stem] if stage == "plan" else hashlib.md5(text.encode()).hexdigest()
    out.write_text(json.dumps(value))
with open("ran.log", "a") as log:
    log.write(os.environ["DVC_STAGE"] + os.environ.get("WORKER", "") + "\\n")
"""
PARAMS = "a: 1\nb: 1\nc: 1\nseconds: 0\nactive: [one, two]\n"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")} | {
    "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
DVC = ("-m", "dvc", "repro")
# without loading torch, which no stage here needs
KELVIN = ("-c", "from kelvin import __main__; from kelvin.pipeline import executors; "
                "executors.PRELOADED = (); __main__.main()", "repro")


class Project:
    """`run` returns what was printed; `ran` the stages whose command has run since it was last asked."""

    def __init__(self, folder: Path, python: str = sys.executable):
        self.folder, self.python = folder, python
        self.write({"dvc.yaml": DVC_YAML, "params.yaml": PARAMS, "stages/work.py": WORK,
                    # else DVC adds to it in the order in which stages end
                    ".gitignore": "/.kelvin\n/ran.log\n/plan\n/data\n/kept\n/shell\n/models\n"})
        for command in (["git", "init", "-q", "-b", "main"],
                        [sys.executable, "-m", "dvc", "init", "-q"],
                        [sys.executable, "-m", "dvc", "config", "core.autostage", "true"],
                        [sys.executable, "-m", "dvc", "config", "core.analytics", "false"],
                        ["git", "add", "-A"],
                        ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-qm",
                         "a project"]):
            subprocess.run(command, cwd=folder, check=True, env=ENVIRONMENT, capture_output=True)

    def copy(self, folder):
        project = copy.copy(self)
        project.folder = shutil.copytree(self.folder, folder)
        return project

    def write(self, files):
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def edit(self, old, new, name="params.yaml"):
        text = (self.folder / name).read_text()
        assert old in text
        self.write({name: text.replace(old, new)})

    def start(self, *words, **options):
        return subprocess.Popen([self.python, *words], cwd=self.folder, env=ENVIRONMENT, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    def run(self, *words, status=0):
        process = self.start(*words)
        text = process.communicate()[0]
        assert process.returncode == status, text
        return text

    def ran(self):
        log = self.folder / "ran.log"
        stages = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(stages)

    def results(self):
        """Every file's bytes but DVC's own, git's and the scratch."""
        skipped = {".git", ".dvc", ".kelvin", "ran.log"}
        return {str(path.relative_to(self.folder)): path.read_bytes()
                for path in sorted(self.folder.rglob("*"))
                if path.is_file() and path.relative_to(self.folder).parts[0] not in skipped}

    def run_cache(self):
        """DVC's run cache: names are digests of what was run and of what it gave."""
        return sorted(str(path.relative_to(self.folder))
                      for path in (self.folder / ".dvc/cache/runs").rglob("*") if path.is_file())

    def staged(self):
        return subprocess.run(["git", "status", "--porcelain"], cwd=self.folder, text=True, check=True,
                              capture_output=True).stdout
