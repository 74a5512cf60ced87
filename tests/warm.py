"""A `python` that has imported before what is slow to import (torch, MLflow), for tests that start many.

Each start is a fork of one interpreter: the same arguments, folder, environment, input and outputs, in
0.3 s where a new interpreter takes 2 to 4. Nothing of Kelvin is imported before the fork. Not for tests
of signals, of killing or of starting itself: a signal reaches the client alone.
"""

import array
import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

PRELOADED = ("torch", "torch._dynamo", "scipy.stats", "scipy.optimize", "scipy.ndimage", "PIL.Image",
             "matplotlib.pyplot", "mlflow", "mlflow.store.tracking.sqlalchemy_store", "pydantic", "typer",
             "tqdm", "safetensors.torch", "accelerate", "dvc.cli", "dvc.repo.reproduce", "dvc.stage.run")
FDS = 3  # stdin, stdout, stderr
CLIENT = """#!{python} -SE
import array, json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
start = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n"
sent = server.sendmsg([start], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", range({fds})))])
server.sendall(start[sent:])
os._exit(int(server.recv(3) or 255))
"""


def start(folder: Path) -> tuple[Path, subprocess.Popen]:
    """A `python` in `folder`, and the server behind it, which ends with this process."""
    python, address = folder / "python", str(folder / "s")  # a socket's path has 107 characters at most
    python.write_text(CLIENT.format(python=sys.executable, address=address, fds=FDS))
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen([sys.executable, __file__, address], stdout=subprocess.DEVNULL,
                              env=environment | {"OMP_NUM_THREADS": "1"})
    while not Path(address).exists():
        assert server.poll() is None
        time.sleep(0.1)
    return python, server


def serve(address: str) -> socket.socket:
    """The connection of one start, in a process of its own."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else a child's collector touches, and so copies, every page
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a child
    parent, server = os.getppid(), socket.socket(socket.AF_UNIX)
    server.bind(f"{address}.new")
    server.listen(64)
    server.settimeout(1)
    os.rename(f"{address}.new", address)
    while os.getppid() == parent:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return connection
        connection.close()
    os._exit(0)


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """As `python *arguments` does: a file, -m module or -c code."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    first, *others = arguments
    here = str(Path(__file__).parent)
    sys.path[:] = [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)),
                   *(path for path in sys.path if path != here)]
    if first == "-m":
        sys.path.insert(0, folder)
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *others[1:]]
        exec(compile(others[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, str(Path(first).resolve().parent))
        sys.argv = arguments
        runpy.run_path(first, run_name="__main__")


def main() -> None:
    connection = serve(sys.argv[1])
    text, sent, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(4 * FDS))
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 20)
    received = array.array("i", sent[0][2])
    for own, fd in enumerate(received):
        os.dup2(fd, own)
        os.close(fd)
    code = 0
    try:
        run(*json.loads(text))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # waits for threads, as an interpreter's end does; the rest of it takes seconds
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code & 255).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
