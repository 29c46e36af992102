"""Curves as matplotlib figures: without pyplot, so that nothing global changes and no window opens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from terraseg.core.lrcurve import LrCurve
from terraseg.report.content import ProgressRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Vermilion and green, which stay apart for colour-blind eyes (after Okabe and Ito, 2008).
LINE, STEEPEST, VALLEY = "#0072B2", "#D55E00", "#009E73"
HEADROOM = 0.15


def lr_figure(curve: LrCurve) -> "Figure":
    """The smoothed loss over the learning rate, on a logarithmic axis, with both suggestions marked.

    The loss axis ends a little above the loss at the start, so that a divergence does not flatten the rest.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.semilogx(curve.rates, curve.losses, color=LINE, linewidth=1.8)
    marks = (("valley", curve.suggestion_valley, VALLEY, "o"), ("steepest", curve.suggestion_steepest, STEEPEST, "s"))
    for name, rate, color, marker in marks:
        loss = curve.losses[curve.rates.index(rate)]
        axis.axvline(rate, color=color, linewidth=0.8, linestyle=":")
        axis.plot([rate], [loss], marker, color=color, markersize=7, label=f"{name}: {rate:.2g}")
    low, high = _loss_range(curve)
    axis.set_ylim(low, high)
    axis.set_xlabel("learning rate")
    axis.set_ylabel("training loss, smoothed")
    axis.set_title("Learning-rate range test")
    axis.grid(alpha=0.25)
    axis.legend(frameon=False)
    return figure


def losses_figure(rows: Sequence[ProgressRow]) -> "Figure":
    """Training and validation loss over the steps of a training, one point a validation."""
    return _steps_figure(rows, {"training loss": "train_loss", "validation loss": "val_loss"}, "loss")


def scores_figure(rows: Sequence[ProgressRow]) -> "Figure":
    """Mean IoU and accuracy on validation data over the steps of a training, one point a validation."""
    figure = _steps_figure(rows, {"mean IoU": "mean_iou", "accuracy": "accuracy"}, "score on validation data")
    figure.axes[0].set_ylim(0, 1)
    return figure


def _steps_figure(rows: Sequence[ProgressRow], fields: dict[str, str], label: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    for (name, field), color, marker in zip(fields.items(), (LINE, STEEPEST), "os", strict=True):
        points = [(row.step, getattr(row, field)) for row in rows if getattr(row, field) is not None]
        if points:
            axis.plot(*zip(*points, strict=True), color=color, marker=marker, markersize=4, linewidth=1.8, label=name)
    axis.set_xlabel("training steps")
    axis.set_ylabel(label)
    axis.grid(alpha=0.25)
    if axis.get_lines():
        axis.legend(frameon=False)
    return figure


def _loss_range(curve: LrCurve) -> tuple[float, float]:
    lowest = int(np.argmin(curve.losses))
    low, high = curve.losses[lowest], max(curve.losses[: lowest + 1])
    room = HEADROOM * max(high - low, 1e-6)
    return low - room, high + 2 * room
