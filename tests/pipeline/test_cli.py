"""The command `kelvin`: help, exit codes, errors in one sentence."""

import os
import subprocess
import sys
import tomllib

import pytest
from conftest import ROOT
from tiny_project import ENVIRONMENT, KELVIN


def test_the_entry_point_is_python_m_kelvin():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"kelvin": "kelvin.__main__:main"}
    for words, text in (((), "repro"), (("repro",), "kelvin repro --dask slurm --jobs 4")):
        shown = subprocess.run([sys.executable, "-m", "kelvin", *words, "--help"], text=True, check=True,
                               env=ENVIRONMENT, capture_output=True).stdout
        assert text in shown


@pytest.mark.parametrize("words, status, sentence", [
    (["--jobs", "0"], 2, "Invalid value for '--jobs'"), (["--nonsense"], 2, "No such option"),
    (["nothing"], 1, "kelvin: DVC: Stage 'nothing' not found inside 'dvc.yaml'"),
    (["train@one-7"], 1, "train@one-7"),
    (["--dask", "slurn"], 1, "kelvin: --dask slurn is neither an address")])
def test_wrong_words(project, words, status, sentence):
    text = project.run(*KELVIN, *words, status=status)
    assert sentence in text and "Traceback" not in text


def test_outside_a_project(tmp_path):
    done = subprocess.run([sys.executable, *KELVIN], cwd=tmp_path, text=True, capture_output=True,
                          env=ENVIRONMENT)
    assert done.returncode == 1 and done.stderr.startswith("kelvin: this is no Kelvin project")


def test_from_a_folder_below(project):
    text = subprocess.run([sys.executable, *KELVIN, "plan"], cwd=project.folder / "stages", text=True,
                          check=True, env=ENVIRONMENT | {"PWD": os.fspath(project.folder / "stages")},
                          capture_output=True).stdout
    assert "up to date" in text and (project.folder / "plan/a.txt").exists()


def test_in_a_folder_that_was_deleted(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(["sh", "-c", f"rmdir ../gone; exec {sys.executable} -m kelvin plan"], cwd=gone,
                          text=True, capture_output=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (
        1, "kelvin: the folder that you are in is not there any more: cd to another\n")


def test_a_table_on_an_ascii_terminal(tmp_path):
    import numpy as np

    for name in ("a", "b"):
        images = np.random.default_rng(0).integers(0, 255, (20, 1, 4, 4), np.uint8)
        np.save(tmp_path / f"{name}.npy", images)
    done = subprocess.run([sys.executable, "-m", "kelvin", "score", "a.npy", "b.npy", "--features",
                           "pixels"], cwd=tmp_path, text=True, capture_output=True,
                          env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and "squared Fr?chet distance" in done.stdout
