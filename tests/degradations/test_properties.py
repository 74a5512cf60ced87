"""What every degradation must do, whatever it is: the project's own runs, any size, any channels."""

import pytest
import torch
from helpers import image, unit_images

from kelvin import degradations
from kelvin.random import BatchRandom, BlockRandom, generator

SIZES = [(1, 8, 8), (3, 9, 7), (1, 28, 28)]


def cases(params):
    seen = {}
    for name, run in params.runs.items():
        seen.setdefault(str((run.degradation, run.schedule.kind)), name)
    return list(seen.values())


def build(params, name, size):
    run = params.run(name)
    spec = image(*size, low=run.restorer.low, high=run.restorer.high)
    return spec, degradations.build(spec, run.degradation.model_dump(), run.schedule.model_dump(),
                                    run.prior.model_dump())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_contract(params, size):
    for name in cases(params):
        spec, process = build(params, name, size)
        x0 = spec.encode(unit_images(5, spec))
        z = process.draw(BatchRandom(5, generator("test")))
        zero, T = torch.zeros(5, dtype=torch.long), process.steps
        assert torch.equal(process.degrade(x0, zero, z), x0), f"{name}: D(x, 0) must be x"
        mixed = torch.tensor([1, T, T // 2 or 1, 1, T])
        x_t = process.degrade(x0, mixed, z)
        assert x_t.shape == x0.shape and torch.isfinite(x_t).all()
        for i in range(5):  # a batch of mixed times is each image at its own time
            alone = process.degrade(x0[i:i + 1], mixed[i:i + 1], None if z is None else z[i:i + 1])
            torch.testing.assert_close(x_t[i:i + 1], alone, rtol=1e-5, atol=1e-6)
        curve = process.severity()
        assert len(curve) == T + 1 and abs(curve[0]) < 1e-6 and curve[-1] >= curve[1] - 1e-6
        if process.can_estimate_z:
            torch.testing.assert_close(process.estimate_z(x_t, x0, mixed), z, rtol=1e-2, atol=1e-2)


def test_priors_generate_from_a_seed_alone(params):
    for name in cases(params):
        spec, process = build(params, name, (1, 8, 8))
        x0 = spec.encode(unit_images(200, spec))
        z = process.draw(BatchRandom(200, generator("fit")))
        process.prior.fit(process.degrade(x0, torch.full((200,), process.steps), z))
        whole = process.prior.draw(BlockRandom(0, 40, 7))
        part = process.prior.draw(BlockRandom(13, 29, 7))
        torch.testing.assert_close(whole.x[13:29], part.x, rtol=1e-6, atol=1e-6)
        assert not torch.equal(whole.x, process.prior.draw(BlockRandom(0, 40, 8)).x)
        saved = process.prior.tensors()
        _, again = build(params, name, (1, 8, 8))
        again.prior.load(saved)
        assert torch.equal(again.prior.draw(BlockRandom(0, 40, 7)).x, whole.x)
