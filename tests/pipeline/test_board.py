"""What a run shows, in a log and on a terminal."""

import io
import socket

import pytest

from kelvin.pipeline import board as module
from kelvin.pipeline.board import Board
from kelvin.pipeline.executors import BEGUN

HERE = f"{BEGUN}{socket.gethostname()}"
BAR = " 50%|█████     | 4/8 [00:02<00:02]"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "logs/train@a-0.log"

    def append(text):
        with path.open("a") as file:
            file.write(text)

    append.path = path
    return append


def followed(log, total=3):
    board = Board(total)
    board.follow("train@a-0", log.path)
    return board


def test_in_a_log_every_line_names_its_stage(log, capsys):
    board = followed(log)
    board.read()
    assert capsys.readouterr().out == ""  # submitted, not begun
    log(f"{HERE}\nloss 0.1\n{BAR}\rloss")
    board.read()
    assert capsys.readouterr().out == f"[1/3] train@a-0\n  train@a-0: loss 0.1\n  train@a-0: {BAR}\n"
    log(" 0.05\nthe end")
    board.end("train@a-0", "done")
    assert capsys.readouterr().out == ("  train@a-0: loss 0.05\n  train@a-0: the end\n"
                                       "train@a-0 done in 0 s\n")


def test_a_second_attempt_says_why_and_where(log, capsys):
    board = followed(log)
    log(f"\n{BEGUN}node1\n{BAR}\n{BEGUN}node2\n")
    board.read()
    first, bar, second = capsys.readouterr().out.splitlines()
    assert bar.strip() == f"train@a-0: {BAR}"
    assert first == "[1/3] train@a-0 on node1"
    assert second == "train@a-0: its worker died; begun again on node2, from its checkpoint"


@pytest.mark.parametrize("outcome, shown", [("done", ""), ("FAILED (exit status 1)", "stage FAILED")])
def test_without_a_total_only_output_and_failures_are_shown(log, capsys, outcome, shown):
    board = Board()
    board.follow("stage", log.path)
    log(f"{HERE}\n")
    board.end("stage", outcome)
    assert capsys.readouterr().out.startswith(shown) and (shown or not capsys.readouterr().out)


def test_on_a_terminal_one_live_row_a_stage_is_redrawn(log, tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(module.sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    board = followed(log)
    board.follow("sample@b-0", tmp_path / "logs/other")
    log(f"{HERE}\n{BAR}\r")
    (tmp_path / "logs/other").write_text(f"{HERE}\nhello\n")
    board.read()
    board.read()
    rows = f"{BAR}\nsample@b-0: 0 s\n"
    assert terminal.getvalue() == (f"[1/3] train@a-0\n[2/3] sample@b-0\n  sample@b-0: hello\n{rows}"
                                   f"\033[2F\033[J{rows}")
    log("x" * 80 + " 60%| \r")
    board.read()
    assert terminal.getvalue().endswith("x" * 39 + "\nsample@b-0: 0 s\n")  # cut to the width
    terminal.truncate(0)
    board.end("sample@b-0", "done")
    assert terminal.getvalue().strip("\0").startswith("\033[2F\033[Jsample@b-0 done in 0 s\n")
