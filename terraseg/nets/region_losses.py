"""Losses of soft regions: how far the predicted region of each class is from the true one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from terraseg.nets.loss_options import LossOptions

ERROR_BINS = 1 << 14
"""Steps to which `lovasz` rounds an error when it ranks it; bfloat16 logits are coarser."""

AXES = (0, 2, 3)


@dataclass(frozen=True, eq=False)
class Regions:
    """Predicted and true regions of each class; a pixel may belong to one class or to several.

    `shares` (n, k, h, w) are the probabilities, `truth` of the same shape is 1 where a pixel is of a class; both are 0
    at void pixels. `known` (n, 1, h, w) is 1, at void pixels 0. All are of one float type, which multiplies faster than
    bool does.
    """

    shares: Tensor
    truth: Tensor
    known: Tensor

    @cached_property
    def labelled(self) -> Tensor:
        """Pixels of each class in the truth, shape (k,)."""
        return self.truth.sum(AXES)

    @cached_property
    def predicted(self) -> Tensor:
        """Sum of the probabilities of each class, shape (k,)."""
        return self.shares.sum(AXES)

    @cached_property
    def overlap(self) -> Tensor:
        """Sum of the probabilities of each class where it is true, shape (k,)."""
        return (self.shares * self.truth).sum(AXES)


def mean_present(per_class: Tensor, present: Tensor, options: LossOptions) -> Tensor:
    """The mean of a loss (k,) over the classes that are present (k,), weighted by class; 0 when none is."""
    weights = per_class.new_tensor(options.weights_for(len(per_class))) * present
    total = weights.sum()
    return (per_class * weights).sum() / torch.where(total > 0, total, 1.0)


def dice(regions: Regions, options: LossOptions) -> Tensor:
    """One minus the Dice coefficient over the whole batch, mean over the classes present in it.

    After Milletari, Navab and Ahmadi, "V-Net", 3DV 2016, without its squares.
    """
    both = (regions.predicted + regions.labelled).clamp(min=1e-6)
    return mean_present(1 - 2 * regions.overlap / both, regions.labelled > 0, options)


def jaccard(regions: Regions, options: LossOptions) -> Tensor:
    """One minus the intersection over union over the whole batch, mean over the classes present in it."""
    union = (regions.predicted + regions.labelled - regions.overlap).clamp(min=1e-6)
    return mean_present(1 - regions.overlap / union, regions.labelled > 0, options)


def tversky(regions: Regions, options: LossOptions) -> Tensor:
    """One minus the Tversky index over the whole batch, to the power 1 / gamma, mean over the classes present in it.

    The index prices false and missed pixels apart (Salehi, Erdogmus and Gholipour, MLMI 2017); a gamma above 1 makes
    the classes that are nearly right count more (Abraham and Khan, "A novel focal Tversky loss function", ISBI 2019).
    """
    false = options.tversky_alpha * (regions.predicted - regions.overlap)
    missed = options.tversky_beta * (regions.labelled - regions.overlap)
    loss = 1 - regions.overlap / (regions.overlap + false + missed).clamp(min=1e-6)
    if options.tversky_gamma != 1:
        # The floor keeps the gradient of a power below 1 finite where the answer is perfect.
        loss = loss.clamp(min=1e-6) ** (1 / options.tversky_gamma)
    return mean_present(loss, regions.labelled > 0, options)


def lovasz(regions: Regions, options: LossOptions) -> Tensor:
    """The Lovász extension of the Jaccard loss over the whole batch, mean over the classes present in it.

    After Berman, Rannen Triki and Blaschko, "The Lovász-softmax loss", CVPR 2018. Errors are ranked by counting them in
    `ERROR_BINS` bins, since sorting them would cost more than half of a training step on a processor: the loss is within
    1 / (2 * ERROR_BINS) of the sorted one, and every pixel counts, on any device in the same way.
    """
    errors = (regions.truth - regions.shares).abs()
    with torch.no_grad():
        slopes = _slopes(errors, regions)
    return mean_present((errors * slopes).sum(AXES), regions.labelled > 0, options)


def _slopes(errors: Tensor, regions: Regions) -> Tensor:
    """What each pixel's error adds to the Jaccard loss of its class, given its rank; (n, k, h, w)."""
    classes = errors.shape[1]
    ranks = (errors * (ERROR_BINS - 1)).round_().add_(regions.truth, alpha=ERROR_BINS).to(torch.int32)
    # A network that has diverged gives NaN, which must come out as the loss and not as an index.
    ranks.clamp_(0, 2 * ERROR_BINS - 1)
    ranks += 2 * ERROR_BINS * torch.arange(classes, dtype=torch.int32, device=errors.device).view(-1, 1, 1)
    places = ranks.flatten()
    counts = torch.bincount(places, minlength=2 * ERROR_BINS * classes).view(classes, 2, ERROR_BINS)
    # Void pixels have no error: they fell into the lowest bin outside the region.
    counts[:, 0, 0] -= (regions.known == 0).sum()
    return _jaccard_slopes(counts).to(errors.dtype).flatten().index_select(0, places).view_as(errors)


def _jaccard_slopes(counts: Tensor) -> Tensor:
    """Slopes (k, 2, bins) of the Jaccard loss from pixel counts (k, 2, bins): outside the true region, and inside it.

    With f inside and b outside pixels wrong of a region of g, the loss is 1 - (g - f) / (g + b). Pixels of one bin
    are exchangeable: each gets the mean of its slopes when the inside ones are counted first and when they are last, which
    is a subgradient, and for a bin of one pixel the gradient itself.
    """
    upto = counts.flip(2).cumsum(2).flip(2)
    before = upto - counts
    size = upto[:, 1, :1].double()
    union_before = (size + before[:, 0]).clamp(min=1)
    union_upto = (size + upto[:, 0]).clamp(min=1)
    inside = (1 / union_before + 1 / union_upto) / 2
    outside = (size - (before[:, 1] + upto[:, 1]) / 2) / (union_before * union_upto)
    return torch.stack([outside, inside], 1)


REGION_LOSSES: dict[str, Callable[[Regions, LossOptions], Tensor]] = {
    "dice": dice,
    "jaccard": jaccard,
    "lovasz": lovasz,
    "tversky": tversky,
}
