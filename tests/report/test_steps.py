"""D2: the points that are compared, and where more steps stop paying."""

import pytest
from helpers import studied

from kelvin.report.results import collect
from kelvin.report.studies.steps import paid


def test_where_it_stops_paying():
    said = paid("cold", "steps", [(5, 8.0), (20, 4.2), (100, 4.0)], 1)
    assert "FMD is 8.00 at 5 and 4.00 at 100, a ratio of 2.00" in said and "on this seed" in said
    assert "20 already come within 10 % of it (4.20)" in said
    assert "no smaller number comes within 10 %" in paid("hot", "steps", [(5, 8.0), (20, 4.0)], 1)
    assert "the fewest that were tried" in paid("hot", "steps", [(5, 4.0), (20, 8.0)], 1)


def test_too_few_to_compare():
    assert "only 5 (FMD 8.00) is active" in paid("hot", "steps", [(5, 8.0)], 1)
    assert "none are active" in paid("hot", "steps", [], 1)


@pytest.fixture
def found(project):
    made = project(["tied-noise", "tied-blur", "steps-blur-5"])
    for run, fmd in (("tied-noise", 3.0), ("tied-blur", 6.0), ("steps-blur-5", 20.0)):
        made.add(run, fmd=fmd)
    results = collect(made.plan)
    return results, studied(results)["steps"]


def test_points(found):
    results, study = found
    at = study.curves()
    # the invented records: the i-th sampler has 5 + 5 i evaluations and i more FMD
    assert [(p.at, p.mean("fmd"), p.sampler) for p in at["cold", "process"]] == [
        (5, 20.0, "improved"), (100, 13.0, "improved-100")]
    assert [(p.at, p.sampler) for p in at["hot", "process"]] == [(100, "ddim-100")]
    assert [p.sampler for p in at["hot", "sampler"]] == ["ddim-50", "ddim-5", "ddim-20", "ddim-100"]
    assert all(p.run.name == "tied-blur" for p in at["cold", "sampler"])
    assert ("warm", "process") not in at


def test_paragraph_and_table(found):
    results, study = found
    said = " ".join(study.findings())
    assert "Cold, over steps of the process: on this seed FMD is 20.0 at 5 and 13.0 at 100" in said
    assert "Hot, over steps of the process: only 100" in said and "at T = 100" in said
    rows = study.tables()[0].rows
    assert len(rows) == 1 + 4 + 2 + 4 and {r["run"] for r in rows} <= {r.name for r in study.runs}
