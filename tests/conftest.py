"""Shared pieces: the project's own params.yaml, and small degradations of every kind in it."""

import os
from functools import cache
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
torch.set_num_threads(1)


# files of few but long tests: xdist would start them last, and one core would wait for the other
LONG = ("test_pipeline.py", "test_plan_repro.py", "test_as_dvc.py", "test_dask.py",
        "test_fruits_study.py", "test_killed_stage.py", "test_kills.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@cache
def own_params():
    """The project's params.yaml, read once a process."""
    from kelvin.config.resolve import Params, read

    return Params(read(ROOT / "params.yaml"))


@pytest.fixture(scope="session")
def params():
    return own_params()
