"""Make what trainings start from: weights, one training for all that can share it; images to blend."""

from kelvin.common.progress import log
from kelvin.config.plan import PretrainPlan
from kelvin.pipeline.stage import main
from kelvin.training.starts import make_starts


def work(plan: PretrainPlan) -> None:
    if plan.starts:
        from kelvin.common.hardware import set_threads
        from kelvin.datasets.store import PreparedStore

        set_threads(plan.threads)
        store = PreparedStore(plan.folder("prepared"))
    else:
        store = None
    made = make_starts(plan, store, plan.folder("starts"))
    log.info("starts: %s", ", ".join(made) or "nothing that was not there")


main(work, PretrainPlan)
