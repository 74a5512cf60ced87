"""Make the weights that active runs start from, one training for all that can share it."""

from kelvin.config.resolve import Params
from kelvin.datasets.store import PreparedStore
from kelvin.stage import log, main
from kelvin.starts import make_starts


def work(params: Params) -> None:
    if any(params.run(name).pretrain for name, _ in params.active()):
        from kelvin.stage import set_threads

        set_threads(params)
    made = make_starts(params, PreparedStore(params.folder("prepared")), params.folder("starts"))
    log.info("pre-trained: %s", ", ".join(made) or "nothing that was not there")


main(work)
