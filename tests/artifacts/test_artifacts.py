"""Files of results that are missing, cut short or changed, each in one sentence."""

import json
import struct
import zipfile

import numpy as np
import pytest
from results_of_every_kind import FILES, assert_sentence, model, pixels, reals

from kelvin.artifacts.features import ReferenceFolder, Statistics
from kelvin.artifacts.samples import SampleFolder, Samples


@pytest.fixture(params=FILES)
def written(request, tmp_path):
    """(file, folder, reader, what its cure names)."""
    kind, _, name = request.param.partition("/")
    write, read, stage = FILES[request.param]
    folder = write(tmp_path / kind / "a-0")
    read(folder)  # whole, it is read
    return folder.path / name, folder, read, stage


def test_every_file_of_every_folder_is_tried(tmp_path):
    folders = {kind: write for (kind, _, _), (write, _, _) in
               zip((key.partition("/") for key in FILES), FILES.values(), strict=True)}
    written = {f"{kind}/{path.name}" for kind, write in folders.items()
               for path in write(tmp_path / kind).path.iterdir()}
    assert written == set(FILES)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, "last byte"])
def test_a_file_cut_short_is_one_sentence(written, share):
    path, folder, read, stage = written
    content = path.read_bytes()
    whole = content.rstrip(b"\n") if path.suffix == ".json" else content  # a tree may end with a newline
    path.write_bytes(content[:len(whole) - 1 if share == "last byte" else int(share * len(content))])
    assert_sentence(read, folder, path, stage)


def test_a_file_that_is_not_there_is_one_sentence(written):
    path, folder, read, _ = written
    path.unlink()
    assert_sentence(read, folder, path, "")


def test_a_file_of_another_kind_is_one_sentence(written):
    path, folder, read, stage = written
    path.write_bytes(b"[1, 2]\n" if path.suffix == ".json" else bytes(range(256)))
    assert_sentence(read, folder, path, stage)


def places(tree, at=()):
    """Of every key of every mapping, but for those of sections of params.yaml."""
    for key, value in tree.items():
        yield (*at, key)
        if isinstance(value, dict):
            yield from places(value, (*at, key))


JSON = [name for name in FILES if name.endswith(".json")]
FREE = {"samples/config.json": ("sampling.", "samplers.ddim-5."),  # sections of params.yaml, of any type
        "reference/about.json": "extractors.pixels.", "evaluation/calibration.json": "extractors.pixels."}


def edited(file, tmp_path, edit):
    """(place, folder, path) for every key of a file, once `edit` changed the mapping that has it."""
    kind, _, name = file.partition("/")
    folder = FILES[file][0](tmp_path / kind / "a-0")
    path = folder.path / name
    whole = path.read_text()
    for place in places(json.loads(whole)):
        tree = above = json.loads(whole)
        for key in place[:-1]:
            above = above[key]
        edit(above, place[-1])
        path.write_text(json.dumps(tree))
        yield place, folder, path


@pytest.mark.parametrize("file", JSON)
def test_a_value_of_another_type_is_one_sentence_that_names_its_key(file, tmp_path):
    """Whichever key it is of, at any depth."""
    _, read, stage = FILES[file]
    odd = [[{"odd": "x"}]]
    for place, folder, path in edited(file, tmp_path, lambda above, key: above.update({key: odd})):
        if ".".join(place).startswith(FREE.get(file, "-")):
            read(folder)
        else:
            assert ".".join(place) in assert_sentence(read, folder, path, stage)


@pytest.mark.parametrize("file", JSON)
def test_a_key_that_is_missing_is_one_sentence_at_the_latest_where_it_is_read(file, tmp_path):
    _, read, stage = FILES[file]
    for place, folder, path in edited(file, tmp_path, dict.pop):
        def use(folder, place=place):
            node = read(folder)
            for key in place:
                node = node[key]

        assert place[-1] in assert_sentence(use, folder, path, stage)


@pytest.mark.parametrize("file", [name for name in FILES if name.endswith(".npz")])
def test_a_changed_byte_of_an_array_is_found_by_its_checksum(file, tmp_path):
    """Whichever array it is of."""
    kind, _, name = file.partition("/")
    write, read, stage = FILES[file]
    folder = write(tmp_path / kind / "a-0")
    path = folder.path / name
    content = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
    for member in members:
        lengths = struct.unpack("<HH", content[member.header_offset + 26:member.header_offset + 30])
        first = member.header_offset + 30 + sum(lengths)  # the name and the extra field (APPNOTE 4.3.7)
        for share in (0.2, 0.5, 0.8):
            damaged = bytearray(content)
            damaged[first + int(share * member.compress_size)] ^= 0xFF
            path.write_bytes(damaged)
            assert_sentence(read, folder, path, stage)


def test_a_history_cut_between_two_rows_is_found(tmp_path):
    folder = model(tmp_path / "a-0")
    path = folder.history_file
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert len(folder.history()) == 2
    text = assert_sentence(lambda f: f.history(12), folder, path, "train@a-0")
    assert "it ends after 8 updates of 12" in text


@pytest.mark.parametrize("odd", [pixels(2, 1, 4), reals(2, 1, 4, 4)], ids=["axes", "dtype"])
def test_an_array_of_another_shape_or_dtype_is_refused(tmp_path, odd):
    folder = SampleFolder(tmp_path / "a-0")
    folder.write_samples(Samples({"ddim-5": odd}))
    assert_sentence(lambda f: f.samples().samples("ddim-5"), folder, folder.samples_file, "sample@a-0")


def test_statistics_of_different_widths_are_refused(tmp_path):
    folder = ReferenceFolder(tmp_path)
    folder.write_statistics("pixels", Statistics(np.asarray(9), np.zeros(3), np.eye(3), reals(5, 3),
                                                 reals(7, 4), np.zeros((1, 3))))
    assert "not all of 3 features" in assert_sentence(lambda f: f.statistics("pixels"), folder,
                                               tmp_path / "pixels.npz", "reference")
