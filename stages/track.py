"""Show the results of the active runs in MLflow."""

from kelvin.common.progress import log
from kelvin.config.plan import TrackPlan
from kelvin.pipeline.stage import main
from kelvin.tracking.publishing import publish
from kelvin.tracking.results import Active


def work(plan: TrackPlan) -> None:
    made, kept = publish(Active(plan.dataset, plan.replicates, plan.titles, plan.studies))
    log.info("MLflow: %d runs published, %d were there", made, kept)


main(work, TrackPlan)
