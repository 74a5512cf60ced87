"""Extractors see checked images in batches and answer with checked features."""

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.features.extractor import Extractor
from kelvin.metrics.moments import moments, stream_moments

IMAGES = np.random.default_rng(0).random((23, 1, 4, 4)).astype(np.float32)


def flat(images):
    return images.reshape(len(images), -1)


@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
def test_features_do_not_depend_on_the_batch_size(batch_size):
    pixels = Extractor("pixels", 16, "none", "none", flat)
    np.testing.assert_array_equal(pixels(IMAGES, batch_size), flat(IMAGES).astype(np.float64))
    streamed, whole = stream_moments(pixels.batches(IMAGES, batch_size)), moments(flat(IMAGES))
    np.testing.assert_allclose(streamed.cov, whole.cov, atol=1e-12)


def test_the_function_is_given_float32_in_unit_range_whatever_was_stored():
    seen = []

    def watch(images):
        seen.append((images.dtype, float(images.max())))
        return flat(images)

    Extractor("pixels", 16, "none", "none", watch)((IMAGES * 255).astype(np.uint8))
    assert seen[0][0] == np.float32 and 0.9 < seen[0][1] <= 1


def test_wrong_images_and_wrong_features_are_refused():
    pixels = Extractor("pixels", 16, "none", "none", flat)
    with pytest.raises(KelvinError, match=r"\[0, 1\]"):
        pixels(IMAGES * 2 - 1)
    with pytest.raises(KelvinError, match="0 images"):
        pixels(IMAGES[:0])
    with pytest.raises(KelvinError, match="16 features"):
        Extractor("pixels", 17, "none", "none", flat)(IMAGES)
    with pytest.raises(KelvinError, match="one row each"):
        Extractor("pixels", 16, "none", "none", lambda x: flat(x)[:1])(IMAGES)
    with pytest.raises(KelvinError, match="not finite"):
        Extractor("pixels", 16, "none", "none", lambda x: flat(x) * np.nan)(IMAGES)
