"""Sentences follow the numbers both ways, and keep to the words that the number of seeds allows."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import studied

from kelvin.report.aggregate import metrics
from kelvin.report.kit.words import Score, flags, listed, ranking, unanswered, verdicts
from kelvin.report.parts.ranking import hot_against_cold
from kelvin.report.results import collect
from kelvin.report.studies.blur import kept_image, readings
from kelvin.report.studies.hyperparameters import (
    error_shows,
    loss_shows,
    rate_reason,
    schedule_reason,
    unlike,
)
from kelvin.report.studies.schedules import equal_noise, loss_and_fmd, terminal

JUDGING = re.compile(r"\b(better|worse|significant)", re.I)


def score(title, *values, width=0.5, **flagged):
    mean = float(np.mean(values))
    return Score(title, list(values), mean - width, mean + width, mean / 50,
                 **({"copier": False, "below_floor": False} | flagged))


def test_ranking_names_lowest_and_highest_whichever_they_are():
    there = " ".join(ranking([score("a", 1.0), score("b", 9.0)], 0.95))
    back = " ".join(ranking([score("a", 9.0), score("b", 1.0)], 0.95))
    assert "“a” has the lowest FMD on this seed, 1.00 [0.500, 1.50]" in there
    assert "“b” has the lowest" in back and "“a” the highest" in back
    assert "95 % interval over the sampled images" in there
    assert "overlaps with no other" in there


def test_ranking_says_which_intervals_overlap():
    said = " ".join(ranking([score("a", 1.0), score("b", 1.4), score("c", 9.0)], 0.95))
    assert "overlaps with that of “b”." in said


def test_ranking_over_seeds():
    said = ranking([score("a", 1.0, 2.0), score("b", 3.0, 4.0)], 0.9)[0]
    assert "on these 2 seeds" in said and "90 % interval over training seeds" in said


@pytest.mark.parametrize("count", [1, 2, 4])
def test_fewer_than_five_seeds_judge_nothing(count):
    assert verdicts(score("a", *[1.0] * count), [score("b", *[9.0] * count)], 0.95) == []


def test_five_seeds_are_tested():
    base = np.array([5.0, 5.1, 4.9, 5.05, 4.95])
    jitter = np.array([0.1, -0.1, 0.05, -0.05, 0.0])
    said = verdicts(score("base", *base), [score("low", *(base - 2 + jitter)),
                                           score("high", *(base + 2 + jitter)),
                                           score("same", *(base + jitter))], 0.95)[0]
    assert "“low”: better (FMD difference −2.00" in said and "“high”: worse" in said
    assert "“same”: no significant difference" in said and "Holm's correction for 3" in said
    assert "over 5 training seeds" in said


def test_flags_speak_of_copies_and_of_the_floor():
    assert flags([score("a", 1.0)]) == []
    assert "30 % of its samples" in flags([score("a", 1.0, copier=True, copy_fraction=0.3)])[0]
    assert "below the floor" in flags([score("a", -1.0, below_floor=True)])[0]


def test_missing_runs_are_named():
    assert unanswered([], ["x"]) == []
    assert "missing here: a and b" in unanswered(["a", "b"], ["x"])[0]
    assert "No run of this study is active" in unanswered(["a"], [])[0]
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_terminal_noise():
    assert "one order of magnitude" in terminal({"a": 4e-5, "b": 5e-5})
    apart = terminal({"a": 4e-9, "b": 4e-5})
    assert "4.0 orders of magnitude apart" in apart and "(“a”)" in apart


def test_loss_against_fmd():
    rising = {str(i): (float(i), float(i)) for i in range(1, 6)}
    falling = {str(i): (float(i), -float(i)) for i in range(1, 6)}
    assert "is 1.0." in loss_and_fmd(rising)[0] and "is −1.0." in loss_and_fmd(falling)[0]
    assert "correlation" not in loss_and_fmd(dict(list(rising.items())[:3]))[0]


def test_equal_noise_takes_what_all_share():
    said = equal_noise({"a": {0.0: 1.0, 2.0: 1.0}, "b": {2.0: 3.0, 4.0: 9.0}})[0]
    assert "at most 3.00 times the smallest (at log-SNR 2)" in said
    assert "share no log-SNR" in equal_noise({"a": {0.0: 1.0}, "b": {2.0: 1.0}})[0]


def test_loss_shows_a_mistake_or_not():
    assert loss_shows(0.2, 0.1).endswith("shows it.")
    assert loss_shows(0.1, 0.1).endswith("does not show it.")


def test_errors_speak_where_the_losses_are_not_one_measure():
    base = {-2.0: 1.0, 0.0: 0.1, 2.0: 0.01}
    said = error_shows("a mean over other noise levels",
                       {-2.0: 3.0, 0.0: 0.05, 2.0: 0.01, 4.0: 9.0}, base)
    assert said == ("Its validation loss is a mean over other noise levels and cannot be compared; at "
                    "equal log-SNR (-2 to 2, the part that both reach) its error of x0_hat is between "
                    "0.500 and 3.00 times the baseline's: it shows the mistake at 1 of 3 log-SNRs (more "
                    "than 1.1 times).")
    assert "does not show the mistake (nowhere more than 1.1 times)" in error_shows("", base, base)
    said = error_shows("", {2.0: 0.02}, base)
    assert "(2, the only shared one) its error of x0_hat is 2.00 times" in said
    for nothing in ({}, {7.0: 1.0}):
        said = error_shows("a mean of another loss", nothing, base)
        assert "a mean of another loss and cannot be compared" in said and "left open" in said


@pytest.mark.parametrize("run, loss, verdict", [
    ("bad-no-noise", 99.0, "Its validation loss is a mean over other noise levels and cannot be "
     "compared; at equal log-SNR (-2 to 2) its error of x0_hat is 1.00 times the baseline's: it does "
     "not show the mistake"),
    ("bad-lr-high", 99.0, "The final validation loss, 99.0 against 0.110, shows it."),
    ("bad-lr-low", 0.11, "The final validation loss, 0.110 against 0.110, does not show it.")])
def test_a_mistake_is_judged_by_what_can_be_compared(project, run, loss, verdict):
    made = project(["ddpm-default", run], replicates=(0, 1))
    for r in (0, 1):
        made.add("ddpm-default", r)
        made.add(run, r, val_loss_ema=loss)
    results = collect(made.plan)
    study = studied(results)["hyperparameters"]
    said = " ".join(study.paragraphs())
    assert verdict in said and ("99.0" in said) == (run == "bad-lr-high")


@pytest.mark.parametrize("a, b, why", [
    ("ddpm-default", "ddpm-cosine", "a mean over other noise levels"),
    ("ddpm-default", "ddpm-l1", "a mean of another loss"),
    ("ddpm-default", "ddpm-x0", "that of another target"),
    ("ddpm-default", "ddpm-min-snr", ""), ("ddpm-default", "bad-lr-low", "")])
def test_what_makes_a_loss_another_measure(params, a, b, why):
    a, b = (SimpleNamespace(config=params.run(name)) for name in (a, b))
    assert unlike(a, b) == why and unlike(a, a) == ""


def test_weak_blur_keeps_the_image():
    weak = kept_image("weak", 0.0, 9.1, 9.0)
    assert "keeps everything" in weak and "higher than the 9.00 of a Gaussian" in weak
    strong = kept_image("strong", 0.3, 3.0, 9.0)
    assert "differs from the image by an RMSE of 0.300" in strong and "lower than" in strong


def config(**parts):
    return SimpleNamespace(**parts)


def test_reasons_follow_the_configuration():
    schedule = SimpleNamespace(alpha_bar=np.array([1.0, 0.36]), log_snr=np.array([np.inf, 6.0, -0.6]))
    end = SimpleNamespace(alpha_bar=np.array([1.0, 4e-5]), log_snr=np.array([np.inf, 9.0, -10.0]))
    usual = SimpleNamespace(title="usual", schedule=end, steps=1000, record={"nfe": 50},
                            config=config(schedule="a", training=config(lr=0.002)), first=None)
    history = [{"val_loss": 1.0}, {"val_loss": 0.5}]
    other = SimpleNamespace(title="other", schedule=schedule, steps=5, record={"nfe": 5},
                            config=config(schedule="b", training=config(lr=0.1)),
                            first=SimpleNamespace(history=history))
    assert schedule_reason(usual, usual) == rate_reason(usual, usual) == ""
    said = schedule_reason(usual, other)
    assert "still holds 60 % of the image's amplitude" in said and "With T = 5 (not 1000)" in said
    assert "50 times the usual 0.002" in rate_reason(usual, other)
    assert "fell by 50 %" in rate_reason(usual, other)


def test_single_reading_is_held_against_its_composed_twin():
    def run(reading, removed, fmd):
        model = config(model_dump=lambda: {"sigma": 1, "reading": reading})
        return SimpleNamespace(config=config(degradation=model),
                               signal_variance=np.array([1, 1 - removed]), mean=lambda key: fmd)

    single, composed = run("single", 0.8, 4.0), run("composed", 0.99, 2.0)
    said = readings(single, [single, composed])
    assert "80.0 %" in said and "composed 99.0 %" in said and "4.00 against 2.00" in said
    assert readings(composed, [single, composed]) == "" and readings(single, [single]) == ""


def test_paragraphs_of_one_seed_never_judge(project):
    made = project(["ddpm-default", "ddpm-long", "bad-lr-high", "blur-strong", "blur-weak"])
    for i, run in enumerate(made.plan.active):
        made.add(run, fmd=2.0 + i)
    results = collect(made.plan)
    records = metrics(results)
    said = {name: " ".join(study.paragraphs()) for name, study in studied(results).items()}
    assert not any(JUDGING.search(text) for text in [*said.values(), *hot_against_cold(results, records)])
    hyperparameters, blur = said["hyperparameters"], said["blur"]
    assert "“linear, T=1000” has the lowest FMD on this seed" in said["schedules"]
    assert "2.00 times as high on this seed" in hyperparameters
    assert "FMD 5.00 by Algorithm 2, 6.00 by Algorithm 1 and 7.00 by one direct step" in blur
    assert "bad-lr-low" in hyperparameters  # not active: named


def test_paragraphs_of_five_seeds_do(project):
    made = project(["ddpm-default", "ddpm-long"], replicates=range(5))
    for r in range(5):
        made.add("ddpm-default", r, fmd=5.0 + 0.1 * r)
        made.add("ddpm-long", r, fmd=2.0 + 0.11 * r)
    results = collect(made.plan)
    said = " ".join(studied(results)["schedules"].paragraphs())
    assert "“linear, T=5000”: better (FMD difference −2.98" in said
