"""Numbers that are no longer finite end a training in one sentence, before anything of it is kept."""

import math
import os
import pty
import subprocess
import sys
import termios
import textwrap

import numpy as np
import pytest
import torch
from conftest import ROOT
from sklearn.datasets import load_digits
from trainers import FP32, SHAPE, config, digits, make

from kelvin.artifacts.samples import Bound, SnrErrors
from kelvin.common.divergence import WORDS, not_finite
from kelvin.common.errors import KelvinError
from kelvin.common.files import write_json
from kelvin.config.schema import ClassifierConfig
from kelvin.evaluation.rows import bound_summary, log_snr_rows
from kelvin.features.classifier_network import Classifier
from kelvin.features.classifier_training import train_classifier
from kelvin.restoration import assemble
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.fitting import fit_process
from kelvin.training.pretraining import Pretrainer


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_last_update_may_diverge_too(params, tmp_path, trainer, epochs):
    """One update an epoch: the loss before the step at which it diverges is finite."""
    one = trainer(config(params, "ddpm-default", lr=1e30, warmup=0.0, epochs=epochs), tmp_path, n=32,
                  sampler={"kind": "ddim", "steps": 2, "eta": 0.0})
    with pytest.raises(KelvinError, match=f"^training diverged: .* after epoch 1 of {epochs}; try a "
                                          r"lower training.lr \(now 1e\+30\)") as error:
        one.run()
    assert "\n" not in str(error.value)
    assert not one.checkpoint.path.exists() and not one.result.samples


@pytest.mark.parametrize("lr", [1e3, 1e6, 1e9, 1e12, 1e16, 1e20])
def test_either_finite_or_refused(params, tmp_path, lr):
    """Losses of 1e35 are finite while the norm of their gradients is not."""
    one = make(config(params, "ddpm-default", lr=lr, warmup=0.0, epochs=2), tmp_path, precision=FP32,
               sampler={"kind": "ddim", "steps": 2, "eta": 0.0})
    try:
        history = one.run().history
    except KelvinError as error:
        assert str(error).startswith("training diverged: ") and not one.checkpoint.path.exists()
    else:
        assert all(math.isfinite(value) for row in history for value in row.values())
        assert all(bool(torch.isfinite(p).all()) for p in one.bare.parameters())
    assert lr < 1e9 or not one.checkpoint.path.exists()


@pytest.mark.parametrize("column", list(WORDS))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_every_column_of_the_history_is_looked_at(column, value):
    row = dict.fromkeys(WORDS, 1.0)
    assert not_finite(row) is None
    assert not_finite(row | {column: value}) == f"{WORDS[column]} is {value}"


@pytest.mark.parametrize("name", ["0.weight", "1.bias", "1.running_var"])
@pytest.mark.parametrize("which", [0, 1])
def test_weights_and_buffers_of_every_network_are_looked_at(name, which):
    networks = [torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)) for _ in range(2)]
    assert not_finite({}, *networks) is None
    with torch.no_grad():
        networks[which].state_dict()[name].view(-1)[-1] = math.inf
    assert not_finite({}, *networks) == "weights are not finite"


@pytest.mark.parametrize("which", ["bare", "ema", "further"])
def test_the_weights_of_every_average_are_looked_at_after_an_epoch(params, tmp_path, which):
    """Of a further average no loss is taken."""
    one = make(config(params, ema_more=[0.5]), tmp_path, precision=FP32)
    assert one.held_losses(1, {})["val_loss"] > 0
    network = {"bare": one.bare, "ema": one.ema.network, "further": one.more[0].network}[which]
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = math.inf
    with pytest.raises(KelvinError, match="^training diverged: .* after epoch 1 of 4; try"):
        one.held_losses(1, {})


@pytest.mark.parametrize(("clip", "advised"), [(1.0, False), (None, True)])
def test_what_is_set_already_is_not_advised(params, tmp_path, clip, advised):
    one = make(config(params, grad_clip=clip), tmp_path, precision=FP32)
    assert ("training.grad_clip = 1.0" in str(one.diverged("the loss is nan"))) == advised


def test_pre_training_is_named(params, tmp_path):
    run = config(params, lr=1e30, warmup=0.0)
    restorer, images = assemble.build(run, SHAPE), digits(96)
    fit_process(restorer, images[:64], None)
    one = Pretrainer(run, restorer, images[:64], images[64:], 0, FP32, Checkpoint("a", tmp_path), [1])
    with pytest.raises(KelvinError, match="^pre-training diverged: "):
        one.run()
    assert not one.checkpoint.path.exists()


@pytest.mark.parametrize("lr", [1e10, 1e20, 1e30, 1e38])
@pytest.mark.parametrize("images", [64, 256])
def test_the_classifier_is_named(lr, images):
    data = load_digits()
    settings = ClassifierConfig(channels=[4, 4], features=16, epochs=1, batch=64, lr=1.0, images=images)
    settings = settings.model_copy(update={"lr": lr})  # more than params.yaml takes
    with pytest.raises(KelvinError, match="^training of the classifier diverged: .*; try a lower "
                                          "classifier.lr") as error:
        train_classifier(settings, Classifier(SHAPE, [4, 4], 16, 10), digits(256), data.target[:256], 0)
    assert "\n" not in str(error.value) and "training.lr" not in str(error.value)


def test_the_sentence_has_a_line_of_its_own_on_a_terminal(tmp_path):
    script = tmp_path / "go.py"
    script.write_text(textwrap.dedent(f"""
        import pathlib, sys
        sys.path.insert(0, {str(ROOT / "tests")!r})
        import trainers as t
        from kelvin.config.resolve import Params, read
        from kelvin.common.errors import KelvinError
        run = t.config(Params(read("params.yaml")), lr=1e30, warmup=0.0)
        try:
            t.make(run, pathlib.Path({str(tmp_path)!r}), precision=t.FP32).run()
        except KelvinError as error:
            print(f"kelvin: {{error}}", file=sys.stderr)
    """))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen([sys.executable, script], cwd=ROOT, stderr=theirs, stdout=theirs)
    os.close(theirs)
    parts = []
    while True:
        try:
            parts.append(os.read(ours, 4096))
        except OSError:  # the other end is closed
            break
        if not parts[-1]:
            break
    os.close(ours)
    assert process.wait() == 0
    lines = b"".join(parts).decode().replace("\r\n", "\n").split("\n")
    assert "train:" in "".join(lines)  # there was a bar
    (sentence,) = (line for line in lines if "diverged" in line)
    assert sentence.startswith("kelvin: training diverged: ") and "\r" not in sentence


def test_errors_too_large_for_their_squares_are_null_with_a_reason(tmp_path):
    """Finite values whose spread overflows, infinite ones, and usual ones, which stay as they are."""
    errors = np.array([[1.0, 3.0], [1e30, 3e30], [np.inf, 1.0], [np.nan, 1.0]], np.float32)
    rows = log_snr_rows(SnrErrors(np.array([-2.0, 0.0, 2.0, 4.0]), errors), np.arange(2))
    assert rows[0] == {"log_snr": -2.0, "x0_error": 2.0, "x0_error_se": pytest.approx(1.0)}
    for row in rows[1:]:
        assert row["x0_error"] is None and row["x0_error_se"] is None and "too large" in row["why"]
    write_json(tmp_path / "rows.json", rows)


@pytest.mark.parametrize("key", ["parts", "terms"])
def test_a_bound_that_is_not_finite_is_null_with_a_reason(tmp_path, key):
    bound = Bound(parts=np.ones((4, 3)), times=np.arange(2.0), terms=np.ones((2, 2)), grey_levels=17)
    record, rows = bound_summary(bound, np.arange(4))
    assert record["bits_per_dim"] == 3 and len(rows) == 2
    getattr(bound, key)[0, 0] = np.inf
    record, rows = bound_summary(bound, np.arange(4))
    assert record["bits_per_dim"] is None and "too large" in record["bits_why"] and rows == []
    write_json(tmp_path / "record.json", record)
