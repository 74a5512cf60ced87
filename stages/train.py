"""Train one run and replicate: weights, fitted prior, history, samples at chosen epochs."""

from kelvin.config.resolve import Params
from kelvin.datasets.store import PreparedStore
from kelvin.datasets.subset import restricted
from kelvin.runs import score_folder, train_run
from kelvin.stage import main, replicate_of, set_threads


def work(params: Params, run: str, replicate: str) -> None:
    set_threads(params)
    r = replicate_of(params, replicate)
    store = restricted(PreparedStore(params.folder("prepared")), params.run(run).classes)
    out = params.folder("models") / f"{run}-{r}"
    if params.run(run).source == "folder":
        score_folder(params, run, store, out)
    else:
        train_run(params, run, r, store, out)


main(work, "run", "replicate")
