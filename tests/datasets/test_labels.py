"""Labels from a table, in place of class folders."""

import unicodedata

import pytest

from kelvin.common.errors import KelvinError
from kelvin.config.schema import Images
from kelvin.config.values import validated
from kelvin.datasets.sources.find import load_source
from kelvin.datasets.sources.folders import load_folder

NAMES = ["Äpfel/1.png", "Äpfel/2.png", "deep/er/3.png", "4.png"]
LABELS = {"Äpfel/1.png": "rot", "Äpfel/2.png": "grün", "deep/er/3.png": "rot", "4.png": "blau"}


@pytest.fixture
def load(make_tree, make_spec, picture, tmp_path):
    """load(rows, ...) -> {file: label}, with the table beside the data."""

    def run(rows, names=NAMES, separator=",", place="labels.csv", **changes):
        tree = make_tree({name: picture(i) for i, name in enumerate(names)})
        text = separator.join(("file", "label")) + "\n"
        text += "".join(f"{file}{separator}{label}\n" for file, label in rows)
        (tmp_path / place).write_text(text, "utf-8-sig")
        raw = load_folder(tree, make_spec(labels="labels.csv", **changes))
        assert raw.class_names == sorted(raw.class_names)
        return {file: raw.class_names[label] for file, label in zip(raw.files, raw.labels, strict=True)}

    return run


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("place", ["labels.csv", "tree/labels.csv"])
def test_labels_replace_class_folders(load, separator, place):
    assert load(LABELS.items(), separator=separator, place=place) == LABELS


SPELLINGS = {
    "own name": lambda file: file.split("/")[-1],
    "without suffix": lambda file: file.split("/")[-1].split(".")[0],
    "NFD": lambda file: unicodedata.normalize("NFD", file),
    "backslashes": lambda file: file.replace("/", "\\"),
    "dot": lambda file: f"./{file}",
    "spaces": lambda file: f" {file} ",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_files_are_known_by_several_spellings(load, spelling):
    assert load([(SPELLINGS[spelling](file), label) for file, label in LABELS.items()]) == LABELS


def test_a_name_that_two_files_have_is_none(load):
    names = ["a/1.png", "b/1.png", "b/2.png"]
    with pytest.raises(KelvinError, match="'1.png' has a row in labels.csv and names no .*several"):
        load([("1.png", "x"), ("b/1.png", "y"), ("2.png", "x")], names)


def test_splits_hold_with_labels(load, make_spec, tmp_path):
    names = ["train/1.png", "train/2.png", "test/3.png"]
    rows = [("train/1.png", "a"), ("2.png", "b"), ("3.png", "a")]
    assert load(rows, names) == {"train/1.png": "a", "train/2.png": "b", "test/3.png": "a"}
    raw = load_folder(tmp_path / "tree", make_spec(labels="labels.csv"))
    assert dict(zip(raw.files, raw.given_test.tolist(), strict=True)) == {
        "train/1.png": False, "train/2.png": False, "test/3.png": True}  # fmt: skip


@pytest.mark.parametrize("kind", ["tree.tar", "tree.zip"])
@pytest.mark.parametrize("inside", [True, False])
def test_an_archive_may_hold_its_table(make_tar, make_zip, make_spec, picture, tmp_path, kind, inside):
    make = make_tar if kind == "tree.tar" else make_zip
    table = ("file,label\n" + "".join(f"{file},{label}\n" for file, label in LABELS.items())).encode()
    contents = {name: picture(i) for i, name in enumerate(NAMES)}
    if inside:
        contents["labels.csv"] = table
    else:
        (tmp_path / "labels.csv").write_bytes(table)
    raw = load_folder(make(contents, kind), make_spec(path=kind, labels="labels.csv"))
    assert {raw.files[i]: raw.class_names[label] for i, label in enumerate(raw.labels)} == LABELS


def test_classes_choose_among_labels(load):
    assert load(LABELS.items(), classes=["rot"]) == {k: v for k, v in LABELS.items() if v == "rot"}


def test_a_picture_without_a_row_is_refused_or_left_out(load):
    rows = [row for row in LABELS.items() if row[0] != "4.png"]
    with pytest.raises(KelvinError, match="tree: '4.png' has no row in labels.csv; repair or remove it"):
        load(rows)
    assert load(rows, on_error="skip") == dict(rows)


def test_a_row_without_a_picture_is_refused_or_left_out(load):
    rows = [*LABELS.items(), ("lost.png", "rot")]
    with pytest.raises(KelvinError, match="'lost.png' has a row in labels.csv and names no picture"):
        load(rows)
    assert load(rows, on_error="skip") == LABELS


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "columns file and label, and rows"), ([("4.png", "")], "without file or label"),
     ([("4.png", "a"), ("4.png", "b")], "puts '4.png' in 'a' and in 'b'"),
     ([("x.png", "a")], "names no picture here, which would be like 'Äpfel/1.png'|like '4.png'")],
)  # fmt: skip
def test_tables_that_do_not_fit_are_one_sentence(load, rows, message):
    with pytest.raises(KelvinError, match=f"^labels: .*({message})"):
        load(rows)


@pytest.mark.parametrize(("text", "labels"), [
    (" File ; Label \r\n1.png; ripe\r\n\r\n2.png;raw\r\n", ["ripe", "raw"]),
    ("sep=;\r\nfile;label\r\n1.png;ripe\r\n2.png;raw\r\n", ["ripe", "raw"]),  # as Excel writes it
    ("\n \nfile;label\n1.png;ripe\n2.png;raw\n", ["ripe", "raw"]),
    ("file|label\n1.png|ripe\n2.png|raw\n", ["ripe", "raw"]),
    ("file;label;of a, b, c\n1.png;ripe;\n2.png;raw;\n", ["ripe", "raw"]),
    ('file,label,note\n1.png,"ripe, red",x\n2.png,raw\n', ["ripe, red", "raw"]),
    ("file,label\n1.png,ripe,\n2.png,raw,,\n", ["ripe", "raw"]),  # as spreadsheets end a row
    ("file,label\n1.png,ripe, red\n2.png,raw\n", "of 3 cells under 2 columns: .*in quotes$"),
    ("file,label,label\n1.png,ripe,old\n2.png,raw,old\n", "has the column label twice"),
    ('file,label\n"1.png,ripe\n2.png,raw\n', r"is no readable CSV \(unexpected end of data\)"),
    ("file,label\n1.png," + "a" * 200_000, "is no readable CSV .field larger.*; save it again$"),
    ("file,label\n1.png\n" + "x" * 500, "without file or label: .{1,60}; complete it$")])
def test_a_cell_is_never_cut_or_taken_from_another_column(text, labels, make_tree, make_spec, picture):
    root = make_tree({"1.png": picture(1), "2.png": picture(2), "labels.csv": text.encode()})
    if isinstance(labels, str):
        with pytest.raises(KelvinError, match=f"^labels: .*{labels}"):
            load_folder(root, make_spec(labels="labels.csv"))
        return
    raw = load_folder(root, make_spec(labels="labels.csv"))
    assert [raw.class_names[label] for label in raw.labels] == labels


def test_a_table_that_is_nowhere(make_tree, make_spec, picture):
    with pytest.raises(KelvinError, match="^labels: csv 'gone.csv' was not found in .*put it there"):
        load_folder(make_tree({"1.png": picture(1)}), make_spec(labels="gone.csv"))


@pytest.mark.parametrize("key", ["labels", "path"])
def test_an_entry_of_folders_is_refused_elsewhere(make_spec, key):
    with pytest.raises(KelvinError, match=f"^{key}: 'x.csv' is of use to source: folder alone"):
        load_source(make_spec(source="sklearn", name="digits", **{key: "x.csv"}), [])


def test_params_take_the_entry(params):
    images = params.house.datasets["fruits360"].images.model_dump()
    assert validated(Images, images | {"labels": "x.csv"}, "datasets").labels == "x.csv"
    assert validated(Images, images, "datasets").labels is None
