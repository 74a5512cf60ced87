"""Sample one trained run: new images by every sampler, strips, restorations over t."""

from kelvin.config.resolve import Params
from kelvin.datasets.store import PreparedStore
from kelvin.datasets.subset import restricted
from kelvin.sampled import sample_run
from kelvin.stage import main, replicate_of, set_threads


def work(params: Params, run: str, replicate: str) -> None:
    set_threads(params)
    r = replicate_of(params, replicate)
    store = restricted(PreparedStore(params.folder("prepared")), params.run(run).classes)
    sample_run(params, run, r, store,
               params.folder("models") / f"{run}-{r}", params.folder("samples") / f"{run}-{r}")


main(work, "run", "replicate")
