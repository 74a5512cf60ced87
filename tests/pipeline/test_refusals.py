"""What `kelvin repro` cannot begin with, or loses on the way, is one sentence."""

import copy
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time

import psutil
import pytest
from conftest import ROOT
from tiny_project import DVC, ENVIRONMENT, KELVIN

from kelvin.common.errors import KelvinError, refused_by_system
from kelvin.common.files import write_text
from kelvin.pipeline import executors, runner


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The project's own params.yaml, dvc.yaml and stages, under git."""
    folder = tmp_path_factory.mktemp("real") / "project"
    (folder / ".dvc").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", ".dvc/config", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    for words in (["init", "-q"], ["add", "-A"],
                  ["-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    return folder


def edited(old, new):
    def edit(folder):
        text = (folder / "params.yaml").read_text()
        assert re.search(old, text, flags=re.M)
        (folder / "params.yaml").write_text(re.sub(old, lambda _: new, text, count=1, flags=re.M))
    return edit


def lock(text):
    return lambda folder: write_text(folder / "dvc.lock", text)


MARKS = "<<<<<<< HEAD\nschema: '2.0'\n=======\nstages:\n>>>>>>> other\n"
WRONG = {
    "a date": (edited(r"^replicates: \[0\]", "replicates: [2023-05-09]"), "params.yaml: replicates.0 = "),
    "no runs": (edited(r"^active:", "active: null\nold:"), "params.yaml: active = None: "),
    "no data set": (edited("^dataset: digits", 'dataset: ""'), "params.yaml: dataset = '': "),
    "a path": (edited("^dataset: digits", "dataset: ../../x"), "params.yaml: dataset = '../"),
    "no yaml": (edited("^scale: laptop", "scale: [laptop"), "params.yaml is not YAML: "),
    "marks": (edited("^scale: laptop", "<<<<<<< HEAD\n=======\nscale: laptop\n>>>>>>> x"),
              "params.yaml holds the marks of a merge"),
    "no params.yaml": (lambda folder: (folder / "params.yaml").unlink(), "params.yaml is not there"),
    "no dvc.yaml": (lambda folder: (folder / "dvc.yaml").unlink(), "dvc.yaml is not there"),
    "dvc.lock's marks": (lock(MARKS), "dvc.lock holds the marks of a merge that is not finished"),
    "dvc.lock cut":
        (lock("schema: '2.0'\nstages:\n  plan:\n    de"),
         "dvc.lock is damaged: "),
    "no git": (lambda folder: shutil.rmtree(folder / ".git"), r".* is no git repository .*`git init`"),
    "no project": (lambda folder: shutil.rmtree(folder / ".dvc"), "this is no Kelvin project"),
    "no folder": (lambda folder: (folder / ".kelvin").write_text(""), r".*\.kelvin: File exists; a file")}


@pytest.mark.parametrize("name", WRONG)
def test_what_dvc_cannot_begin_with_is_one_sentence(real, tmp_path, monkeypatch, name):
    spoil, sentence = WRONG[name]
    folder = shutil.copytree(real, tmp_path / "project", symlinks=True)
    spoil(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(runner, "Machine", lambda *_: pytest.fail("a stage began"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with pytest.raises(KelvinError, match=f"^{sentence}") as error, refused_by_system():
        runner.repro()
    assert str(error.value).count("\n") <= 2


def test_an_out_outside_the_project_is_refused_and_not_removed(project, tmp_path):
    (tmp_path / "precious-0").mkdir()
    project.edit("active: [one, two]", "active: [../../precious]")
    text = project.run(*KELVIN, status=1)
    assert re.search(r"kelvin: the stage train@\S+ would make \S+precious-0, outside this project", text)
    assert (tmp_path / "precious-0").exists() and project.ran() == []


def begun(project, *words):
    """`kelvin repro` whose first training runs, for a minute."""
    project.edit("seconds: 0", "seconds: 0.1")
    project.run(*KELVIN, "data")
    project.edit("seconds: 0.1", "seconds: 60")
    process = project.start(*KELVIN, *words)
    log = project.folder / ".kelvin/logs/train@one-0.log"
    until(lambda: log.exists() and "output" in log.read_text())
    return process


def ended(process, status):
    """What it printed; nothing that it started lives."""
    text = process.communicate(timeout=60)[0]
    assert process.returncode == status, text
    return text


def test_a_second_repro_names_the_first(project):
    first = begun(project, "train")
    text = project.run(*KELVIN, "train", status=1)
    assert text == (f"kelvin: another `kelvin repro` works in this checkout (process {first.pid}): wait "
                    f"for it, or end it by `kill {first.pid}`; what it has finished is kept\n")
    started = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGTERM)  # as it says
    assert "Stopped. Run it again to go on" in ended(first, 143)
    until(lambda: not any(is_alive(process) for process in started))
    project.edit("seconds: 60", "seconds: 0")
    assert "Done in" in project.run(*KELVIN, "train@one-0")


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_repro_beside_dvcs_own_names_it(project):
    project.edit("seconds: 0", "seconds: 30")
    other = project.start(*DVC, "data")
    until(lambda: (project.folder / ".dvc/tmp/rwlock").exists()
          and '"write": {"' in (project.folder / ".dvc/tmp/rwlock").read_text()
          and "data" in (project.folder / ".dvc/tmp/rwlock").read_text())
    until(lambda: psutil.Process(other.pid).children(recursive=True))
    text = project.run(*KELVIN, "data", status=1)
    other.kill()
    other.wait()
    last = text.splitlines()[-1]
    assert last.startswith(f"kelvin: another process works on the same files ({other.pid}: ")


def test_a_restart_after_only_the_driver_died(project):
    first = begun(project, "train@one-0")
    first.kill()
    first.wait()
    project.edit("seconds: 60", "seconds: 0")
    assert "Done in" in project.run(*KELVIN, "train@one-0")


def test_a_dead_fork_server_ends_the_run_with_a_sentence(project):
    """As where memory ran out: the server, not the stage, is killed."""
    process = begun(project, "train@one-0")
    started = psutil.Process(process.pid).children(recursive=True)
    server = next(child for child in started if "multiprocessing.forkserver" in " ".join(child.cmdline()))
    server.kill()
    text = ended(process, 1)
    assert "its process was killed: out of memory? Run it again" in text and "Traceback" not in text
    until(lambda: not any(is_alive(process) for process in started))


@pytest.mark.parametrize("seconds", [0.8, 1.5, 4.5])
def test_ctrl_c_on_a_terminal_is_one_line_at_any_moment(project, seconds):
    """Of a terminal every process of the group gets it; here they are many, and torch is loading."""
    with_torch = ("-m", "kelvin", "repro")
    process = project.start(*with_torch, start_new_session=True)
    time.sleep(seconds)
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    lines = [line for line in ended(process, 130).splitlines() if line]
    assert lines[-1].startswith("Stopped.") and not any("Traceback" in line for line in lines)
    assert sum(not re.match(r"\[|  |\d of|\S+ done", line) for line in lines) == 1
    until(lambda: not any(is_alive(process) for process in started))


BAR = """
import sys
from kelvin.common.errors import KelvinError, refused_by_system
from kelvin.common.progress import progress_bar
from kelvin.pipeline.stage import reported

def work(*_):
    with progress_bar(100, "train", "update") as bar:
        bar.update(37)
        bar.refresh()
        raise KelvinError("the training diverged: the loss is nan at update 38 of 100")
reported(work)
"""


def on_a_terminal(words, folder):
    """The rows that stay on a terminal of 80 columns, and the exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        time.sleep(0.5)  # until the terminal has its size
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, *words], ENVIRONMENT | {"COLUMNS": "80"})
    termios.tcsetwinsize(terminal, (24, 80))
    out = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux: the other end is closed
            break
        if not piece:
            break
        out += piece
    return out.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("way", ["python", "kelvin repro"])
def test_on_a_terminal_the_reason_of_a_failure_has_a_row_of_its_own(project, way):
    project.write({"stages/bar.py": BAR})
    project.edit("work.py train models/${item.run}-${item.seed}/weights.txt", "bar.py", "dvc.yaml")
    words = ["stages/bar.py"] if way == "python" else [*KELVIN, "train@one-0"]
    text, status = on_a_terminal(words, project.folder)
    assert status == 1 and "37%" in text
    rows = [row.split("\r")[-1] for row in re.sub(r"\x1b\[\d*[A-Z]", "", text).split("\r\n")]
    sentence = "kelvin: the training diverged: the loss is nan at update 38 of 100"
    assert any(row in (sentence, f"  train@one-0: {sentence}") for row in rows), text


def test_a_place_of_any_name(project, tmp_path):
    other = project.copy(tmp_path / "naïve (copy) 100%41?")
    assert "Done in" in other.run(*KELVIN) and "up to date" in other.run(*KELVIN)


def test_a_git_worktree(project, tmp_path):
    subprocess.run(["git", "worktree", "add", "-q", str(tmp_path / "tree")],
                   cwd=project.folder, check=True)
    other = copy.copy(project)
    other.folder = tmp_path / "tree"
    assert "Done in" in other.run(*KELVIN) and "up to date" in other.run(*KELVIN)
    assert not (project.folder / "reports").exists()


def test_a_long_temporary_folder_holds_no_socket(tmp_path):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    script = ("import tempfile\nfrom kelvin.pipeline import executors\nexecutors.PRELOADED = ()\n"
              "if __name__ == '__main__':\n    machine = executors.Machine(1)\n"
              "    task = executors.Task('stage', ['exit 3'], '.', {}, 'log')\n"
              "    print(machine.submit(task).result())\n")
    (tmp_path / "go.py").write_text(script)
    done = subprocess.run([sys.executable, "go.py"], cwd=tmp_path, text=True, capture_output=True,
                          env=ENVIRONMENT | {"TMPDIR": str(folder)})
    assert done.stdout == "3\n", done.stderr
    assert not list(folder.iterdir()) and executors.PRELOADED
