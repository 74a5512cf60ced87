import numpy as np
import pytest

from kelvin.datasets import PreparedStore, prepare
from kelvin.errors import KelvinError


def test_digits_have_the_promised_sizes(make_spec, tmp_path):
    spec = make_spec(source="sklearn", name="digits", validation=180, test=540)
    manifest = prepare("digits", spec, {}, tmp_path / "digits")
    assert manifest["sizes"] == {"train": 1077, "validation": 180, "test": 540}
    assert manifest["grey_levels"] == 17 and manifest["dataset"] == "digits"
    store = PreparedStore(tmp_path / "digits")
    store.verify()
    assert store.manifest == manifest
    assert len(store.reference().images) == 1257
    for part in ("train", "validation", "test"):
        shares = np.bincount(store.split(part).labels) / manifest["sizes"][part]
        assert np.abs(shares - np.bincount(store.labels) / 1797).max() < 1 / 180


def test_preparing_twice_gives_the_same_bytes(make_spec, tmp_path):
    for seed in (0, 0, 1):
        spec = make_spec(source="sklearn", name="digits", validation=0.1, test=0.3, seed=seed)
        prepare("digits", spec, {}, tmp_path / f"{len(list(tmp_path.iterdir()))}")
    digests = [PreparedStore(tmp_path / str(i)).digest for i in range(3)]
    assert digests[0] == digests[1] != digests[2]


def test_a_tar_under_kelvin_data(make_spec, make_tar, picture, tmp_path):
    part = {"train": range(8), "test": range(8, 12)}
    path = make_tar({f"set/{s}/{'ab'[i % 2]}/{i}.png": picture(i)
                     for s, indices in part.items() for i in indices})  # fmt: skip
    manifest = prepare(
        "mine", make_spec(path=path.name), {"KELVIN_DATA": str(tmp_path)}, tmp_path / "out"
    )
    assert manifest["sizes"] == {"train": 6, "validation": 2, "test": 4}
    assert list(manifest["sources"]) == ["tree.tar"]
    # The machine's own paths never enter the store.
    assert str(tmp_path) not in (tmp_path / "out/manifest.json").read_text()


def test_an_error_names_the_data_set_and_writes_nothing(make_spec, tmp_path):
    spec = make_spec(source="sklearn", name="digits", validation=180, test=None)
    with pytest.raises(KelvinError, match=r"^datasets\.digits: test: the source gives no test"):
        prepare("digits", spec, {}, tmp_path / "digits")
    assert not any(tmp_path.iterdir())
