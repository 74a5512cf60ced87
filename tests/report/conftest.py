"""A project of invented results: two trained runs, a scored folder, no network anywhere."""

import csv
import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from grids import grid_of
from helpers import planned, with_values

from kelvin.config import resolve as params
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.store import write_store
from kelvin.degradations import degradations as known_degradations
from kelvin.pipeline.checks.run import with_samplers
from kelvin.report import build
from kelvin.report.studies.base import Study

FOLDER_TITLE = "<b>theirs</b> & co"
SCORES = {"n": 20, "fmd_debiased": None, "fmd_debiased_low": None, "fmd_debiased_high": None,
          "below_floor": False, "nearest_ratio": 1.1, "copy_fraction": 0.0, "copier": False,
          "class_entropy": 0.6, "class_evenness": 0.9, "confidence": 0.8, "precision": 0.7, "recall": 0.6}
MORE = {"fid": None, "fid_why": "FID is null: not built.", "kid": 0.01, "kid_low": -0.01,
        "kid_high": 0.03, "mmd": 0.02, "mmd_p": 0.005, "density": 0.9, "coverage": 0.8,
        "authentic": 0.6, "authentic_heldout": 0.6, "c_t": 1.0, "c_t_within": 1.0, "fd_pixels": 2.0,
        "fd_pixels_normalised": 0.1, "fd_random": 3.0, "fd_random_normalised": 0.1}
BOUND = {"bits_per_dim": 2.5, "bits_per_dim_se": 0.05, "bits_n": 4, "grey_levels": 17, "bits_l0": 0.5,
         "bits_between": 1.9, "bits_prior": 0.1}
HISTOGRAM = [0.25, 0.75]  # of the two invented classes
RESTORED = {"ssim": 0.5, "psnr": 15.0, "rmse": 0.2, "fmd": 8.0, "fmd_normalised": 0.14}
CALIBRATION = {"dataset": "digits", "reference": "train+validation",
               "reference_n": 30, "test_n": 20, "extractor": "abc",
               "classifier_accuracy": 0.9, "data": "d", "fid_why": "FID is null: not built.", "n": 20,
               "floor": 1.0, "floor_sd": 0.2, "floor_draws": 15, "ceiling": 50.0,
               "extractors": {"classifier": {"dim": 8, "preprocessing": "none", "hash": "abc",
                                              "key": "k"}}}


def bias(fmd):
    """Distances that fall with n, by the line and by the two studies' rules."""
    return {"others": {},
            "fd_infinity": {"fmd": fmd, "low": fmd - 1, "high": fmd + 1, "why": None},
            "over_n": [{"n": n, "against": 30, "fmd": fmd * (1 + 8 / n), "draws": 15,
                        "fmd_sd": 0.1 if n < 20 else None} for n in (8, 16, 20)],
            "study_a": {"n": 8, "against": 10, "fmd": 3 * fmd, "fmd_sd": 0.2, "draws": 15},
            "study_d": {"n": 16, "against": 16, "fmd": 2 * fmd, "fmd_sd": 0.2, "draws": 15}}


def slips(fmd):
    return [{"features": f, "dimensions": 8, "range": r, "rule": rule, "n": 16, "against": 16,
             "fmd": fmd * (0.01 if r != "right" else 1) * (0.1 if f == "shallow" else 1)
             * (2 if rule == "study D" else 1), "real": 0.5, "draws": 15}
            for f in ("deep", "shallow") for r in ("right", "divided by 255 twice")
            for rule in ("all", "study D")]


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def scores(fmd):
    normal = (fmd - 1) / 49
    return {"fmd": fmd, "fmd_low": fmd - 0.5, "fmd_high": fmd + 0.5, "fmd_normalised": normal,
            "fmd_normalised_low": normal - 0.01, "fmd_normalised_high": normal + 0.01, **SCORES}


class Project:
    """Writes what the earlier stages would have written under `root`."""

    def __init__(self, root, active, replicates=(0,), channels=1, changes=()):
        raw = with_values(params.read(ROOT / "params.yaml"), *changes)
        raw |= {"scale": "smoke", "active": list(active), "replicates": list(replicates)}
        raw["runs"]["theirs"] = {"title": FOLDER_TITLE, "source": "folder", "path": "images"}
        self.root, self.params, self.rng = root, params.Params(raw), np.random.default_rng(0)
        self.plan = planned(self.params, "report")
        self.shape = (channels, 8, 8)
        raw_images = RawData(self.images(30), np.arange(30) % 2, ["a", "b"], np.arange(30),
                             checksums={})
        write_store(root / "data/prepared/digits", "digits", raw_images, np.repeat([0, 1, 2], 10),
                    SimpleNamespace(licence="free", seed=0))
        write(root / "data/models/digits/classifier/record.json",
              {"accuracy": 0.9, "n": 20, "features": 8, "hash": "abc", "channels": [8], "classes": 2,
               "shape": list(self.shape), "loss": [0.1]})
        rows = {name: {"title": name, "histogram": HISTOGRAM, **scores(fmd), **MORE}
                for name, fmd in (("held-out", 1.1), ("copies", 0.5), ("pixel-gaussian", 9.0),
                                  ("black", 50.0))}
        write(root / "reports/runs/digits/calibration.json",
              {**CALIBRATION, "bias": bias(1.0), "rows": rows})

    def images(self, *count):
        return self.rng.integers(0, 256, (*count, *self.shape), dtype=np.uint8)

    def add(self, run, replicate=0, fmd=5.0, **changes):
        """A run's results; `changes` go into its record."""
        config, name = with_samplers(self.params, self.params.run(run)), f"{run}-{replicate}"
        trained = config.source == "train"
        samplers = config.sampling.samplers if trained else ["folder"]
        drawn = [*samplers, "raw"] if trained else samplers
        record = {"run": run, "replicate": replicate, "dataset": "digits", "scale": "smoke",
                  "fingerprint": "f", "sampler": samplers[0], "nfe": 5 if trained else None,
                  "reference": "train+validation", "reference_n": 30, "extractor": "abc",
                  **scores(fmd), **MORE}
        details = {"histograms": dict.fromkeys(drawn, HISTOGRAM),
                   "nearest": {"nearest_sample": [0, 1], "nearest_training": [2, 3]}}
        arrays = {f"samples/{s}": self.images(20) for s in drawn}
        if trained:
            methods = ["untouched", "one-shot", "linear", "linear-8-bit",
                       *(s for s in config.sampling.restore_samplers or samplers
                         if self.params.sampler(s)["kind"] != "direct")]
            record |= {"train_loss": 0.1, "val_loss": 0.12, "val_loss_ema": 0.11, "updates": 8,
                       "parameters": 1000, "flops_per_image": 10_000, "ssim": 0.5, "psnr": 15.0,
                       "rmse": 0.2, "restoration": {m: dict(RESTORED) for m in methods},
                       "prior": {**scores(40.0), "recall": 0.1}}
            arrays |= self.add_training(run, name, samplers, methods, details)
            arrays["prior"] = self.images(20)
            if details["log_snr"]:
                record |= BOUND
                details["bound"] = [{"t": t, "bits": 0.1, "bits_se": 0.01} for t in (2, 5, 20)]
            if config.sampling.many:
                details |= {"bias": bias(fmd), "slips": slips(fmd)}
        record["samplers"] = {s: {"nfe": 5 + 5 * i, **scores(fmd + i)} for i, s in enumerate(drawn)}
        record |= changes
        write(self.root / f"reports/runs/digits/{name}.json", record)
        write(self.root / f"data/evaluations/digits/{name}/details.json", details)
        (self.root / f"data/samples/digits/{name}").mkdir(parents=True)
        np.savez(self.root / f"data/samples/digits/{name}/samples.npz", **arrays)

    def process(self, run, steps):
        """A degradation that removes variance evenly; tied ones wanted more from half of T on."""
        config, left = self.params.run(run), np.linspace(1, 0.1, steps + 1)
        tied = run.startswith(("tied", "steps"))
        half = steps // 2
        return {"temperature": known_degradations.find(config.degradation.kind).temperature,
                "signal_variance": left.tolist(),
                "wanted": np.where(np.arange(steps + 1) < half, left, left / 2).tolist()
                if tied else None, "clamped_from": half if run == "tied-pixelate" else None,
                "tie": "variance" if tied else None, "recoverability_times": [0, steps],
                "recoverability": [1.0, 0.1], "wanted_recoverability": None}

    def add_training(self, run, name, samplers, methods, details):
        steps = self.params.run(run).schedule.model_dump()["steps"]
        times = [steps // 2, steps]
        model = self.root / f"data/models/digits/{name}"
        model.mkdir(parents=True)
        with (model / "history.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", "updates", "lr", "running_loss", "grad_norm", "train_loss",
                             "val_loss", "val_loss_ema"])
            writer.writerows([e, 4 * e, 0.001, 1 / e, 1, 1 / e, 1.1 / e, 1.2 / e] for e in (1, 2))
        np.savez(model / "samples.npz", epochs=np.array([1, 2]), samples=self.images(2, 16),
                 reconstructions=self.images(2, 2, 8), reconstruct_times=np.array(times),
                 reconstruct_truth=self.images(8), reconstruct_degraded=self.images(2, 8))
        write(model / "process.json", self.process(run, steps))
        details |= {
            "restoration": [{"method": m, "t": t, "n": 4, "fmd": 8.0, "fmd_normalised": 0.14,
                             **{k: v for key, v in (
                ("ssim", 0.5), ("psnr", 15.0), ("rmse", 0.2)) for k, v in (
                (key, v), (f"{key}_sd", 0.1), (f"{key}_se", 0.05))}} for m in methods for t in times],
            "epochs": [{"epoch": e, "n": 16, "fmd": 9.0 / e, "fmd_normalised": 0.1 / e, "floor": 1.0,
                        "floor_sd": 0.2, "small_n": 8, "small_fmd": 20.0 / e,
                        "small_fmd_normalised": 0.2 / e, "small_floor": 6.0, "small_floor_sd": 1.0}
                       for e in (1, 2)],
            "log_snr": [{"log_snr": v, "x0_error": 0.1, "x0_error_se": 0.01} for v in (-2.0, 2.0)]
            if "beta_min" in self.params.run(run).schedule.model_dump() else [],
            "cost": {"hardware": "CPU", "precision": "fp32", "threads": 1, "processes": 1,
                     "parameters": 1000, "updates": 8, "flops_per_image": 10_000,
                     "train_seconds": 1.5, "nfe": dict.fromkeys([*samplers, "raw"], 5),
                     "seconds": dict.fromkeys([*samplers, "raw"], 0.5)}}
        arrays = {"encoding_times": np.array([0, *times]), "encoding": self.images(3, 4),
                  "restore_times": np.array(times), "restore_truth": self.images(4),
                  "restore_degraded": self.images(2, 4)}
        arrays |= {f"restore/{m}": self.images(2, 4) for m in methods if m != "untouched"}
        for s in samplers:
            arrays |= {f"decoding_times/{s}": np.array([*times[::-1], 0]),
                       f"decoding/{s}": self.images(3, 4)}
        return arrays


@pytest.fixture
def project(tmp_path, monkeypatch):
    """project(active, ...) -> Project in the working directory."""
    def make(active, **options):
        monkeypatch.chdir(tmp_path)
        return Project(tmp_path, active, **options)
    return make


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without figures, which take ten seconds: for tests of words, tables and numbers alone."""
    monkeypatch.setattr(build, "common_figures", lambda *_: [])
    monkeypatch.setattr(Study, "page_figures", lambda _: [])


@pytest.fixture
def grid(project):
    """grid(vary, {(run, *values): options}, seeds): the study of a grid's points."""
    return partial(grid_of, project)
