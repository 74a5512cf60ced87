"""The output of git commands."""

from __future__ import annotations

import subprocess


def git(*arguments: str) -> str:
    """What a git command prints; "" where there is no git, no repository, or the command fails."""
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, text=True)
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def revision() -> str:
    """The commit's short hash, and whether what results depend on was edited since; empty without git."""
    edited = git("status", "--porcelain", "--untracked-files=no", "--", "src", "stages", "params.yaml")
    commit = git("log", "-1", "--format=%h")
    return commit + ", edited since" * bool(commit and edited)
