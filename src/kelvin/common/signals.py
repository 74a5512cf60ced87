"""Ctrl-C and SIGTERM: both end a command by KeyboardInterrupt, and none is lost."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading

STOPS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 2.0  # seconds
_seen: list[int] = []
_heard: list[int] = []


def catch() -> None:
    """From now on both raise KeyboardInterrupt: the first at once, and again every two seconds until
    `heard` is called, since Python drops one that meets a finaliser. Later signals do nothing, so that
    the command can stop in order. A signal that the starter ignores (nohup) stays ignored."""
    if threading.current_thread() is threading.main_thread():
        for number in STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _stop)
        atexit.register(_end)  # before all others, and so called after them


def _end() -> None:
    """Exit with `status`: Python exits with another one where the signal met a module that calls exec."""
    if _seen:
        sys.stdout.flush()
        os._exit(status())


def _stop(number: int, _: object) -> None:
    for other in STOPS:
        signal.signal(other, signal.SIG_IGN)
    _seen.append(number)
    sys.unraisablehook = lambda _: None  # finalisers of half-built objects complain
    signal.signal(signal.SIGALRM, _again)
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    raise KeyboardInterrupt


def _again(*_: object) -> None:
    raise KeyboardInterrupt


def heard() -> None:
    """Call it where the KeyboardInterrupt is handled."""
    if _seen:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _heard.append(_seen[0])


def is_unheard() -> bool:
    return bool(_seen) and not _heard


def status() -> int:
    """The exit status of a command that was stopped: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (_seen[0] if _seen else signal.SIGINT)
