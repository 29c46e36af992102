"""What a forest is told of a pixel: colour, texture and edges around it at several scales, as nodes of an ONNX graph.

There is no other definition: training runs this graph, and the model carries it.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from terraseg.core.modelspec import ModelSpec
from terraseg.graphs.sketch import Sketch

SCALES = 5
"""Smoothings, each with its samples twice as far apart as the last: standard deviations of 1, 2.2, 4.6, 9.2 and 18.5 px."""
RATIO_SCALES = (1, 3)
"""After so many smoothings the ratios of the bands are taken."""
MOST_PAIRED = 6
"""With more bands than these only neighbours in the spectrum are compared: the pairs would outnumber all else."""
RATIO_FLOOR = 0.02
"""What keeps the ratio of two dark bands from being noise, in standard deviations of the bands."""
SPLINE = np.array([1, 4, 6, 4, 1]) / 16
SLOPE = np.array([-0.5, 0, 0.5])
REACH = sum(2 * 2**level for level in range(SCALES)) + 3 * 2 ** (SCALES - 1)
"""Pixels on either side that have a say in a pixel's features."""


def add_features(sketch: Sketch, images: str, spec: ModelSpec) -> str:
    """The features (n, `feature_count`, h, w) of normalised images (n, bands, h, w), as nodes of the sketch.

    The bands themselves; then for each scale every band smoothed, its standard deviation around the pixel, and of the mean
    of the bands the slope and how it is spread over two directions (the square roots of the structure tensor's
    eigenvalues, which tell a line from a corner); and at two scales the ratios (a - b) / (|a| + |b| + e) of the raw bands,
    e small.
    Images go on beyond their edge as their last row or column. The smoothing is the undecimated B3-spline transform of
    Starck and Murtagh ("Astronomical Image and Data Analysis", 2006): five taps at any scale, and no pixel's features
    depend on where a tile begins.
    """
    bands = len(spec.bands)
    stack = sketch.add("Concat", images, sketch.add("Mul", images, images), axis=1)
    found = [images]
    for level in range(SCALES):
        apart = 2**level
        stack = _smooth(sketch, stack, 2 * bands, apart)
        means, squares = sketch.split("Split", stack, sketch.sizes(bands, bands), results=2, axis=1)
        variance = sketch.add("Sub", squares, sketch.add("Mul", means, means))
        found += [means, _root(sketch, variance), *_edges(sketch, means, apart)]
        if level + 1 in RATIO_SCALES and bands > 1:
            found += _ratios(sketch, means, spec)
    return sketch.add("Concat", *found, axis=1)


def feature_count(bands: int) -> int:
    """How many features `add_features` gives.

    >>> feature_count(1), feature_count(3)
    (26, 54)
    """
    return bands + SCALES * (2 * bands + 3) + len(RATIO_SCALES) * len(band_pairs(bands))


def band_pairs(bands: int) -> list[tuple[int, int]]:
    """The bands of which ratios are taken: all pairs, or with many bands each with the next."""
    if bands <= MOST_PAIRED:
        return list(combinations(range(bands), 2))
    return [(band, band + 1) for band in range(bands - 1)]


def _smooth(sketch: Sketch, maps: str, channels: int, apart: int) -> str:
    for axis in (2, 3):
        maps = _along(sketch, maps, channels, SPLINE, apart=apart, axis=axis)
    return maps


def _along(sketch: Sketch, maps: str, channels: int, taps: ArrayLike, *, apart: int, axis: int) -> str:
    """Each channel filtered along one axis, the taps so many pixels `apart`."""
    weights = np.asarray(taps, dtype=np.float32)
    reach = len(weights) // 2 * apart
    pads, shape, dilations = [0] * 8, [1, 1], [1, 1]
    pads[axis] = pads[axis + 4] = reach
    shape[axis - 2], dilations[axis - 2] = len(weights), apart
    padded = sketch.add("Pad", maps, sketch.sizes(*pads), mode="edge")
    kernel = sketch.constant(np.tile(weights.reshape(1, 1, *shape), (channels, 1, 1, 1)))
    return sketch.add("Conv", padded, kernel, group=channels, kernel_shape=shape, dilations=dilations)


def _edges(sketch: Sketch, means: str, apart: int) -> Sequence[str]:
    """Slope of the bands' mean, and the larger and the smaller spread of the slopes around the pixel."""
    gray = sketch.add("ReduceMean", means, sketch.sizes(1), keepdims=1)
    down, right = (_along(sketch, gray, 1, SLOPE, apart=apart, axis=axis) for axis in (2, 3))
    products = [sketch.add("Mul", a, b) for a, b in ((down, down), (right, right), (down, right))]
    steepness = sketch.add("Sqrt", sketch.add("Add", products[0], products[1]))
    tensor = _smooth(sketch, sketch.add("Concat", *products, axis=1), 3, apart)
    a, b, c = sketch.split("Split", tensor, sketch.sizes(1, 1, 1), results=3, axis=1)
    half = sketch.constant(0.5)
    middle = sketch.add("Mul", sketch.add("Add", a, b), half)
    unequal = sketch.add("Mul", sketch.add("Sub", a, b), half)
    radius = sketch.add("Sqrt", sketch.add("Add", sketch.add("Mul", unequal, unequal), sketch.add("Mul", c, c)))
    return (
        steepness,
        _root(sketch, sketch.add("Add", middle, radius)),
        _root(sketch, sketch.add("Sub", middle, radius)),
    )


def _root(sketch: Sketch, squares: str) -> str:
    """The square root of what rounding may have made a little less than zero."""
    return sketch.add("Sqrt", sketch.add("Relu", squares))


def _ratios(sketch: Sketch, means: str, spec: ModelSpec) -> Sequence[str]:
    shape = (1, len(spec.bands), 1, 1)
    scaled = sketch.add("Mul", means, sketch.constant(np.reshape(spec.std, shape)))
    raw = sketch.add("Add", scaled, sketch.constant(np.reshape(spec.mean, shape)))
    size = sketch.add("Abs", raw)
    firsts, seconds = zip(*band_pairs(len(spec.bands)), strict=True)
    one, other = sketch.sizes(*firsts), sketch.sizes(*seconds)
    difference = sketch.add("Sub", *(sketch.add("Gather", raw, at, axis=1) for at in (one, other)))
    total = sketch.add("Add", *(sketch.add("Gather", size, at, axis=1) for at in (one, other)))
    least = sketch.constant(RATIO_FLOOR * float(np.mean(spec.std)))
    return [sketch.add("Div", difference, sketch.add("Add", total, least))]
