"""The split of a data set as a picture: what is trained on, what judges, what is left out, and the classes on each side."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terraseg.core.dataset import Dataset, Role, Scene
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.grid import Grid
from terraseg.core.split import SplitReport
from terraseg.core.window import Window
from terraseg.report.cartography import pixel_sides_m, round_length
from terraseg.report.content import Picture
from terraseg.report.figures import photograph
from terraseg.report.wording import length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Blue, orange and green stay apart for colour-blind eyes (after Okabe and Ito, 2008).
COLORS = {"training": "#0072B2", "validation": "#E69F00", "test": "#009E73"}
ROLES: dict[Role, str] = {"train": "training", "validation": "validation", "test": "test"}
LEFT_OUT = "#8A8A8A"
MOST_PANELS = 24
MOST_NAMES = 12
MOST_SCENES = 400
"""Beyond so many scenes their thumbnails and names are left out."""
BAR_SHARE = 0.3
LABELLED_SHARE = 0.06
PAGE_WIDTH = 1200

Pictures = Mapping[str, NDArray[np.float32]]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """Scenes drawn together. `placed` are on the map; the others lie side by side at `origins`, in pixels."""

    title: str
    scenes: tuple[Scene, ...]
    placed: bool
    origins: tuple[tuple[float, float], ...] = ()

    def corners(self, number: int, window: Window) -> Points:
        """The corners of a window of scene `number` as (x, y), y upwards."""
        scene = self.scenes[number]
        rows = [window.row, window.row, window.row_stop, window.row_stop]
        cols = [window.col, window.col_stop, window.col_stop, window.col]
        if self.placed:
            return np.column_stack(scene.grid.to_map(rows, cols))
        x, y = self.origins[number]
        return np.column_stack([x + np.array(cols, dtype=float), y - np.array(rows, dtype=float)])


def split_figure(
    dataset: Dataset, facts: Fingerprint, report: SplitReport, *, pictures: Pictures | None = None
) -> "Figure":
    """The scenes with the parts that they play, to scale, and bars of the class shares on each side.

    Scenes with a CRS stand where they are on the map, a panel for those near each other; the others stand side by side by
    group. `pictures` holds small grey versions of scenes by name, drawn below the colours.
    """
    from matplotlib.figure import Figure

    panels = make_panels(dataset.scenes)
    shown = panels[:MOST_PANELS]
    columns = min(len(shown), 2 if len(shown) <= 4 else 3 if len(shown) <= 9 else 4)
    rows = math.ceil(len(shown) / columns)
    head = textwrap.wrap(report.how[:1].upper() + report.how[1:], 110)
    sides = _sides(dataset, facts)
    heights = [2.9 * rows + 0.3, 0.55 + 0.36 * len(sides)]
    figure = Figure(figsize=(10, sum(heights) + 0.75 + 0.18 * len(head)), layout="constrained")
    figure.suptitle("\n".join(head), fontsize=9.5, x=0.01, ha="left")
    parts: Any = figure.subfigures(2, 1, height_ratios=heights)
    upper, lower = parts
    axes = upper.subplots(rows, columns, squeeze=False).ravel()
    span = _pixel_span(shown)
    for axis, panel in zip(axes, shown, strict=False):
        _draw_panel(axis, panel, pictures or {}, span)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    if len(panels) > len(shown):
        upper.supxlabel(f"and {len(panels) - len(shown)} more groups of scenes", fontsize=8)
    _draw_shares(lower.subplots(), sides, dataset)
    _key(upper)
    return figure


def split_picture(path: Path, most: float) -> Picture | None:
    """A figure drawn by `split_figure` and kept at `path`, for a page; None where there is none within `most` bytes."""
    if not path.exists():
        return None
    image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
    image.thumbnail((PAGE_WIDTH, image.height))
    shown = photograph(
        np.asarray(image), "The scenes with the parts that were trained on, that judged, and that were left out."
    )
    return shown if len(shown.data) <= most else None


def make_panels(scenes: Sequence[Scene]) -> list[Panel]:
    """The scenes in panels: neighbours on the map together, scenes without a CRS by group."""
    placed = [s for s in scenes if s.grid.crs is not None]
    panels = [Panel(_title(near), tuple(near), placed=True) for near in neighbours(placed)]
    groups: dict[str, list[Scene]] = {}
    for scene in scenes:
        if scene.grid.crs is None:
            groups.setdefault(scene.group, []).append(scene)
    if len(groups) > MOST_PANELS:
        groups = {"scenes without a CRS": [s for members in groups.values() for s in members]}
    return panels + [Panel(_short(g), tuple(m), placed=False, origins=_side_by_side(m)) for g, m in groups.items()]


def neighbours(scenes: Sequence[Scene]) -> list[list[Scene]]:
    """Scenes of one CRS that lie within a scene's own size of each other, together."""
    if len(scenes) > MOST_SCENES:
        by_crs: dict[str | None, list[Scene]] = {}
        for scene in scenes:
            by_crs.setdefault(scene.grid.crs, []).append(scene)
        return list(by_crs.values())
    clusters: list[list[Scene]] = []
    for scene in scenes:
        touching = [c for c in clusters if any(_near(scene.grid, other.grid) for other in c)]
        merged = [member for cluster in touching for member in cluster]
        clusters = [c for c in clusters if c not in touching] + [[*merged, scene]]
    return clusters


def _near(one: Grid, other: Grid) -> bool:
    if one.crs != other.crs:
        return False
    a, b = one.bounds, other.bounds
    reach = max(a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1])
    return all(max(a[k], b[k]) - min(a[k + 2], b[k + 2]) <= reach for k in (0, 1))


def _title(scenes: Sequence[Scene]) -> str:
    if len(scenes) == 1:
        return scenes[0].name
    return f"{scenes[0].name} and {len(scenes) - 1} more"


def _short(group: str) -> str:
    return group if len(group) <= 34 else f"...{group[-31:]}"


def _side_by_side(scenes: Sequence[Scene]) -> tuple[tuple[float, float], ...]:
    """Upper left corners of the scenes in rows of about equal length, a small space between them."""
    width, height = max(s.grid.width for s in scenes), max(s.grid.height for s in scenes)
    columns = math.ceil(math.sqrt(len(scenes)))
    space = 0.04 * max(width, height)
    return tuple(((n % columns) * (width + space), -(n // columns) * (height + space)) for n in range(len(scenes)))


def _pixel_span(panels: Sequence[Panel]) -> float:
    """The side of a square that holds any of the panels without a CRS, in pixels: they are drawn at one scale."""
    spans = [0.0]
    for panel in panels:
        if not panel.placed:
            points = np.concatenate([panel.corners(n, s.grid.window) for n, s in enumerate(panel.scenes)])
            spans.append(float(np.ptp(points, axis=0).max()))
    return max(spans)


def _draw_panel(axis: "Axes", panel: Panel, pictures: Pictures, span: float) -> None:
    few = len(panel.scenes) <= MOST_SCENES
    for number, scene in enumerate(panel.scenes):
        whole = panel.corners(number, scene.grid.window)
        if few and scene.name in pictures:
            _draw_picture(axis, whole, pictures[scene.name])
        _outline(axis, whole, labelled=scene.labels is not None)
        for window in left_out(scene) if scene.labels is not None else ():
            _hatch(axis, panel.corners(number, window))
        for role, name in ROLES.items():
            for window in scene.windows(role):
                _cover(axis, panel.corners(number, window), COLORS[name])
        if 1 < len(panel.scenes) <= MOST_NAMES:
            middle = whole.mean(axis=0)
            axis.text(
                middle[0], middle[1], _numbered(scene, panel), fontsize=6, ha="center", va="center", clip_on=True,
                bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
    _frame(axis, panel, span)


def _numbered(scene: Scene, panel: Panel) -> str:
    """A scene's name without what all names of the panel begin with."""
    names = [s.name for s in panel.scenes]
    same = 0
    while len(names) > 1 and all(len(n) > same + 1 and n[same] == names[0][same] for n in names):
        same += 1
    return scene.name[same:].lstrip("_-0") or scene.name[same:]


def _draw_picture(axis: "Axes", corners: Points, grey: NDArray[np.float32]) -> None:
    """A small picture under the colours, for scenes whose sides lie along the axes."""
    upright = np.isclose(corners[0, 1], corners[1, 1]) and np.isclose(corners[1, 0], corners[2, 0])
    known = grey[np.isfinite(grey)]
    if not upright or not known.size:
        return
    low, high = np.percentile(known, (2, 98))
    extent = (corners[0, 0], corners[1, 0], corners[2, 1], corners[0, 1])
    axis.imshow(grey, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), extent=extent, aspect="auto", zorder=1)


def left_out(scene: Scene) -> list[Window]:
    """The parts of a scene that play no part, as disjoint windows."""
    used = [w for role in ROLES for w in scene.windows(role)]
    rows = sorted({0, scene.grid.height, *(edge for w in used for edge in (w.row, w.row_stop))})
    found = []
    for top, bottom in pairwise(rows):
        across = sorted((w.col, w.col_stop) for w in used if w.row <= top and w.row_stop >= bottom)
        start = 0
        for left, right in [*across, (scene.grid.width, scene.grid.width)]:
            if left > start:
                found.append(Window(top, start, bottom - top, left - start))
            start = max(start, right)
    return found


def _outline(axis: "Axes", corners: Points, *, labelled: bool) -> None:
    """The scene's border, dotted where it has no labels and is only to be mapped."""
    from matplotlib.patches import Polygon

    style = "-" if labelled else ":"
    axis.add_patch(Polygon(corners, facecolor="none", edgecolor="#333333", linewidth=0.6, linestyle=style, zorder=5))


def _hatch(axis: "Axes", corners: Points) -> None:
    from matplotlib.patches import Polygon

    axis.add_patch(Polygon(corners, facecolor="white", alpha=0.6, linewidth=0, zorder=2))
    axis.add_patch(Polygon(corners, facecolor="none", edgecolor=LEFT_OUT, hatch="////", linewidth=0, zorder=3))


def _cover(axis: "Axes", corners: Points, color: str) -> None:
    from matplotlib.patches import Polygon

    axis.add_patch(Polygon(corners, facecolor=color, alpha=0.42, linewidth=0, zorder=4))
    axis.add_patch(Polygon(corners, facecolor="none", edgecolor=color, linewidth=1.2, zorder=6))


def _frame(axis: "Axes", panel: Panel, span: float) -> None:
    """Limits, title and, on the map, a scale bar."""
    points = np.concatenate([panel.corners(n, s.grid.window) for n, s in enumerate(panel.scenes)])
    low, high = points.min(axis=0), points.max(axis=0)
    size = high - low
    if panel.placed:
        room = 0.05 * float(size.max())
        low, high = low - room, high + room
    else:
        middle = (low + high) / 2
        low, high = middle - 0.52 * span, middle + 0.52 * span
    below = 0.09 * float((high - low).max()) if panel.placed else 0.0
    axis.set_xlim(low[0], high[0])
    axis.set_ylim(low[1] - below, high[1])
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)
    axis.set_title(panel.title, fontsize=8, pad=3)
    if panel.placed:
        _scale_bar(axis, panel.scenes[0].grid, low, high, below)


def _scale_bar(axis: "Axes", grid: Grid, low: Points, high: Points, below: float) -> None:
    sides = pixel_sides_m(grid)
    if sides is None:
        return
    metres = sides[1] / grid.pixel_size[1]
    bar = round_length(BAR_SHARE * float(high[0] - low[0]) * metres)
    y, x = low[1] - 0.45 * below, low[0] + 0.03 * float(high[0] - low[0])
    axis.plot([x, x + bar / metres], [y, y], color="#222222", linewidth=2.2, solid_capstyle="butt")
    axis.text(x + bar / metres, y, f"  {length(bar)}", fontsize=7, va="center")


def _sides(dataset: Dataset, facts: Fingerprint) -> list[tuple[str, tuple[int, ...]]]:
    """Class pixels on each side that has any."""
    tests = {s.name for s in dataset.scenes if s.is_test}
    test = np.zeros(len(dataset.legend), dtype=np.int64)
    for scene in facts.scenes:
        test += scene.class_pixels if scene.name in tests else 0
    sides = [
        ("training", facts.class_pixels),
        ("validation", facts.validation_class_pixels),
        ("test", tuple(int(n) for n in test)),
    ]
    return [(name, pixels) for name, pixels in sides if sum(pixels)]


def _draw_shares(axis: "Axes", sides: Sequence[tuple[str, tuple[int, ...]]], dataset: Dataset) -> None:
    """A bar a side in the classes' own colours, with the shares written in."""
    for row, (_, pixels) in enumerate(sides):
        start = 0.0
        for index, land_class in enumerate(dataset.legend.classes):
            share = pixels[index] / sum(pixels)
            axis.barh(row, share, left=start, color=land_class.color, edgecolor="white", linewidth=0.6, height=0.72)
            if share >= LABELLED_SHARE:
                dark = sum(w * v for w, v in zip((0.299, 0.587, 0.114), land_class.rgb, strict=True)) < 140
                ink = "white" if dark else "black"
                axis.text(start + share / 2, row, f"{share:.0%}", ha="center", va="center", fontsize=7.5, color=ink)
            start += share
    axis.set_yticks(range(len(sides)), [f"{name}  {_millions(sum(p))}" for name, p in sides], fontsize=8)
    for tick, (name, _) in zip(axis.get_yticklabels(), sides, strict=True):
        tick.set_color(COLORS[name])
        tick.set_fontweight("bold")
    axis.set_xlim(0, 1)
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    handles: list[Any] = [_patch(c.color, c.name) for c in dataset.legend.classes]
    axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=7, fontsize=7.5, frameon=False)


def _millions(pixels: int) -> str:
    return f"{pixels / 1e6:.1f} Mpx" if pixels >= 100_000 else f"{pixels:,} px"


def _patch(color: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=color, edgecolor="#555555", linewidth=0.4, label=label)


def _key(part: "SubFigure") -> None:
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor=c, alpha=0.6, edgecolor=c, label=name) for name, c in COLORS.items()]
    handles.append(Patch(facecolor="white", edgecolor=LEFT_OUT, hatch="////", label="left out: gap or test ground"))
    part.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
