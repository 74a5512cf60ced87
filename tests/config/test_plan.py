"""What an edit remakes: by plan files here, through `dvc repro` in test_plan_repro.py."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, plans, with_values
from PIL import Image

from kelvin.common.errors import KelvinError
from kelvin.common.files import read_json
from kelvin.config import digest
from kelvin.config.digest import Code
from kelvin.config.plan import PARAMETERS, TrainPlan, plan_path, read_plan
from kelvin.config.resolve import Params, read
from kelvin.pipeline.checks import run as run_checks
from kelvin.pipeline.stage import reported  # noqa: F401 - what a stage script is started by

RAW = read(ROOT / "params.yaml")
RUNS = ["ddpm-default", "blur-strong"]


def edited(*changes):
    return Params(with_values(RAW | {"scale": "smoke", "active": list(RUNS)}, *changes))


def remade(before, after):
    """Names of the stage instances whose plan differs, `data/plan/` and `.json` left out."""
    names = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    return {str(path.relative_to("data/plan").with_suffix("")) for path in names}


def every(*stages, runs=RUNS):
    return {f"{stage}/{run}-0" for stage in stages for run in runs}


# the first stage that knows images and runs refuses what the images cannot carry, and so is remade by
# what is held against their number; where no run starts from others' weights it takes a second
CHECKED = "pretrain"
EDITS = {
    "a title": ([("runs.ddpm-default.title", "new")], {"report", "track"}),
    "the protocol's confidence": ([("metrics.confidence", 0.9)],
                                  {"calibrate", "report"} | every("evaluate")),
    "draws of the floor": ([("metrics.floor_draws", 9)], {"calibrate", "report"} | every("evaluate")),
    "features of the random network": ([("metrics.random_dim", 32)],
                                       {"reference", "calibrate", "report"} | every("evaluate")),
    "n": ([("scales.smoke.metrics.images", 40)],
          {"calibrate", "report", CHECKED} | every("sample", "evaluate")),
    "a sampler preset that no run names": ([("samplers.mine", {"kind": "ddim", "steps": 7})],
                                           {"report"}),
    "a sampler preset that one run names": (
        [("samplers.naive.z", "estimated")], None),
    "one run's learning rate": ([("runs.ddpm-default.scales.smoke", {"training": {"lr": 1e-3}})],
                                {"train/ddpm-default-0", "report"}),
    "pictures in a strip": ([("defaults.sampling.strip", 5)], {"report"} | every("sample")),
    "a run's guidance is for the report and sampling alone": (
        [("runs.ddpm-default.sampling", {"many": 60})], {"sample/ddpm-default-0", "report", CHECKED}),
    "an inactive run": ([("runs.ddpm-long.title", "new"), ("runs.ddpm-long.schedule.steps", 900)], set()),
    "a further run": ([("active", [*RUNS, "bad-no-noise"])],
                      {"pretrain", "report", "track"}
                      | every("train", "sample", "evaluate", runs=["bad-no-noise"])),
    "the classifier's epochs": ([("scales.smoke.classifier.epochs", 1)], {"classifier"}),
    "a study's question": ([("studies.schedules.question", "new?")], {"report"}),
    "a record, which the page links": ([("records.full.title", "new")], {"report"}),
    "the licence of another data set": ([("datasets.mnist.licence", "new")], set()),
    "the split's seed": ([("datasets.digits.seed", 1)], {"prepare/digits", "report"}),
    "the seed of everything": ([("seed", 1)], {"classifier", "pretrain"} | every(
        "train", "sample", "evaluate")),
}


@pytest.mark.parametrize("name", [name for name, (_, wanted) in EDITS.items() if wanted is not None])
def test_an_edit_remakes_exactly(name):
    changes, wanted = EDITS[name]
    assert remade(plans(edited()), plans(edited(*changes))) == wanted


def test_a_samplers_options_remake_the_runs_that_draw_by_it():
    """`naive-50` is no run's epoch sampler here: what it draws is drawn again, and nothing trained."""
    changes = [("runs.ddpm-default.sampling", {"samplers": ["ddim-5", "mine"]}),
               ("samplers.mine", {"kind": "naive", "steps": 5, "z": "kept"})]
    before, after = edited(*changes), edited(*changes, ("samplers.mine.z", "estimated"))
    assert remade(plans(before), plans(after)) == {"sample/ddpm-default-0", "report"}
    epoch = edited(("samplers.ddim-5", {"kind": "ddim", "steps": 4}))
    assert remade(plans(edited()), plans(epoch)) == {"report", "train/ddpm-default-0",
                                                    "sample/ddpm-default-0"}


CODE = {  # source file, what is put into it, the stages whose code it is
    "a comment": ("training/loop.py", "\n# a comment\n", set()),
    "a docstring": ("training/loop.py", None, set()),
    "an error's text": ("common/errors.py", "\nX = 1\n", set()),
    "the schema": ("config/schema.py", "\nX = 1\n", set()),
    "the loop": ("training/loop.py", "\nX = 1\n", {"pretrain", "train"}),
    "the fit": ("training/fitting.py", "\nX = 1\n", {"pretrain", "train"}),
    "the classifier's training": ("features/classifier_training.py", "\nX = 1\n",
                                  {"classifier", "reference", "calibrate", "evaluate"}),
    "an interval": ("metrics/intervals.py", "\nX = 1\n", {"calibrate", "evaluate", "report", "track"}),
    # measures.py names each measure beside its function, and tables and MLflow read it
    "a distance of the evaluation": ("metrics/kid.py", "\nX = 1\n",
                                     {"calibrate", "evaluate", "report", "track"}),
    "a sampler": ("sampling/samplers.py", "\nX = 1\n", {"pretrain", "train", "sample"}),
    "the sampling of a run": ("sampling/sample_run.py", "\nX = 1\n", {"sample"}),
    "a figure": ("report/parts/ranking.py", "\nX = 1\n", {"report"}),
    "the tracking": ("tracking/results.py", "\nX = 1\n", {"track"}),
    "the splits": ("datasets/splitting/splits.py", "\nX = 1\n", None),
}


def digests(root, memory="syntax.json"):
    """stage -> digest of its code, the package in `root` in place of this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "PACKAGE", root / "src/kelvin")
        digest.module_file.cache_clear()
        code = Code(root, root / memory)
        found = {script.stem: code.digest(script) for script in (root / "stages").glob("*.py")}
    digest.module_file.cache_clear()
    code.remember()
    return found


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """(folder, digests) of a copy of the package and the stages, parsed once: a test edits one file of
    it and puts it back."""
    root = tmp_path_factory.mktemp("copied")
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root, digests(root)


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    """The file in which the syntax of this project's sources is remembered."""
    path = tmp_path_factory.mktemp("memory") / "syntax.json"
    digests(ROOT, path)
    return path


@pytest.mark.parametrize("name", [name for name, (*_, stages) in CODE.items() if stages is not None])
def test_code_remakes_the_stages_that_reach_it(name, copied):
    (root, before), (file, text, wanted) = copied, CODE[name]
    path = root / "src/kelvin" / file
    source = path.read_text()
    path.write_text('"""Another first line."""\n' + source.partition('"""\n')[2] if text is None
                    else source + text)
    after = digests(root)
    path.write_text(source)
    assert {stage for stage in before if before[stage] != after[stage]} - {"plan"} == wanted


def test_every_python_names_code_alike(tmp_path):
    """What Pythons 3.11, 3.12 and 3.13 parse or print in different ways; the name is 3.11's own."""
    path = tmp_path / "some.py"
    path.write_text('class A:\n    def f(self, *, n=[]):\n        return f"{n:{len(n)}}{n!r:>{2}}"\n')
    assert digest.parsed(path).digest == "b7881a42f1b0c1d6"


def test_what_was_parsed_is_remembered_and_a_damaged_memory_made_again(copied):
    root, first = copied
    assert digests(root) == first
    (root / "damaged.json").write_text("{")
    assert digests(root, "damaged.json") == first


def test_a_users_own_part_is_code_too(tmp_path, monkeypatch, memory):
    """`module:name` in params.yaml: its module and what that imports from the project's root."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(memory, tmp_path / "memory")
    (tmp_path / "mine.py").write_text("import beside\n")
    (tmp_path / "beside.py").write_text("A = 1\n")
    params = edited(("runs.ddpm-default.network", {"kind": "mine:Net"}))

    def train():
        digest.module_file.cache_clear()
        return plans(params, code=Code(tmp_path, tmp_path / "memory"))[
            plan_path("train", "ddpm-default", "0")]

    first = train()
    assert first.own == ["mine"]
    (tmp_path / "beside.py").write_text("A = 1  # the same\n")
    assert train().code == first.code
    (tmp_path / "beside.py").write_text("A = 23\n")
    assert train().code != first.code


def picture(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)


def fruit(root):
    for kind in ("apple", "pear"):
        for i in range(3):
            picture(root / "pictures" / kind / f"{i}.png", i)


RAW_EDITS = {
    "a changed picture": lambda root: (picture(root / "pictures/apple/0.png", 9),
                                       os.utime(root / "pictures/apple/0.png", (1, 1))),
    "a further picture": lambda root: picture(root / "pictures/apple/7.png"),
    "a picture less": lambda root: (root / "pictures/apple/0.png").unlink(),
    "an edited list of groups": lambda root: (root / "groups.csv").write_text("file,group\n"),
}


@pytest.mark.parametrize("name", RAW_EDITS)
def test_raw_images_remake_their_preparation(name, tmp_path):
    fruit(tmp_path)
    (tmp_path / "groups.csv").write_text("")
    images = {**RAW["datasets"]["cifar10-jpeg"], "path": "pictures",
              "groups": {"csv": "groups.csv"}}
    params = edited(("dataset", "cifar10-jpeg"), ("datasets.cifar10-jpeg", images))
    environ = {"KELVIN_DATA": str(tmp_path)}
    before = plans(params, environ)
    RAW_EDITS[name](tmp_path)
    assert remade(before, plans(params, environ)) == {"prepare/cifar10-jpeg"}


def test_another_place_of_raw_data_remakes_its_preparation(tmp_path):
    images = {**RAW["datasets"]["cifar10-jpeg"], "path": "pictures"}
    params = edited(("dataset", "cifar10-jpeg"), ("datasets.cifar10-jpeg", images))
    for name in ("a", "b"):
        fruit(tmp_path / name)
    picture(tmp_path / "b/pictures/apple/9.png")
    a, b = (plans(params, {"KELVIN_DATA": str(tmp_path / name)}) for name in ("a", "b"))
    assert remade(a, b) == {"prepare/cifar10-jpeg"}


def test_images_of_a_folder_run_remake_that_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    picture(tmp_path / "theirs/0.png")
    params = edited(("runs.theirs", {"title": "theirs", "source": "folder", "path": "theirs"}),
                    ("active", [*RUNS, "theirs"]))
    before = plans(params)
    picture(tmp_path / "theirs/1.png")
    assert remade(before, plans(params)) == {"train/theirs-0"}


def test_morphing_depends_on_the_images_it_blends_towards():
    params = edited(("active", ["tied-morph"]))
    plan = plans(params)[plan_path("pretrain")]
    assert [start.name for start in plan.starts] == ["tied-morph-0"] and not plan.scratch
    assert plan.starts[0].blend.dataset == "photos"
    other = edited(("active", ["tied-morph"]), ("datasets.photos.seed", 5))
    assert remade(plans(params), plans(other)) == {"pretrain"}


@pytest.fixture
def written(tmp_path, monkeypatch, memory):
    """A working directory with params.yaml and the plan made from it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".kelvin").mkdir()
    shutil.copy(memory, ".kelvin")
    for name in ("src", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    from kelvin.pipeline.planning import write_plan

    script = Path("stages/plan.py")
    return lambda: write_plan(script, {})


def test_a_plan_is_written_once_and_read_back(written):
    changed = written()
    params = Params(read("params.yaml"))
    assert len(changed) == 7 + 3 * len(params.active()) and written() == []
    name = params.house.active[0]
    plan = read_plan(TrainPlan, Path("stages/train.py"), name, "0")
    assert plan.config == params.run(name).trained() and plan.run == name


def test_what_was_checked_is_not_asked_again(written, monkeypatch):
    """`every` is resolved once: by other parameters, or where its record is damaged, anew."""
    written()
    before = read_json(plan_path("sample", "tied-blur", "0"))
    asked = []
    monkeypatch.setattr(run_checks, "with_samplers",
                        lambda params, run: asked.append(run) or run.drawn_by(["direct"]))
    assert written() == [] and asked == []
    assert read_json(plan_path("sample", "tied-blur", "0")) == before
    for text in ("{", "[]", '{"sha256": "0"}'):
        PARAMETERS.write_text(text)
        assert written() and asked
        assert read_json(plan_path("sample", "tied-blur", "0"))["sampling"]["samplers"] == ["direct"]
        asked.clear()
        plan_path("sample", "tied-blur", "0").write_text("{}")


def test_plans_of_runs_that_are_gone_go(written):
    written()
    odd = plan_path("train", "gone", "0")
    odd.write_text("{}")
    written()
    assert not odd.exists()


def test_a_stage_refuses_a_stale_or_missing_plan(written):
    script, item = Path("stages/train.py"), (RAW["active"][0], "0")
    with pytest.raises(KelvinError, match=f"train {item[0]} 0 is not planned .*dvc repro plan"):
        read_plan(TrainPlan, script, *item)
    written()
    with pytest.raises(KelvinError, match="train nothing 0 is not planned"):
        read_plan(TrainPlan, script, "nothing", "0")
    path = plan_path("train", *item)
    path.write_text(path.read_text().replace(read_json(path)["code"], "0" * 16))
    with pytest.raises(KelvinError, match="the code of the stage train was changed since"):
        read_plan(TrainPlan, script, *item)
    with open("params.yaml", "a") as file:
        file.write("# later\n")
    with pytest.raises(KelvinError, match="params.yaml was changed since data/plan was written"):
        read_plan(TrainPlan, script, *item)
    assert PARAMETERS.parent == path.parents[1]


def test_a_place_without_parameters_or_that_mlflow_cannot_take_is_one_sentence(tmp_path, monkeypatch):
    from kelvin.pipeline.planning import write_plan

    monkeypatch.chdir(tmp_path)
    with pytest.raises(KelvinError, match="params.yaml is not there: run from the project's root"):
        write_plan(ROOT / "stages/plan.py", {})
    odd = tmp_path / "a'b\"c"
    odd.mkdir()
    monkeypatch.chdir(odd)
    (odd / "params.yaml").write_text("")
    with pytest.raises(KelvinError, match="takes no path with both kinds of quotes"):
        write_plan(ROOT / "stages/plan.py", {})
