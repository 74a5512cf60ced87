"""Shared pieces: the project's own params.yaml, which tests are slow, and in which order files start.

Costly in a test, in seconds of one core: a process that imports torch (3), a report with figures (10),
a new project under DVC (4), a new MLflow database (10 to 20). They are shared: `undrawn` in report,
`new_project` in pipeline, `first` in tracking, and `warm_python`, which has torch imported.
"""

import os
from functools import cache
from pathlib import Path

import pytest
import torch
import warm

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
torch.set_num_threads(1)


# files that take long, the longest first: started last, one would keep one core while the other waits
LONG = ("test_plan_repro.py", "test_pipeline.py", "test_dask.py", "test_as_dvc.py", "test_processes.py",
        "test_killed_stage.py", "test_refusals.py", "test_fruits_study.py", "test_kills.py")
# what `make check` leaves to `make test`: whole rooms that start processes, train or draw, and long files
SLOW_ROOMS = ("pipeline", "report", "tracking", "training")
SLOW = (*LONG, "test_acceptance.py", "test_check_images.py", "test_conditioning.py", "test_faults.py",
        "test_fuzz.py", "test_imagenet.py", "test_inception.py", "test_intervals.py", "test_lazy.py",
        "test_oracles.py", "test_params.py", "test_plan.py", "test_properties.py",
        "test_recoverability.py", "test_rules.py", "test_settle.py", "test_tied.py", "test_vary.py",
        "test_walk.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Long files first; a worker has a whole file (--dist loadfile), whose tests share what it makes."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    for item in items:
        room, name = item.path.parent.name, item.path.name
        if name in SLOW or room in SLOW_ROOMS:
            item.add_marker(pytest.mark.slow)


@cache
def own_params():
    """The project's params.yaml, read once a process."""
    from kelvin.config.resolve import Params, read

    return Params(read(ROOT / "params.yaml"))


@pytest.fixture(scope="session")
def params():
    return own_params()


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory):
    """A `python` that starts fast (see warm.py); in a folder of its own, to be first on PATH."""
    python, server = warm.start(tmp_path_factory.mktemp("w"))
    yield python
    server.kill()
    server.wait()
