"""A model on imagery of another pixel size: each tile is brought to the model's, scored, and its scores brought back.

The sweep works on the raster's own grid throughout: lattice, blending, validity and map know nothing of it.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, gcd, isqrt, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.core.scale import SAME, PixelSize, Scale, scale_to
from terraseg.core.scorer import Scorer
from terraseg.errors import GridMismatch
from terraseg.pixels.resample import Array, resampled
from terraseg.predict.tiles import mirror
from terraseg.predict.values import number

SLACK = 1.01
"""Room in the bounds on factors for what a map projection does to lengths."""
FURTHEST = 8.0
"""Beyond this factor nothing is resampled: what a model learnt to see is less than a pixel, or the map mostly made up."""
LARGEST_TILE, SCORE_BYTES = 1024, 40_000_000
"""Bounds on the side of a tile in raster pixels, and on the scores of one, where the raster is finer."""


def plan_scale(spec: ModelSpec, grid: Grid) -> Scale | None:
    """How a raster is to be resampled for a model; None where its pixels are of the model's size, or either is unknown.

    The model's size is that of a training pixel, its shape on the ground included: training brings its scenes to it in
    the same way. Raises `GridMismatch` beyond a factor of `FURTHEST`, unless scenes of such pixels were trained on.
    """
    if spec.gsd_m is None:
        return None
    look = spec.imagery
    scale = scale_to(PixelSize(spec.gsd_m, 1.0 if look is None else look.aspect), grid)
    if scale == SAME:
        return None
    factors = float(scale.rows), float(scale.cols)
    if max(max(f, 1 / f) for f in factors) > FURTHEST * SLACK and not _was_trained_on(spec, grid):
        raise GridMismatch(_too_far(spec, grid, factors))
    return scale


def _was_trained_on(spec: ModelSpec, grid: Grid) -> bool:
    span, gsd = spec.imagery.gsd_range_m if spec.imagery is not None else None, grid.gsd_m
    return span is not None and gsd is not None and span[0] / SLACK < gsd < span[1] * SLACK


def _too_far(spec: ModelSpec, grid: Grid, factors: tuple[float, float]) -> str:
    height, width = grid.pixel_size
    gsd = grid.gsd_m or 0.0
    wanted = f"gdalwarp -tr {width * factors[1]:.3g} {height * factors[0]:.3g} -r average"
    if gsd > (spec.gsd_m or 0.0):
        cure = "what it learnt to see is less than a pixel here: pass finer imagery, or a model trained on such"
    else:
        cure = f"make a raster of the model's pixel size first, with {wanted}"
    return (
        f"the raster's pixels are {number(gsd)} m on the ground and the model was trained on {number(spec.gsd_m or 0.0)} m, "
        f"a factor of more than {FURTHEST:.0f}: {cure}; --resample off predicts it as it is"
    )


def scale_note(spec: ModelSpec, grid: Grid, scale: Scale) -> str:
    """What is said of a raster that is resampled."""
    how = f"{scale.mean:.3g} times finer" if scale.mean > 1 else f"{1 / scale.mean:.3g} times coarser"
    return (
        f"the raster's pixels are {number(grid.gsd_m or 0.0)} m on the ground, {how} than the {number(spec.gsd_m or 0.0)} m the "
        f"model was trained on: it is resampled as it is read, and the map is on the raster's own grid"
    )


@dataclass(frozen=True, eq=False)
class ResampledScorer:
    """A scorer for pixels of another size than its model's: a `Scorer` whose spec is in the raster's pixels."""

    scorer: Scorer
    scale: Scale
    spec: ModelSpec

    @property
    def device(self) -> str:
        """Engine and device of the scorer inside."""
        return self.scorer.device

    def score(self, batch: NDArray[Any]) -> Array:
        """Class probabilities (n, classes, height, width) of a batch, spread bilinearly or averaged back to its size."""
        height, width = batch.shape[2:]
        # Whole pixels of both sizes: any part of a raster is then resampled as the whole of it is.
        size = tuple(-(-n // f.numerator) * f.numerator for n, f in zip((height, width), self._factors, strict=True))
        batch = np.stack([mirror(image, size) for image in batch]) if size != (height, width) else batch
        pixels = resampled(batch, *(round(n / f) for n, f in zip(size, self._factors, strict=True)))
        kind = np.dtype(self.spec.dtype)
        if kind.kind in "iu":
            pixels = np.rint(pixels)
        scores = resampled(self.scorer.score(pixels.astype(kind)), *size)
        return scores[:, :, :height, :width]

    @property
    def _factors(self) -> tuple[Fraction, Fraction]:
        return self.scale.rows, self.scale.cols


def rescaled(scorer: Scorer, scale: Scale, gsd_m: float | None) -> ResampledScorer:
    """A scorer for the raster's pixels. Tile and overlap cover the ground that the model's do, within bounds."""
    spec = scorer.spec
    along = _aligned_stride(spec.stride, scale)
    largest = max(spec.tile, min(LARGEST_TILE, isqrt(SCORE_BYTES // (4 * len(spec.legend)))))
    tile = min(round(spec.tile * scale.mean), largest)
    overlap = min(ceil(spec.overlap * scale.mean), tile // 2)
    if along <= tile - overlap:
        step = (tile - overlap) // along * along
        tile = max(step + 1, tile // along * along)
        overlap = tile - step
    own = replace(spec, tile=tile, overlap=overlap, stride=along, gsd_m=gsd_m)
    return ResampledScorer(scorer, scale, own)


def _aligned_stride(stride: int, scale: Scale) -> int:
    """Raster pixels that are a whole number of the model's strides along both axes."""
    rows, cols = (f.numerator * stride // gcd(stride, f.denominator) for f in (scale.rows, scale.cols))
    return lcm(rows, cols)
