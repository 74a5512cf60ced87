"""The protocol of runs that learn some classes only: scored against real images of the same classes.

Floor, ceiling and reference are measured anew on those images by the same extractors, so that such a
score stands in no table with scores of the whole data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kelvin.datasets.splitting.classes import restricted
from kelvin.datasets.store import PreparedStore
from kelvin.evaluation.protocol import Protocol
from kelvin.features.reference import measure


def restrict(protocol: Protocol, about: Mapping[str, Any], store: PreparedStore,
             classes: Sequence[int] | None) -> tuple[Protocol, dict[str, Any], PreparedStore]:
    """Protocol, what is said of its reference, and store of these classes; unchanged for None.

    Study A's small protocol keeps its share of the test images as reference; n is the protocol's.
    """
    if classes is None:
        return protocol, dict(about), store
    subset, config = restricted(store, classes), protocol.config
    share = len(subset.split("test")) / len(store.split("test"))
    small = config.small.model_copy(update={"reference": max(2, round(share * config.small.reference))})
    config = config.model_copy(update={"small": small})
    if config.bounded:  # as kelvin.settle does for all classes
        least = 1 / (len(subset.split("test").first(config.limit)) - 1)
        config = config.model_copy(update={"copy_quantile": max(config.copy_quantile, least)})
    references = {name: measure(r.extractor, config, subset) for name, r in protocol.references.items()}
    about = {**about, "classes": list(classes),
             "reference_n": len(subset.reference().first(config.limit))}
    return Protocol.of(config, protocol.judge, references, subset, protocol.fid_why,
                       protocol.n, protocol.effnet_why), about, subset
