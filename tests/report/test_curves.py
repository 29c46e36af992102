"""The figure of a range test."""

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from terraseg.core.lrcurve import LrCurve
from terraseg.report.content import ProgressRow
from terraseg.report.curves import losses_figure, lr_figure, scores_figure

RATES = tuple(np.geomspace(1e-7, 10, 50).tolist())
LOSSES = (*np.linspace(0.7, 0.2, 45).tolist(), 0.5, 2.0, 9.0, 50.0, 300.0)
CURVE = LrCurve(RATES, LOSSES, RATES[20], RATES[15])


def test_the_curve_is_drawn_whole_with_both_suggestions_on_it() -> None:
    axis = lr_figure(CURVE).axes[0]
    assert axis.get_xscale() == "log"
    drawn = [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in axis.get_lines()
    ]
    assert drawn[0] == (list(RATES), list(LOSSES))
    assert ([RATES[15]], [LOSSES[15]]) in drawn
    assert ([RATES[20]], [LOSSES[20]]) in drawn
    legend = axis.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [f"valley: {RATES[15]:.2g}", f"steepest: {RATES[20]:.2g}"]


def test_a_divergence_does_not_flatten_the_fall() -> None:
    low, high = lr_figure(CURVE).axes[0].get_ylim()
    assert low < 0.2
    assert 0.7 < high < 1.0


@pytest.mark.parametrize("curve", [CURVE, LrCurve((1e-7,), (0.5,), 1e-7, 1e-7)])
def test_the_figure_becomes_a_picture(curve: LrCurve) -> None:
    buffer = io.BytesIO()
    lr_figure(curve).savefig(buffer, dpi=50)
    assert Image.open(buffer).size == (350, 210)


def test_drawing_loads_no_pyplot() -> None:
    code = (
        "import io, sys; from terraseg.core.lrcurve import LrCurve; from terraseg.report.curves import lr_figure\n"
        "assert 'matplotlib' not in sys.modules\n"
        "lr_figure(LrCurve((1e-7,), (0.5,), 1e-7, 1e-7)).savefig(io.BytesIO())\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


ROWS = (
    ProgressRow(10, train_loss=0.9),
    ProgressRow(20, train_loss=0.6, val_loss=0.7, accuracy=0.5, mean_iou=0.25),
    ProgressRow(30, train_loss=0.4, val_loss=0.8, accuracy=0.75, mean_iou=0.5),
)


def drawn_in(figure: Figure) -> dict[object, object]:
    return {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in figure.axes[0].get_lines()}


def test_a_training_is_drawn_where_it_has_numbers() -> None:
    assert drawn_in(losses_figure(ROWS)) == {
        "training loss": [[10, 0.9], [20, 0.6], [30, 0.4]],
        "validation loss": [[20, 0.7], [30, 0.8]],
    }
    figure = scores_figure(ROWS)
    assert drawn_in(figure) == {"mean IoU": [[20, 0.25], [30, 0.5]], "accuracy": [[20, 0.5], [30, 0.75]]}
    assert figure.axes[0].get_ylim() == (0, 1)


def test_a_training_without_scores_gives_an_empty_figure() -> None:
    assert scores_figure(ROWS[:1]).axes[0].get_lines() == []
    losses_figure(()).savefig(io.BytesIO(), dpi=50)
