"""Study E's black samples: what the report says of each suspect follows from the numbers."""

from types import SimpleNamespace

import numpy as np

from kelvin.artifacts.samples import Brightness, Way
from kelvin.report.parts import ancestral


def run(real_shown=0.4, **found):
    """way -> (brightness, shown, share of finite pixels) at t = 0; at t = 100 all is mid-grey."""
    names = {way.replace("_", "-").replace("-fed-back", ", fed back").replace("-clipped", ", clipped"): x
             for way, x in found.items()}
    bright = [{"way": way, "t": t, "n": 16, "real": 0.6, "real_shown": real_shown, **dict(zip(
        ("brightness", "shown", "finite"), (0.5, 0.1, 1.0) if t else x, strict=True)),
        "brightness_se": 0.01, "shown_se": 0.02, "black": 0.03 if "clipped" in way else 0.16,
        "real_black": 0.02, "near_black": 0.05} for way, x in names.items() for t in (100, 0)]
    black, drawn = np.zeros((2, 16), np.float32), np.zeros((2, 1, 8, 8), np.uint8)
    brightness = Brightness(np.array([100, 0]), -1.0, 1.0, 0.05, black[0],
                            {way: Way(black, black, black, black, drawn) for way in names})
    return SimpleNamespace(name="e", title="study E", first=SimpleNamespace(
        index=0, details={"brightness": bright}, samples=SimpleNamespace(brightness=brightness)))


def test_only_the_exact_rule_has_nothing_to_say():
    assert ancestral.findings(run(exact=(0.6, 0.4, 1.0))) == []
    assert ancestral.table("folds", run(exact=(0.6, 0.4, 1.0))) is None


def test_dark_dark_unmapped_and_black():
    values, unmapped, black = ancestral.findings(run(
        exact=(0.58, 0.4, 1.0), study_e=(0.1, 0.0, 1.0), unscaled=(0.5, 0.1, 1.0),
        study_e_fed_back=(0.0, 0.0, 0.0)))
    assert "16 images of replicate 0 (real images 0.600)" in values
    assert "dark, below 50 % of that, by study E's scaler (0.100); not dark" in values
    assert values.endswith("exact rule (0.580); factor left out (0.500).")
    assert unmapped.endswith("(real images 0.400), turn dark: factor left out (0.100).")
    assert "the next state (0 % of pixels finite); wholly black" in black
    assert "wholly black: study E's scaler, x0_hat taken for the next state; whether" in black


def test_overflow_that_is_partly_drawn_is_named_but_not_called_black():
    values, _, black = ancestral.findings(run(
        exact=(0.58, 0.4, 1.0), unscaled=(0.25, 0.1, 0.5), as_eps=(0.5, 0.3, 0.0)))
    assert "dark, below 50 % of that, by none; not dark" in values and "left out" not in values
    assert "factor left out (50 % of pixels finite)" in black
    assert "scaled noise taken for eps (0 % of pixels finite)" in black
    assert "wholly black: none;" in black


def test_a_dark_exact_rule_accuses_the_network():
    assert "so the network does" in ancestral.findings(
        run(exact=(0.2, 0.0, 1.0), study_e=(0.1, 0.0, 1.0)))[0]
    assert "the exact rule fails" not in " ".join(ancestral.findings(
        run(exact=(0.58, 0.4, 1.0), study_e=(0.1, 0.0, 1.0))))


def test_clipping_that_mends_the_exact_rule_is_said_to():
    found = ancestral.findings(run(exact=(0.2, 0.0, 1.0), exact_clipped=(0.55, 0.3, 1.0)))
    assert found[0].endswith("the exact rule fails too, but not with x0_hat clipped.")


def test_a_range_of_0_to_1_is_not_drawn_twice():
    same = run(real_shown=0.6, exact=(0.6, 0.6, 1.0), unscaled=(0.5, 0.5, 1.0))
    assert not any("mapping" in text for text in ancestral.findings(same))
    assert len(ancestral.table("folds", same).columns) == 5


def test_table_and_figures():
    study_e = run(exact=(0.58, 0.4, 1.0), exact_clipped=(0.55, 0.35, 1.0),
                  study_e_fed_back=(0.0, 0.0, 0.0))
    table = ancestral.table("folds", study_e)
    assert [[text for text, _ in row] for row in table.cells()] == [
        ["exact rule", "0.580 ± 0.010", "0.400 ± 0.020", "16 %", "100 %", ""],
        ["exact rule, x0_hat clipped", "0.550 ± 0.010", "0.350 ± 0.020", "3 %", "100 %", ""],
        ["study E's scaler, x0_hat taken for the next state",
         "0 ± 0.010", "0 ± 0.020", "16 %", "0 %", "0"]]
    assert "all channels below 5 % of the range; of the real 2 %." in table.caption
    figures = ancestral.figures("folds", [study_e])
    assert [figure.name for figure in figures] == ["folds-brightness", "folds-ancestral"]
    assert all(figure.png.startswith(b"\x89PNG") for figure in figures)
