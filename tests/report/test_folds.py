"""The study of folds: bold by row, verdicts only with enough folds, findings from the numbers."""

from types import SimpleNamespace

import pytest

from kelvin.report import folds


def run(split, losses, ssim, target="eps", rules=("exact",)):
    replicates = []
    for i, loss in enumerate(losses):
        rows = [{"part": "test", "rule": rule, "t": t, "n": 4, **{
            k: v for m in folds.MEASURES for k, v in (
                (m, ssim * f + (0.1 if i == 1 else 0)), (f"{m}_sd", 0.2), (f"{m}_se", 0.1))}}
            for rule, f in zip(rules, (1.0, 0.5), strict=False) for t in (50, 100)]
        replicates.append(SimpleNamespace(
            index=i, details={"over_time": rows},
            record={"val_loss_ema": loss, "best_epoch": 1, "stopped_epoch": 2},
            history=[{"epoch": e, "train_loss": loss, "val_loss_ema": loss} for e in (1, 2)]))
    return SimpleNamespace(name=f"fold-{split}", title=split, replicates=replicates, first=replicates[0],
                           values=lambda key: [r.record[key] for r in replicates],
                           config=SimpleNamespace(split=split, restorer=SimpleNamespace(
                               parameterisation=target)))


def test_best_of_a_row_is_bold():
    study = SimpleNamespace(name="folds")
    table = folds.table(study, run("grouped", [1.0, 2.0], 0.5), "test", "ssim", 7)
    assert [[bold for _, bold in row] for row in table.cells()] == [[False, False, True]] * 2
    assert "**0.600 ± 0.20 (0.10)**" in table.markdown() and r"\textbf{" in table.latex()
    assert "fold 1" in table.markdown() and table.only(lambda row: row["run"] == "fold-grouped") == table
    rmse = folds.table(study, run("grouped", [1.0, 2.0], 0.5), "test", "rmse", 7)
    assert [[bold for _, bold in row] for row in rmse.cells()] == [[False, True, False]] * 2


@pytest.mark.parametrize("gap, verdict", [(0.5, "better"), (0.0, "no significant difference")])
def test_five_folds_give_a_verdict(gap, verdict):
    base = [1.0, 1.1, 1.2, 1.05, 1.15]
    noise = [0.01, -0.01, 0.012, -0.012, 0.002]
    text = folds.harm(run("grouped", base, 0.5),
                      run("leaky", [b - gap + n for b, n in zip(base, noise, strict=True)], 0.6), 0.95)
    assert f": {verdict} (p =" in text and "folds, paired and counted as replicates" in text


def test_fewer_folds_give_none():
    text = folds.harm(run("grouped", [1.0], 0.5), run("leaky", [0.5], 0.6), 0.95)
    assert "50.0 % lower where it leaks" in text and "no verdict" in text and "better" not in text


def test_what_a_rule_costs():
    study_e = run("leaky", [1.0], 0.6, "scaled-eps", ("exact", "study-e"))
    assert "study E's scaler loses on average 0.300 SSIM" in folds.rule_cost(study_e)[0]
    drawn = folds.loss_figure(SimpleNamespace(name="folds", trained=[study_e]))
    assert drawn.png.startswith(b"\x89PNG")
