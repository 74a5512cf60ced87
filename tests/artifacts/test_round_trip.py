"""Results come back as they were written, their keys as recorded results have them."""

import numpy as np
import torch
from results_of_every_kind import everything, pixels

from kelvin.artifacts.samples import SampleFolder, Samples
from kelvin.artifacts.weights import Weights, read_weights, write_weights


def equal(a, b):
    if isinstance(a, dict):
        assert list(a) == list(b)
        return [equal(a[key], b[key]) for key in a]
    if hasattr(a, "__dataclass_fields__"):
        return [equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__]
    assert np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


def test_samples_come_back_as_they_were(tmp_path):
    folder, wanted = SampleFolder(tmp_path), everything()
    folder.write_samples(wanted)
    file = folder.samples()
    assert file.samplers == ["ddim-5", "ddim-5@w=2.5", "raw"]
    equal(wanted, Samples(
        {name: file.samples(name) for name in file.samplers}, file.labels, file.many, file.prior,
        file.encoding, {"ddim-5": file.decoding("ddim-5")}, file.bound, file.restorations,
        file.snr_errors, file.at_times, file.parts, file.brightness, file.gates,
        file.consistency))


def test_the_keys_of_samples_stay_those_of_recorded_results():
    """Results are read again by later versions: a key that changes loses them."""
    assert list(everything().arrays()) == [
        "labels", "samples/ddim-5", "samples/ddim-5@w=2.5", "samples/raw", "many", "prior",
        "encoding_times", "encoding", "decoding_times/ddim-5", "decoding/ddim-5", "bound", "bound_times",
        "bound_terms", "bound_grey_levels", "restore_times", "restore_truth", "restore_degraded",
        "restore_groups", "restore/one-shot", "restore/ddim-5", "log_snr", "log_snr_error", "at/times",
        *(f"at/{part}/{key}" for part in ("test", "seen")
          for key in ("kinds", "truth", "degraded", "groups", "rule/exact", "rule/study-e")),
        "brightness_times", "brightness_range", "near_black", "brightness_black",
        *(f"{key}/{name}" for name in ("exact", "exact, fed back")
          for key in ("brightness", "shown", "finite", "black", "drawn")),
        "gate_times", "gate_one_shot", "gate_linear",
        *(f"{key}/{name}" for name in ("ddim-5", "naive-5")
          for key in ("consistency_times", "consistency"))]


def test_what_a_run_has_not_is_none(tmp_path):
    folder = SampleFolder(tmp_path)
    folder.write_samples(Samples({"folder": pixels(3, 1, 4, 4)}))
    file = folder.samples()
    assert file.samplers == ["folder"] and file.parts == {}
    for name in ("labels", "many", "encoding", "bound", "snr_errors", "at_times", "brightness"):
        assert getattr(file, name) is None


def test_weights_come_back_in_their_parts_and_in_the_same_bytes(tmp_path):
    wanted = Weights({"w": torch.rand(3)}, {"mean": torch.rand(2)}, {"gain": torch.rand(2)},
                     {"run": {"a": 1}}, {"weights": torch.rand(2)})
    write_weights(tmp_path / "one", wanted)
    found = read_weights(tmp_path / "one")
    for name in ("network", "prior", "process", "linear"):
        ours, theirs = getattr(wanted, name), getattr(found, name)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert found.about == wanted.about
    write_weights(tmp_path / "two", found)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
