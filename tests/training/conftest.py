"""Both precisions, so that what is tested does not depend on the machine."""

import pytest

from kelvin.common.hardware import Precision

# bf16 is emulated where the CPU lacks it: slow, but the networks here are small
PRECISIONS = {"fp32": Precision("no", False), "bf16": Precision("bf16", False)}


@pytest.fixture(params=list(PRECISIONS))
def precision(request):
    """A precision's name in params.yaml."""
    return request.param


@pytest.fixture
def trainer(request, precision):
    """The module's own `make`, in either precision."""
    def made(*arguments, **options):
        return request.module.make(*arguments, precision=PRECISIONS[precision], **options)
    return made
