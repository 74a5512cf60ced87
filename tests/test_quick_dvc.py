"""DVC with a parser that remembers: the same results, and nobody changes what another gets."""

import copy
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT
from dvc.dvcfile import Lockfile
from dvc.stage import serialize
from dvc.utils import strictyaml
from dvc.utils.serialize import YAMLFileCorruptedError, _yaml

from kelvin.quick_dvc import remember_yaml, with_entry, write_entries

TEXT = "a: 1e-4\nb: [1, {c: 2024-01-01}]\n"


def test_a_text_is_parsed_once_and_given_as_a_copy(monkeypatch):
    calls, parse = [], _yaml.parse_yaml

    def counted(text, path, typ="safe"):
        calls.append(typ)
        return parse(text, path, typ)

    monkeypatch.setattr(_yaml, "parse_yaml", counted)
    monkeypatch.setattr(strictyaml, "parse_yaml", counted)
    remember_yaml()
    first, again = _yaml.parse_yaml(TEXT, "x"), strictyaml.parse_yaml(TEXT, "y")
    assert first == again == parse(TEXT, "x") and calls == ["safe"]
    first["b"].append("changed")
    assert _yaml.parse_yaml(TEXT, "x") == again
    assert _yaml.parse_yaml_for_update(TEXT, "x") is not _yaml.parse_yaml_for_update(TEXT, "x")
    assert calls == ["safe", "rt", "rt"]
    for _ in range(2):
        with pytest.raises(YAMLFileCorruptedError):
            _yaml.parse_yaml("a: [", "x")


def test_it_is_dvcs_own_command_line():
    said = [subprocess.run([sys.executable, "-m", module, "repro", "--nonsense"], capture_output=True)
            for module in ("dvc", "kelvin.quick_dvc")]
    assert said[0].returncode == said[1].returncode != 0


AWKWARD = {"cmd": "python stages/train.py " + "a long word " * 20,
           "deps": [{"path": "ü", "md5": "0123e4"}],
           "params": {"params.yaml": {
               "rate": 1e-05, "none": None, "yes": "no", "date": "2024-01-01",
               "list": [[1, 2], [], {"a": {}}], "text": "two\nlines: # x", "": "@x"}},
           "outs": [{"path": "b", "size": 12, "isexec": True}]}


@pytest.fixture(scope="module")
def lock():
    """The first entries of the committed dvc.lock."""
    data = _yaml.parse_yaml((ROOT / "dvc.lock").read_text(), "dvc.lock")
    return {"schema": data["schema"], "stages": dict(list(data["stages"].items())[:5])}


def test_an_entry_is_written_as_dvc_writes_the_whole_file(lock):
    text = _yaml.dumps_yaml(lock)
    for name in [*lock["stages"], "new@a-0", "train@b: c"]:
        changed = copy.deepcopy(lock)
        changed["stages"][name] = AWKWARD
        found = with_entry(text, lock["stages"], name, AWKWARD)
        assert found == _yaml.dumps_yaml(changed) and _yaml.parse_yaml(found, "x") == changed
        again = with_entry(found, changed["stages"], name, lock["stages"]["check"])
        changed["stages"][name] = lock["stages"]["check"]
        assert again == _yaml.dumps_yaml(changed)


def test_a_place_that_is_not_found_is_left_to_dvc(lock):
    text, stages = _yaml.dumps_yaml(lock), lock["stages"]
    assert with_entry("", {}, "a", AWKWARD) is None  # a new file
    assert with_entry(text.replace("  check:", "  'check':"), stages, "check", AWKWARD) is None
    assert with_entry(text + "datasets: []\n", stages, "new", AWKWARD) is None


def test_dvcs_lock_file_after_a_stage(lock, tmp_path, monkeypatch):
    """By DVC's own method and by ours: the same bytes, for first, changed, new and equal stages."""
    monkeypatch.setattr(serialize, "to_lockfile", lambda stage, **_: {stage.name: stage.entry})
    monkeypatch.setattr(_yaml, "parse_yaml", _yaml.parse_yaml)
    monkeypatch.setattr(strictyaml, "parse_yaml", strictyaml.parse_yaml)
    usual, tracked = Lockfile.dump_stages, []
    monkeypatch.setattr(Lockfile, "dump_stages", usual)
    known = remember_yaml()
    write_entries(known)
    repo = SimpleNamespace(fs=None, scm_context=SimpleNamespace(track_file=tracked.append))
    files = {name: SimpleNamespace(path=str(tmp_path / name), relpath=name, repo=repo)
             for name in ("theirs", "ours")}
    for name, entry in [*lock["stages"].items(), ("check", AWKWARD), ("new", AWKWARD), ("new", AWKWARD)]:
        for way, dump in (("theirs", usual), ("ours", Lockfile.dump_stages)):
            tracked.clear()
            dump(files[way], [SimpleNamespace(name=name, entry=copy.deepcopy(entry))])
            files[way].said = list(tracked)
        assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()
        assert len(files["theirs"].said) == len(files["ours"].said)
    text = (tmp_path / "ours").read_text()
    assert known[text] == _yaml.parse_yaml_for_update(text, "x")
