"""The stage `pretrain` in DVC's own graph: every run waits for its own start, and for no other's."""

from conftest import ROOT
from dvc.repo import Repo

from kelvin.config.resolve import read


def test_every_training_depends_on_its_own_start_only():
    raw = read(ROOT / "params.yaml")
    with Repo(str(ROOT)) as repo:
        stages = {stage.addressing: stage for stage in repo.index.stages}
        needs = {stage.addressing: {need.addressing for need in repo.index.graph.successors(stage)}
                 for stage in repo.index.graph}
    (start,) = stages["pretrain"].outs
    assert start.persist  # what is there and still right is not trained again
    for run in raw["active"]:
        name = f"{run}-{raw['replicates'][0]}"
        deps = {dep.def_path for dep in stages[f"train@{name}"].deps}
        own = f"data/starts/{raw['dataset']}/{name}"
        assert [dep for dep in deps if dep.startswith("data/starts")] == [own]
        assert "pretrain" in needs[f"train@{name}"] and "pretrain" not in needs[f"sample@{name}"]
