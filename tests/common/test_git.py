"""What a page and a record say of the code that made them."""

import subprocess

from kelvin.common.git import revision


def test_a_revision_says_where_its_code_was_edited(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision() == ""
    (tmp_path / "src").mkdir()
    for name in ("src/a.py", "params.yaml", "README.md"):
        (tmp_path / name).write_text("one\n")
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@localhost",
                                                    "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True)
    commit = subprocess.run(["git", "log", "-1", "--format=%h"], capture_output=True, text=True).stdout
    assert revision() == commit.strip()
    (tmp_path / "README.md").write_text("two\n")
    assert revision() == commit.strip()
    (tmp_path / "src/a.py").write_text("two\n")
    assert revision() == f"{commit.strip()}, edited since"
