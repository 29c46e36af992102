"""A loss of outlines: how much of the predicted boundaries lies near true ones, and of the true ones near predicted ones."""

import torch
from torch import Tensor
from torch.nn import functional as F

from terraseg.nets.loss_options import LossOptions
from terraseg.nets.region_losses import Regions, mean_present


def boundary(regions: Regions, options: LossOptions) -> Tensor:
    """One minus the F1 score of soft boundaries over the whole batch, mean over the classes with a boundary in it.

    After Bokhovkin and Burnaev, "Boundary loss for remote sensing imagery semantic segmentation", ISNN 2019: a region's
    boundary is what it loses when it shrinks by a pixel, and it is found where the other side has one within
    `boundary_tolerance`. There is none where a class meets void or the patch's edge. The loss sees where regions end and
    not what they are, so it belongs in a mixture: {"ce": 1, "boundary": 0.5}. It lies between 0 and 1, whatever the size
    of the objects, and needs no distance transform of the labels, which would cost more than the rest of the step.
    """
    reach = options.boundary_tolerance
    truth, known = regions.truth > 0, regions.known > 0
    true = truth & _dilated(known & ~truth, 1)
    near = _dilated(true, reach)
    size, classes = truth.shape[2:], truth.shape[1]
    predicted = _outline(_stacked(regions.shares), _stacked(regions.known.expand_as(truth)), size)
    length = true.sum((0, 2, 3)).to(predicted.dtype)
    recall = _hits(_widened(predicted, reach, size), true) / length.clamp(min=1)
    precision = _hits(predicted, near) / predicted.sum(0).view(-1, classes).sum(0).clamp(min=1e-6)
    score = 2 * precision * recall / (precision + recall).clamp(min=1e-6)
    return mean_present(1 - score, length > 0, options)


def _dilated(mask: Tensor, reach: int) -> Tensor:
    """True within `reach` pixels of a true one along either axis, (n, k, h, w) of bool."""
    for axis in (2, 3):
        size, grown = mask.shape[axis], mask.clone()
        for step in range(1, min(reach, size - 1) + 1):
            head, tail = (0, size - step), (step, size - step)
            grown.narrow(axis, *head).logical_or_(mask.narrow(axis, *tail))
            grown.narrow(axis, *tail).logical_or_(mask.narrow(axis, *head))
        mask = grown
    return mask


def _stacked(values: Tensor) -> Tensor:
    """From (n, k, h, w) to (h * w, n * k): with all images and classes side by side maximum filters run ten times faster."""
    # PyTorch transposes matrices by blocks, and arrays of more axes slowly.
    return values.reshape(values.shape[0] * values.shape[1], -1).t().contiguous()


def _outline(inside: Tensor, known: Tensor, size: torch.Size) -> Tensor:
    """By how much each known pixel loses when the region shrinks by a pixel, (h * w, n * k)."""
    outside = (1 - inside) * known
    return (_widened(outside, 1, size) - outside) * known


def _widened(values: Tensor, reach: int, size: torch.Size) -> Tensor:
    """The largest value within `reach` pixels along either axis of images of that size, (h * w, n * k)."""
    planes = values.view(1, *size, -1).permute(0, 3, 1, 2)
    return F.max_pool2d(planes, 2 * reach + 1, stride=1, padding=reach).permute(0, 2, 3, 1).reshape(values.shape)


def _hits(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of the values (h * w, n * k) over the mask (n, k, h, w), by class (k,)."""
    return (values * _stacked(mask).to(values.dtype)).sum(0).view(-1, mask.shape[1]).sum(0)
