"""How true the figures of `terraseg measure` are: five generated towns against what they were made of, and the intervals.

    python benchmarks/measure.py [--size 1024] [--samples 1000]

Targets, from a perfect mask: area of each class within 0.1 %, buildings exact where they do not touch and their sizes within
2 %, street widths within 5 % or half a pixel, trees within 3 % where they stand apart and 10 % where crowns overlap. From a
mask with 5 % noisy border pixels: twice that. Of 1,000 samples 93 to 97 % have an interval that holds the true area.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.classreader import ClassArray
from terraseg.core.survey import SurveyPoints
from terraseg.measure.accuracy import Z, estimate_from_points
from terraseg.measure.crowns import Crowns, find_crowns
from terraseg.measure.design import SampleOptions, plan_sample
from terraseg.measure.draw import count_points, draw_points
from terraseg.measure.stats import class_areas
from terraseg.measure.streets import find_streets
from terraseg.pixels.centreline import middle_points
from terraseg.shapes.ground import ground_sizes, to_degrees
from terraseg.town.town import Town, make_town
from terraseg.vectorize.polygons import polygons_of

SEEDS = range(5)
GSD = 0.3
ROAD, BUILDING, TREE = 3, 4, 5
NOISE = 0.05
SEEN = 0.25
"""A tree counts as visible when taller ones leave this share of its crown."""
SMALLEST_M2 = 4.0


@dataclass(frozen=True)
class Found:
    """A figure of one town beside its truth."""

    name: str
    found: float
    true: float

    @property
    def off(self) -> float:
        """The error as a share of the truth."""
        return self.found / self.true - 1 if self.true else 0.0


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="pixels to a side of a town")
    parser.add_argument("--samples", type=int, default=1000, help="simulated samples")
    arguments = parser.parse_args()
    towns = [make_town(seed, arguments.size, gsd=GSD) for seed in SEEDS]
    for title, masks in (("perfect mask", [t.labels for t in towns]), ("5 % noisy borders", [noisy(t) for t in towns])):
        print(f"\n{title}")
        crowns = []
        for seed, town, mask in zip(SEEDS, towns, masks, strict=True):
            raster = ClassArray(town.grid, town.legend, mask)
            rows = [*areas(town, raster), *buildings(town, raster), *streets(town, raster), *trees(town, raster)]
            print(f"  town {seed}: " + ", ".join(f"{row.name} {100 * row.off:+.2f} %" for row in rows))
            crowns += [row for row in rows if row.name == "overlapping"]
        found, true = (sum(getattr(row, side) for row in crowns) for side in ("found", "true"))
        print(f"  overlapping over all towns: {100 * (found / true - 1):+.2f} % of {true:.0f}")
    print(
        f"\n{arguments.samples} samples each; maps that lost a fifth of the trees and have grown roofs, and maps two pixels off"
    )
    for seed, town in zip(SEEDS, towns, strict=True):
        for name, spoil in (("grown", grown_roofs), ("off", moved)):
            coverage(f"town {seed}, {name}", town, spoil(town.labels[:256, :256]), arguments.samples)


def noisy(town: Town) -> NDArray[np.uint8]:
    """The labels with 5 % of the pixels along borders between classes given to a neighbour's class."""
    labels = town.labels
    rng = np.random.default_rng(0)
    padded = np.pad(labels, 1, mode="edge")
    around = np.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    chosen = (around != labels).any(axis=0) & (rng.random(labels.shape) < NOISE)
    other = np.take_along_axis(around, rng.integers(0, 4, (1, *labels.shape)), axis=0)[0]
    return np.where(chosen, other, labels).astype(np.uint8)


def areas(town: Town, raster: ClassArray) -> Iterator[Found]:
    """The class whose area is farthest off; classes of under 1 % of the scene are left out, a pixel row is more of them."""
    true = town.class_areas_m2()
    whole = sum(true.values())
    rows = [
        Found(f"area of {raster.legend.by_id()[a.class_id].name}", a.area, true[raster.legend.by_id()[a.class_id].name])
        for a in class_areas(raster)
    ]
    yield max((row for row in rows if row.true > 0.01 * whole), key=lambda row: abs(row.off))


def buildings(town: Town, raster: ClassArray) -> Iterator[Found]:
    """Buildings that touch no other, by their polygons: how many, and their mean and their median size."""
    shapes, classes = town.pieces
    parts = shapely.get_parts(shapely.union_all(shapes[classes == BUILDING]))
    sizes = ground_areas(town, parts)
    true = sizes[sizes >= SMALLEST_M2]
    table = polygons_of(raster)
    found = table.area[table.class_id == BUILDING]
    yield Found("buildings", len(found), len(true))
    yield Found("mean size", float(found.mean()), float(true.mean()))
    yield Found("median size", float(np.median(found)), float(np.median(true)))


def ground_areas(town: Town, shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Areas of map polygons on the ground: the plane of a UTM zone is off by up to 0.1 %, as much as is asked for."""
    return ground_sizes(to_degrees(shapes, town.season.crs), town.season.crs)[0]


def streets(town: Town, raster: ClassArray) -> Iterator[Found]:
    """The street whose width is farthest off, of those that are seen over 20 points and more."""
    found = find_streets(middle_points(raster, [ROAD], [TREE]), town.grid)
    nearest = shapely.STRtree([s.line for s in town.streets]).nearest(shapely.points(found.x, found.y))
    rows = []
    for number, street in enumerate(town.streets):
        own = np.flatnonzero(nearest == number)
        width = found.median_width(own)
        if width is not None and np.count_nonzero(~np.isnan(found.width[own])) >= 20:
            rows.append(Found("street width", width, street.width_m))
    worst = max(rows, key=lambda row: abs(row.off))
    off = max(abs(row.found - row.true) / GSD for row in rows)
    yield replace(worst, name=f"{len(rows)} streets, at most {off:.1f} px off, the worst")


def trees(town: Town, raster: ClassArray) -> Iterator[Found]:
    """Trees by their crowns: all, those that stand apart, those whose crowns overlap."""
    pieces, count = ndimage.label(town.labels == TREE, np.ones((3, 3)))
    crowns = find_crowns(raster, [TREE], smallest=1.6)
    true = in_pieces(town, pieces, *visible(town))
    number = np.bincount(true, minlength=count + 1)
    got = np.bincount(in_pieces(town, pieces, crowns.x, crowns.y), minlength=count + 1)
    number[0] = got[0] = 0
    apart, together = number == 1, number > 1
    yield Found("trees", float(got.sum()), float(number.sum()))
    yield Found("apart", float(got[apart].sum()), float(number[apart].sum()))
    yield Found("overlapping", float(got[together].sum()), float(number[together].sum()))
    yield diameters(town, crowns)


def visible(town: Town) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places of the trees that stand in the scene and can be seen."""
    crowns = np.array([t.crown for t in town.trees], dtype=object)
    one, other = shapely.STRtree(crowns).query(crowns, predicate="intersects")
    share = np.ones(len(crowns))
    for tree in range(len(crowns)):
        above = crowns[other[(one == tree) & (other > tree)]]
        if len(above):
            share[tree] = crowns[tree].difference(shapely.union_all(above)).area / crowns[tree].area
    x, y = (np.array([getattr(t, axis) for t in town.trees]) for axis in ("x", "y"))
    kept = (share > SEEN) & shapely.intersects_xy(shapely.box(*town.grid.bounds), x, y)
    return x[kept], y[kept]


def in_pieces(
    town: Town, pieces: NDArray[np.int32], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.int32]:
    """The piece of tree cover on which each point lies."""
    rows, cols = town.grid.to_pixel(x, y)
    height, width = pieces.shape
    row, col = np.clip(rows.astype(int), 0, height - 1), np.clip(cols.astype(int), 0, width - 1)
    return np.asarray(pieces[row, col])


def diameters(town: Town, crowns: Crowns) -> Found:
    """The mean diameter of crowns that touch no other."""
    outlines = np.array([t.crown for t in town.trees], dtype=object)
    one, _ = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    inner = shapely.box(*town.grid.bounds).buffer(-3)
    apart = outlines[(np.bincount(one, minlength=len(outlines)) == 1) & shapely.contains(inner, outlines)]
    points = shapely.STRtree(shapely.points(crowns.x, crowns.y))
    tree, crown = points.query(apart, predicate="contains")
    _, first = np.unique(tree, return_index=True)
    true = 2 * np.sqrt(shapely.area(apart[tree[first]]) / np.pi)
    return Found("crown diameter", float(crowns.diameter[crown[first]].mean()), float(true.mean()))


def grown_roofs(truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A map with roofs two pixels too large, and with a fifth of the trees' pixels as grass."""
    roofs = ndimage.maximum_filter(np.where(truth == BUILDING, BUILDING, 0), 5)
    mapped = np.where(roofs == BUILDING, BUILDING, truth)
    return np.where((truth == TREE) & (np.random.default_rng(1).random(truth.shape) < 0.2), 1, mapped).astype(np.uint8)


def moved(truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A map that lies two pixels beside the truth, one pixel in twenty of any class."""
    rng = np.random.default_rng(1)
    anything = rng.permutation(truth.ravel()).reshape(truth.shape)
    return np.where(rng.random(truth.shape) < 0.05, anything, np.roll(truth, 2, axis=1)).astype(np.uint8)


def coverage(title: str, town: Town, mapped: NDArray[np.uint8], samples: int) -> None:
    """How often the intervals hold the true areas of a map that errs, sample by sample; and how far the map itself is off."""
    truth = town.labels[:256, :256]
    raster = ClassArray(replace(town.grid, height=256, width=256), town.legend, mapped)
    true = np.array([a.area for a in class_areas(replace(raster, ids=truth))])
    shown = np.array([a.area for a in class_areas(raster)])
    pixels = np.array([a.pixels for a in class_areas(raster)])
    design = plan_sample(shown, pixels, town.legend, SampleOptions(precision=0.04, expected=0.8))
    held, normal, width = np.zeros(len(true)), np.zeros(len(true)), np.zeros(len(true))
    for seed in range(samples):
        points = draw_points(raster, replace(design, options=replace(design.options, seed=seed)))
        rows, cols = raster.grid.to_pixel(points.x, points.y)
        found_there = truth[rows.astype(int), cols.astype(int)].astype(np.int16)
        labelled = SurveyPoints(points.x, points.y, points.stratum, found_there, points.crs)
        found = estimate_from_points(count_points(raster, labelled)[0], shown, town.legend).classes
        low, high, value, error = (
            np.array([getattr(c.area, end) for c in found]) for end in ("low", "high", "value", "standard_error")
        )
        held += (low <= true) & (true <= high)
        normal += np.abs(value - true) <= Z * error
        width += (high - low) / 2
    print(f"  {title}, {design.points} points")
    for k in np.flatnonzero((true > 0) & (true != shown)):
        off = abs(shown[k] - true[k]) / max(width[k] / samples, 1e-9)
        print(
            f"    {town.legend.names[k]}: interval holds the truth {100 * held[k] / samples:.1f} % (normal "
            f"{100 * normal[k] / samples:.1f} %), half width {100 * width[k] / samples / true[k]:.1f} %; pixel count "
            f"{100 * (shown[k] / true[k] - 1):+.1f} %, {off:.1f} half widths off"
        )


if __name__ == "__main__":
    main()
