"""Python processes that start with their libraries imported.

`make repro` starts some sixty of them; importing torch and DVC takes each several seconds, forking a
process that holds them some milliseconds. The server imports and forks, nothing else: it has one
thread, no parameters and no data, so that a forked process is what `python ...` would have been.

Linux only (other systems' libraries may not survive a fork): elsewhere, and where the source files are
not those that the server read, processes are started as usual.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ADDRESS = "KELVIN_FORK_SERVER"  # the environment variable that names the server's socket
IMPORTED = ("dvc.cli", "dvc.repo.reproduce", "dvc.cli.parser", "kelvin.sampled",
            "kelvin.evaluation", "kelvin.reference", "kelvin.classifier", "torch._dynamo")
BEGUN = b"begun"  # no such answer: start it yourself


def source_state() -> dict[str, list[int]]:
    """Size and time of every file of this package."""
    return {str(path): [stat.st_size, stat.st_mtime_ns]
            for path in Path(__file__).parent.rglob("*.py") if (stat := path.stat())}


class Forked:
    """A process started by the server; `wait` as subprocess.Popen's."""

    def __init__(self, connection: socket.socket):
        self._connection = connection

    def wait(self) -> int:
        """Its exit status, negative for a signal; 1 where the server died."""
        with self._connection, suppress(ConnectionError):
            if answer := self._connection.recv(64):
                return int(answer)
        return 1


def start(words: Sequence[str], output: int, cwd: str | None = None,
          env: Mapping[str, str] | None = None) -> Forked | subprocess.Popen:
    """`python *words`, its output and errors to a file descriptor: by the server that the environment
    names, as a plain process where there is none."""
    env = os.environ if env is None else env
    if address := os.environ.get(ADDRESS):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address)
            request = json.dumps({"words": words, "cwd": cwd or os.getcwd(), "env": dict(env),
                                  "source": source_state()}).encode()
            socket.send_fds(connection, [len(request).to_bytes(8, "big")], [output])
            connection.sendall(request)
            if connection.recv(len(BEGUN)) == BEGUN:
                return Forked(connection)
        except OSError:  # the server is gone
            pass
        connection.close()
    return subprocess.Popen([sys.executable, *words], cwd=cwd, env=env, stdout=output, stderr=output)


@contextmanager
def serving() -> Iterator[None]:
    """A server for the processes that this one, and those started by it, start meanwhile."""
    if not sys.platform.startswith("linux") or ADDRESS in os.environ:
        yield
        return
    with (tempfile.TemporaryDirectory(prefix="kelvin-") as folder,
          socket.socket(socket.AF_UNIX) as listener):
        address = f"{folder}/socket"
        listener.bind(address)
        listener.listen()
        # its standard input ends when this process does, however that ends, and so does the server
        server = subprocess.Popen([sys.executable, "-m", "kelvin.fork_server", str(listener.fileno())],
                                  stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
        os.environ[ADDRESS] = address
        try:
            yield
        finally:
            del os.environ[ADDRESS]
            server.stdin.close()
            server.kill()  # what it has forked goes on
            server.wait()


def serve(listener: socket.socket) -> dict | None:
    """Fork for every request; returns twice: with the request in a new process, with None at the end."""
    known = source_state()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    while True:
        readable, _, _ = select.select([listener, 0], [], [])
        if 0 in readable:
            return None
        connection, _ = listener.accept()
        with connection:
            if os.fork() == 0:
                listener.close()
                if (request := answer(connection, known)) is None:
                    os._exit(0)
                return request


def answer(connection: socket.socket, known: dict) -> dict | None:
    """In a process of its own: the request in its child; None, once that has ended, in itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with suppress(OSError):
        size, (output,), _, _ = socket.recv_fds(connection, 8, 1)
        text = b""
        while len(text) < int.from_bytes(size, "big"):
            text += connection.recv(1 << 20)
        request = json.loads(text)
        if request["source"] != known:  # other code, or edited since
            return None
        connection.sendall(BEGUN)
        if child := os.fork():
            os.close(output)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            connection.sendall(str(status).encode())
            return None
        connection.close()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        return request
    return None


def become(request: dict) -> None:
    """What `python *words` would do in this folder and environment."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    kind, *rest = request["words"]
    if kind == "-m":
        sys.path[0], sys.argv = os.getcwd(), rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = str(Path(kind).parent.resolve()), [kind, *rest]
        runpy.run_path(kind, run_name="__main__")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the work, and that the driver
    status = 0

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)

    atexit.register(leave)  # first, so run last: taking all those modules down would take seconds
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # the collector would touch, and so copy, every page of them
    try:
        if (request := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
            become(request)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except BaseException:
        status = 1
        raise


if __name__ == "__main__":
    main()
