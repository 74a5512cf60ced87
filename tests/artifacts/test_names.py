"""Names of samples, keys, folders and files of results: built and taken apart in one place."""

import re
from pathlib import Path

import pytest

from kelvin.artifacts.folders import DatasetFolders
from kelvin.artifacts.names import (
    averaged,
    decay_of,
    guided,
    rule_and_how,
    start_of,
    started,
    way,
    weight_of,
    without_decay,
)


@pytest.mark.parametrize("name, weight, decay, bare", [
    ("ddim-5", None, None, "ddim-5"), (guided("ddim-5", 2.0), 2.0, None, "ddim-5@w=2"),
    (averaged("ddim-5", 0.999), None, 0.999, "ddim-5")])
def test_names_of_samples_are_taken_apart_as_they_were_built(name, weight, decay, bare):
    assert (weight_of(name), decay_of(name), without_decay(name)) == (weight, decay, bare)
    assert start_of(name) is None and start_of(started(name, "held-out")) == "held-out"


@pytest.mark.parametrize("rule, how", [("exact", ""), ("as-eps", "clipped"), ("study-e", "fed back")])
def test_ways_are_taken_apart_as_they_were_built(rule, how):
    assert rule_and_how(way(rule, how)) == (rule, how)


def test_folders_are_those_of_dvc_yaml():
    """DVC asks for each of them by its path."""
    text = (Path(__file__).parents[2] / "dvc.yaml").read_text()
    ours = DatasetFolders("${dataset}")
    run = ours.run("${item.run}", "${item.replicate}")
    for path in (ours.classifier, ours.reference, ours.starts, ours.calibration, run.start, run.model,
                 run.samples, run.evaluation, run.record):
        assert re.search(rf"- {re.escape(str(path))}:?$", text, re.M), path


def test_no_other_module_builds_a_key_or_names_a_file_of_a_result():
    """Keys of arrays, and files and folders of results, stand in kelvin.artifacts alone."""
    root = Path(__file__).parents[2]
    keys = r'f"(at|samples|restore|decoding|decoding_times|brightness|shown|finite|black|drawn)/'
    names = (r'"(history\.csv|samples\.npz|details\.json|about\.json|calibration\.json|cost\.json|'
             r'process\.json|config\.json|start\.json|blend\.npz|projection\.npz|\w+\.safetensors)"')
    folders = (r'"data/(plan|prepared|models|samples|evaluations|starts)\b|"reports/(runs|reference)|'
               r'\.npz"')
    odd = [f"{path.relative_to(root)}: {line.strip()}" for folder in ("src", "stages")
           for path in sorted((root / folder).rglob("*.py"))
           # files that users bring and take away are no results; a checkpoint's mark is read where the
           # folder may be damaged
           if not {"artifacts", "scoring", "cli.py", "weights", "checkpoint.py"} & set(path.parts)
           for line in path.read_text(encoding="utf-8").replace('"""', "").splitlines()
           if re.search("|".join((keys, names, folders)), line)]
    assert odd == []
