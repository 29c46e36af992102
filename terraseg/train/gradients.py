"""The gradients of a batch, computed in as many parts and by as many processes as it takes."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding
from terraseg.errors import TrainingFailed
from terraseg.train.processes import summed, summed_gradients
from terraseg.train.world import World

log = logging.getLogger(__name__)

LossOf = Callable[[Tensor, Tensor], Tensor]
"""From prepared images (n, bands, h, w) and labels (n, h, w) to their loss, a mean over the labelled pixels."""


def put_gradients(
    network: nn.Module, loss_of: LossOf, batch: tuple[Tensor, Tensor], *, table: Tensor, parts: int, world: World
) -> Tensor:
    """The loss of a batch over all processes, detached; its gradients replace those of the network's parameters.

    `batch` is this process's share of prepared images and labels, computed in `parts`. Each part counts by the sum of its
    pixels' weights in `table` (256,), by label: for cross entropy and the focal loss the result is then that of the whole
    batch at once. A region loss (Dice and its kin) becomes the weighted mean of the parts' losses. A network without batch
    normalisation learns the same in any number of parts, within float tolerance; with it, each part is normalised by its
    own statistics.
    """
    network.zero_grad()
    images, labels = batch
    if parts == 1 and world.size == 1:
        loss = loss_of(images, labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss.detach()
    weights = sample_weights(labels, table)
    total = summed(world, weights.sum())
    shares = weights / torch.where(total > 0, total, 1.0)
    whole = torch.zeros((), device=images.device)
    for image, truth, share in zip(*(t.tensor_split(parts) for t in (images, labels, shares)), strict=True):
        loss = loss_of(image, truth) * share.sum()
        loss.backward()
        whole += loss.detach()
    return summed_gradients(world, network, whole)


def sample_weights(labels: Tensor, table: Tensor) -> Tensor:
    """How much each sample's labels (n, h, w) count together, shape (n,)."""
    return torch.stack([table.to(labels.device)[truth.long()].sum() for truth in labels])


def label_table(weights: tuple[float, ...], coding: Coding) -> Tensor:
    """The weight of a pixel by its label, shape (256,); void has none.

    Where classes overlap every labelled pixel weighs the same: each counts for all classes, in its mean of the loss.

    >>> label_table((0.5, 2.0), Coding(2))[[0, 1, 2, 255]].tolist()
    [0.5, 2.0, 0.0, 0.0]
    """
    table = torch.zeros(VOID + 1)
    table[: coding.codes] = 1.0 if coding.overlapping else torch.tensor(weights)
    return table


def backing_off(compute: Callable[[int], Tensor], accumulate: int, *, most: int) -> tuple[Tensor, int]:
    """What `compute` gives for a number of parts, and that number: doubled, up to `most`, while the GPU is out of memory.

    Raises `TrainingFailed` when `most` parts still do not fit.
    """
    while True:
        try:
            return compute(accumulate), accumulate
        except torch.cuda.OutOfMemoryError as error:
            reason = (str(error).splitlines() or [""])[0]
        # Out of the except block, so that the failed pass and its tensors are no longer held by the error.
        if accumulate >= most:
            raise TrainingFailed(
                f"the GPU's memory does not hold a batch in {accumulate} parts ({reason}): set a larger accumulate or a "
                "smaller crop under [sample], a smaller encoder under [train], or free what other programs hold"
            )
        accumulate = min(2 * accumulate, most)
        torch.cuda.empty_cache()
        log.warning("out of memory: from now on a batch is computed in %d parts (%s)", accumulate, reason)
