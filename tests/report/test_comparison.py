"""Cost beside quality: equal time, the Pareto front, the table, and what is said of them."""

import json

import pytest
from helpers import studied

from kelvin.report.results import collect
from kelvin.report.studies.comparison import (
    cost,
    curve,
    equal_time,
    pareto,
    training_flops,
)

# run: FMD at the end, FLOPs per image, seconds of the first and of the second epoch
MADE = {"ddpm-default": (5.0, 10_000, (1.0, 1.0)), "arch-simple": (8.0, 2_000, (0.5, 0.5)),
        "arch-resnet": (6.0, 20_000, (0.8, 1.2)), "arch-fruit": (4.0, 40_000, (3.0, 3.0))}


def build(project, replicates=(0,), more=None):
    made = project(list(MADE), replicates=replicates)
    for run, (fmd, flops, seconds) in MADE.items():
        for r in replicates:
            made.add(run, r, fmd=fmd + 0.01 * r)
            path = made.root / f"data/evaluations/digits/{run}-{r}/details.json"
            details = json.loads(path.read_text())
            details["cost"] |= {"flops_per_image": flops, "peak_memory_bytes": 2**20,
                                "epoch_seconds": list(seconds)} if more is None else more
            path.write_text(json.dumps(details))
    results = collect(made.plan)
    return results, studied(results)["architectures"]


def test_pareto_front():
    """Against every pair: on the front is what no other point beats."""
    points = [(1, 9), (2, 5), (3, 5), (3, 4), (2, 6), (5, 4.5), (6, 1)]
    expected = {i for i, (x, y) in enumerate(points) if not any(
        a <= x and b <= y and (a < x or b < y) for a, b in points)}
    assert set(pareto(points)) == expected and pareto([(1, 1)]) == [0]
    assert [points[i][0] for i in pareto(points)] == sorted(points[i][0] for i in pareto(points))


def test_equal_time_is_the_largest_that_all_reached(project):
    """arch-simple is done after 1 s: the unet is compared after its first epoch, arch-resnet a sixth of
    the way from its first (0.8 s, FMD 9) to its second (2 s, 4.5); arch-fruit had kept nothing yet."""
    results, study = build(project)
    limit, reached = equal_time(study.trained)
    assert limit == 1.0
    assert {run: epoch for run, (epoch, _) in reached.items()} == pytest.approx(
        {"ddpm-default": 1, "arch-simple": 2, "arch-resnet": 1 + 1 / 6})
    assert {run: fmd for run, (_, fmd) in reached.items()} == pytest.approx(
        {"ddpm-default": 9.0, "arch-simple": 4.5, "arch-resnet": 9 * 0.5 ** (1 / 6)})
    assert [point[1] for point in curve(study.trained[0])] == [1.0, 2.0]
    assert training_flops(study.trained[0]) == 3 * 10_000 * 8 * study.trained[0].config.training.batch


def test_table_and_paragraphs(project):
    results, study = build(project)
    rows = {row["run"]: row for row in study.tables()[0].rows}
    assert [name for name, row in rows.items() if row["pareto"]] == [
        "ddpm-default", "arch-simple", "arch-fruit"]
    assert rows["arch-fruit"]["equal_fmd"] is None
    assert rows["ddpm-default"]["equal_fmd"] == pytest.approx(9.0)
    assert rows["ddpm-default"]["peak_memory_bytes"] == 2**20
    said = " ".join(study.paragraphs())
    assert "After 8 updates each, FMD on this seed is, from low to high: “fruit-unet” 4.00" in said
    assert "At equal time, 1.00 s of updates on CPU, fp32, 1 thread, FMD while training" in said
    assert "“fruit-unet” had kept no samples by then." in said
    assert "a lower FMD on this seed than “unet-resnet”" in said
    assert "better" not in said and "worse" not in said
    assert "Not active, and so missing here: arch-conv and arch-cnn." in said


def test_with_five_seeds_a_test_decides(project):
    results, study = build(project, replicates=(0, 1, 2, 3, 4))
    said = " ".join(study.paragraphs())
    assert "paired t-tests of FMD over 5 training seeds" in said
    assert "on these 5 seeds" in said


@pytest.mark.parametrize("more, count", [(None, 2), ({}, 1)])
def test_figures_with_and_without_seconds_per_epoch(project, more, count):
    """Records made earlier know neither seconds per epoch nor memory: no such curve, no such number."""
    results, study = build(project, more=more)
    assert [f.name for f in study.figures()] == [
        "architectures-pareto", *["architectures-progress"][:count - 1], "architectures-samples"]
    rows = study.tables()[0]
    if more == {}:
        assert cost(study.trained[0], "peak_memory_bytes") is None and rows.cells()
        assert not any("At equal time" in s for s in study.findings())
