"""kelvin.score: the same numbers as the functions and the pipeline, from every kind of source."""

import json
import tarfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import kelvin
import kelvin.scoring.score as score_module
from kelvin.cli import app
from kelvin.common.errors import KelvinError
from kelvin.features.plain import pixel_extractor, random_extractor
from kelvin.metrics.kid import kid
from kelvin.metrics.manifold import density_coverage, precision_recall
from kelvin.metrics.moments import moments
from kelvin.scoring.cache import read_statistics
from kelvin.scoring.images import load_images
from kelvin.scoring.score import score_sources, unlike

N, SHAPE = 40, (1, 6, 6)
FEATURES = ("pixels", "random")


def drawn(seed, n=N, shape=SHAPE, low=0):
    return np.random.default_rng(seed).integers(low, 256, (n, *shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def real():
    return drawn(0, 120)


@pytest.fixture(scope="module")
def scores(real):
    return kelvin.score([drawn(1), drawn(2, low=90)], real, features=FEATURES)


def test_frechet_distances_are_pytorch_fids_on_the_same_features(real, scores):
    """To 1e-6; pixels and the random network, as the pipeline's extractors give them."""
    peer = pytest.importorskip("pytorch_fid.fid_score")
    for found, images in zip(scores.sets, (drawn(1), drawn(2, low=90)), strict=True):
        for value in found.by_features:
            extractor = {"pixels": pixel_extractor(SHAPE), "random": random_extractor(SHAPE, 64, 0)}
            x, y = (moments(extractor[value.features](i)) for i in (images, real))
            theirs = peer.calculate_frechet_distance(x.mean, x.cov, y.mean, y.cov)
            assert value.fd == pytest.approx(theirs, rel=1e-6)
            assert value.fd_low < value.fd_high and value.floor > 0


def test_kernels_and_balls_are_the_functions_of_the_pipeline(real, scores):
    order = np.random.default_rng(0).permutation(len(real))
    assert len(order) == 120  # all are kept, in their own order
    x, y = (pixel_extractor(SHAPE)(i) for i in (drawn(1), real))
    value = scores.sets[0].by_features[0]
    expected = kid(x, y, subset_size=N, subsets=20, seed=0)
    inside, spread = precision_recall(y, x, 3), density_coverage(y, x, 3)
    assert (value.kid, value.kid_low, value.kid_high) == (expected.value, expected.low, expected.high)
    assert (value.precision, value.recall) == (inside.precision, inside.recall)
    assert (value.density, value.coverage) == (spread.density, spread.coverage)


def test_the_nearer_set_scores_lower_and_copies_are_seen(real, scores):
    near, far = scores.sets
    assert all(a.fd < b.fd for a, b in zip(near.by_features, far.by_features, strict=True))
    assert near.copies < 0.1 and kelvin.score(real[:N], real, features=("pixels",)).sets[0].copies > 0.9


def test_every_kind_of_source_holds_the_same_images(tmp_path):
    images = drawn(3, 12)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[0]).save(folder / f"{i}.png")
    with tarfile.open(tmp_path / "pictures.tar", "w") as tar:
        tar.add(folder, "pictures")
    np.save(tmp_path / "first.npy", images)
    np.save(tmp_path / "last.npy", images.transpose(0, 2, 3, 1))
    np.save(tmp_path / "grey.npy", images[:, 0])
    np.savez(tmp_path / "set.npz", arr_0=images, labels=np.arange(12))
    for name in ("pictures", "pictures.tar", "first.npy", "last.npy", "grey.npy", "set.npz"):
        assert np.array_equal(load_images(tmp_path / name), images), name
    assert load_images(images, resize=4).shape == (12, 1, 4, 4)
    assert load_images(images, channels=3).shape == (12, 3, 6, 6)


@pytest.mark.parametrize(("theirs", "sentence"), [
    (drawn(1).astype(np.float32) / 255, "float32; images should be uint8"),
    (drawn(1, shape=(4, 6, 6)), "should have 1 or 3 entries"),
    (drawn(1, shape=(3, 6, 1)), "may be either order"),
    (drawn(1, 5), "at least 10 are needed"),
    (drawn(1, shape=(1, 5, 6)), "bring them to one size by --resize"),
    ("absent", "set 1: 'absent' is not there"),
    ("absent.npz", "set 1: 'absent.npz' is not there")])
def test_what_cannot_be_compared_is_one_sentence(real, theirs, sentence):
    with pytest.raises(KelvinError, match=sentence):
        kelvin.score(theirs, real, features=("pixels",))


@pytest.mark.parametrize("name", ["set.npy", "set.npz"])
def test_a_damaged_array_is_one_sentence_wherever_it_is_damaged(tmp_path, name):
    images, path = drawn(3, 12), tmp_path / name
    np.savez_compressed(path, images) if name == "set.npz" else np.save(path, images)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        cut, flipped = whole[:at], bytearray(whole)
        flipped[at] ^= 32
        for content in (cut, flipped):
            path.write_bytes(content)
            try:
                found = load_images(path)
            except KelvinError as error:
                assert "\n" not in str(error) and str(path) in str(error)
            else:  # a date, or a pixel, since an .npy file has no checksum
                assert name == "set.npy" or np.array_equal(found, images)


@pytest.mark.parametrize("odd", ["mu", "sigma"])
def test_published_statistics_that_are_not_finite_are_refused(tmp_path, odd):
    arrays = {"mu": np.zeros(4), "sigma": np.eye(4)}
    np.savez(tmp_path / "good.npz", **arrays)
    assert read_statistics(tmp_path / "good.npz").moments.dim == 4
    arrays[odd].flat[0] = np.nan
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(KelvinError, match="should be finite"):
        read_statistics(tmp_path / "bad.npz")


@pytest.mark.parametrize(("mu", "sigma", "sentence"), [
    (np.zeros(4), -np.eye(4), "negative eigenvalue -1"),
    (np.zeros(4), np.eye(4) + np.eye(4, k=1), "is not symmetric"),
    (np.full(4, 1e300), np.eye(4), "no features have them"),
    (np.zeros(4, complex), np.eye(4), "mu is complex128"),
    (np.zeros(4, bool), np.eye(4), "mu is bool")])
def test_published_statistics_that_are_no_covariance_are_refused(tmp_path, mu, sigma, sentence):
    np.savez(tmp_path / "bad.npz", mu=mu, sigma=sigma)
    with pytest.raises(KelvinError, match=sentence):
        read_statistics(tmp_path / "bad.npz")


def test_statistics_of_single_precision_and_full_of_zeros_are_read(tmp_path):
    """A covariance of fewer images than features, rounded to float32: eigenvalues a little below 0."""
    sigma = np.cov(np.random.default_rng(0).standard_normal((20, 64)), rowvar=False).astype(np.float32)
    assert np.linalg.eigvalsh(sigma.astype(np.float64))[0] < 0
    np.savez(tmp_path / "good.npz", mu=np.zeros(64, np.float32), sigma=sigma)
    assert read_statistics(tmp_path / "good.npz").moments.dim == 64


@pytest.mark.parametrize("use", [
    lambda x: kelvin.score([], x), lambda x: kelvin.score(None, x), lambda x: kelvin.score(3, x),
    lambda x: kelvin.score([[1]], x), lambda x: kelvin.score(x, None),
    lambda x: kelvin.score(x, x, seed=-1),
    lambda x: kelvin.score(x, x, seed="x"), lambda x: kelvin.score(x, x, resize=0),
    lambda x: kelvin.score(x, x, resize=1.5), lambda x: kelvin.score(x, x, resize=(4, 6, 3)),
    lambda x: kelvin.score(x, x, resize=10**8), lambda x: kelvin.score("a" * 5000, x),
    lambda x: kelvin.score(np.zeros((20, 8, 0), np.uint8), x), lambda x: kelvin.score(np.ma.array(x), x)])
def test_what_is_no_set_of_images_is_one_sentence(real, use):
    with pytest.raises(KelvinError) as refused:
        use(real)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_statistics_of_statistics_are_refused(real, tmp_path):
    np.savez(tmp_path / "t.npz", mu=np.zeros(4), sigma=np.eye(4))
    np.save(tmp_path / "a.npy", real)
    done = CliRunner().invoke(app, [
        "score", str(tmp_path / "a.npy"), str(tmp_path / "t.npz"), "--features", "random", "--statistics",
        str(tmp_path / "out.npz")])
    assert isinstance(done.exception, KelvinError) and "holds mu and sigma itself" in str(done.exception)


def test_unknown_features_are_refused(real):
    with pytest.raises(KelvinError, match="'pixel' are unknown"):
        kelvin.score(real, real, features=("pixel",))


def test_the_cache_gives_the_same_and_knows_other_images(real, tmp_path, monkeypatch):
    plain = kelvin.score(drawn(1), real, features=FEATURES)
    assert kelvin.score(drawn(1), real, features=FEATURES, cache=tmp_path) == plain
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    from kelvin.scoring.cache import Cache

    monkeypatch.setattr(Cache, "_measured", None)  # nothing is measured again
    assert kelvin.score(drawn(1), real, features=FEATURES, cache=tmp_path) == plain
    monkeypatch.undo()
    whole = files[0].read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 64  # a number within it
    for damaged in (whole[:100], flipped):  # made again
        files[0].write_bytes(damaged)
        assert kelvin.score(drawn(1), real, features=FEATURES, cache=tmp_path) == plain
    kelvin.score(drawn(1), drawn(9, 120), features=("pixels",), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_published_mu_and_sigma_are_written_read_and_scored(real, tmp_path):
    np.save(tmp_path / "real.npy", real)
    np.save(tmp_path / "mine.npy", drawn(1))
    runner, stats = CliRunner(), tmp_path / "stats.npz"
    asked = [str(tmp_path / "mine.npy"), str(tmp_path / "real.npy"), "--features", "random"]
    done = runner.invoke(app, ["score", *asked, "--statistics", str(stats), "--json", "--html",
                               str(tmp_path / "page.html")], catch_exceptions=False)
    found = json.loads(done.stdout)["sets"][0]["by_features"][0]
    written = read_statistics(stats).moments
    y = moments(random_extractor(SHAPE, 64, 0)(real))
    np.testing.assert_allclose(written.cov, y.cov, rtol=1e-12, atol=1e-12)
    again = kelvin.score(drawn(1), stats, features=("random",)).sets[0]
    assert again.by_features[0].fd == pytest.approx(found["fd"], rel=1e-9) and again.copies is None
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2 and "data:image/png" in page and "https:" not in page
    with pytest.raises(KelvinError, match="no trained network gives so many"):
        np.savez(tmp_path / "odd.npz", mu=np.zeros(7), sigma=np.eye(7))
        kelvin.score(drawn(1), tmp_path / "odd.npz", features=("random",))


@pytest.mark.parametrize("use", [
    lambda stats, x: kelvin.score(x, stats, resize=8),
    lambda stats, x: kelvin.score(np.repeat(x, 3, axis=1), stats)])
def test_statistics_of_another_network_are_no_reference(real, tmp_path, use):
    """Another size or number of colours is another random network, though it gives as many features; a
    file that does not say what made it is taken for no random network at all."""
    stats, bare = tmp_path / "stats.npz", tmp_path / "bare.npz"
    score_sources([drawn(1)], real, features=("random",), statistics=stats)
    assert kelvin.score(real, stats).sets[0].by_features[0].fd < 1e-9
    with pytest.raises(KelvinError, match=r"in features \(random\) that these sets are not given"):
        use(stats, drawn(1))
    with np.load(stats) as file:
        np.savez(bare, mu=file["mu"], sigma=file["sigma"])
    with pytest.raises(KelvinError, match="does not say what made them"):
        kelvin.score(real, bare)
    with pytest.raises(KelvinError, match="components of pixels are those of the images at hand"):
        score_sources([drawn(1)], real, features=("pixels",), statistics=tmp_path / "p.npz")


def test_features_that_cannot_be_had_are_refused_where_they_are_named(real, monkeypatch, tmp_path):
    monkeypatch.setenv("KELVIN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("inception", "imagenet"):
        with pytest.raises(KelvinError):
            kelvin.score(drawn(1), real, features=(name,))


def test_no_set_takes_anothers_place():
    assert unlike(["s", "s", "s (1)"]) == ["s (2)", "s (3)", "s (1)"]
    assert unlike(["a", "b", "a"]) == ["a (1)", "b", "a (3)"]


def test_the_floor_is_of_as_many_real_images_as_there_are(real, monkeypatch):
    """Also where a set is half of what kernels and balls are counted on, which stay of that many."""
    plain = kelvin.score(drawn(1), real, features=FEATURES).sets[0].by_features
    assert all(f.floor is not None for f in plain)
    monkeypatch.setattr(score_module, "ROWS", 60)  # more than 40: half of 60 would be fewer
    few = kelvin.score(drawn(1), real, features=FEATURES).sets[0].by_features
    kept = np.sort(np.random.default_rng(0).permutation(len(real))[:60])
    for a, b in zip(plain, few, strict=True):
        assert b.floor is not None and (a.fd, a.fd_low) == (b.fd, b.fd_low)
    x, y = (random_extractor(SHAPE, 64, 0)(part) for part in (drawn(1), real[kept]))
    assert few[1].recall == precision_recall(y, x, 3).recall


def test_a_stored_reference_with_odd_features_is_measured_anew(real, tmp_path):
    plain = kelvin.score(drawn(1), real, features=("random",), cache=tmp_path)
    (path,) = tmp_path.iterdir()
    with np.load(path) as file:
        arrays = dict(file)
    for odd in (arrays["kept"][:2], arrays["kept"] * np.nan):
        np.savez(path, **arrays | {"kept": odd})
        assert kelvin.score(drawn(1), real, features=("random",), cache=tmp_path) == plain


def test_the_table_has_a_row_a_set_and_feature_and_says_what_it_means(scores):
    text = str(scores)
    lines = text.splitlines()
    assert len([line for line in lines if line.startswith("images 1")]) == 2
    assert "FD: squared" in text and "Against real images: 120 images, 6x6 grey." in text
