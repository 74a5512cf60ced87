"""What every figure shares."""

import pytest

from kelvin.report.kit import style


@pytest.mark.parametrize("width, columns", [(3.0, 1), (8.0, 3)])
def test_a_legend_stays_within_its_figure(width, columns):
    """It takes fewer columns on a narrow figure, and all that were asked for on a wide one."""
    figure = style.new(width, 2.0)
    axes = figure.subplots()
    for i in range(3):
        axes.plot([0, 1], [i, i], label=f"a label of some length, {i}")
    style.legend_below(figure, axes, 3)
    figure.canvas.draw()
    (legend,) = figure.legends
    extent = legend.get_window_extent()
    assert legend._ncols == columns and extent.x0 >= 0 and extent.x1 <= figure.bbox.width
