"""The study of folds: bold by row, verdicts only with enough folds, findings from the numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from kelvin.artifacts.samples import SingleShot
from kelvin.report.kit.table import number
from kelvin.report.parts import single_shot
from kelvin.report.studies import folds


def run(split, losses, ssim, target="eps", rules=("exact",), epochs=2):
    replicates = []
    for i, loss in enumerate(losses):
        rows = [{"part": "test", "rule": rule, "t": t, "n": 4, **{
            k: v for m in single_shot.MEASURES for k, v in (
                (m, ssim * f + (0.1 if i == 1 else 0)), (f"{m}_sd", 0.2), (f"{m}_se", 0.1))}}
            for rule, f in zip(rules, (1.0, 0.5), strict=False) for t in (50, 100)]
        replicates.append(SimpleNamespace(
            index=i, details={"over_time": rows},
            record={"val_loss_ema": loss, "best_epoch": 1, "stopped_epoch": 2, "updates": 10 * epochs},
            history=[{"epoch": e, "train_loss": loss, "val_loss_ema": loss + (epochs - e) / 10}
                     for e in range(1, epochs + 1)]))
    return SimpleNamespace(name=f"fold-{split}", title=split, replicates=replicates, first=replicates[0],
                           values=lambda key: [r.record[key] for r in replicates],
                           mean=lambda key: float(np.mean([r.record[key] for r in replicates])),
                           config=SimpleNamespace(split=split, restorer=SimpleNamespace(
                               parameterisation=target)))


def study(runs):
    """The study of these runs."""
    plan = SimpleNamespace(metrics=SimpleNamespace(ssim_window=7, confidence=0.95))
    return folds.Folds(SimpleNamespace(name="folds", runs=runs, trained=runs),
                       SimpleNamespace(replicates=[0], plan=plan), {}, {})


def test_best_of_a_row_is_bold():
    table = single_shot.by_fold("folds", run("grouped", [1.0, 2.0], 0.5), "test", "ssim", 7)
    assert [[bold for _, bold in row] for row in table.cells()] == [[False, False, True]] * 2
    assert "**0.600 ± 0.20 (0.10)**" in table.markdown() and r"\textbf{" in table.latex()
    assert "fold 1" in table.markdown()
    rmse = single_shot.by_fold("folds", run("grouped", [1.0, 2.0], 0.5), "test", "rmse", 7)
    assert [[bold for _, bold in row] for row in rmse.cells()] == [[False, True, False]] * 2


def test_study_e_s_figure_stands_beside_ours():
    """Mean over folds of SSIM at t = 50: (0.5 + 0.6) / 2."""
    text = single_shot.study_e(run("leaky", [1.0, 2.0], 0.5), (3, 64, 48))
    assert "at 64×48 pixels to an SSIM of 0.550 (4 images of 2 folds); study E gave 0.704" in text
    other = run("leaky", [1.0], 0.5)
    for row in other.first.details["over_time"]:
        row["t"] += 1
    assert single_shot.study_e(other, (3, 64, 64)) == ""


@pytest.mark.parametrize("gap, verdict", [(0.5, "lower"), (0.0, "no significant difference"),
                                          (-0.5, "higher")])
def test_five_folds_give_a_verdict(gap, verdict):
    """By Welch's test worked out by hand: leaky and grouped folds hold out different images, no pairs."""
    base = np.array([1.0, 1.1, 1.2, 1.05, 1.15])
    leaky = base - gap + np.array([0.01, -0.01, 0.012, -0.012, 0.002])
    parts = leaky.var(ddof=1) / 5, base.var(ddof=1) / 5
    t = (leaky.mean() - base.mean()) / sum(parts) ** 0.5
    p = 2 * stats.t.sf(abs(t), sum(parts) ** 2 / sum(part**2 / 4 for part in parts))
    text = folds.harm(run("grouped", base, 0.5), run("leaky", leaky, 0.6), 0.95)
    assert text.endswith(f": {verdict} (p = {number(p)}).") and "Welch's t-test" in text


def test_fewer_folds_give_none():
    text = folds.harm(run("grouped", [1.0], 0.5), run("leaky", [0.5], 0.6), 0.95)
    assert "50.0 % lower where it leaks" in text and "no verdict" in text and "better" not in text


def test_folds_that_trained_longer_are_also_compared_after_as_many_updates():
    """Leaky folds have 0.3 and 0.5 after five epochs; after the grouped ones' two, 0.3 more."""
    grouped = run("grouped", [1.0, 1.0], 0.5)
    text = folds.harm(grouped, run("leaky", [0.3, 0.5], 0.6, epochs=5), 0.95)
    assert "(60.0 % lower where it leaks) after 50 updates against 20; after as many it is 0.700;" in text
    assert "updates" not in folds.harm(grouped, run("leaky", [0.3, 0.5], 0.6), 0.95)
    uneven = run("leaky", [0.3, 0.5], 0.6, epochs=5)
    uneven.replicates[1].history[1:] = []  # this one stopped after an epoch, before the grouped fold
    assert folds.after_as_many(uneven, grouped) == pytest.approx((0.6 + 0.9) / 2)


def test_what_a_rule_costs():
    """The exact rule's SSIM is 0.6 (fold 1: 0.7), the other's 0.3 (0.4): 0.3 lost in every fold."""
    one = run("leaky", [1.0], 0.6, "scaled-eps", ("exact", "study-e"))
    assert ("study E's scaler loses 0.300 SSIM (mean over t, fold 0); it loses most at t = 50, 0.300."
            in folds.rule_cost(one)[0])
    two = run("leaky", [1.0, 1.0], 0.6, "scaled-eps", ("exact", "study-e"))
    two.replicates[1].details["over_time"][3]["ssim"] = 0.2  # fold 1, study E, t = 100: 0.5 lost
    said = folds.rule_cost(two)[0]
    assert "loses 0.350 ± 0.050 SSIM (mean over t ± standard error over 2 folds)" in said
    assert "it loses most at t = 100, 0.400" in said
    better = run("leaky", [1.0], 0.6, "scaled-eps", ("exact", "study-e"))
    for row in better.replicates[0].details["over_time"]:
        row["ssim"] = 0.5 if row["rule"] == "exact" else 0.6
    assert "study E's scaler gains 0.100 SSIM (mean over t, fold 0); it loses at no t." in \
        folds.rule_cost(better)[0]
    assert folds.rule_cost(run("leaky", [1.0], 0.6)) == []


def test_the_table_by_rule_has_every_rule_and_its_error():
    runs = [run("leaky", [1.0, 1.0], 0.6, "scaled-eps", ("exact", "study-e")), run("grouped", [1.0], 0.5)]
    table = single_shot.by_rule("folds", runs[0], "test", "ssim", 7)
    assert [c.title for c in table.columns] == ["t", "exact rule", "study E's scaler"]
    # folds at 0.6 and 0.7: their standard error is 0.1 / 2
    assert table.cells()[0] == [("50", False), ("0.650 ± 0.050", True), ("0.350 ± 0.050", False)]
    assert "Mean over 2 folds of 4 images ± standard error over 2 folds." in table.caption
    one = run("leaky", [1.0], 0.6, rules=("exact", "study-e"))
    one = single_shot.by_rule("folds", one, "test", "psnr", 7)
    assert one.cells()[0][1] == ("0.600 ± 0.10", True) and "capped at 48.1 dB" in one.caption
    names = [table.name for table in study(runs).files()]
    assert len(names) == 9 and [n for n in names if "rules" in n] == [
        f"folds-fold-leaky-test-rules-{m}" for m in single_shot.MEASURES]


def test_stopping_is_said_as_it_was():
    def trained(best, stopped, epochs):
        return SimpleNamespace(record={"best_epoch": best, "stopped_epoch": stopped},
                               history=[None] * epochs)

    def said(*replicates):
        return folds.stopping([SimpleNamespace(replicates=replicates)])

    assert said(trained(3, 5, 5), trained(2, 4, 4)) == \
        "2 of 2 trainings stopped early, after 4 to 5 epochs."
    assert said(trained(3, 5, 5), trained(20, None, 20), trained(18, None, 20)).endswith(
        "; of those that ran to the end 1 had their lowest validation loss in the last epoch.")
    assert said(trained(20, None, 20)) == (
        "None of the 1 trainings stopped early; of those that ran to the end 1 had their lowest "
        "validation loss in the last epoch: what longer training would do is not known.")
    assert said(SimpleNamespace(record={}, history=[])) == "None of these runs was to stop early."


def params(groups):
    return SimpleNamespace(images=SimpleNamespace(groups=groups))


def test_objects_and_kinds_are_told_as_the_data_set_tells_them():
    assert folds.kind_of("Apple Red 1", params("folder")) == "Apple"
    assert folds.kind_of("maple tree", params(None)) == "maple tree"
    assert "13 equal blocks of the file" in folds.objects(params({"blocks": 13}))
    assert folds.objects(params("folder")).startswith("An object is a folder of its frames. ")
    assert folds.objects(params(None)).startswith("Every image is its own object. ")
    assert folds.objects(params({"csv": "a.csv"})).startswith("An object is told by file name or list. ")


def test_figures_show_every_fold_every_rule_and_one_image_of_each_kind(monkeypatch):
    study_e = run("leaky", [1.0, 0.9], 0.6, "scaled-eps", ("exact", "study-e"))
    names = ["Apple Red 1", "Apple Red 2", "Pear 1", "Apple Red 1"]
    black = np.zeros((2, 4, 1, 8, 8), np.uint8)
    part = SingleShot(np.array(names), np.arange(4, dtype=np.uint8).repeat(64).reshape(4, 1, 8, 8), black,
                      {"exact": black, "study-e": black})
    study_e.first.samples = SimpleNamespace(at_times=np.array([50, 100]), parts={"test": part})
    shown = []
    monkeypatch.setattr(folds.pictures, "table", lambda title, *rest: shown.append((title, rest)))
    monkeypatch.setattr(folds.pictures, "show", lambda name, caption, panels, across: caption)
    caption = folds.rows_figure("folds", study_e, params("folder"))
    assert [title for title, _ in shown] == ["Apple", "Pear"]
    assert [rest[0][0][0].max() for _, rest in shown] == [0, 2]  # the first of each kind
    assert shown[0][1][2] == ["truth", "50", "100"] and "each of the 2 kinds" in caption
    for drawn in (study([study_e]).loss_figure(), single_shot.fold_figure("folds", [study_e]),
                  single_shot.rule_figure("folds", [study_e])):
        assert drawn.png.startswith(b"\x89PNG")


def test_every_axis_is_labelled(monkeypatch):
    runs = [run("leaky", [1.0, 0.9], 0.6, "scaled-eps", ("exact", "study-e")), run("grouped", [1.0], 0.5)]
    monkeypatch.setattr(single_shot, "finish", lambda drawing, *_, **__: drawing.axes)
    by_fold, by_rule = single_shot.fold_figure("folds", runs), single_shot.rule_figure("folds", runs)
    assert [axes.get_ylabel() for axes in by_fold] == ["SSIM", "", "PSNR (dB)", "", "RMSE", ""]
    assert [axes.get_xlabel() for axes in by_fold] == [""] * 4 + ["t", "t"]
    assert [(axes.get_ylabel(), axes.get_xlabel()) for axes in by_rule] == [
        (label, "t") for label in single_shot.MEASURES.values()]
    assert len(by_rule[0].containers) == 3 and len(by_fold[0].containers) == 2


def test_rows_end_at_T():
    twenty = list(range(50, 1001, 50))
    assert [twenty[k] for k in folds.shown_times(20)] == list(range(100, 1001, 100))
    assert list(folds.shown_times(3)) == [0, 1, 2] and list(folds.shown_times(1)) == [0]
