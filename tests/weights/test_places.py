"""Where the commands that write a file may write it: told before any work."""

import pytest
from conftest import ROOT
from typer.testing import CliRunner

from kelvin.cli import app
from kelvin.common.errors import KelvinError
from kelvin.weights.published import Published

COLD = str(ROOT / "weights/cold.safetensors")


@pytest.mark.parametrize("words", [
    ("sample", COLD, "-n", "2", "-o", "not-there/a.png"), ("sample", COLD, "--seed", "-1"),
    ("restore", COLD, "a.png", "--t", "3", "-o", "not-there/b.png"),
    ("score", "a.npy", "b.npy", "--html", "not-there/x.html"),
    ("score", "a.npy", "b.npy", "--statistics", "s.txt"), ("score", "a.npy", "b.npy", "--seed", "-1"),
    ("score", "a.npy", "b.npy", "--resize", "100000000"),
    ("sample", COLD, "-n", "2", "-o", "../folder.png"), ("sample", COLD, "-n", "2", "-o", "../link.png"),
    ("score", "a.npy", "b.npy", "--html", "."), ("score", "a.npy", "b.npy", "--html", "../link.png"),
    ("score", "a.npy", "b.npy", "--cache", "../file"),
    ("score", "a.npy", "b.npy", "--cache", "../file/x")])
def test_a_place_that_takes_no_file_is_told_before_the_work(tmp_path, monkeypatch, words):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "not-there/y.png")
    (tmp_path / "file").write_text("")
    tmp_path = tmp_path / "empty"
    tmp_path.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kelvin.scoring.score.score_sources", lambda *_: pytest.fail("it scored first"))
    monkeypatch.setattr(Published, "sample", lambda *_: pytest.fail("it drew first"))
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, (KelvinError, SystemExit)) and done.exit_code
    assert not list(tmp_path.iterdir())
