"""Whole batches, ready for the device: cut from the scenes in few calls, without workers."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from terraseg.core.window import Window
from terraseg.store.blocks import Block
from terraseg.store.cache import TrainingScene
from terraseg.train.sampling import Sampler, places

Batch = tuple[Tensor, Tensor]


class Batches(IterableDataset[Batch]):
    """An endless row of batches from a step on: raw pixels (n, bands, size, size) and labels (n, size, size) of uint8.

    `indices` tells which samples of a step are cut, in their order; `start` is the first step.
    """

    def __init__(
        self,
        scenes: Sequence[TrainingScene],
        sampler: Sampler,
        *,
        dtype: DTypeLike,
        indices: Callable[[int], Sequence[int]],
        start: int = 0,
    ) -> None:
        super().__init__()
        self.scenes, self.sampler, self.dtype = tuple(scenes), sampler, np.dtype(dtype)
        self.indices, self.start = indices, start

    def __iter__(self) -> Iterator[Batch]:
        step = self.start
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        pixels, labels = cut_batch(self.scenes, self.sampler, step, self.indices(step), self.dtype)
        return torch.from_numpy(pixels), torch.from_numpy(labels)


def cut_batch(
    scenes: Sequence[TrainingScene], sampler: Sampler, step: int, indices: Sequence[int], dtype: DTypeLike
) -> Block:
    """The samples of a step, (n, bands, size, size) of `dtype` and (n, size, size) of uint8.

    A sample from a window that is smaller than it goes on mirrored at the window's edge, pixels and labels alike.
    """
    size, bands = sampler.size, len(scenes[0].scene.imagery.bands)
    pixels = np.empty((len(indices), bands, size, size), dtype=dtype)
    labels = np.empty((len(indices), size, size), dtype=np.uint8)
    for number, (scene, *box) in enumerate(places(sampler, step, indices).tolist()):
        sample, truth = scenes[scene].read(Window(*box))
        if truth.shape != (size, size):
            sample, truth = mirrored(sample, size), mirrored(truth, size)
        pixels[number], labels[number] = sample, truth
    return pixels, labels


def mirrored(array: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    """The array with its last two axes grown to `size` by mirrors below and to the right, however small it is."""
    more = [(0, 0)] * (array.ndim - 2) + [(0, max(0, size - n)) for n in array.shape[-2:]]
    return np.pad(array, more, mode="symmetric")
