"""Curves as matplotlib figures: without pyplot, so that nothing global changes and no window opens."""

from typing import TYPE_CHECKING

import numpy as np

from terraseg.core.lrcurve import LrCurve

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


def _loss_range(curve: LrCurve) -> tuple[float, float]:
    lowest = int(np.argmin(curve.losses))
    low, high = curve.losses[lowest], max(curve.losses[: lowest + 1])
    room = HEADROOM * max(high - low, 1e-6)
    return low - room, high + 2 * room
