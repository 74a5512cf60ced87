"""Some classes of a prepared store, read through the same interface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.convert import choose_classes
from kelvin.datasets.store import PARTS, PreparedStore, Split

LEFT_OUT = 255  # the part of an image whose class was not asked for


class ClassSubset(PreparedStore):
    """A view of `store`: every part holds the images of these classes only, in the store's order.

    Labels, class names, manifest and digest stay those of the whole store. KelvinError where a class
    is unknown or named twice, or a part would be empty.
    """

    def __init__(self, store: PreparedStore, classes: Sequence[int]) -> None:
        chosen = choose_classes(store.class_names, classes)
        self.folder, self.manifest, self._text = store.folder, store.manifest, store._text
        self.class_names, self.images = store.class_names, store.images
        self.labels, self.groups = store.labels, store.groups
        self.parts = np.where(np.isin(store.labels, chosen), store.parts, LEFT_OUT).astype(np.uint8)
        for number, part in enumerate(PARTS):
            if number not in self.parts:
                raise KelvinError(f"classes: {list(classes)} leaves no {part} image of {store.folder}; "
                                  "name more classes")

    def reference(self) -> Split:
        """Train and validation part of these classes."""
        return self._rows(np.flatnonzero((self.parts != LEFT_OUT) & (self.parts != PARTS.index("test"))))


def restricted(store: PreparedStore, classes: Sequence[int] | None) -> PreparedStore:
    """The store itself where no classes are named."""
    return store if classes is None else ClassSubset(store, classes)
