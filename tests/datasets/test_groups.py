import unicodedata

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.config.schema import Images
from kelvin.config.values import validated
from kelvin.datasets.sources.find import load_source
from kelvin.datasets.sources.folders import load_folder
from kelvin.datasets.sources.groups import block_groups

NAMES = [f"{part}/Äpfel rot/cow {cow}-{i}.png" for cow in "ab"
         for part, i in (("train", 1), ("train", 2), ("test", 3))]  # fmt: skip


@pytest.fixture
def load(make_tree, make_spec, picture):
    def run(rule, names=NAMES):
        tree = make_tree({name: picture(i) for i, name in enumerate(names)})
        raw = load_folder(tree, make_spec(groups=rule))
        return dict(zip(raw.files, raw.groups.tolist(), strict=True))

    return run


def _partition(found):
    return {frozenset(n for n in found if found[n] == g) for g in found.values()}


BY_COW = {frozenset(name for name in NAMES if f"cow {cow}" in name) for cow in "ab"}


def test_null_makes_every_image_its_own(load):
    assert sorted(load(None).values()) == list(range(6))


def test_folder(load):
    assert set(load("folder").values()) == {0}
    deep = ["train/cow/a/1.png", "train/cow/b/2.png", "test/cow/a/3.png"]
    found = load("folder", deep)
    assert found[deep[0]] == found[deep[2]] != found[deep[1]]


def test_folder_takes_two_spellings_for_one(load):
    names = [f"{part}/{unicodedata.normalize(form, 'Äpfel')}/1.png"
             for part, form in (("train", "NFC"), ("test", "NFD"))]  # fmt: skip
    assert len(set(load("folder", names).values())) == 1


def test_pattern(load):
    assert _partition(load({"pattern": r"cow (\w)-"})) == BY_COW
    # All parentheses together name the object.
    assert _partition(load({"pattern": r"^([^/]+)/cow (\w)-"})) == BY_COW
    assert len(_partition(load({"pattern": r"cow (\w)-(\d)"}))) == 6


@pytest.mark.parametrize("whole", [True, False])
def test_csv(load, tmp_path, whole):
    # With the part or without it; a BOM as spreadsheets write it.
    rows = {name if whole else name.split("/", 1)[1]: name.split("cow ")[1][0] for name in NAMES}
    text = "group,file\n" + "".join(f"{group},{name}\n" for name, group in rows.items())
    (tmp_path / "cows.csv").write_text(text, "utf-8-sig")
    assert _partition(load({"csv": "cows.csv"})) == BY_COW


@pytest.mark.parametrize(
    ("rule", "message"),
    [({"pattern": r"cow (a)"}, r"finds no object in .*cow b-\d.png' and 2 more; every image needs"),
     ({"pattern": r"cow (a)?"}, "finds no object in"),
     ({"pattern": "cow"}, "has no parentheses"), ({"pattern": "("}, "is no regular expression"),
     ({"csv": "none.csv"}, "'none.csv' was not found in"),
     ("writer", "'writer' is unknown; choose null, folder"),
     ({"pattern": "(a)", "csv": "x"}, "is unknown"), ({"blocks": 7}, "blocks = 7 of 6 images")],
)  # fmt: skip
def test_rules_that_do_not_fit_are_one_sentence(load, rule, message):
    with pytest.raises(KelvinError, match=f"^groups: .*{message}"):
        load(rule)


@pytest.mark.parametrize(
    ("text", "message"),
    [("file,group\ntrain/Äpfel rot/cow a-1.png,a\n", "has no row for .* and 4 more"),
     ("name,group\nx,a\n", "columns file and group"), ("", "columns file and group"),
     ("file,group\nx,a\nx,b\n", "puts 'x' in 'a' and in 'b'"),
     ("file,group\nx,\n", "without file or group")],
)  # fmt: skip
def test_tables_that_do_not_fit_are_one_sentence(load, tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text, "utf-8")
    with pytest.raises(KelvinError, match=f"^groups: .*{message}"):
        load({"csv": "t.csv"})


@pytest.mark.parametrize(
    "rule", ["writer", 5, {}, {"regex": "a"}, {"pattern": "(a)", "csv": "x"}, {"blocks": "3"}, {"csv": 1}]
)
def test_params_refuse_unknown_rules(params, rule):
    images = params.house.datasets["fruits360"].images.model_dump() | {"groups": rule}
    sentence = r"datasets\.groups( = .*)?: it should be null, folder, \{pattern"
    with pytest.raises(KelvinError, match=sentence):
        validated(Images, images, "datasets")
    for good in (None, "folder", {"pattern": "(a)"}, {"csv": "x"}, {"blocks": 3}):
        assert validated(Images, images | {"groups": good}, "datasets").groups == good


def test_folder_needs_folders(load):
    with pytest.raises(KelvinError, match="lies in no folder of its own"):
        load("folder", ["1.png", "2.png"])


def test_blocks_are_contiguous_and_even():
    groups = block_groups(1797, {"blocks": 13})
    assert (np.diff(groups) >= 0).all() and groups[0] == 0 and groups[-1] == 12
    assert set(np.bincount(groups)) == {138, 139}


def test_digits_take_blocks_of_the_whole_file_and_no_names(make_spec):
    spec = {"source": "sklearn", "name": "digits"}
    raw = load_source(make_spec(**spec, groups={"blocks": 13}, classes=[3]), [])
    every = load_source(make_spec(**spec, groups={"blocks": 13}), [])
    assert np.array_equal(raw.groups, every.groups[every.labels == 3])
    with pytest.raises(KelvinError, match="goes by file names, which only source: folder has"):
        load_source(make_spec(**spec, groups="folder"), [])
