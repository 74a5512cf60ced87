"""What README and docs say of the records is what the records say."""

import csv
import json
import re
import tarfile

import pytest
from conftest import ROOT

from kelvin.artifacts.folders import RECORDED
from kelvin.common.files import read_json
from kelvin.metrics import operating, verdict
from kelvin.pipeline import hot_and_cold
from kelvin.pipeline.release import best_runs
from kelvin.report.kit import table


def test_the_readmes_picture_is_of_its_record():
    """FMD of the best run of each kind, its sampler, and of held-out images."""
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    record = ROOT / "reports" / "reference" / "mnist-hot-cold"
    metrics = read_json(record / "metrics.json")
    best = {kind: metrics[run] for kind, run in best_runs(metrics, ("hot", "warm", "cold")).items()}
    with tarfile.open(record / "results.tar.xz") as archive:
        calibration = json.load(archive.extractfile("reports/runs/mnist/calibration.json"))
    real = calibration["rows"]["held-out"]
    assert "](reports/reference/mnist-hot-cold/overview.png)" in text
    assert {kind: row["sampler"].partition("-")[0] for kind, row in best.items()} == {
        "hot": "ddim", "warm": "ddim", "cold": "improved"}
    assert ("The picture, by DDIM (cold: Algorithm 2): FMD "
            + ", ".join(f"{table.number(row['fmd'])} {kind}" for kind, row in best.items())
            + f", {table.number(real['fmd'])} held-out real images") in text
    assert len(text.split()) <= 1000


def contrasts_with_noise(folder):
    """Ratio and interval of blur and of blur with noise, each by its declared sampler with 50
    evaluations, as the README writes them; and the rows of all."""
    found = {row["title"].removesuffix(" against Gaussian noise"): row
             for row in rows(folder / "tables" / "hot-and-cold-contrasts.csv")
             if row["sampler"].startswith("declared") and row["nfe"] == "50"}
    assert set(found) == {"blur", "blur and noise"}
    numbers = [[f"{float(found[name][key]):.2f}" for key in ("ratio", "ratio_low", "ratio_high")]
               for name in ("blur", "blur and noise")]
    return numbers, found


def test_the_readmes_contrasts_with_noise_on_mnist_are_those_of_its_record():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    record = ROOT / "reports" / "reference" / "mnist-hot-cold"
    (cold, warm), found = contrasts_with_noise(record)
    ((n, updates),) = {(r["n"], r["updates"]) for r in read_json(record / "metrics.json").values()}
    seeds = found["blur"]["seeds"]
    assert (f"On MNIST at 28x28 (n = {n:,}, {seeds} seeds) the FMD of blur is "
            f"{cold[0]} times that of noise (95 % interval {cold[1]} to {cold[2]}), of blur with noise "
            f"{warm[0]} times ({warm[1]} to {warm[2]}). On 8x8") in text
    assert (f"**Conditions.** On MNIST {updates:,} updates, one untuned "
            "learning rate, samplers declared on digits, 50 evaluations.") in text
    assert {row["outcome"] for row in found.values()} == {verdict.NONE}
    one = {row["title"]: row for row in rows(record / "tables" / "hot-and-cold-contrasts.csv")
           if row["sampler"] == "Algorithm 2"}["blur against Gaussian noise"]
    assert float(one["ratio_high"]) < 1 < float(cold[1])
    assert f"By Algorithm 2 for both the order turns: {float(one['ratio']):.2f} times" in text
    assert "MNIST was trained for one length" in text
    (budget,) = {row["budget_numbers"] for row in rows(record / "tables" / "hot-and-cold-gates.csv")}
    assert budget == "not measured"


def test_the_readmes_contrasts_with_noise_on_digits_are_those_of_its_record():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    record = ROOT / "reports" / "reference" / "digits-hot-cold" / "verdict"
    tables = record / "tables"
    (cold, warm), found = contrasts_with_noise(record)
    hot, *_ = rows(tables / "hot-and-cold-gates.csv")
    assert hot["title"] == "Gaussian noise"
    assert {row["outcome"] for row in found.values()} == {verdict.NONE}
    updates, seeds = int(hot["updates"]), found["blur"]["seeds"]
    (n,) = {row["n"] for row in read_json(record / "metrics.json").values()}
    first, *_ = [row for row in rows(tables / "hot-and-cold-budgets.csv")
                 if row["title"] == "blur against Gaussian noise"]
    short = [f"{float(first[key]):.2f}" for key in ("ratio", "ratio_low", "ratio_high")]
    assert float(short[2]) < 1 < float(cold[1])
    assert (f"On 8x8 digits (n = {n}, {seeds} seeds, tuned alike) the order of blur and noise turns with "
            f"training: {short[0]} times ({short[1]} to {short[2]}) after {first['updates']} updates, "
            f"{cold[0]} ({cold[1]} to {cold[2]}) after {updates:,}; blur with noise then has {warm[0]} "
            f"({warm[1]} to {warm[2]}).") in text
    findings = read_json(tables / "findings.json")["hot-and-cold"]
    flagged = [s for s in findings if "may copy" in s]
    assert len(flagged) == 1 and flagged[0].startswith("“blur and noise, epochs")
    train = read_json(record / "record.json")["data"]["sizes"]["train"]
    assert f"blur with noise may copy the {train:,} training images" in text
    factor = float(re.fullmatch(r"FMD × ([\d.]+) a doubling", hot["budget_numbers"])[1])
    assert (f"on digits the FMD of noise was {100 * (1 - factor):.0f} % lower after {updates:,} updates "
            f"than after {updates // 2:,}") in text


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_results_of_hot_and_cold_are_those_of_its_records():
    """Exact: `kelvin publish` writes them."""
    text = (ROOT / "docs" / "hot-and-cold.md").read_text(encoding="utf-8")
    written = re.search(r"<!-- results -->\n(.*?)\n<!-- /results -->", text, re.S)[1]
    assert written == hot_and_cold.results(ROOT)
    words = [word for word in text.split() if any(letter.isalnum() for letter in word)]
    assert len(words) <= 1300  # two pages and a table


def test_what_hot_and_cold_says_of_its_results_follows_from_them():
    text = " ".join((ROOT / "docs" / "hot-and-cold.md").read_text(encoding="utf-8").split())
    mnist, digits, tyings = (ROOT / RECORDED / folder for folder in hot_and_cold.JUDGED)
    ratios = {name: [row for record in (mnist, digits, tyings)
                     for row in rows(record / "tables" / "hot-and-cold-contrasts.csv")
                     if row["sampler"].startswith("declared") and row["nfe"] == "50"
                     and row["title"] == f"{name} against Gaussian noise"]
              for name in ("blur", "blur and noise")}
    assert [len(found) for found in ratios.values()] == [4, 4]  # two records, and one under two tyings
    assert all(float(row["ratio"]) < 1 for row in ratios["blur and noise"])
    assert all(float(row["ratio"]) > 1 for row in ratios["blur"])
    assert [float(row["ratio_low"]) < 1 for row in ratios["blur"]] == [False, False, True, True]
    reaching = sum(float(row["ratio_high"]) >= 1 for row in ratios["blur and noise"])
    assert "of blur with noise is below 1 in every row; its interval reaches 1 in half of them" in text
    assert 2 * reaching == len(ratios["blur and noise"])
    (ddim,) = [row for row in rows(digits / "tables" / "hot-and-cold-contrasts.csv") if row["nfe"] == "50"
               and row["sampler"] == "DDIM" and row["title"].startswith("blur and noise")]
    assert float(ddim["ratio_low"]) < 1 < float(ddim["ratio_high"]) and "by DDIM on the digits" in text
    steps = [row for row in rows(digits / "tables" / "hot-and-cold-budgets.csv")
             if row["title"] == "blur against Gaussian noise"]
    below = [row["updates"] for row in steps if float(row["ratio_high"]) < 1]
    above = [int(row["updates"]) for row in steps if float(row["ratio_low"]) > 1]
    assert f"blur is below noise after {' '.join(below)} updates, above from {above[0]:,} on" in text
    outcomes = {row["outcome"] for found in ratios.values() for row in found}
    assert outcomes == {verdict.NONE} and "Nothing is decided." in text
    sizes = [read_json(record / "record.json")["data"]["sizes"]["train"] for record in (digits, mnist)]
    runs = [read_json(record / "metrics.json").values() for record in (digits, mnist)]
    assert f"passes over {sizes[0]:,} images" in text and round(sizes[1] / sizes[0]) == 50
    longest = max(run["updates"] for run in runs[0])
    assert f"{longest:,} are {longest // (sizes[0] // 128):,} passes" in text  # batches of 128
    for run, of in zip(runs, ("Digits: a U-Net of", "MNIST:"), strict=True):
        (parameters,) = {record["parameters"] for record in run}
        assert f"{of} {parameters:,} parameters" in text
    rmse = {(row["method"], row["t"]): float(row["rmse"])
            for row in rows(mnist / "tables" / "restoration_over_t.csv")
            if row["run"].startswith("tied-blur_")}
    better = [t for t in ("25", "50", "75", "100") if rmse["one-shot", t] < rmse["linear-8-bit", t]]
    assert better == ["50", "75", "100"]
    assert "better than least squares from t = 50 on, and worse at t = 25." in text
    gains = rows(ROOT / RECORDED / hot_and_cold.TARGETS / "tables" / "hot-and-cold-targets.csv")
    assert all(float(row["ratio_high"]) > 1 for row in gains if row["ratio"])
    assert "None gained, at a rate chosen for x0" in text
    rates = rows(ROOT / RECORDED / hot_and_cold.TUNING / "tables" / "hot-and-cold-grid.csv")
    chosen = {row["title"]: float(row["lr"]) for row in rates if row["chosen"] == "True"}
    assert chosen == {"Gaussian noise": 0.008, "blur": 0.008, "blur and noise": 0.008,
                      "random pixels lost": 0.016}
    assert "alike, on tuning seeds, by FMD against validation images: 0.008." in text
    assert "lost pixels had chosen 0.016, fade and pixelate were not tuned" in text
    for folder in (hot_and_cold.JUDGED[2], hot_and_cold.TARGETS):
        about = read_json(ROOT / RECORDED / folder / "record.json")
        assert about["set"]["scales.laptop.run.training.lr"] == 0.008
    assert f"in {100 * operating.false_positives(5):.1f} % (5 seeds)" in text
    powers = [int(line.split("|")[3].split()[0]) for line in operating.table().splitlines()[2:]]
    low, high = min(powers), max(powers)  # 20 % is found, 5 seeds
    assert f"depends on the spread over seeds, from {low} % to {high} %." in text


@pytest.mark.parametrize("folder, trainings", [("digits-folds", "20 trainings of some 140 updates"),
                                               ("fruits/folds", "15 trainings of 300 updates")])
def test_what_records_says_of_the_folds_is_what_their_page_says(folder, trainings):
    text = " ".join((ROOT / "docs" / "records.md").read_text(encoding="utf-8").split())
    folds = read_json(ROOT / RECORDED / folder / "tables" / "findings.json")["folds"]
    lower, p = re.search(r"\((.+? % lower) where it leaks\).*\(p = ([\d.]+)\)\.$", folds[0]).groups()
    assert f"the validation loss is {lower} where it leaks (p = {p})" in text and trainings in text
    count, *_, updates, _ = trainings.split()
    runs = read_json(ROOT / RECORDED / folder / "metrics.json").values()
    assert [run["updates"] for run in runs] == pytest.approx([float(updates)] * len(runs), rel=0.03)
    assert folds[2].startswith(f"None of the {count} trainings stopped early")
    assert f"{count} had their lowest validation loss in the last epoch" in folds[2]
    assert "None of the 35 stopped early: all were still improving" in text


def test_what_records_says_of_folds_that_stop_is_what_their_page_says():
    text = " ".join((ROOT / "docs" / "records.md").read_text(encoding="utf-8").split())
    folder = ROOT / RECORDED / "fruits" / "stopped"
    grouped, leaky = read_json(folder / "metrics.json").values()
    head, _, stopped, *_ = read_json(folder / "tables" / "findings.json")["folds"]
    n = grouped["replicates"]
    first, last = re.match(
        rf"{n} of {2 * n} trainings stopped early, after (\d+) to (\d+) epochs; of those that ran to the "
        rf"end {n} had their lowest validation loss in the last epoch", stopped).groups()
    assert leaky["updates"] == 300 * 15 > grouped["updates"]  # none of those that stopped is leaky
    page = "](../reports/reference/fruits/stopped/index.html)"
    assert (f"[{ {3: 'Three', 5: 'Five'}[n]} folds of each{page}: the grouped ones "
            f"stopped after {first} to {last} epochs; none of the leaky ones did, each had its lowest "
            "validation loss after the 300th." in text)
    leaks, other, as_many = re.match(
        r"With leaky folds the validation loss is ([\d.]+), with grouped folds ([\d.]+) .* after as many "
        r"it is ([\d.]+);", head).groups()
    assert (f"That loss is {leaks} where it leaks and {other} where it does not; after as many updates "
            f"as the grouped folds had, {as_many}." in text)


def test_what_records_says_of_fruits_at_64x64_is_what_their_page_says():
    text = " ".join((ROOT / "docs" / "records.md").read_text(encoding="utf-8").split())
    folder = ROOT / RECORDED / "fruits" / "colour"
    (run,) = read_json(folder / "metrics.json").values()
    rows_ = {row["run"]: row for row in rows(folder / "tables" / "generation.csv")}
    gaussian = float(rows_["pixel-gaussian"]["fmd"])
    assert (f"{run['updates']:,} updates" in text and
            f"FMD {table.number(run['fmd'])}, where a Gaussian fitted to the pixels has "
            f"{table.number(gaussian)}." in text)
    (ssim,) = {re.search(r"to an SSIM of ([\d.]+) ", s)[1]
               for s in read_json(folder / "tables" / "findings.json")["colour"] if "to an SSIM of" in s}
    assert f"restores held-out images to an SSIM of {ssim}; study E gave 0.704" in text


def test_what_records_says_of_cifar10_is_what_its_page_says():
    text = " ".join((ROOT / "docs" / "records.md").read_text(encoding="utf-8").split())
    folder = ROOT / RECORDED / "cifar10"
    long, *short = read_json(folder / "metrics.json").values()
    costs = {row["run"]: row for row in rows(folder / "tables" / "architectures.csv")}
    generation = {row["run"]: row for row in rows(folder / "tables" / "generation.csv")}
    gaussian = float(generation["pixel-gaussian"]["fmd"])
    seconds = [float(row["train_seconds"]) for row in list(costs.values())[1:]]
    behind = sorted(run["fmd"] for run in short)
    assert long["fmd"] < gaussian < behind[0] and len(behind) == 3
    parameters, number = float(costs["ddpm-default"]["parameters"]), table.number
    assert (f"U-Net of {parameters:,.0f} parameters, {long['updates']:,} updates, an hour of a core, has "
            f"FMD {number(long['fmd'])} [{number(long['fmd_low'])}, {number(long['fmd_high'])}]; a "
            f"Gaussian fitted to the pixels {number(gaussian)}." in text)
    assert f"After {min(seconds) / 60:.0f} to {max(seconds) / 60:.0f} minutes of a core each" in text
    assert "{}, {} and {}.".format(*map(table.number, behind)) in text


def test_what_records_says_of_mnist_is_what_its_page_says():
    text = " ".join((ROOT / "docs" / "records.md").read_text(encoding="utf-8").split())
    folder = ROOT / RECORDED / "mnist"
    costs = read_json(folder / "cost.json")
    generation = {row["run"]: {key: float(row[key]) for key in ("fmd", "fmd_low", "fmd_high")}
                  for row in rows(folder / "tables" / "generation.csv")}
    direct = {row["run"]: float(row["fmd"]) for row in rows(folder / "tables" / "samplers.csv")
              if row["sampler"] == "direct"}
    ((updates, parameters),) = {(row["updates"], row["parameters"]) for row in costs.values()}
    hours = sum(row["train_seconds"] for row in costs.values()) / 3600
    assert f"U-Net of {parameters:,} parameters, {updates:,} updates of 64 images each" in text
    assert len(costs) == 12 and f"The twelve trainings took {hours:.1f} hours" in text
    assert f"all measures, {read_json(folder / 'record.json')['minutes'][0]:.0f} minutes of two" in text
    schedules = [generation[run] for run in ("ddpm-default", "ddpm-long", "ddpm-short")]
    assert max(row["fmd_low"] for row in schedules) < min(row["fmd_high"] for row in schedules)
    fmd, number = {run: table.number(row["fmd"]) for run, row in generation.items()}, table.number
    least, most = (number(choose(row["fmd"] for row in schedules)) for choose in (min, max))
    low, high = (number(generation["tied-blur-noise"][key]) for key in ("fmd_low", "fmd_high"))
    strong, weak, heat = (fmd[f"blur-{which}"] for which in ("strong", "weak", "best"))
    assert (f"The three schedules have FMD {least} to {most}, and their intervals over images overlap; "
            f"blur with noise has {fmd['tied-blur-noise']} [{low}, {high}]. Strong blur has {strong} by "
            f"Algorithm 2 and {number(direct['blur-strong'])} in one step. A Gaussian fitted to the "
            f"pixels has {fmd['pixel-gaussian']}: weak blur ({weak}) and the heat kernel ({heat}) are "
            f"not below it. Of the mistakes T = 5 has {fmd['bad-few-steps']}, the other three " in text)
    assert min(generation[run]["fmd"] for run in ("blur-weak", "blur-best")) > generation[
        "pixel-gaussian"]["fmd"]
    mistakes = [generation[f"bad-{which}"]["fmd"] for which in ("no-noise", "lr-high", "lr-low")]
    assert f"the other three {number(min(mistakes))} and more" in text
