"""The light that leaves the ground: materials, textures, slopes and shadows, as reflectance under the day's sun."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.town.materials import CODES, MATERIALS, SPECIES, palette, species_shares
from terraseg.town.relief import Sun, cast_shadows, grow_crowns, raise_roofs, spots_of
from terraseg.town.season import Season
from terraseg.town.texture import Field, smooth_noise
from terraseg.town.truth import burn
from terraseg.town.vectors import Layout, Patch

SHADOW_MARGIN_M = 26.0
SKY = np.array([0.15, 0.19, 0.27, 0.10], dtype=np.float32)
"""Share of the light that comes from the sky, by band: what is left in a shadow."""


@dataclass(frozen=True)
class Scenery:
    """Everything visible from the bottom to the top, one row each: material code, tone, height, and what it belongs to.

    `building` and `tree` are places in the layout, or -1.
    """

    shapes: NDArray[np.object_]
    code: NDArray[np.uint8]
    tone: NDArray[np.float32]
    height: NDArray[np.float32]
    building: NDArray[np.int32]
    tree: NDArray[np.int32]


def paint(layout: Layout, grid: Grid, *, season: Season, bands: int, seed: int) -> Field:
    """Radiance of the scene relative to white paper in the sun, shape (bands, height, width)."""
    rng = np.random.default_rng((seed, 2))
    pad = int(np.ceil(SHADOW_MARGIN_M / grid.transform[0]))
    canvas = grid.crop(Window(-pad, -pad, grid.height + 2 * pad, grid.width + 2 * pad))
    sun = Sun.of(season)
    scenery = _set_up(rng, layout, season, canvas)
    number = burn(scenery.shapes, np.arange(1, len(scenery.shapes) + 1), grid=canvas, dtype="int32")
    np.maximum(number - 1, 0, out=number)
    height, light = _stand_up(rng, layout, scenery, number, (canvas, sun))
    shadow = cast_shadows(height, sun, pixel_m=canvas.transform[0])
    sky = 1 - 0.3 * np.clip((uniform_filter(height, max(3, int(4.0 / canvas.transform[0]))) - height) / 6, 0, 1)
    inner = (slice(pad, pad + grid.height), slice(pad, pad + grid.width))
    light *= 1 - shadow
    number, light, sky = (np.ascontiguousarray(field[inner]) for field in (number, light, sky))
    return _colour(rng, scenery, number, (light, sky), (grid, season, bands))


def _set_up(rng: np.random.Generator, layout: Layout, season: Season, canvas: Grid) -> Scenery:
    rows: list[tuple[Any, str, float, float, int, int]] = [(shapely.box(*canvas.bounds), "grass", 1.0, 0.0, -1, -1)]

    def lay(patches: tuple[Patch, ...]) -> None:
        rows.extend((p.polygon, p.material, p.tone, p.height_m, p.owner, -1) for p in patches)

    lay(layout.plots)
    lay(layout.soil)
    rows += [(w, "water", 1.0, 0.0, -1, -1) for w in layout.water]
    rows += [(s.polygon, "footway", 1.0, 0.0, -1, -1) for s in layout.streets]
    lay(layout.traffic)
    tones = rng.uniform(0.84, 1.16, len(layout.buildings)).tolist()
    rows += [(b.polygon, b.roof, tones[k], 0.0, k, -1) for k, b in enumerate(layout.buildings)]
    lay(layout.roofware)
    kinds = rng.choice(len(SPECIES), len(layout.trees), p=species_shares(season))
    tones = rng.uniform(0.78, 1.24, len(layout.trees)).tolist()
    rows += [(t.crown, SPECIES[kinds[k]], tones[k], 0.0, -1, k) for k, t in enumerate(layout.trees)]
    shapes, names, tone, height, building, tree = zip(*rows, strict=True)
    return Scenery(
        np.array(shapes, dtype=object),
        np.array([CODES[n] for n in names], dtype=np.uint8),
        np.array(tone, dtype=np.float32),
        np.array(height, dtype=np.float32),
        np.array(building, dtype=np.int32),
        np.array(tree, dtype=np.int32),
    )


def _stand_up(
    rng: np.random.Generator, layout: Layout, scenery: Scenery, number: NDArray[np.int32], day: tuple[Grid, Sun]
) -> tuple[Field, Field]:
    """Height above ground and light against level ground, for every pixel of the canvas."""
    canvas, sun = day
    height, light = scenery.height[number], np.ones(number.shape, dtype=np.float32)
    roofs = spots_of(scenery.building[number], canvas)
    rise, facing = raise_roofs(roofs, layout.buildings, grid=canvas, sun=sun)
    height.ravel()[roofs.index] += rise
    light.ravel()[roofs.index] = facing
    crowns = spots_of(scenery.tree[number], canvas)
    rise, facing = grow_crowns(rng, crowns, trees=layout.trees, grid=canvas, sun=sun)
    height.ravel()[crowns.index] += rise
    light.ravel()[crowns.index] = facing
    return height, light


def _colour(
    rng: np.random.Generator,
    scenery: Scenery,
    number: NDArray[np.int32],
    lit: tuple[Field, Field],
    picture: tuple[Grid, Season, int],
) -> Field:
    grid, season, bands = picture
    shape, metre = number.shape, 1 / grid.transform[0]
    code = scenery.code[number]
    wide = smooth_noise(rng, shape, 26 * metre) + 0.7 * smooth_noise(rng, shape, 7 * metre)
    mottle = smooth_noise(rng, shape, 1.8 * metre) + 0.5 * smooth_noise(rng, shape, 0.8 * metre)
    roughness = np.array([(m.mottle, m.grain) for m in MATERIALS.values()], dtype=np.float32)
    tone = 1 + roughness[:, 0][code] * mottle
    tone += roughness[:, 1][code] * rng.standard_normal(shape, dtype=np.float32)
    np.clip(tone, 0.35, 1.8, out=tone)
    tone *= scenery.tone[number]
    mix = np.clip(0.5 + 0.36 * wide + 0.12 * mottle, 0, 1).astype(np.float32)
    one, other = palette(season)
    light, sky = lit
    picture_light = np.empty((bands, *shape), dtype=np.float32)
    for band in range(bands):
        colour = one[:, band][code]
        colour += mix * (other[:, band] - one[:, band])[code]
        picture_light[band] = colour * tone * (SKY[band] * sky + (1 - SKY[band]) * light)
    return picture_light
