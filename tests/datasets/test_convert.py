import io

import numpy as np
import pytest
from PIL import Image

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.convert import choose_classes, convert_images, select_classes
from kelvin.datasets.sources.decoding import decode
from kelvin.datasets.sources.raw import RawData


def _png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def test_png_decodes_bit_exact(random_images):
    grey, colour = random_images(1, (1, 5, 7))[0], random_images(1, (3, 5, 7))[0]
    assert np.array_equal(decode(_png(Image.fromarray(grey[0])), None, None), grey)
    picture = Image.fromarray(np.moveaxis(colour, 0, -1).copy())
    assert np.array_equal(decode(_png(picture), None, None), colour)


def test_nothing_to_convert_gives_the_same_array(random_images):
    images = random_images(3)
    assert convert_images(images, 6, 1) is images
    assert convert_images(images, None, None) is images


def test_grey_to_colour_repeats_and_back_is_exact(random_images):
    images = random_images(3)
    colour = convert_images(images, None, 3)
    assert colour.shape == (3, 3, 6, 6)
    assert (colour == images).all()
    assert np.array_equal(convert_images(colour, None, 1), images)


def test_grey_is_the_601_luma(random_images):
    images = random_images(4, (3, 6, 6))
    luma = np.einsum("c,nchw->nhw", [0.299, 0.587, 0.114], images.astype(float))
    assert np.abs(convert_images(images, None, 1)[:, 0] - luma).max() <= 0.51


def test_reduction_is_antialiased():
    stripes = np.zeros((1, 1, 64, 64), np.uint8)
    stripes[..., ::2] = 255
    small = convert_images(stripes, 16, None).astype(float)
    # A filter without antialiasing picks single stripes and gives 0 or 255.
    assert np.abs(small - 127.5).max() < 12


def test_resizing_keeps_a_constant_and_the_position_of_a_ramp():
    assert (convert_images(np.full((1, 3, 10, 10), 77, np.uint8), 7, None) == 77).all()
    ramp = np.tile(np.linspace(0, 240, 48, dtype=np.uint8), (1, 1, 48, 1))
    small = convert_images(ramp, 12, None)[0, 0, 6].astype(float)
    blocks = ramp[0, 0, 6].reshape(12, 4).mean(axis=1)
    assert np.abs(small - blocks)[1:-1].max() <= 1


def test_oblong_images_are_cropped_centrally_not_squeezed():
    wide = np.zeros((1, 1, 4, 8), np.uint8)
    wide[..., 2:6] = 200
    assert (convert_images(wide, 4, None) == 200).all()
    assert (convert_images(wide.swapaxes(2, 3), 2, None) == 200).all()


@pytest.mark.parametrize(
    ("shape", "size", "box"),
    [((8, 12), (8, 12), (0, 8, 0, 12)), ((8, 12), (4, 6), (0, 8, 0, 12)), ((8, 12), 8, (0, 8, 2, 10)),
     ((8, 20), (4, 6), (0, 8, 4, 16)), ((20, 8), (6, 4), (4, 16, 0, 8)), ((8, 12), [8, 8], (0, 8, 2, 10)),
     ((12, 12), (4, 6), (2, 10, 0, 12))],
)  # fmt: skip
def test_the_largest_central_box_of_the_wanted_shape_is_scaled(random_images, shape, size, box):
    images, (top, bottom, left, right) = random_images(2, (1, *shape)), box
    high, wide = (size, size) if isinstance(size, int) else size
    boxes = [Image.fromarray(image[0, top:bottom, left:right]) for image in images]
    expected = [np.asarray(image.resize((wide, high), Image.Resampling.BICUBIC)) for image in boxes]
    converted = convert_images(images, size, None)
    assert converted.shape == (2, 1, high, wide)
    assert np.array_equal(converted[:, 0], np.stack(expected))


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr"])
def test_other_opaque_modes_become_grey_or_colour(mode):
    source = Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode)
    file = io.BytesIO()
    source.save(file, "PNG" if mode in ("1", "P") else "JPEG")
    pixels = decode(file.getvalue(), None, None)
    assert pixels.shape == ((1 if mode == "1" else 3), 4, 4)
    assert (pixels >= 254).all()


def test_opaque_alpha_is_dropped_and_transparency_refused():
    opaque = Image.new("RGBA", (4, 4), (9, 8, 7, 255))
    assert decode(_png(opaque), None, None)[:, 0, 0].tolist() == [9, 8, 7]
    with pytest.raises(ValueError, match="transparent"):
        decode(_png(Image.new("RGBA", (4, 4), (9, 8, 7, 254))), None, None)
    with pytest.raises(ValueError, match="transparent"):
        decode(_png(Image.new("L", (4, 4), 5), transparency=5), None, None)


def _raw(random_images):
    labels = np.array([0, 1, 2, 0, 1, 2])
    return RawData(
        images=random_images(6), labels=labels, class_names=["a", "b", "c"],
        groups=np.arange(6) * 10, given_test=np.arange(6) > 2,
    )  # fmt: skip


def test_class_subset_relabels_in_the_order_asked_for(random_images):
    raw = _raw(random_images)
    subset = select_classes(raw, ["c", 0])
    assert subset.class_names == ["c", "a"]
    assert subset.labels.tolist() == [1, 0, 1, 0]
    assert subset.groups.tolist() == [0, 20, 30, 50]
    assert subset.given_test.tolist() == [False, False, True, True]
    assert np.array_equal(subset.images, raw.images[[0, 2, 3, 5]])
    assert select_classes(raw, None) is raw


@pytest.mark.parametrize(
    ("classes", "message"),
    [(["d"], "'d' is no class"), ([3], "3 is no class"), ([-1], "-1 is no class"),
     (["a", 0], "twice"), ([], "empty list")],
)  # fmt: skip
def test_impossible_class_lists_are_refused(classes, message):
    with pytest.raises(KelvinError, match=message):
        choose_classes(["a", "b", "c"], classes)
