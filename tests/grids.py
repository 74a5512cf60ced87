"""Results of the points of a grid that noise and blur are contrasted on."""

import json

import numpy as np
from helpers import studied

from kelvin.config.vary import points
from kelvin.report.results import collect

HOT, COLD = "tied-noise", "tied-blur"
NAMES = {"naive-20": 20, "improved-20": 20, "naive-50": 50, "improved-50": 50}
HARDER = {"naive": 1.5, "improved": 1.0}  # factor of FMD by sampler
Z = [-1.2, -0.5, 0.1, 0.4, 1.2, -0.9, 0.6, 0.2, -0.3, 0.4]


def sampled(base, fmd, seed):
    """Scores of every sampler; log FMD differs by 2 % over seeds."""
    def one(kind, nfe, start=1.0):
        value = fmd * HARDER[kind] * (20 / nfe) ** 0.1 * np.exp(0.02 * Z[seed]) * start
        return base | {"nfe": nfe, "fmd": 99.0, "fmd_median": value, "fmd_validation": 1.1 * value,
                       "fd_pixels": value / 2, "fd_random": value / 3}

    out = {name: one(name.partition("-")[0], nfe) for name, nfe in NAMES.items()}
    return out | {f"improved-50@start={start}": one("improved", 50, factor)
                  for start, factor in (("held-out", 0.8), ("constant", 3.0))}


def add(made, run, seeds, fmd, updates, one_shot=0.1, **process):
    """Results of a run after so many updates; `process` changes what training measured."""
    for seed in seeds:
        made.add(run, seed, fmd=fmd, updates=updates, sampler="improved-50",
                 training_flops=1e9 * updates)
        path = made.root / f"reports/runs/digits/{run}-{seed}.json"
        record = json.loads(path.read_text())
        record["samplers"] = sampled(record["samplers"]["raw"], fmd, seed % 10)
        path.write_text(json.dumps(record))
        folder = made.root / f"data/evaluations/digits/{run}-{seed}/details.json"
        details = json.loads(folder.read_text())
        details |= {"gates": [{"t": t, "one_shot_rmse": one_shot, "linear_rmse": 0.1, "ratio": None,
                               "n": 4, "clamped": False} for t in (25, 50)],
                    "consistency": [{"sampler": s, "t": t, "rmse": 0.001 * t, "rmse_se": 0.0, "n": 4}
                                    for s in NAMES for t in (100, 50, 1)]}
        folder.write_text(json.dumps(details))
        file = made.root / f"data/models/digits/{run}-{seed}/process.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | process))


def study_of(made):
    return studied(collect(made.plan))["hot-and-cold"]


def declared(samplers):
    """Changes of params.yaml: samplers that a record `tuner` declared."""
    if not samplers:
        return []
    tuner = {"title": "T", "folder": "tuner", "runs": [HOT], "replicates": [200]}
    return [("records.tuner", tuner), ("records.hot-cold-tuning.tuned_by", "tuner"),
            ("records.hot-cold-tuning.samplers", samplers)]


EPOCHS = {"training.epochs": [70, 140]}


def budgets(ratio, short=1.02, **options):
    """Noise at FMD 5 and blur at `ratio` times that, on two budgets between which little changes."""
    return {(run, epochs): {"fmd": fmd * (short if epochs == 70 else 1), "updates": 16 * epochs,
                            **options}
            for run, fmd in ((HOT, 5.0), (COLD, 5.0 * ratio)) for epochs in (70, 140)}


def grid_of(project, vary, options, seeds=range(5), samplers=None):
    """The study of a project whose active runs are points of a grid: {(run, *values): options}."""
    names = {(p.run, *p.values.values()): name
             for name, p in points("hot-cold-tuning", [HOT, COLD], vary).items()}
    made = project([names[key] for key in options], replicates=seeds,
                   changes=[("records.hot-cold-tuning.vary", vary), *declared(samplers)])
    for key, given in options.items():
        add(made, names[key], seeds, **given)
    return study_of(made)
