import numpy as np
import pytest
from published_models import SAMPLERS, untrained


@pytest.fixture(scope="session")
def models(params):
    """{run: its untrained weights}: noise, blur, lost pixels, lost pixels and noise, classes."""
    return {name: untrained(params, name, sampler) for name, sampler in SAMPLERS.items()}


@pytest.fixture(scope="session")
def clean():
    return np.random.default_rng(1).integers(0, 256, (5, 8, 8), np.uint8)
