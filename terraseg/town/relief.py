"""Heights of roofs, crowns and cars, how each surface faces the sun, and what lies in shadow."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.grid import Grid
from terraseg.town.season import Season
from terraseg.town.texture import Field, smooth_noise
from terraseg.town.vectors import Building, Tree, Wing


@dataclass(frozen=True)
class Sun:
    """Unit vector (east, north, up) towards the sun."""

    east: float
    north: float
    up: float

    @staticmethod
    def of(season: Season) -> "Sun":
        """The sun of a season."""
        azimuth, elevation = np.radians(season.azimuth_deg), np.radians(season.elevation_deg)
        level = float(np.cos(elevation))
        return Sun(level * float(np.sin(azimuth)), level * float(np.cos(azimuth)), float(np.sin(elevation)))


@dataclass(frozen=True)
class Spots:
    """Some pixels of a canvas: flat indices, map coordinates of their centres, and the object each belongs to."""

    index: NDArray[np.intp]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    owner: NDArray[np.intp]


def spots_of(owners: NDArray[np.int32], grid: Grid) -> Spots:
    """The pixels whose owner is not negative; coordinates are metres from the grid's corner, to stay exact in float32."""
    index = np.flatnonzero(owners >= 0)
    rows, cols = np.divmod(index, grid.width)
    a, e = grid.transform[0], grid.transform[4]
    x, y = ((cols + 0.5) * a).astype(np.float32), ((rows + 0.5) * e).astype(np.float32)
    return Spots(index, x, y, owners.ravel()[index].astype(np.intp))


def raise_roofs(spots: Spots, buildings: tuple[Building, ...], *, grid: Grid, sun: Sun) -> tuple[Field, Field]:
    """Height above ground of each spot, and its light against that of level ground, both shape (spots,).

    A spot lies on the highest of the wings above it; valleys and ridges of L-shapes and courtyards follow by themselves.
    """
    eaves = np.array([b.eaves_m for b in buildings], dtype=np.float32)[spots.owner]
    pitch = np.array([b.pitch for b in buildings], dtype=np.float32)[spots.owner]
    hipped = np.array([b.form == "hip" for b in buildings], dtype=bool)[spots.owner]
    top = np.full(len(spots.index), -1, dtype=np.float32)
    slope = np.zeros(len(spots.index), dtype=np.float32)
    for slot in range(max((len(b.wings) for b in buildings), default=0)):
        has = np.array([len(b.wings) > slot for b in buildings])[spots.owner]
        rise, towards = _plane([b.wings[min(slot, len(b.wings) - 1)] for b in buildings], spots, hipped, (grid, sun))
        higher = has & (rise > top)
        top[higher], slope[higher] = rise[higher], towards[higher]
    light = np.maximum(0, sun.up - pitch * slope) / np.sqrt(1 + pitch**2) / sun.up
    return eaves + pitch * np.maximum(top, 0), light.astype(np.float32)


def _plane(wings: list[Wing], spots: Spots, hipped: NDArray[np.bool_], scene: tuple[Grid, Sun]) -> tuple[Field, Field]:
    """Distance to the wing's eaves (negative outside) and how much a roof of pitch 1 there rises towards the sun."""
    grid, sun = scene
    table = np.array([(w.x - grid.transform[2], w.y - grid.transform[5], w.length_m / 2, w.width_m / 2) for w in wings])
    x, y, half_length, half_width = table.astype(np.float32)[spots.owner].T
    angles = np.array([w.angle for w in wings])
    c, s = np.cos(angles).astype(np.float32)[spots.owner], np.sin(angles).astype(np.float32)[spots.owner]
    along = (spots.x - x) * c + (spots.y - y) * s
    across = (spots.y - y) * c - (spots.x - x) * s
    to_side, to_end = half_width - np.abs(across), half_length - np.abs(along)
    rise = np.where(to_end < -0.05, -1, np.where(hipped, np.minimum(to_side, to_end), to_side))
    at_end = hipped & (to_end < to_side)
    side_slope = -np.sign(across) * (sun.north * c - sun.east * s)
    end_slope = -np.sign(along) * (sun.east * c + sun.north * s)
    return rise.astype(np.float32), np.where(at_end, end_slope, side_slope).astype(np.float32)


def grow_crowns(
    rng: np.random.Generator, spots: Spots, *, trees: tuple[Tree, ...], grid: Grid, sun: Sun
) -> tuple[Field, Field]:
    """Height and light of each spot on a tree's crown: a dome with clumps of leaves, bright towards the sun."""
    left, top = grid.transform[2], grid.transform[5]
    table = np.array([(t.x - left, t.y - top, t.radius_m, t.height_m) for t in trees], dtype=np.float32).reshape(-1, 4)
    x, y, radius, height = table[spots.owner].T
    dx, dy = (spots.x - x) / radius, (spots.y - y) / radius
    inner = np.sqrt(np.clip(1 - 0.9 * (dx**2 + dy**2), 0.04, None))
    clump = smooth_noise(rng, (grid.height, grid.width), 0.95 / grid.transform[0]).ravel()[spots.index]
    leaf = smooth_noise(rng, (grid.height, grid.width), 0.5 / grid.transform[0]).ravel()[spots.index]
    dome = height * (0.3 + 0.7 * inner) * (1 + 0.06 * clump)
    facing = (dx * sun.east + dy * sun.north) / np.maximum(inner, 0.4)
    # Between clumps one looks into the crown's own shade: the dark side of the noise goes deeper than the bright one.
    depth = np.minimum(clump + 0.4, 0)
    light = np.clip(0.84 + 0.44 * facing + 0.14 * clump + 0.26 * depth + 0.15 * leaf, 0.1, 1.6)
    return dome.astype(np.float32), light.astype(np.float32)


def cast_shadows(height: Field, sun: Sun, *, pixel_m: float) -> Field:
    """Share of the direct light that is blocked, 0 to 1: is anything towards the sun higher than the ray that passes?"""
    level = float(np.hypot(sun.east, sun.north))
    reach = min(float(height.max(initial=0)) * level / sun.up / pixel_m, float(max(height.shape)))
    highest = np.zeros_like(height)
    fall = np.float32(pixel_m * sun.up / level)
    lifted = np.empty_like(height)
    for k in range(1, int(reach) + 2):
        down, right = round(-k * sun.north / level), round(k * sun.east / level)
        here, there = _overlap(height.shape, down, right)
        np.subtract(height[there], k * fall, out=lifted[here])
        np.maximum(highest[here], lifted[here], out=highest[here])
    softness = np.float32(max(0.5, float(fall)))
    return np.asarray(np.clip((highest - height) / softness, 0, 1))


def _overlap(shape: tuple[int, ...], down: int, right: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of an array, and of the same array seen from (down, right) further on, where both exist."""

    def pair(size: int, step: int) -> tuple[slice, slice]:
        step = max(-size, min(size, step))
        return slice(max(0, -step), size - max(0, step)), slice(max(0, step), size + min(0, step))

    (row_here, row_there), (col_here, col_there) = pair(shape[0], down), pair(shape[1], right)
    return (row_here, col_here), (row_there, col_there)
