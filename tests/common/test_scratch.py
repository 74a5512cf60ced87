"""Folders for the time of one piece of work, and what a machine refuses."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from kelvin.common.errors import REFUSED, KelvinError, refused_by_system
from kelvin.common.scratch import HELD, scratch_folder

OWNER = """
import os, signal, sys
from pathlib import Path
from kelvin.common.scratch import scratch_folder
with scratch_folder(".digits-", Path(sys.argv[1])) as folder:
    (folder / "images.npy").write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def owner(folder):
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], text=True,
                               env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    return process


def test_the_dead_leave_nothing_and_the_living_are_left_alone(tmp_path):
    dead, living = owner(tmp_path), owner(tmp_path)
    left = set(tmp_path.iterdir())
    dead.kill()
    assert dead.wait() == -signal.SIGKILL
    assert len(left) == 2 == len(list(tmp_path.iterdir()))
    (tmp_path / ".digits-mine").mkdir()  # of somebody else
    (tmp_path / ".digits-mine/photo.jpg").write_text("precious")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / HELD).write_text("")
    (tmp_path / ".digits-link").symlink_to(tmp_path / "elsewhere")
    with scratch_folder(".digits-", tmp_path) as folder, scratch_folder(".digits-", tmp_path) as inner:
        assert folder.exists() and inner.exists() and inner != folder
        assert len(left & set(tmp_path.iterdir())) == 1
    living.communicate("")
    assert living.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {".digits-mine", ".digits-link", "elsewhere"}
    assert (tmp_path / ".digits-mine/photo.jpg").exists() and (tmp_path / "elsewhere" / HELD).exists()


def test_a_failure_removes_it_too(tmp_path):
    with pytest.raises(RuntimeError), scratch_folder("kelvin-", tmp_path):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", REFUSED)
def test_what_the_machine_refuses_is_one_sentence(number):
    with pytest.raises(KelvinError) as error, refused_by_system():
        raise OSError(number, os.strerror(number), "data/models/x")
    assert str(error.value) == f"data/models/x: {os.strerror(number)}; {REFUSED[number]}"


def test_a_full_disk_and_a_file_in_the_way(tmp_path):
    with pytest.raises(KelvinError, match="No space left on device; make room, and run it again"), \
            refused_by_system():
        Path("/dev/full").write_text("x")
    (tmp_path / "data").write_text("")
    with pytest.raises(KelvinError, match="/data/models: Not a directory; a file lies where a"), \
            refused_by_system():
        (tmp_path / "data/models").mkdir()


def test_a_defect_keeps_its_traceback():
    with pytest.raises(FileNotFoundError), refused_by_system():
        raise FileNotFoundError(errno.ENOENT, "missing", "x")
