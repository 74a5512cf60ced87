"""Sample one trained run: new images by every sampler, strips, restorations over t."""

from kelvin.common.hardware import set_threads
from kelvin.config.plan import SamplePlan
from kelvin.datasets.splitting.classes import restricted
from kelvin.datasets.store import PreparedStore
from kelvin.pipeline.stage import main
from kelvin.sampling.sample_run import sample_run
from kelvin.training.checkpoint import forget


def work(plan: SamplePlan) -> None:
    set_threads(plan.threads)
    store = restricted(PreparedStore.verified(plan.folders.prepared), plan.classes)
    forget(plan.results.model)
    sample_run(plan, store, plan.results.model, plan.results.samples)


main(work, SamplePlan, "run", "replicate")
