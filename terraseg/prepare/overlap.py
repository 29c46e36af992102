"""Which scenes show the same ground: by their places where they have a CRS, by what they look like where they have none."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from terraseg.core.dataset import Scene
from terraseg.core.grid import Grid
from terraseg.core.split import Overlap
from terraseg.core.window import Window
from terraseg.pixels.match import Match, find_matches
from terraseg.shapes.antimeridian import Bounds, counting_on, turned_onto
from terraseg.shapes.carry import is_degrees
from terraseg.shapes.ground import same_crs

LEAST_SHARE = 0.001
"""Less of the smaller scene than this is the seam of two tiles."""
FOOTPRINT_SIDE = 96
EDGE_POINTS = 16

Picture = tuple[int, NDArray[np.float32]]
"""A scene made small by a whole factor: the factor, and grey (h, w) with NaN where no pixel is valid."""


def find_overlaps(scenes: Sequence[Scene], pictures: Mapping[str, Picture]) -> tuple[Overlap, ...] | None:
    """The pairs of scenes that share ground; None when scenes without a CRS are too many to compare.

    Scenes of one group are not compared by their looks: they stand on one side of a split anyhow.
    """
    placed = [s for s in scenes if s.grid.crs is not None]
    placeless = [s for s in scenes if s.grid.crs is None]
    matches = find_matches([pictures[s.name][1] for s in placeless], [s.group for s in placeless])
    if matches is None:
        return None
    alike = [_of_match(match, placeless, pictures) for match in matches]
    return (*_on_the_map(placed, pictures), *(overlap for overlap in alike if overlap is not None))


def footprint(grid: Grid, picture: Picture) -> shapely.Geometry:
    """The valid ground of a scene as a polygon in its CRS, in steps of about a hundredth of its size."""
    factor, grey = picture
    valid = np.isfinite(grey)
    if valid.all():
        return _region([(0, 0, grid.height, grid.width)], grid)
    step = max(1, -(-max(valid.shape) // FOOTPRINT_SIDE))
    padded = np.pad(valid, [(0, -n % step) for n in valid.shape])
    cells = np.asarray(padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).any(axis=(1, 3)))
    side, boxes = factor * step, []
    for row, line in enumerate(list(cells)):
        ends = np.flatnonzero(np.diff(np.pad(line.astype(np.int8), 1)))
        for start, stop in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
            bottom, right = min(grid.height, (row + 1) * side), min(grid.width, stop * side)
            boxes.append((row * side, start * side, bottom, right))
    return _region(boxes, grid)


def _region(boxes: Sequence[tuple[int, int, int, int]], grid: Grid) -> shapely.Geometry:
    """Rectangles of pixels (top, left, bottom, right) as one region of the map."""
    if not boxes:
        return shapely.Polygon()
    rows = np.array(boxes, dtype=np.float64)
    pixels = shapely.union_all(shapely.box(rows[:, 1], rows[:, 0], rows[:, 3], rows[:, 2]))
    return shapely.transform(pixels, lambda points: np.column_stack(grid.to_map(points[:, 1], points[:, 0])))


def _on_the_map(scenes: Sequence[Scene], pictures: Mapping[str, Picture]) -> Iterable[Overlap]:
    """Overlaps of the valid ground of scenes with a CRS, found by a tree for each pair of reference systems."""
    areas = {s.name: footprint(s.grid, pictures[s.name]) for s in scenes}
    systems: list[str] = []
    own: dict[str, int] = {}
    for scene in scenes:
        crs = str(scene.grid.crs)
        known = next((n for n, other in enumerate(systems) if same_crs(crs, other)), None)
        if known is None:
            systems.append(crs)
        own[scene.name] = len(systems) - 1 if known is None else known
    found = []
    for a, b in combinations_with_replacement(range(len(systems)), 2):
        ones, others = ([s for s in scenes if own[s.name] == n] for n in (a, b))
        frame = _around([areas[s.name] for s in ones])
        shapes = [_moved(areas[s.name], systems[b], systems[a], frame) for s in others]
        tree = shapely.STRtree(shapes)
        for i, scene in enumerate(ones):
            for j in sorted(tree.query(areas[scene.name], predicate="intersects").tolist()):
                if a == b and j <= i:
                    continue
                overlap = _shared(scene, others[j], areas[scene.name], shapes[j])
                found += [] if overlap is None else [overlap]
    return found


def _around(areas: Sequence[shapely.Geometry]) -> Bounds:
    left, bottom, right, top = shapely.total_bounds(areas).tolist()
    return left, bottom, right, top


def _moved(shape: shapely.Geometry, source: str, target: str, onto: Bounds) -> shapely.Geometry:
    """A region in another CRS, where longitudes count as those of the bounds `onto`; empty where it cannot be shown."""
    if shape.is_empty or (source == target and not is_degrees(target)):
        return shape
    left, bottom, right, top = shape.bounds
    dense = shapely.segmentize(shape, max(right - left, top - bottom) / EDGE_POINTS)
    transformer = Transformer.from_crs(source, target, always_xy=True)
    moved = shapely.transform(dense, lambda p: np.column_stack(transformer.transform(p[:, 0], p[:, 1])))
    if is_degrees(target):
        moved = turned_onto(counting_on(np.array([moved], dtype=object)), onto)[0]
    return shapely.make_valid(moved) if np.isfinite(shapely.get_coordinates(moved)).all() else shapely.Polygon()


def _shared(one: Scene, other: Scene, area: shapely.Geometry, moved: shapely.Geometry) -> Overlap | None:
    common = shapely.intersection(area, moved)
    smaller = min(area.area, moved.area)
    share = float(common.area / smaller) if smaller > 0 else 0.0
    if share < LEAST_SHARE:
        return None
    bounds = common.bounds
    window = _window_of(shapely.box(*bounds), one.grid)
    back = _moved(common, str(one.grid.crs), str(other.grid.crs), other.grid.bounds)
    if back.is_empty or window.is_empty:
        return None
    return Overlap(one.name, other.name, window, _window_of(shapely.box(*back.bounds), other.grid), share, "map")


def _window_of(shape: shapely.Geometry, grid: Grid) -> Window:
    """The pixels of a grid that a region touches, as the smallest rectangle."""
    return _pixels_of(shape, grid).intersection(grid.window)


def _pixels_of(shape: shapely.Geometry, grid: Grid) -> Window:
    points = shapely.get_coordinates(shape)
    rows, cols = grid.to_pixel(points[:, 0], points[:, 1])
    return _rounded(float(rows.min()), float(cols.min()), float(rows.max()), float(cols.max()))


def _rounded(top: float, left: float, bottom: float, right: float) -> Window:
    """The pixels that a rectangle touches; a hair of a pixel does not count."""
    hair = 0.01
    row, col = int(np.floor(top + hair)), int(np.floor(left + hair))
    return Window(row, col, max(0, int(np.ceil(bottom - hair)) - row), max(0, int(np.ceil(right - hair)) - col))


def _of_match(match: Match, scenes: Sequence[Scene], pictures: Mapping[str, Picture]) -> Overlap | None:
    """The overlap of a match between two small pictures, in full pixels."""
    one, other = scenes[match.one], scenes[match.other]
    factor = pictures[one.name][0]
    row, col = match.row * factor, match.col * factor
    top, left = max(0.0, row), max(0.0, col)
    bottom = min(float(one.grid.height), row + match.scale * other.grid.height)
    right = min(float(one.grid.width), col + match.scale * other.grid.width)
    if bottom <= top or right <= left:
        return None
    window = _rounded(top, left, bottom, right).intersection(one.grid.window)
    back = [(v - s) / match.scale for v, s in ((top, row), (left, col), (bottom, row), (right, col))]
    partner = _rounded(back[0], back[1], back[2], back[3]).intersection(other.grid.window)
    if window.is_empty or partner.is_empty:
        return None
    sizes = [one.grid.height * one.grid.width, other.grid.height * other.grid.width * match.scale**2]
    share = (bottom - top) * (right - left) / min(sizes)
    return Overlap(one.name, other.name, window, partner, min(1.0, share), "picture")


def project(window: Window, source: Scene, target: Scene, overlap: Overlap) -> Window:
    """The ground of a window of `source` in the pixels of `target`, as a rectangle that may reach beyond it.

    Between pictures the two rectangles of the overlap carry the whole plane along.
    """
    if overlap.evidence == "map":
        region = _region([(window.row, window.col, window.row_stop, window.col_stop)], source.grid)
        region = _moved(region, str(source.grid.crs), str(target.grid.crs), target.grid.bounds)
        return Window(0, 0, 0, 0) if region.is_empty else _pixels_of(region, target.grid)
    here, there = (overlap.window_one, overlap.window_other)[:: 1 if overlap.one == source.name else -1]
    down, across = there.height / here.height, there.width / here.width
    top, left = there.row + (window.row - here.row) * down, there.col + (window.col - here.col) * across
    return _rounded(top, left, top + window.height * down, left + window.width * across)
