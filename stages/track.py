"""Show every result in MLflow."""

from kelvin.config.resolve import Params
from kelvin.stage import log, main
from kelvin.tracking.publishing import publish


def work(params: Params) -> None:
    made, kept = publish(params)
    log.info("MLflow: %d runs published, %d were there", made, kept)


main(work)
