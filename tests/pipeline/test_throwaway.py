"""`make smoke` works in a copy: the checkout it was called in stays as it was, whatever the outcome."""

import subprocess
import sys
from pathlib import Path

import pytest

from kelvin.pipeline import throwaway

PARAMS = "scale: laptop  # why\nactive: [a]\n"
# in place of the pipeline: says where it ran, and changes all that a pipeline changes
STAND_IN = """
import pathlib, sys
text = pathlib.Path("params.yaml").read_text()
pathlib.Path({seen!r}).write_text(str(pathlib.Path.cwd()) + "\\n" + text)
pathlib.Path("reports").mkdir(exist_ok=False)  # a copy starts without results
pathlib.Path("reports/metrics.json").write_text("smoke")
pathlib.Path("dvc.lock").write_text("smoke")
pathlib.Path("data").mkdir()
pathlib.Path("mlflow.db").write_text("smoke")
sys.exit({code})
"""


def git(folder, *command):
    return subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@localhost", *command],
                          cwd=folder, check=True, capture_output=True, text=True).stdout


def contents(folder):
    """Every file outside git's own, with its bytes and time."""
    return {path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small project under git, with results, and scratch that git ignores."""
    folder = tmp_path / "checkout"
    for name, text in {"params.yaml": PARAMS, "dvc.lock": "mine", "reports/metrics.json": "mine",
                       ".gitignore": "/data\n/.kelvin\n", "data/models/weights": "mine",
                       ".kelvin/up-to-date": "mine"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("code", [0, 3])
def test_smoke_leaves_the_checkout_as_it_was(checkout, tmp_path, monkeypatch, capsys, code):
    seen, run, commands = tmp_path / "seen", subprocess.run, []

    def stand_in(command, **options):
        if command[0] == "git":
            return run(command, **options)
        commands.append(command)
        return run([sys.executable, "-c", STAND_IN.format(seen=str(seen), code=code)], **options)

    monkeypatch.setattr(throwaway.subprocess, "run", stand_in)
    monkeypatch.setattr(sys, "argv", ["throwaway", "--jobs", "1"])
    before = contents(checkout)
    assert throwaway.main() == code
    assert commands == [[sys.executable, "-m", "kelvin", "repro", "--jobs", "1"]]
    where, *params = seen.read_text().splitlines()
    assert Path(where) != checkout and not Path(where).parent.exists()  # it ran in a copy, which is gone
    assert params[0].startswith("scale: smoke")
    assert all(name in "".join(params) for name in throwaway.SMOKE)
    assert contents(checkout) == before and git(checkout, "status", "--porcelain") == ""
    assert ("passed" if code == 0 else "FAILED") in capsys.readouterr().out
