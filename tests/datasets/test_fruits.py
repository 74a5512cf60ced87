import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.folders import load_folder
from kelvin.datasets.sources.fruits import Fruit, parse_class


@pytest.mark.parametrize(
    ("name", "kind", "variety"),
    [("Apple Red 1", "Apple", "Red 1"), ("Apple Red Delicious", "Apple", "Red Delicious"),
     ("Kiwi", "Kiwi", ""), ("apple_red_1", "Apple", "red 1"), ("Banana Red ", "Banana", "Red"),
     ("Tomato not Ripened", "Tomato", "not Ripened"), ("Äpfel rot", "Äpfel", "rot")],
)  # fmt: skip
def test_classes(name, kind, variety):
    assert parse_class(name) == Fruit(kind, variety)


def test_a_class_without_a_name_is_refused():
    with pytest.raises(KelvinError, match="names no fruit"):
        parse_class(" ")


@pytest.mark.parametrize("held", ["Validation", "Test"])
@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz"])
def test_both_layouts_from_folder_and_tar(make_tree, make_tar, make_spec, picture, held, kind):
    fruits = ["Apple Red 1", "Apple Red 2", "Kiwi"]
    contents = {
        f"fruits-360/{part}/{fruit}/{axis}{frame}_100.jpg": picture((9, 9, 9), mode="RGB", format="JPEG")
        for part, frames in (("Training", (0, 2, 10)), (held, (1, 3)))
        for fruit in fruits for axis in ("", "r_") for frame in frames
    }  # fmt: skip
    path = make_tree(contents) if kind == "folder" else make_tar(contents, f"fruits.{kind}")
    raw = load_folder(path, make_spec(groups="folder", channels=3))
    assert raw.class_names == fruits and raw.images.shape == (30, 3, 4, 4)
    assert raw.given_test.sum() == 12
    # One fruit is one group, in both parts, and a class is one fruit.
    assert sorted(set(zip(raw.groups.tolist(), raw.labels.tolist(), strict=True))) == [
        (0, 0), (1, 1), (2, 2)
    ]  # fmt: skip
    assert [name in contents for name in raw.files] == [True] * 30
    training = {f for f, t in zip(raw.files, raw.given_test, strict=True) if not t}
    assert training == {name for name in contents if "/Training/" in name}
