"""What is measured of the samples that training kept, epoch by epoch."""

from types import SimpleNamespace

import numpy as np

from kelvin.evaluation.rows import epoch_rows
from kelvin.metrics.fmd import make_scale
from kelvin.metrics.moments import stream_moments
from kelvin.report.parts import curves


def a_protocol(references):
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 3))
    held = rng.normal(size=(80, 3))
    black = np.full((1, 3), 9.0)
    scale, small = (make_scale(stream_moments([real]), held, n, 5, 0, black) for n in (20, 8))

    def features(images):
        return images.reshape(len(images), -1)[:, :3].astype(np.float64) / 50

    judged = {name: SimpleNamespace(extractor=features) for name in references}
    return SimpleNamespace(references=judged, scale=lambda n, extractor="classifier", key="": scale,
                           small=lambda: small, judge=lambda images: (features(images), None))


def test_fid_per_epoch_joins_where_inception_is_there(monkeypatch):
    images = np.random.default_rng(1).integers(0, 256, (2, 20, 1, 8, 8), dtype=np.uint8)
    kept = SimpleNamespace(epochs=np.array([1, 5]), samples=images)
    without = epoch_rows(a_protocol(["classifier"]), kept)
    rows = epoch_rows(a_protocol(["classifier", "inception"]), kept)
    assert [row["epoch"] for row in rows] == [1, 5] and "fid" not in without[0]
    assert all(row["fid"] == row["fmd"] and row["fid_floor"] == row["floor"] for row in rows)
    for found, panels in ((without, 3), (rows, 4)):
        run = SimpleNamespace(title="a", name="a", family="hot",
                              first=SimpleNamespace(details={"epochs": found}),
                              replicates=[SimpleNamespace(index=0, details={"epochs": found})])
        drawn = []
        monkeypatch.setattr(curves, "finish", lambda figure, *_, drawn=drawn: drawn.extend(figure.axes))
        curves.fmd_figure("x", [run])
        assert len(drawn) == panels and [a.get_ylabel() for a in drawn].count("FID") == panels - 3
