"""Pixels and principal components against scikit-learn; the random network against its definition."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from sklearn.decomposition import PCA

from kelvin.common.errors import KelvinError
from kelvin.features import plain as module
from kelvin.features.plain import fit_projection, pixel_extractor, random_extractor
from kelvin.metrics.frechet import frechet_from_features

IMAGES = np.random.default_rng(0).random((80, 2, 4, 5)).astype(np.float32) ** 2


def pixels_of(images, max_dim, batch_size=1024):
    """A pixel extractor with what is fitted to these images."""
    return pixel_extractor(images.shape[1:], **fit_projection(images, max_dim, batch_size))

IMAGES[:, 0] *= np.linspace(0, 1, 80)[:, None, None].astype(np.float32)


def test_few_pixels_are_taken_as_they_are():
    extractor = pixels_of(IMAGES, 40)
    assert (extractor.name, extractor.dim, extractor.preprocessing) == ("pixels", 40, "none")
    np.testing.assert_array_equal(extractor(IMAGES[:7]), IMAGES[:7].reshape(7, -1).astype(np.float64))


@pytest.mark.parametrize("batch_size", [7, 1024])
def test_principal_components_are_scikit_learns(batch_size):
    """Features to 1e-9, up to the sign of each, which makes the largest loading positive."""
    extractor = pixels_of(IMAGES[:60], 6, batch_size)
    fitted = PCA(6, svd_solver="full").fit(IMAGES[:60].reshape(60, -1).astype(np.float64))
    expected = fitted.transform(IMAGES.reshape(80, -1).astype(np.float64))
    loading = fitted.components_
    signs = np.sign(loading[np.arange(6), np.abs(loading).argmax(1)])
    np.testing.assert_allclose(extractor(IMAGES), expected * signs, atol=1e-9)
    assert extractor.dim == 6 and extractor.preprocessing.startswith("first 6 of 40 principal")


def test_the_pixel_hash_covers_shape_and_fitted_matrix():
    def found(images, dim=6):
        return pixels_of(images, dim).hash
    assert found(IMAGES) == found(IMAGES.copy()) != found(IMAGES[:-1])
    assert len({found(IMAGES), found(IMAGES, 5), found(IMAGES, 40),
                found(IMAGES.reshape(80, 1, 8, 5), 40)}) == 4
    assert found(IMAGES, 40) == found(IMAGES[:3], 99)  # nothing was fitted
    stored = np.round(IMAGES * 255).astype(np.uint8)
    assert found(stored) == found((stored / np.float32(255)).astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 8), (3, 5, 7), (4, 33, 2), (3, 64, 64)])
def test_any_shape_has_a_random_network(shape):
    images = np.random.default_rng(1).random((6, *shape)).astype(np.float32)
    extractor = random_extractor(shape, 24, 0)
    features = extractor(images)
    assert features.shape == (6, 24) and features.std(0).max() > 1e-4
    np.testing.assert_allclose(extractor(images, batch_size=4), features, rtol=1e-5, atol=1e-6)
    small = module._random_network(shape, 24, 0)
    sizes = [m.out_channels for m in small if isinstance(m, torch.nn.Conv2d)]
    assert sizes == [*module.WIDTHS[:len(sizes) - 1], 24]


def test_one_layer_by_its_definition():
    """4x4 images need no halving: mean over positions of relu(correlation + bias), to 1e-5."""
    images = np.random.default_rng(2).random((3, 2, 4, 4)).astype(np.float32)
    layer = module._random_network((2, 4, 4), 5, 7)[0]
    weight, bias = layer.weight.numpy(), layer.bias.numpy()
    for image, got in zip(images, random_extractor((2, 4, 4), 5, 7)(images), strict=True):
        for k in range(5):
            seen = sum(correlate2d(2 * image[c] - 1, weight[k, c], mode="same") for c in range(2))
            assert got[k] == pytest.approx(np.maximum(seen + bias[k], 0).mean(), abs=1e-5)


def test_weights_have_the_spread_of_he_and_depend_on_the_seed_alone():
    state = torch.get_rng_state()
    one, same, other = (random_extractor((1, 8, 8), 64, s) for s in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())  # the caller's stream is left alone
    images = np.random.default_rng(3).random((5, 1, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(one(images), same(images))
    assert one.hash == same.hash != other.hash and np.abs(one(images) - other(images)).max() > 0.01
    assert one.hash != random_extractor((1, 8, 9), 64, 0).hash
    layer = module._random_network((1, 8, 8), 64, 0)[3]
    assert layer.weight.std().item() == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.05)


def test_random_features_tell_two_distributions_apart():
    """Of equal pixel means and variances: noise, and noise that is smooth."""
    rng = np.random.default_rng(4)
    def noise(smooth):
        x = rng.normal(size=(200, 1, 8, 8))
        if smooth:
            x = (x + np.roll(x, 1, 2) + np.roll(x, 1, 3) + np.roll(x, (1, 1), (2, 3))) / 2
        return np.clip(0.5 + x / 8, 0, 1).astype(np.float32)
    extractor = random_extractor((1, 8, 8), 16, 0)
    alike = frechet_from_features(extractor(noise(False)), extractor(noise(False)))
    assert frechet_from_features(extractor(noise(True)), extractor(noise(False))) > 10 * alike


@pytest.mark.parametrize(("make", "match"), [
    (lambda: pixels_of(IMAGES, 0), "max_dim = 0"),
    (lambda: pixels_of(IMAGES[:6], 6), "6 reference images cannot give 6 principal"),
    (lambda: pixels_of(IMAGES[:0], 50), "0 images"),
    (lambda: pixels_of(2 * IMAGES, 6), r"\[0, 1\]"),
    (lambda: pixels_of(IMAGES, 6)(IMAGES[:, :1]), "are given to a pixel extractor"),
    (lambda: random_extractor((1, 8), 6, 0), r"shape \(C, H, W\)"),
    (lambda: random_extractor((1, 8, 8), 0, 0), "dim of at least 1"),
    (lambda: random_extractor((1, 8, 8), 6, 0)(IMAGES), "are given to a random extractor")])
def test_bad_input_is_refused(make, match):
    with pytest.raises(KelvinError, match=match):
        make()
