"""FID's extractor against pytorch-fid on random weights in the published layout; its file and reasons."""

import hashlib
import http.server
import socket
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from kelvin.common.errors import KelvinError
from kelvin.features.inception import FILE, RESIZES, SHA256, URL, fid_extractor
from kelvin.features.inception_network import blank_network
from kelvin.features.inception_resize import PREPROCESSING, normalise, resize
from kelvin.metrics.frechet import frechet_distance
from kelvin.metrics.moments import stream_moments

# Coarse patterns: random networks tell fine noise apart too little.
RGB = np.random.default_rng(0).random((3, 3, 5, 4)).astype(np.float32).repeat(8, 2).repeat(7, 3)
GREY = np.random.default_rng(1).random((1, 1, 8, 8)).astype(np.float32)


def draw_weights():
    """Random values in the published file's names and shapes, of a scale that keeps signals alive."""
    source, state = torch.Generator().manual_seed(0), {}
    for name, empty in blank_network().state_dict().items():
        values = torch.randn(empty.shape, generator=source)
        if empty.ndim == 4:
            values *= (2 / empty[0].numel()) ** 0.5
        elif name.endswith(("running_var", "bn.weight")):
            values = values.abs() / 2 + 0.5
        elif "num_batches" not in name:
            values *= 0.1
        state[name] = torch.tensor(0) if "num_batches" in name else values
    return state


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """(folder as KELVIN_DATA names it, sha256, weights) of a file in the published layout."""
    root, state = tmp_path_factory.mktemp("data"), draw_weights()
    path = root / "inception" / FILE
    path.parent.mkdir()
    torch.save(state, path)
    return root, hashlib.sha256(path.read_bytes()).hexdigest(), state


@pytest.fixture(scope="module")
def features(published):
    """Of RGB and GREY, by the default: in batches of 2, so that batches are crossed."""
    root, sha256, _ = published
    before = torch.get_rng_state()
    extractor, why = fid_extractor(str(root), sha256=sha256)
    assert torch.equal(before, torch.get_rng_state())  # seeds of a run stay untouched
    assert (extractor.name, extractor.dim, extractor.hash, why) == ("inception", 2048, sha256, None)
    assert extractor.preprocessing.startswith("pytorch-fid")
    with pytest.raises(KelvinError, match="4 channels"):
        extractor(np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(KelvinError, match=r"\[0, 1\]"):
        extractor(255 * GREY)
    return {"rgb": extractor(RGB, 2), "grey": extractor(GREY)}


@pytest.fixture(scope="module")
def peer(published):
    """pytorch-fid's own network on the same weights."""
    inception = pytest.importorskip("pytorch_fid.inception")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: published[2])
        network = inception.InceptionV3().eval()

    def extract(images):
        with torch.inference_mode():
            return network(torch.from_numpy(images))[0].flatten(1).numpy()

    return extract


def test_features_equal_pytorch_fids(features, peer):
    """2048 pool features to 1e-4, of colour images that are no squares and of small grey ones."""
    expected = peer(RGB)
    assert expected.std(0).mean() > 0.05  # so that 1e-4 means something
    np.testing.assert_allclose(features["rgb"], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(features["grey"], peer(GREY.repeat(3, 1)), rtol=0, atol=1e-4)


def test_each_resize_reaches_the_network_with_its_own_range(published, peer):
    """Features of `tf1` and `clean` are pytorch-fid's network's of images prepared by hand, to 1e-4."""
    images = RGB[:1]
    for mode, prepared in (("tf1", slow_tf1(images)), ("clean", pillow_bicubic(images))):
        extractor, _ = fid_extractor(published[0], mode, sha256=published[1])
        seen = (255 * prepared - 128) / 128  # pytorch-fid will make it 2 x - 1
        expected = peer((seen.astype(np.float32) + 1) / 2)
        assert extractor.preprocessing.startswith(mode)
        np.testing.assert_allclose(extractor(images), expected, rtol=0, atol=1e-4)


def test_an_unknown_resize_is_refused():
    with pytest.raises(KelvinError, match="pytorch-fid, tf1, clean"):
        fid_extractor(None, "bicubic")
    assert tuple(PREPROCESSING) == RESIZES


def test_fid_equals_pytorch_fids_and_torchmetrics(features, patched_fid_score):
    """To 1e-5 relative on the same features, at full rank: 900 rows, streamed, and a few of images.

    Of the images' features the 150 with the widest spread serve as the axes that rows are mixed from.
    """
    from torchmetrics.image.fid import _compute_fid

    rng = np.random.default_rng(2)
    widest = np.argsort(features["rgb"].std(0))[-150:]
    base = features["rgb"][:, widest]
    x, y = (rng.dirichlet(np.ones(3), 900) @ base + noise * rng.normal(size=(900, 150))
            for noise in (0.1, 0.2))
    y = y @ (np.eye(150) + rng.normal(size=(150, 150)) / 30)
    a, b = (stream_moments(z[i:i + 100] for i in range(0, 900, 100)) for z in (x, y))
    got = frechet_distance(a, b)
    stats = np.mean(x, 0), np.cov(x, rowvar=False), np.mean(y, 0), np.cov(y, rowvar=False)
    np.testing.assert_allclose(got, patched_fid_score(*stats), rtol=1e-5)
    tensors = map(torch.from_numpy, stats)
    np.testing.assert_allclose(got, _compute_fid(*tensors).item(), rtol=1e-5)


@pytest.fixture(scope="module")
def patched_fid_score():
    """pytorch-fid's distance. scipy 1.18 drops sqrtm's `disp`, which it passes: given back here."""
    import scipy.linalg

    fid_score = pytest.importorskip("pytorch_fid.fid_score")

    class Linalg:
        @staticmethod
        def sqrtm(a, disp=True):
            return scipy.linalg.sqrtm(a) if disp else (scipy.linalg.sqrtm(a), 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fid_score, "linalg", Linalg)
        yield fid_score.calculate_frechet_distance


# Resizing


def slow_tf1(images, rows=range(299)):
    """TensorFlow 1's resize_bilinear, align_corners=False, pixel by pixel, of some output rows."""
    *_, height, width = images.shape
    out = np.empty((*images.shape[:2], len(rows), 299))
    for k, i in enumerate(rows):
        top = int(i * height / 299)
        below, dy = min(top + 1, height - 1), i * height / 299 - top
        for j in range(299):
            left = int(j * width / 299)
            right, dx = min(left + 1, width - 1), j * width / 299 - left
            upper = images[..., top, left] * (1 - dx) + images[..., top, right] * dx
            lower = images[..., below, left] * (1 - dx) + images[..., below, right] * dx
            out[..., k, j] = upper * (1 - dy) + lower * dy
    return out


def pillow_bicubic(images):
    """Pillow's bicubic of each channel in float (mode F), on 0..255 and cut to it, as Clean-FID."""
    out = np.empty((*images.shape[:2], 299, 299), np.float32)
    for index in np.ndindex(images.shape[:2]):
        channel = Image.fromarray(255 * images[index])
        assert channel.mode == "F"
        out[index] = np.asarray(channel.resize((299, 299), Image.Resampling.BICUBIC)).clip(0, 255)
    return out / 255


SHAPES = [(1, 1, 8, 8), (2, 3, 40, 28), (1, 1, 299, 300), (1, 1, 512, 31), (1, 3, 640, 700)]


def random_images(shape):
    return np.random.default_rng(sum(shape)).random(shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_clean_is_pillows_antialiased_bicubic(shape):
    """To 1e-5 of the range [0, 1], enlarging and shrinking; 1e-3 was asked for."""
    images = random_images(shape)
    got = resize(torch.from_numpy(images), "clean").numpy()
    np.testing.assert_allclose(got, pillow_bicubic(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_tf1_is_the_slow_loop(shape):
    """To 1e-6, on every ninth row and the last."""
    images, rows = random_images(shape), [*range(0, 299, 9), 298]
    got = resize(torch.from_numpy(images), "tf1").numpy()
    np.testing.assert_allclose(got[:, :, rows], slow_tf1(images, rows), rtol=0, atol=1e-6)


def test_pytorch_fids_resize_is_not_tf1s():
    x = torch.from_numpy(random_images((1, 1, 8, 8)))
    assert (resize(x, "pytorch-fid") - resize(x, "tf1")).abs().max() > 0.1


def test_tf1_by_hand():
    """Two pixels to 299: the ramp reaches the second at 150 and stays; half pixels would centre it."""
    row = resize(torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2), "tf1")[0, 0, 0]
    expected = (torch.arange(299) * 2 / 299).clamp_max(1)
    torch.testing.assert_close(row, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", RESIZES)
def test_an_image_of_the_right_size_stays_and_a_flat_one_stays_flat(mode):
    x = torch.from_numpy(random_images((1, 3, 299, 299)))
    assert torch.equal(resize(x, mode), x)
    flat = torch.full((1, 1, 17, 600), 0.3)
    torch.testing.assert_close(resize(flat, mode), torch.full((1, 1, 299, 299), 0.3))
    ends = normalise(torch.tensor([0.0, 1.0]), mode).tolist()
    assert ends == pytest.approx([-1, 1] if mode == "pytorch-fid" else [-1, 127 / 128])


# The file


def test_the_published_file_is_the_default():
    """Eight digits of its checksum are in the published name itself."""
    assert FILE.removesuffix(".pth").endswith(SHA256[:8]) and len(SHA256) == 64
    assert URL.endswith(f"/{FILE}")


def test_without_weights_fid_is_null_and_says_what_to_put_where(tmp_path):
    nowhere = tmp_path / "raw"
    extractor, unset = fid_extractor(None, download_root=nowhere)
    assert extractor is None and "set KELVIN_DATA" in unset and "data/raw/inception/" in unset
    extractor, empty = fid_extractor(tmp_path, download_root=nowhere)
    assert extractor is None and "KELVIN_DATA/inception/" in empty
    (tmp_path / "inception").mkdir()
    (tmp_path / "inception" / "other.pth").touch()
    assert fid_extractor(tmp_path, download_root=nowhere) == (None, empty)
    for why in (unset, empty):
        assert why.startswith("FID is null") and FILE in why and SHA256 in why and URL in why
        assert str(tmp_path) not in why and one_sentence(why)
    assert not nowhere.exists()


def one_sentence(why):
    return why.endswith(".") and "\n" not in why and ". " not in why


def test_a_wrong_file_is_refused_in_a_sentence_and_never_used(tmp_path, published):
    path = tmp_path / "inception" / FILE
    path.parent.mkdir()
    path.write_bytes(b"something else")
    other = hashlib.sha256(b"something else").hexdigest()
    # the right file in the second place does not hide that the first is wrong
    extractor, why = fid_extractor(tmp_path, download_root=published[0])
    assert extractor is None and one_sentence(why)
    assert f"KELVIN_DATA/inception/{FILE} has sha256 {other}, not {SHA256}" in why
    # called what it should be, and yet no weights: of no kind, of 1,000 classes, code to be run
    refused = [fid_extractor(tmp_path, sha256=other)]
    for content in (published[2] | {"fc.weight": torch.zeros(1000, 2048)}, {"code": print}):
        torch.save(content, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        refused.append(fid_extractor(tmp_path, sha256=digest))
    for extractor, why in refused:
        assert extractor is None and "does not hold FID's Inception weights" in why
        assert one_sentence(why)


def test_weights_without_batch_counts_load(tmp_path, published, features):
    path = tmp_path / "inception" / FILE
    path.parent.mkdir()
    torch.save({k: v for k, v in published[2].items() if "num_batches" not in k}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    extractor, _ = fid_extractor(None, download_root=tmp_path, sha256=digest)
    np.testing.assert_allclose(extractor(GREY[:1]), features["grey"][:1], rtol=0, atol=1e-4)


# The download


def test_a_download_is_checked_and_kept_whole(tmp_path, published):
    root, sha256, _ = published
    url = (root / "inception" / FILE).as_uri()
    raw, kelvin_data = tmp_path / "raw", tmp_path / "mine"
    options = {"download": True, "download_root": raw, "url": url}
    extractor, why = fid_extractor(kelvin_data, **options)
    assert extractor is None and sha256 in why and SHA256 in why and one_sentence(why)
    assert list(raw.rglob("*.p*")) == []  # neither the file nor a part of it
    extractor, why = fid_extractor(kelvin_data, sha256=sha256, **options)
    assert why is None and extractor.hash == sha256
    assert [path.name for path in (raw / "inception").iterdir()] == [FILE]
    assert not kelvin_data.exists()  # what KELVIN_DATA names belongs to the user
    again = options | {"url": "http://127.0.0.1:9/none"}
    assert fid_extractor(kelvin_data, sha256=sha256, **again)[0].hash == sha256


def test_a_download_that_fails_says_so_and_leaves_nothing(tmp_path):
    def attempt(url, **options):
        extractor, why = fid_extractor(None, download=True, download_root=tmp_path / "raw", url=url,
                                       **options)
        assert extractor is None and one_sentence(why) and "data/raw/inception/" in why
        assert list((tmp_path / "raw").rglob("*.p*")) == []
        return why

    with socket.create_server(("127.0.0.1", 0)) as silent:
        why = attempt(f"http://127.0.0.1:{silent.getsockname()[1]}/x", patience=0.3)
    assert "took too long" in why
    assert "could not be downloaded" in attempt((tmp_path / "absent").as_uri())
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert "HTTP status 501" in attempt(f"http://127.0.0.1:{server.server_port}/x")


def test_a_dripping_server_is_left_when_patience_is_spent(tmp_path):
    """A byte now and then resets every socket's timeout, and must not hold a stage for ever."""
    stop = threading.Event()

    class Drip(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            while not stop.wait(0.05):
                try:
                    self.wfile.write(b".")
                except OSError:
                    break

        def log_message(self, *_):
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Drip) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        extractor, why = fid_extractor(None, download=True, download_root=tmp_path, patience=0.4,
                                       url=f"http://127.0.0.1:{server.server_port}/x")
        stop.set()
    assert extractor is None and "took too long" in why
