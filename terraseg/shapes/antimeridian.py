"""Geometries in degrees where longitudes jump: parted at 180 degrees, made to count on beyond it, moved by whole turns."""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

TURN, HALF_TURN, POLE = 360.0, 180.0, 90.0
JUMP = 350.0
"""An edge over more degrees of longitude than this, though not over all 360, is meant to go the short way round."""
TALL = 90.0
"""Nothing that spans more degrees of latitude than this is taken for a small thing whose outline jumps."""
Bounds = tuple[float, float, float, float]


def parted(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Polygons and lines in degrees, shape (n,), each edge the short way round, within -180 to 180: cut there, as RFC 7946
    (3.1.9) asks. Around a pole a polygon is closed along its parallel of 90 degrees. What needs no cut stays as it is.
    """
    found = np.array(geometry, dtype=object)
    bounds = shapely.bounds(found)
    suspect = (bounds[:, 0] < -HALF_TURN) | (bounds[:, 2] > HALF_TURN) | (_longest_step(found) > HALF_TURN)
    for place in np.flatnonzero(suspect):
        pieces = [piece for part in shapely.get_parts(found[place]) for piece in _pieces(_counting_on(part))]
        found[place] = _gathered(pieces)
    return found


def counting_on(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Geometries in degrees whose outlines jump from one side of 180 to the other, with longitudes that count on beyond it.

    All others stay: outlines cut at 180, and those of the whole Earth, whose edges from -180 to 180 are meant.
    """
    found = np.array(geometry, dtype=object)
    bounds = shapely.bounds(found)
    step = _longest_step(found)
    with np.errstate(invalid="ignore"):
        jumps = (step > JUMP) & (step < TURN) & (bounds[:, 3] - bounds[:, 1] < TALL)
    for place in np.flatnonzero(jumps):
        parts = [_counting_on(part) for part in shapely.get_parts(found[place])]
        found[place] = parts[0] if len(parts) == 1 else shapely.union_all(parts)
    return found


def turned_onto(geometry: NDArray[np.object_], bounds: Bounds) -> NDArray[np.object_]:
    """Geometries in degrees, shape (n,), moved by whole turns to where they meet bounds (left, bottom, right, top).

    What meets them after several turns is there as often; what never does stays where it is.
    """
    left, _, right, _ = bounds
    found = np.array(geometry, dtype=object)
    if not np.isfinite([left, right]).all() or not len(found):
        return found
    west, _, east, _ = shapely.bounds(found).T
    turns = range(int(np.floor((left - HALF_TURN) / TURN)) - 1, int(np.ceil((right + HALF_TURN) / TURN)) + 2)
    with np.errstate(invalid="ignore"):
        meets = {turn: (west + turn * TURN < right) & (east + turn * TURN > left) for turn in turns}
        # Points have no width.
        meets = {turn: here | ((west == east) & (west + turn * TURN == left)) for turn, here in meets.items()}
    often = np.sum(list(meets.values()), axis=0)
    for turn, here in meets.items():
        if turn != 0:
            once = here & (often == 1)
            found[once] = _turned(found[once], turn)
    for place in np.flatnonzero(often > 1):
        parts = shapely.get_parts(geometry[place])
        if len(parts) > 1:
            found[place] = shapely.union_all(turned_onto(parts, bounds))
        else:
            found[place] = shapely.union_all([_turned(parts, turn)[0] for turn, here in meets.items() if here[place]])
    return found


def unwrapped(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """The vertices (n, 2) of a ring or line with longitudes that count on, and how often it goes around a pole."""
    longitudes = np.unwrap(points[:, 0], period=TURN)
    around = round((longitudes[-1] - longitudes[0]) / TURN) if np.isfinite(longitudes).all() else 0
    return np.column_stack([longitudes, points[:, 1]]), around


def _longest_step(geometry: NDArray[np.object_]) -> NDArray[np.float64]:
    """The most degrees of longitude that an edge of each geometry spans, 0 without edges."""
    points, owner = shapely.get_coordinates(geometry, return_index=True)
    longest = np.zeros(len(geometry))
    if len(points) < 2:
        return longest
    parts, part_owner = shapely.get_parts(geometry, return_index=True)
    rings = shapely.get_dimensions(parts) == 2
    lines = np.concatenate([parts[~rings], shapely.get_rings(parts[rings])])
    _, ring_owner = shapely.get_rings(parts[rings], return_index=True)
    line_owner = np.concatenate([part_owner[~rings], part_owner[rings][ring_owner]])
    points, owner = shapely.get_coordinates(lines, return_index=True)
    step = np.where(owner[1:] == owner[:-1], np.abs(np.diff(points[:, 0])), 0.0)
    np.maximum.at(longest, line_owner[owner[1:]], np.nan_to_num(step, nan=0.0, posinf=0.0))
    return longest


def _counting_on(part: Any) -> Any:
    """One polygon, line or point with longitudes that count on."""
    if shapely.get_dimensions(part) == 1:
        return shapely.LineString(unwrapped(shapely.get_coordinates(part))[0])
    if shapely.get_dimensions(part) == 0:
        return part
    shell, *holes = (_ring(shapely.get_coordinates(ring)) for ring in shapely.get_rings(part))
    if not holes:
        return shell
    alike = turned_onto(np.array(holes, dtype=object), shell.bounds)
    return shapely.difference(shell, shapely.union_all(alike))


def _ring(points: NDArray[np.float64]) -> Any:
    """What a ring surrounds; one around a pole is closed along that."""
    outline, around = unwrapped(points)
    if around:
        pole = np.copysign(POLE, outline[:, 1].mean())
        corners = [[outline[-1, 0], pole], [outline[0, 0], pole]]
        outline = np.concatenate([outline, corners, outline[:1]])
    return shapely.make_valid(shapely.Polygon(outline))


def _pieces(shape: Any) -> list[Any]:
    """What lies of a shape between each two odd multiples of 180 degrees, moved to between -180 and 180."""
    west, south, east, north = shape.bounds
    first, last = (int(np.floor((edge + HALF_TURN) / TURN)) for edge in (west, east))
    pieces = []
    for turn in range(first, last + 1):
        frame = shapely.box(turn * TURN - HALF_TURN, south - 1, turn * TURN + HALF_TURN, north + 1)
        piece = _turned(np.array([shapely.intersection(shape, frame)], dtype=object), -turn)[0]
        pieces += [p for p in shapely.get_parts(piece) if shapely.get_dimensions(p) == shapely.get_dimensions(shape)]
    return [shapely.transform(p, _within) for p in pieces]


def _within(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.clip(points[:, 0], -HALF_TURN, HALF_TURN), points[:, 1]])


def _turned(geometry: NDArray[np.object_], turns: int) -> NDArray[np.object_]:
    step = np.array([turns * TURN, 0.0])
    return np.asarray(shapely.transform(geometry, lambda points: points + step), dtype=object)


def _gathered(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    if pieces and all(shapely.get_dimensions(piece) == 1 for piece in pieces):
        return shapely.MultiLineString(pieces)
    # Around a pole two pieces meet where the outline begins.
    return shapely.union_all(pieces)
