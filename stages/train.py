"""Train one run and replicate: weights, fitted prior, history, samples at chosen epochs."""

from pathlib import Path

from kelvin.common.files import project_root
from kelvin.common.hardware import set_threads
from kelvin.config.plan import TrainPlan
from kelvin.datasets.store import PreparedStore
from kelvin.pipeline.stage import main


def work(plan: TrainPlan) -> None:
    set_threads(plan.threads)
    store, out = PreparedStore.verified(plan.folders.prepared), plan.results.model
    if plan.config is None:
        from kelvin.sampling.folder_run import score_folder

        score_folder(plan, store, out, [Path("."), project_root()])
    else:
        from kelvin.datasets.splitting.classes import restricted
        from kelvin.training.train_run import train_run

        train_run(plan, restricted(store, plan.config.classes), out, plan.results.start)


main(work, TrainPlan, "run", "replicate")
