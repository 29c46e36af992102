"""How many threads make a training step fastest here and now, found by trying."""

import time
from collections.abc import Sequence
from copy import deepcopy

import torch

from terraseg.train.batches import Batches
from terraseg.train.module import SegmentationModule

SAMPLES = 8
"""Fewer keep several threads less busy than a whole batch does, and speak for one."""
REPEATS = 2


def fastest_threads(module: SegmentationModule, batches: Batches, most: int) -> int:
    """The number of threads, 1 or `most`, that takes a few samples through forward and backward sooner.

    Where other programs use the cores, two threads wait for each other and can be several times slower than one. The
    module stays as it is: a copy is tried. Both are timed in turns, and the better time of each counts.
    """
    if most == 1:
        return 1
    copy = deepcopy(module)
    raw, labels = batches.batch(batches.start)
    small = raw[:SAMPLES], labels[:SAMPLES]
    before = torch.get_num_threads()
    best = dict.fromkeys((1, most), float("inf"))
    try:
        _try(copy, small)
        for _ in range(REPEATS):
            for count in best:
                torch.set_num_threads(count)
                began = time.perf_counter()
                _try(copy, small)
                best[count] = min(best[count], time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    return min(best, key=lambda count: best[count])


def _try(module: SegmentationModule, batch: Sequence[torch.Tensor]) -> None:
    images, labels = module.normalised(batch[0]), batch[1]
    crop = module.recipe.plan.crop
    loss = module.loss_of(images[..., :crop, :crop], labels[..., :crop, :crop])
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    module.network.zero_grad()
