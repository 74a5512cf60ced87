"""The tests' fast `python` does what python does (see warm.py)."""

import os
import subprocess
import sys

import pytest

PROGRAM = """\
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ["WORD"], sys.stdin.read(), __name__)
print("to stderr", file=sys.stderr)
"""


def both(warm_python, arguments, folder, **environment):
    """What either gives: status, stdout, stderr."""
    return [(done.returncode, done.stdout, done.stderr) for done in (
        subprocess.run([str(python), *arguments], cwd=folder, env=os.environ | environment, text=True,
                       input="some input", capture_output=True)
        for python in (sys.executable, warm_python))]


@pytest.mark.parametrize("arguments", [
    ["program.py", "a", "b c"], ["-m", "program", "a"], ["-c", PROGRAM, "a"]], ids=["file", "-m", "-c"])
def test_arguments_folder_environment_and_streams(warm_python, arguments, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    real, warm = both(warm_python, arguments, tmp_path, WORD="word")
    assert real == warm and real[0] == 0 and "some input" in real[1] and "to stderr" in real[2]


@pytest.mark.parametrize(("code", "status"), [
    ("raise SystemExit", 0), ("raise SystemExit(7)", 7), ("raise SystemExit('in words')", 1)])
def test_ends(warm_python, code, status, tmp_path):
    real, warm = both(warm_python, ["-c", code], tmp_path)
    assert real == warm and real[0] == status


def test_an_error(warm_python, tmp_path):
    real, warm = both(warm_python, ["-c", "1 / 0"], tmp_path)
    assert real[0] == warm[0] == 1 and warm[2].splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_path_and_what_was_imported_before(warm_python, tmp_path):
    """PYTHONPATH is the start's own, and no module of Kelvin is there already; torch is."""
    code = "import sys; print(sys.path[1], 'kelvin' in sys.modules, 'torch' in sys.modules)"
    real, warm = both(warm_python, ["-c", code], tmp_path, PYTHONPATH=str(tmp_path / "src"))
    assert real[1] == f"{tmp_path / 'src'} False False\n"
    assert warm[1] == f"{tmp_path / 'src'} False True\n"


def test_threads_end_and_exit_functions_run(warm_python, tmp_path):
    code = ("import atexit, threading, time\natexit.register(print, 'last')\n"
            "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\nprint('first')")
    real, warm = both(warm_python, ["-c", code], tmp_path)
    assert real == warm and warm[1] == "first\nthread\nlast\n"
