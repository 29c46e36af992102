"""Buildings that touch, counted one by one.

    python benchmarks/touching.py [--seeds 5] [--town 1024]

Towns' buildings that share walls, from the mask alone and with a probability that dips along the walls, as a model's does
where it sees them; and houses made to touch at a corner or by a passage, which a mask alone tells apart. The aim is to
count 95 % of them.
"""

import argparse
from collections.abc import Callable
from typing import Literal

import numpy as np
import shapely
from rasterio.features import rasterize
from scipy import ndimage
from vectorize import (  # type: ignore[import-not-found]  # lies beside this script
    LEAST_M2,
    Truth,
    hits,
    standing_apart,
    true_objects,
    truth_of,
)

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.town import make_town
from terraseg.vectorize.options import VectorizeOptions
from terraseg.vectorize.polygons import polygons_of


def main() -> None:
    """Prints the counts."""
    parser = argparse.ArgumentParser(description="Buildings that touch, counted one by one.")
    parser.add_argument("--seeds", type=int, default=5, help="towns")
    parser.add_argument("--town", type=int, default=1024, help="pixels to a side of a town")
    options = parser.parse_args()
    report_touching([truth_of(make_town(seed, options.town), 0.0) for seed in range(options.seeds)])


def report_touching(every: list[Truth]) -> None:
    """Prints how many of the buildings that touch are counted one by one."""
    building = every[0].town.legend.ids[every[0].town.legend.index_of("building")]
    print(
        f"touching: buildings of {len(every)} towns, from the mask, and by how far a probability of 0.97 dips at walls"
    )
    _print_touching("mask", [(t, None) for t in every], building)
    for dip in (0.0, 0.1, 0.2, 0.3, 0.45):
        _print_touching(f"dip {dip:.2f}", [(t, sureness(t, building, dip)) for t in every], building)
    for name, draw in (("corner", _at_corner), ("passage", _by_passage)):
        counts = [_houses(draw, seed) for seed in range(len(every))]
        found, true = (sum(column) for column in zip(*counts, strict=True))
        print(f"  houses in pairs that touch by a {name}: {found} of {true} ({found / true:.1%}, aim 95 %)")


def _print_touching(title: str, pairs: list[tuple[Truth, ClassArray | None]], building: int) -> None:
    both = wanted = count = right = 0
    for truth, sure in pairs:
        by: Literal["distance", "probability"] = "distance" if sure is None else "probability"
        options = VectorizeOptions(min_area_m2=LEAST_M2, split=("building",), split_by=by, classes=("building",))
        found = polygons_of(truth.raster, confidence=sure, options=options)
        true, alone = true_objects(truth, building), standing_apart(truth, building)
        right += hits(found, true)
        both += hits(found, true) - hits(found, alone)
        wanted += len(true) - len(alone)
        count += len(found) + len(true)
    print(f"  {title}: {both} of {wanted} that touch found ({both / wanted:.1%}), F1 of all {2 * right / count:.3f}")


def sureness(truth: Truth, building: int, dip: float) -> ClassArray:
    """A confidence of 0.97 with noise of 0.02, lower by `dip` on the two pixels of a wall between buildings, then blurred."""
    owner = np.where(truth.town.labels == truth.town.legend.ids.index(building), truth.owner, 0)
    wall = np.zeros(owner.shape, dtype=np.bool_)
    for one, two in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        meets = (owner[one] != owner[two]) & (owner[one] > 0) & (owner[two] > 0)
        wall[one] |= meets
        wall[two] |= meets
    noise = np.random.default_rng(0).standard_normal(owner.shape)
    sure = ndimage.gaussian_filter(0.97 - dip * wall, 1.0) + 0.02 * ndimage.gaussian_filter(noise, 1.0) / 0.28
    return ClassArray(truth.raster.grid, truth.raster.legend, (254 * np.clip(sure, 0.5, 1)).astype(np.uint8))


Pair = tuple[shapely.Polygon, shapely.Polygon, shapely.Polygon | None]


def _at_corner(rng: np.random.Generator) -> Pair:
    """Two houses that overlap by one to three pixels at a corner."""
    (w, d), (w2, d2), lap = rng.uniform(24, 45, 2), rng.uniform(24, 45, 2), rng.uniform(1, 3)
    return shapely.box(-w, -d, 0, 0), shapely.box(-lap, -lap, w2, d2), None


def _by_passage(rng: np.random.Generator) -> Pair:
    """Two houses with a narrow passage between them, at most 0.4 of the smaller one's depth wide."""
    (w, d), (w2, d2) = rng.uniform(24, 45, 2), rng.uniform(24, 45, 2)
    gap, half = rng.uniform(5, 15), 0.2 * min(w, d, w2, d2) * rng.uniform(0.3, 1)
    return (shapely.box(-w, -d / 2, 0, d / 2), shapely.box(gap, -d2 / 2, gap + w2, d2 / 2),
            shapely.box(-1, -half, gap + 1, half))  # fmt: skip


def _houses(draw: Callable[[np.random.Generator], Pair], seed: int, pairs: int = 36) -> tuple[int, int]:
    """How many polygons come of pairs of houses, turned any way, on a map, and how many houses there are."""
    rng, side, row = np.random.default_rng(seed), 160, 6
    ids = np.zeros((row * side, row * side), dtype=np.uint8)
    for number in range(pairs):
        parts = [part for part in draw(rng) if part is not None]
        whole = shapely.affinity.rotate(shapely.union_all(parts), rng.uniform(0, 360), origin="centroid")
        x, y = (side * (k + 0.5) for k in divmod(number, row))
        placed = shapely.affinity.translate(whole, x - whole.centroid.x, y - whole.centroid.y)
        ids |= rasterize([(placed, 1)], ids.shape).astype(np.uint8)
    legend = Legend((LandClass(0, "ground", PALETTE[0]), LandClass(1, "building", PALETTE[1])))
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), legend, ids)
    found = polygons_of(raster, options=VectorizeOptions(split=("building",), classes=("building",), min_area_m2=40))
    return len(found), 2 * pairs


if __name__ == "__main__":
    main()
