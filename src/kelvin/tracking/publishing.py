"""From results to runs of MLflow: which are missing, and how one is made."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from kelvin.artifacts.folders import DATA, RECORDS
from kelvin.artifacts.manifests import Manifest
from kelvin.artifacts.reading import read_json
from kelvin.common.git import git
from kelvin.tracking.live import LIVE
from kelvin.tracking.results import Active, Result
from kelvin.tracking.store import Tags, database, experiment, opened, rehome, runs_in, runs_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

# kelvin.config.plan names them too, and takes long to import
PLAN, PARAMETERS = DATA / "plan" / "track.json", DATA / "plan" / "parameters.json"
METRICS, PARAMS = 1000, 100  # MLflow's limits of one batch
PARAM_LENGTH, DIGEST_LENGTH = 6000, 36  # and of one value


def publish(active: Active) -> tuple[int, int]:
    """Publish every result that MLflow does not have yet; (new runs, old runs).

    Raises KelvinError for a damaged record, a number that is not finite, a store that refuses.
    """
    results = active.results()
    with opened() as client:
        mlflow_runs = runs_of(client, active.dataset)
        missing = [result for result in results if not is_shown(result, mlflow_runs)]
        for result in missing:
            make(client, result, active, mlflow_runs)
    return len(missing), len(results) - len(missing)


def publish_missing() -> tuple[int, int]:
    """`publish` where something is missing; where nothing is, that takes milliseconds."""
    if not any(RECORDS.glob("*/*.json")):
        return 0, 0
    active, db = active_runs(), database()
    results = active.results()
    if not results:
        return 0, 0
    if db is not None and db.exists():
        rehome(db)
        mlflow_runs = runs_in(db).get(active.dataset, {})
        if all(is_shown(result, mlflow_runs) for result in results):
            return 0, len(results)
    return publish(active)


def active_runs() -> Active:
    """The active runs as planned or, where params.yaml is not what was planned, as it resolves them."""
    try:
        planned = json.loads(PARAMETERS.read_bytes())["sha256"]
        if planned == hashlib.sha256(Path("params.yaml").read_bytes()).hexdigest():
            plan = json.loads(PLAN.read_bytes())
            return Active(*(plan[field.name] for field in fields(Active)))
    except (OSError, ValueError, KeyError):
        pass
    from kelvin.config.resolve import load  # its imports take seconds

    house, runs = (params := load()).house, params.runs
    return Active(house.dataset, house.replicates, {name: runs[name].title for name in house.active},
                  {name: study.runs for name, study in house.studies.items()})


def is_shown(result: Result, mlflow_runs: dict[str, Tags]) -> bool:
    """Also where the same record stands there whole, and the data is absent here."""
    return any(result.identity.items() <= tags.items() and "content" in tags and
               (tags["content"] == result.content or
                not result.complete and tags.get("record") == result.record_hash)
               for tags in mlflow_runs.values())


def is_replaced(result: Result, tags: Tags) -> bool:
    """A run that is half-made or lacks its data, or an older one of the same DVC experiment."""
    return result.identity.items() <= tags.items() and (
        "content" not in tags or "partial" in tags
        or tags.get("dvc_exp_name") == os.environ.get("DVC_EXP_NAME"))


def make(client: MlflowClient, result: Result, active: Active, mlflow_runs: dict[str, Tags]) -> None:
    """One run of MLflow from one result, in place of those it replaces."""
    from mlflow.entities import Metric, Param, RunTag

    run = result.record["run"]
    title, of = active.titles[run] or run, [n for n, runs in active.studies.items() if run in runs]
    now = int(time.time() * 1000)
    metrics = [Metric(key, value, now, 0) for key, value in result.final().items()]
    going = next((run_id for run_id, old in mlflow_runs.items()
                  if result.identity.items() <= old.items() and LIVE in old), None)
    # a run that was published while it trained has its losses already
    epochs = int(mlflow_runs[going][LIVE]) if going else 0
    metrics += [Metric(f"epoch/{key}", value, now, epoch) for epoch, key, value in result.curves(epochs)]
    params = [Param(key, value[:PARAM_LENGTH]) for key, value in result.parameters().items()]
    tags = result.words() | result.identity | {
        "title": title, "studies": ", ".join(of), "record": result.record_hash,
        "mlflow.note.content": result.description(title, of), "mlflow.user": user(),
        "mlflow.source.type": "LOCAL", "mlflow.source.name": f"kelvin repro evaluate@{result.name}"}
    tags |= origin()
    if not result.complete:
        tags["partial"] = "true"
    for run_id in [run_id for run_id, old in mlflow_runs.items()
                   if is_replaced(result, old) and run_id != going]:
        client.delete_run(run_id)
        del mlflow_runs[run_id]
    if going:
        client.delete_tag(going, LIVE)  # half-made from here on, as any other
        del mlflow_runs[going]
        client.log_batch(going, tags=[RunTag(key, value) for key, value in tags.items()])
    seconds = result.details.get("cost", {}).get("train_seconds", 0)
    run_id = going or client.create_run(  # its duration in MLflow is the training's
        experiment(client, result.dataset), start_time=now - int(1000 * seconds), tags=tags,
        run_name=result.name).info.run_id
    for i in range(0, len(params), PARAMS):
        client.log_batch(run_id, params=params[i:i + PARAMS])
    for i in range(0, len(metrics), METRICS):
        client.log_batch(run_id, metrics=metrics[i:i + METRICS])
    if result.complete:
        log_files(client, run_id, result)
    client.set_terminated(run_id, end_time=now)
    client.set_tag(run_id, "content", result.content)


def log_files(client: MlflowClient, run_id: str, result: Result) -> None:
    """Figures, weights, resolved parameters, and the data set with its checksum."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    for name, picture in result.pictures().items():
        client.log_image(run_id, picture, artifact_file=f"figures/{name}.png")
    for path in result.files:
        client.log_artifact(run_id, str(path), "model")
    about, digest = read_json(result.manifest, "prepare", Manifest), result.data_digest
    source = {"uri": str(result.manifest.parent), "licence": about["licence"],
              "sources": about["sources"]}
    profile = {"sha256": digest, "sizes": about["sizes"], "image_shape": about["image_shape"]}
    data = Dataset(result.dataset, digest[:DIGEST_LENGTH], "local", json.dumps(source),
                   profile=json.dumps(profile))
    context = "training" if result.trained else "evaluation"
    client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", context),
                                                   InputTag("sha256", digest)])])


def origin() -> Tags:
    """The commit, and whether the sources differ from it; the name of a DVC experiment."""
    tags = {}
    if name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc_exp_name"] = name
    top, _, commit = git("rev-parse", "--show-toplevel", "HEAD").partition("\n")
    if commit and Path(top) == Path.cwd():  # else a repository that merely holds this folder
        # new results differ from the last commit by nature: only what they were made with counts
        edited = git("status", "--porcelain", "--untracked-files=no", "--", ".",
                     ":(exclude)reports", ":(exclude)dvc.lock")
        tags |= {"mlflow.source.git.commit": commit, "mlflow.source.git.dirty": str(bool(edited)).lower()}
    return tags


def user() -> str:
    """Who runs this, as MLflow itself names them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name and no entry in the system's list
        return "unknown"
