"""Scores as matplotlib figures: how far a confidence can be believed, and how F1 falls with the overlap that is asked for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from terraseg.report.curves import LINE, STEEPEST
from terraseg.report.wording import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability_figure(points: Sequence[tuple[float, float, int]], ece: float) -> "Figure":
    """A reliability diagram: accuracy over confidence, and below it how many pixels have which confidence.

    `points` are (mean confidence, share of right pixels, pixels). On the dotted line a confidence means what it says. Source:
    Guo et al., ICML 2017.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    confidence, right, pixels = zip(*points, strict=True)
    upper.plot([0, 1], [0, 1], color="#808080", linewidth=1, linestyle=":")
    upper.plot(confidence, right, "o-", color=LINE, markersize=5, linewidth=1.6)
    upper.vlines(confidence, confidence, right, color=STEEPEST, linewidth=1.2)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right pixels", aspect="auto")
    upper.set_title(f"Expected calibration error {percent(ece)}")
    whole = sum(pixels)
    lower.bar(confidence, [count / whole for count in pixels], width=0.05, color=LINE)
    lower.set(xlabel="confidence", ylabel="pixels")
    for axis in (upper, lower):
        axis.grid(alpha=0.25)
    return figure


def object_figure(
    thresholds: Sequence[float], curves: Mapping[str, Sequence[float | None]], colors: Mapping[str, str]
) -> "Figure":
    """The F1 of each class's objects over the IoU from which an object counts as found; SpaceNet's 0.5 is marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.axvline(0.5, color="#808080", linewidth=1, linestyle=":")
    for name, values in curves.items():
        points = [(t, v) for t, v in zip(thresholds, values, strict=True) if v is not None]
        if points:
            axis.plot(*zip(*points, strict=True), "o-", color=colors[name], markersize=3, linewidth=1.8, label=name)
    axis.set(xlabel="IoU from which an object counts as found", ylabel="object F1", ylim=(0, 1))
    axis.grid(alpha=0.25)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False)
    return figure
