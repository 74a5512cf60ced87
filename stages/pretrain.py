"""Make what trainings start from: weights, one training for all that can share it; images to blend.

What the prepared images, or others that a training starts from, cannot carry of any run or of the
protocol is refused here, before any training.
"""

import os

from kelvin.common.hardware import set_threads
from kelvin.common.progress import log
from kelvin.config.plan import PretrainPlan
from kelvin.config.resolve import refusal
from kelvin.datasets.store import PreparedStore
from kelvin.pipeline.checks.images import manifest_faults, physical_memory
from kelvin.pipeline.checks.starts import start_faults
from kelvin.pipeline.stage import main
from kelvin.training.starts import make_starts


def work(plan: PretrainPlan) -> None:
    set_threads(plan.threads)
    store = PreparedStore.verified(plan.folders.prepared)
    lines = manifest_faults(plan.checked, store.manifest, physical_memory())
    lines += start_faults(plan.starts, store.manifest, os.environ, plan.checked.metrics)
    if lines:
        raise refusal(lines)  # before anything is trained
    made = make_starts(plan, store, plan.folders.starts)
    log.info("starts: %s", ", ".join(made) or "nothing that was not there")


main(work, PretrainPlan)
