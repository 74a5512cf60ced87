"""What the stages leave of a run, tiny and without a network trained, and what MLflow then holds."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.store import PreparedStore, write_store

EPOCHS, KEPT = 300, (100, 300)
FOREIGN = ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "GIT_DIR", "GIT_WORK_TREE")
ASK = ("import sys; from kelvin.tracking.publishing import publish_missing; print(*publish_missing(), "
       "*sorted({'mlflow', 'numpy', 'pydantic', 'sqlalchemy'} & set(sys.modules)))")


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def edit(path, **values):
    write(path, json.loads(path.read_text()) | values)


def add_store(root):
    n = 12
    raw = RawData(np.arange(n * 16, dtype=np.uint8).reshape(n, 1, 4, 4), np.arange(n) % 2, ["a", "b"],
                  np.arange(n), checksums={"raw.gz": "md5:0"})
    return write_store(root / "data/prepared/digits", "digits", raw, np.repeat([0, 1, 2], 4),
                       SimpleNamespace(licence="free for all", seed=0))


def add_result(root, run="ddpm-default", fmd=0.25, mark="0123456789abcdef", source="train",
               dataset="digits"):
    """What the stages leave of one run, replicate 0."""
    name, digest = f"{dataset}/{run}-0", PreparedStore(root / "data/prepared/digits").digest
    trained, sampler = source == "train", "ddim-50" if source == "train" else "folder"
    head = {"run": run, "replicate": 0, "dataset": dataset, "scale": "smoke", "fingerprint": mark}
    write(root / f"reports/runs/{name}.json", head | {
        "sampler": sampler, "fmd": fmd, "updates": 4 * EPOCHS, "fid": None, "fid_why": "not asked for",
        "copier": False, "samplers": {sampler: {"fmd": fmd, "fid": None},
                                      **({f"{sampler}@w=2": {"fmd": 1.5}} if trained else {})},
        "restoration": {"one-shot": {"ssim": 0.5}}})
    write(root / f"data/models/{name}/config.json", head | {
        "data": digest, "source": source, "config": {
            "schedule": {"kind": "linear", "steps": 10}, "notes": "x" * 7000}})
    shape = (8, 1, 4, 4)
    arrays = {f"samples/{sampler}": np.zeros(shape, np.uint8)}
    if trained:
        write(root / f"data/models/{name}/ema.safetensors", "weights")
        write(root / f"data/models/{name}/history.csv", "epoch,updates,train_loss,val_loss\n" + "".join(
            f"{e},{4 * e},{1 / e},{2 / e}\n" for e in range(1, EPOCHS + 1)))
        arrays |= {"encoding_times": np.arange(3), "encoding": np.zeros((3, *shape), np.uint8),
                   f"decoding_times/{sampler}": np.arange(3),
                   f"decoding/{sampler}": np.zeros((3, *shape), np.uint8)}
    write(root / f"data/evaluations/{name}/details.json", {"histograms": {}, "nearest": {}, "epochs": [
        {"epoch": e, "n": 8, "fmd": 1 / e, "small_fmd": None} for e in KEPT], "cost": {
        "updates": 8, "train_seconds": 2.5, "hardware": "an abacus", "nfe": {"ddim-50": 50}}}
        if trained else {"histograms": {}, "nearest": {}})
    write(root / f"data/samples/{name}/config.json", {
        "sampling": {"samplers": ["ddim-50"]}, "samplers": {}})
    np.savez(root / f"data/samples/{name}/samples.npz", **arrays)


def plan(root, **values):
    """What the stage `plan` leaves for `track`."""
    text = (root / "params.yaml").read_bytes()
    write(root / "data/plan/parameters.json", {"sha256": hashlib.sha256(text).hexdigest()})
    write(root / "data/plan/track.json", {
        "dataset": "digits", "replicates": [0], "titles": {"ddpm-default": "D"}, "studies": {}} | values)


def start(command, root):
    environment = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    return subprocess.Popen([sys.executable, "-c", command], cwd=root, text=True, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def client(root="."):
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{Path(root).resolve() / 'mlflow.db'}")


def runs(root=".", **search):
    found = client(root)
    at = found.get_experiment_by_name("kelvin-digits").experiment_id
    return sorted(found.search_runs([at], **search), key=lambda run: run.info.run_name)


def only(root="."):
    (run,) = runs(root)
    return run


def files(run, folder):
    return [f.path for f in client().list_artifacts(run.info.run_id, folder)]
