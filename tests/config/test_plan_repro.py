"""What an edit remakes, through `dvc repro` of a whole small pipeline; see test_plan.py for many more."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image
from ruamel.yaml import YAML

from kelvin.pipeline.throwaway import make_copy

RUNS = ["ddpm-default", "blur-strong"]
# a study of runs that are not active: the report draws the common figures alone
STUDIES = {"schedules": {"title": "one", "question": "one?", "runs": ["ddpm-long"]}}
IMAGES = 40  # of each of two classes


@pytest.fixture(scope="module")
def project(tmp_path_factory, warm_python):
    """A copy with two tiny runs on a folder of pictures, made once by `kelvin repro`: for `dvc repro`, as
    the first of the tests shows, nothing is left to do."""
    root = tmp_path_factory.mktemp("plan")
    for kind in ("dark", "light"):
        for i in range(IMAGES):
            picture(root / f"raw/pictures/{kind}/{i}.png", i + 100 * (kind == "light"))
            picture(root / f"other/pictures/{kind}/{i}.png", i + 120 * (kind == "light"))
    environment = make_copy(ROOT, root / "copy", {
        "scale": "smoke", "active": RUNS, "studies": STUDIES, "scales.smoke.run.training.epochs": 1,
        "scales.smoke.run.training.images": 32, "scales.smoke.run.training.batch": 16,
        "scales.smoke.classifier.epochs": 1})
    made = Project(root / "copy", environment | {
        "KELVIN_DATA": str(root / "raw"), "PATH": f"{warm_python.parent}:{environment['PATH']}"})
    made.set("datasets.mine", {"source": "folder", "path": "pictures"})
    made.set("dataset", "mine")
    made.kelvin("--jobs", "1")
    return made


def picture(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 30, (8, 8)) + value
    Image.fromarray(pixels.astype(np.uint8)).save(path)


class Project:
    def __init__(self, root, environment):
        self.root, self.environment = root, environment

    def run(self, *command):
        done = self.start(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *command):
        return subprocess.run(command, cwd=self.root, env=self.environment, text=True,
                              capture_output=True)

    def repro(self, *targets):
        """The stages whose commands `dvc repro` runs."""
        text = self.run("python", "-m", "dvc", "repro", *targets)
        return set(re.findall(r"Running stage '(.+?)'", text))

    def kelvin(self, *words):
        """The stages that `kelvin repro` runs beside the plan: DVC's (tests/pipeline/test_as_dvc.py)."""
        text = self.run("python", "-m", "kelvin", "repro", *words)
        return set(re.findall(r"\] (\S+)$", text, re.M))

    @staticmethod
    def every(*stages):
        return {f"{stage}@{run}-0" for stage in stages for run in RUNS}

    def edit(self, path, text):
        file = self.root / path
        file.write_text(file.read_text() + text)

    def set(self, key, value):
        """A key of params.yaml, new or not."""
        yaml, path = YAML(), self.root / "params.yaml"
        yaml.width, tree = 10_000, yaml.load(path.read_text())
        *above, last = key.split(".")
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
        with path.open("w") as file:
            yaml.dump(tree, file)


END = {"report", "track"}  # track, where a measure changed
EDITS = {
    "nothing": (lambda p: None, set()),
    # neither may remake a thing, and so both together
    "a comment, an error's text": (lambda p: (
        p.edit("src/kelvin/training/loop.py", "\n# a comment\n"),
        p.edit("src/kelvin/common/errors.py", "\nX = 1\n")), set()),
    "a title": (lambda p: p.set("runs.ddpm-default.title", "another"), END),
    "a study's question": (lambda p: p.set("studies.schedules.question", "another?"), {"report"}),
    "a sampler preset": (lambda p: p.set("samplers.ddim-20.steps", 19), {"report"}),
    # each is the code of one stage alone (test_plan.py): of these two stages
    "a figure's code, the tracking's code": (lambda p: (
        p.edit("src/kelvin/report/parts/ranking.py", "\nX = 1\n"),
        p.edit("src/kelvin/tracking/store.py", "\nX = 1\n")), {"report", "track"}),
    "draws of the floor": (lambda p: p.set("metrics.floor_draws", 7),
                           {"calibrate", *Project.every("evaluate"), *END}),
    "pictures in a strip": (lambda p: p.set("defaults.sampling.strip", 4),
                            {*Project.every("sample", "evaluate"), *END}),
    "one run's learning rate": (
        lambda p: p.set("runs.ddpm-default.training.lr", 1e-3),
        {f"{stage}@ddpm-default-0" for stage in ("train", "sample", "evaluate")} | END),
    "an interval's code": (lambda p: p.edit("src/kelvin/metrics/intervals.py", "\nX = 1\n"),
                           {"calibrate", *Project.every("evaluate"), "report", "track"}),
    "the classifier's code": (lambda p: p.edit("src/kelvin/features/classifier_training.py", "\nX = 1\n"),
                              {"classifier", "reference", "calibrate", *Project.every("evaluate")}),
}
RAW = {
    "a list of groups": lambda p: ((p.root / "groups.csv").write_text("file,group\n" + "".join(
        f"{kind}/{i}.png,{i}\n" for kind in ("dark", "light") for i in range(IMAGES))),
        p.set("datasets.mine.groups", {"csv": str(p.root / "groups.csv")})),
    "an edited list of groups": lambda p: p.edit("groups.csv", "\n"),
    "a changed picture": lambda p: picture(p.root.parent / "raw/pictures/dark/0.png", 77),
    "another KELVIN_DATA": lambda p: p.environment.update(KELVIN_DATA=str(p.root.parent / "other")),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_remakes_exactly(project, name):
    make, wanted = EDITS[name]
    make(project)
    assert project.repro() - {"plan"} == wanted


@pytest.mark.parametrize("name", RAW)
def test_raw_images_are_prepared_again(project, name):
    RAW[name](project)
    assert project.repro("prepare@mine") == {"plan", "prepare@mine"}


def test_all_that_rests_on_other_images_is_remade(project):
    """And nothing is prepared a second time."""
    assert project.kelvin("--jobs", "1") == {"classifier", "reference", "calibrate", "pretrain", *END,
                               *Project.every("train", "sample", "evaluate")}


def test_images_of_a_folder_that_is_gone_are_not_brought_back(project):
    """Neither from the run cache, which knows them, nor from what was prepared."""
    shutil.rmtree(project.root.parent / "other")
    shutil.rmtree(project.root / "data/prepared")
    done = project.start("python", "-m", "dvc", "repro", "prepare@mine")
    assert done.returncode and "pictures" in done.stderr and "Traceback" not in done.stderr
    assert not (project.root / "data/prepared/mine").exists()
