"""Imports run downward, and functions have type hints: the rules of pyproject.toml hold, and can fail."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

LINT = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache', '--no-logo'])"


def lint(folder):
    return subprocess.run([sys.executable, "-c", LINT], cwd=folder, text=True, capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(folder / "src")})


def test_the_contracts_hold():
    done = lint(ROOT)
    assert done.returncode == 0 and " 0 broken" in done.stdout, done.stdout + done.stderr


BROKEN = [  # file, a line put into it, the contract that it breaks, what the contract's part names
    ("datasets/store.py", "import kelvin.training.loop", "Imports run downward",
     "kelvin.datasets.store -> kelvin.training.loop"),
    ("networks/base.py", "import kelvin.degradations", "Imports run downward",
     "kelvin.networks.base -> kelvin.degradations"),
    ("report/kit/style.py", "import kelvin.report.studies.grid", "No circle between the rooms",
     ".kit -> .studies"),
    ("report/kit/style.py", "import torch", "The report and the tracking read results",
     "kelvin.report.kit.style -> torch"),
    ("sampling/samplers.py", "import kelvin.metrics.kid", "Sampling knows no metric",
     "kelvin.sampling.samplers -> kelvin.metrics.kid"),
    ("metrics/kid.py", "import torch", "Metrics see arrays alone", "kelvin.metrics.kid -> torch"),
    ("lost.py", "import os", "Imports run downward", "kelvin.lost")]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """contract -> what the linter says of it where all of BROKEN are."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, line, *_ in BROKEN:
        with (folder / "src/kelvin" / file).open("a", encoding="utf-8") as module:
            module.write(f"\n{line}\n")
    done = lint(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    _, *parts = re.split(r"^(.+)\n-{9,}\n", done.stdout.partition("Broken contracts")[2], flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("file, line, contract, named", BROKEN)
def test_a_line_that_breaks_one_is_named(parts, file, line, contract, named):
    (found,) = [text for name, text in parts.items() if name.startswith(contract)]
    assert named in found


def ruff(folder, *words):
    return subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", *words], cwd=folder,
                          text=True, capture_output=True)


def test_ruff_is_content():
    done = ruff(ROOT, "src", "stages", "tests", "benchmarks")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("line, rule", [("def f(x) -> int:\n    return 1", "ANN001"),
                                        ("def f(x: int):\n    return x", "ANN201")])
def test_a_function_without_type_hints_is_refused(line, rule, tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/module.py").write_text(line + "\n", encoding="utf-8")
    done = ruff(tmp_path, "src")
    assert done.returncode == 1 and rule in done.stdout
