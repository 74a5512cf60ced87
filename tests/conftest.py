"""Shared pieces: the project's own params.yaml, and small degradations of every kind in it."""

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def params():
    from kelvin import params

    return params.Params(params.read(ROOT / "params.yaml"))
