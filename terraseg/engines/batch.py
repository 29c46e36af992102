"""The door of every engine: a batch of raw pixels held against the model's spec."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch


def checked_batch(batch: NDArray[Any], spec: ModelSpec) -> NDArray[Any]:
    """The batch (n, bands, height, width), contiguous and in the machine's byte order.

    Raises `BandMismatch` for another number of axes or bands, another dtype, or an image without pixels.
    """
    if batch.ndim != 4 or batch.shape[1] != len(spec.bands):
        wanted = f"(n, {len(spec.bands)}, height, width) for the bands {', '.join(spec.bands)}"
        raise BandMismatch(f"a batch of shape {batch.shape}: this model takes {wanted}")
    if batch.shape[2] == 0 or batch.shape[3] == 0:
        raise BandMismatch(f"a batch of shape {batch.shape} has no pixels: pass images of one pixel or more")
    native = batch.dtype.newbyteorder("=")
    if native != np.dtype(spec.dtype):
        raise BandMismatch(
            f"{batch.dtype} pixels for a model of {spec.dtype}: pass imagery of the model's own bit depth"
        )
    return np.ascontiguousarray(batch, dtype=native)


def no_images(batch: NDArray[Any], spec: ModelSpec) -> NDArray[np.float32]:
    """The probabilities of a batch of no images: (0, classes, height, width)."""
    return np.zeros((0, len(spec.legend), *batch.shape[2:]), dtype=np.float32)
