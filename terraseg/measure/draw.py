"""Points drawn on the ground of each class of a map, and what labels at them say of the map."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.classreader import ClassRaster
from terraseg.core.survey import UNLABELLED, UNSURE, SurveyPoints
from terraseg.core.window import Window, cut
from terraseg.errors import BadOption, EmptyDataset, NoOverlap
from terraseg.measure.design import SampleDesign
from terraseg.shapes.pixelarea import PixelAreas

STRIP_PIXELS = 2**21


def draw_points(raster: ClassRaster, design: SampleDesign) -> SurveyPoints:
    """The points of a design, at the centres of pixels, in random order.

    On each class's ground every square metre has the same chance, so in degrees a pixel near the pole has less than one at
    the equator; no pixel is drawn twice. The order mixes the classes, so that whoever stops half-way has a sample too. The
    points depend on the map and the seed alone; two readings of the map, in strips, make them.
    """
    totals = np.zeros(VOID + 1)
    for _, ids, weights in _strips(raster):
        totals += np.bincount(ids, weights=weights, minlength=VOID + 1)
    candidates = {s.class_id: _candidates(s.class_id, s.points, totals, design.options.seed) for s in design.strata}
    pixels = _located(raster, candidates)
    rows, strata = [], []
    for stratum in design.strata:
        _, first = np.unique(pixels[stratum.class_id], return_index=True)
        chosen = pixels[stratum.class_id][np.sort(first)][: stratum.points]
        rows.append(chosen)
        strata.append(np.full(len(chosen), stratum.class_id, np.int16))
    place, stratum_of = np.concatenate(rows), np.concatenate(strata)
    order = np.random.default_rng((design.options.seed, VOID)).permutation(len(place))
    row, col = np.divmod(place[order], raster.grid.width)
    x, y = raster.grid.to_map(row + 0.5, col + 0.5)
    truth = np.full(len(place), UNLABELLED, np.int16)
    return SurveyPoints(x, y, stratum_of[order], truth, raster.grid.crs)


def _strips(raster: ClassRaster) -> Iterator[tuple[Window, NDArray[np.uint8], NDArray[np.float64]]]:
    """Strips of full rows: class ids and ground areas in whole steps, both flat."""
    grid = raster.grid
    areas = None if grid.crs is None else PixelAreas(grid.crs, grid.transform, grid.height, grid.width)
    for window in cut(grid.window, max(1, STRIP_PIXELS // grid.width), grid.width):
        ids = raster.read(window).ravel()
        if areas is None:
            yield window, ids, np.ones(len(ids))
        else:
            yield window, ids, areas.read(window.row, window.col, window.height, window.width).ravel()


def _candidates(class_id: int, points: int, totals: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Places on a class's ground, counted in steps of area from its first pixel, more than are needed.

    Two may fall on one pixel; with four times the points, a class of few pixels still gets as many as it has to.
    """
    if totals[class_id] < 1:
        return np.zeros(0, np.int64)
    return np.random.default_rng((seed, class_id)).integers(0, int(totals[class_id]), 4 * points + 100)


def _located(raster: ClassRaster, candidates: dict[int, NDArray[np.int64]]) -> dict[int, NDArray[np.int64]]:
    """The pixels (row x width + column) on which places lie, by class id, in the places' order."""
    order = {class_id: np.argsort(places, kind="stable") for class_id, places in candidates.items()}
    found = {class_id: np.zeros(len(places), np.int64) for class_id, places in candidates.items()}
    passed = dict.fromkeys(candidates, 0)
    for window, ids, weights in _strips(raster):
        for class_id, places in candidates.items():
            own = np.flatnonzero(ids == class_id)
            upto = passed[class_id] + np.cumsum(weights[own]).astype(np.int64)
            if len(own) == 0:
                continue
            ranked = places[order[class_id]]
            start, stop = np.searchsorted(ranked, [passed[class_id], upto[-1]])
            pixel = own[np.searchsorted(upto, ranked[start:stop], side="right")]
            found[class_id][order[class_id][start:stop]] = pixel + window.row * raster.grid.width
            passed[class_id] = int(upto[-1])
    return found


def count_points(raster: ClassRaster, points: SurveyPoints) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """How often each class was found on ground mapped as each, (K, K) with the map in rows; and what was left out, in words.

    `points` are in the map's CRS. Raises `NoOverlap` when none lies on the map, `EmptyDataset` when none is labelled, and
    `BadOption` when the points were drawn from another map: then they are no random sample of this one's classes.
    """
    legend = raster.legend
    mapped = _mapped_at(raster, points)
    outside = int((mapped == VOID).sum())
    if outside == len(points):
        raise NoOverlap(f"none of the {len(points)} points lies on the map: pass those that were drawn from it")
    strange = (mapped != VOID) & (points.stratum != UNSURE) & (points.stratum != mapped)
    if strange.any():
        raise BadOption(
            f"{int(strange.sum())} of {len(points)} points lie on another class than when they were drawn: the map has "
            "changed since, so draw a new sample, or measure the map that this one was drawn from"
        )
    known = (mapped != VOID) & (points.truth != UNLABELLED) & (points.truth != UNSURE)
    if not known.any():
        raise EmptyDataset("none of the points is labelled: open the file in QGIS and give each its class under truth")
    index = np.full(VOID + 1, -1, np.int64)
    index[list(legend.ids)] = np.arange(len(legend))
    code = index[mapped[known]] * len(legend) + index[points.truth[known]]
    counts = np.bincount(code, minlength=len(legend) ** 2).reshape(len(legend), len(legend))
    return counts, tuple(_left_out(points, mapped))


def _left_out(points: SurveyPoints, mapped: NDArray[np.int16]) -> Iterator[str]:
    on_map = mapped != VOID
    for number, what in (
        (int((on_map & (points.truth == UNLABELLED)).sum()), "are not labelled yet"),
        (int((on_map & (points.truth == UNSURE)).sum()), "could not be told"),
        (int((~on_map).sum()), "lie beside the map or on nodata"),
    ):
        if number:
            yield f"{number} of {len(points)} points {what} and are left out"


def _mapped_at(raster: ClassRaster, points: SurveyPoints) -> NDArray[np.int16]:
    """The class ids mapped at points, `VOID` beside the map; each block of the map is read once at most."""
    grid, side = raster.grid, 512
    rows, cols = grid.to_pixel(points.x, points.y)
    row, col = np.floor(rows), np.floor(cols)
    inside = (row >= 0) & (row < grid.height) & (col >= 0) & (col < grid.width)
    mapped = np.full(len(points), VOID, np.int16)
    place = np.flatnonzero(inside)
    row, col = row[place].astype(np.int64), col[place].astype(np.int64)
    block = row // side * (grid.width // side + 1) + col // side
    for number in np.unique(block):
        own = block == number
        top, left = int(row[own].min()), int(col[own].min())
        window = Window(top, left, int(row[own].max()) - top + 1, int(col[own].max()) - left + 1)
        mapped[place[own]] = raster.read(window)[row[own] - top, col[own] - left]
    return mapped


def count_blocks(mapped: ClassRaster, truth: ClassRaster, legend: Legend, *, side: int = 256) -> NDArray[np.int64]:
    """The confusions of the blocks of a map whose truth is known, (blocks, K, K) with the map in rows.

    Both rasters are on one grid; their ids are those of `legend`, 255 is left out.
    """
    index = np.full(VOID + 1, len(legend), np.int64)
    index[list(legend.ids)] = np.arange(len(legend))
    size = len(legend) + 1
    blocks = []
    for window in cut(mapped.grid.window, side, side):
        code = index[mapped.read(window)] * size + index[truth.read(window)]
        counts = np.bincount(code.ravel(), minlength=size**2).reshape(size, size)[:-1, :-1]
        if counts.any():
            blocks.append(counts)
    return np.array(blocks, dtype=np.int64).reshape(-1, len(legend), len(legend))
