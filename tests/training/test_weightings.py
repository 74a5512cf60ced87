"""Weightings over time against the KL divergences that they stand for."""

import pytest
import torch
from helpers import LINEAR, NORMAL, blur, image, noise
from torch.distributions import Normal, kl_divergence

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import generator
from kelvin.restoration.parameterisation import PARAMETERISATIONS
from kelvin.training.weightings import build_weights, check_weighting, loss_per_image, weightings

COSINE = {"kind": "cosine", "steps": 100, "offset": 0.008, "beta_cap": 0.999}


@pytest.mark.parametrize(("kind", "schedule", "name"), [
    *(("gaussian-noise", schedule, name) for schedule in (LINEAR, COSINE)
      for name in ("eps", "x0", "v", "velocity")),
    *(("interpolation", {"kind": "own", "steps": 50}, name) for name in ("x0", "velocity")),
    ("interpolation", LINEAR, "velocity")])
def test_vlb_weights_times_the_loss_are_the_kl_of_a_wrong_prediction(kind, schedule, name):
    """A finite error in the prediction: weight times loss over the direct KL is one number at every t
    (1e-4: weights are float32), at t = 1 over the Gaussian log-density it costs."""
    process = degradations.build(image(), {"kind": kind}, schedule, NORMAL)
    parameterisation, T = PARAMETERISATIONS[name], process.steps
    weights = weightings.find("vlb")(process, parameterisation)
    x0, z, error = (torch.randn(1, 1, 8, 8, generator=generator(i), dtype=torch.float64)
                    for i in range(3))
    ratios = []
    for t in (1, 2, 3, 10, T // 2, T - 1, T):
        at = torch.tensor([t])
        x_t = process.degrade(x0, at, z)
        target = parameterisation.target(process, x0, z, x_t, at)
        x0_hat = parameterisation.x0_hat(process, target + error, x_t, at)
        if t == 1:
            sd = process.noise[1] / process.signal[1]
            cost = (Normal(x0, sd).log_prob(x0) - Normal(x0_hat, sd).log_prob(x0)).sum()
        else:
            (p, std), (q, _) = (process.posterior(x_t, x, at, at - 1) for x in (x0_hat, x0))
            cost = kl_divergence(Normal(q, std), Normal(p, std)).sum()
        ratios.append(float(weights[t] * loss_per_image("l2", target + error, target) / cost))
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-4)
    assert float(weights[1:].mean()) == pytest.approx(1, rel=1e-5) and weights[0] == 0


def test_simple_weights_are_one():
    for name, process in (("eps", noise()), ("x0", blur())):
        found = weightings.find("simple")(process, PARAMETERISATIONS[name])
        assert torch.equal(found, torch.ones(process.steps + 1))


def test_weights_without_meaning_are_refused():
    hot = noise()
    check_weighting({"kind": "vlb"}, "l2", hot, "gaussian-noise")
    check_weighting({"kind": "simple"}, "l1", blur(), "gaussian-blur")
    for loss, process, said in (("l2", blur(), "but mine is cold: set weighting to simple"),
                                ("huber", hot, "but training.loss = 'huber': set loss to l2")):
        with pytest.raises(KelvinError, match=said) as error:
            check_weighting({"kind": "vlb"}, loss, process, "mine")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("schedule", [LINEAR, COSINE])
@pytest.mark.parametrize("name", ["eps", "x0", "v"])
def test_min_snr_and_p2_weights_against_their_papers_in_a_slow_loop(schedule, name):
    """From alpha-bar alone: Hang et al. 2023, section 3.4, target by target; Choi et al. 2022, eq. 8,
    where a squared error of x0 is one of eps over SNR, and one of v over 1 + 1 / SNR (1e-5: float32)."""
    process = degradations.build(image(), {"kind": "gaussian-noise"}, schedule, NORMAL)
    min_snr, p2 = (weightings.build(section, process, PARAMETERISATIONS[name]) for section in (
        {"kind": "min-snr", "gamma": 3.0}, {"kind": "p2", "k": 0.5, "gamma": 0.7}))
    for t, alpha_bar in enumerate(process.schedule.alpha_bar.tolist()[1:], 1):
        snr = alpha_bar / (1 - alpha_bar)
        hang = {"eps": min(1, 3 / snr), "x0": min(snr, 3), "v": min(snr, 3) / (snr + 1)}[name]
        choi = {"eps": 1, "x0": snr, "v": snr / (snr + 1)}[name] / (0.5 + snr) ** 0.7
        assert float(min_snr[t]) == pytest.approx(hang, rel=1e-5)
        assert float(p2[t]) == pytest.approx(choi, rel=1e-5)
    assert min_snr[0] == p2[0] == 0


def test_weights_by_snr_are_refused_for_a_cold_process():
    for kind in ("min-snr", "p2"):
        with pytest.raises(KelvinError, match="signal-to-noise ratio of a hot process, but mine is"):
            check_weighting({"kind": kind}, "l2", blur(), "mine")
        check_weighting({"kind": kind}, "l1", noise(), "gaussian-noise")
    with pytest.raises(KelvinError, match="training.weighting.gamma = -1.0"):
        check_weighting({"kind": "min-snr", "gamma": -1.0}, "l2", noise(), "gaussian-noise")


@pytest.mark.parametrize("kind", ["vlb", "min-snr", "p2"])
@pytest.mark.parametrize("name", ["eps", "scaled-eps", "v"])
def test_weights_that_are_not_finite_are_refused(kind, name):
    process = noise(zero_terminal_snr=True)
    parameterisation, section = PARAMETERISATIONS[name], {"kind": kind}
    if name == "v":
        assert build_weights(section, process, parameterisation).isfinite().all()
        return
    with pytest.raises(KelvinError, match=f"^runs.a.training.weighting = '{kind}' has no finite weight "
                                          "at t = .* of 1000, .*: set weighting to simple"):
        build_weights(section, process, parameterisation, "runs.a.training")
