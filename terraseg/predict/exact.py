"""How far around a pixel a model looks, measured: what a map from tiles needs to equal one pass over the whole raster."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.modelspec import ModelSpec
from terraseg.core.scorer import Scorer
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.pixels.blend import to_host
from terraseg.predict.tiles import RasterSource, cast, fill, mirror

PROMISED = 1e-4
"""The largest difference of a probability in an exact map."""
MEASURED = 1e-5
"""The largest that is taken for none while measuring: what the next picture does is not known."""
SIDES = (512, 1024, 2048)
SEED = 20_240_229


def exact_halo(source: RasterSource, scorer: Scorer) -> int:
    """Pixels around a pixel that a tile must hold for the pixel to come out as from the whole raster; a multiple of the stride.

    A picture is scored whole, and once more cut on all sides; how far from the cut the scores differ is how far the model
    looks. The pictures are parts of the raster and noise of the training imagery's brightness. A stride is added for what
    these did not show. Raises `BadOption` for a model that looks over the whole picture, however large: one with global
    pooling or attention, or computing in a precision in which its scores waver.
    """
    stride = scorer.spec.stride
    for side in (max(s, 8 * stride) // (4 * stride) * 4 * stride for s in SIDES):
        reach = max(_reach(scorer, picture, side // 4) for picture in _pictures(source, scorer.spec, side))
        # A reach that comes near the middle of the cut picture may go on beyond it.
        if reach < side // 4 - stride:
            return (-(-reach // stride) + 1) * stride
    raise BadOption(
        f"exact = true cannot be kept: with this model the scores of a pixel change with what lies {SIDES[-1] // 4} px and more "
        f"away (global pooling, attention, or a precision below 32 bits), so no tile is as good as the whole raster; leave it "
        f"out, and look at the seam score, or use a network that looks no further than its convolutions reach"
    )


def _reach(scorer: Scorer, picture: NDArray[Any], cut: int) -> int:
    """Pixels from the cut at which scores still differ from those of the whole picture."""
    whole = to_host(scorer.score(picture[None]))[0][:, cut:-cut, cut:-cut]
    part = to_host(scorer.score(np.ascontiguousarray(picture[:, cut:-cut, cut:-cut])[None]))[0]
    off = np.abs(whole - part).max(axis=0) > MEASURED
    height, width = off.shape
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])
    cols = np.minimum(np.arange(width), np.arange(width)[::-1])
    distance = np.minimum(rows[:, None], cols[None, :]) + 1
    return int(distance[off].max(initial=0))


def _pictures(source: RasterSource, spec: ModelSpec, side: int) -> Iterator[NDArray[Any]]:
    """Pictures (bands, side, side) in the model's type."""
    height, width = source.grid.height, source.grid.width
    for part in (0.5, 0.2):
        row, col = int(part * max(0, height - side)), int(part * max(0, width - side))
        patch = source.read(Window(row, col, min(side, height), min(side, width)))
        if patch.valid.any():
            yield cast(mirror(fill(patch.pixels, patch.valid, spec.mean), (side, side)), spec.dtype)
    noise = np.random.default_rng(SEED).standard_normal((len(spec.bands), side, side), dtype=np.float32)
    noise += np.kron(noise[:, : side // 16, : side // 16], np.ones((1, 16, 16), dtype=np.float32))
    raw = np.array(spec.mean)[:, None, None] + np.array(spec.std)[:, None, None] * noise
    if np.dtype(spec.dtype).kind in "iu":
        limits = np.iinfo(spec.dtype)
        raw = np.clip(np.rint(raw), limits.min, limits.max)
    yield raw.astype(spec.dtype)
