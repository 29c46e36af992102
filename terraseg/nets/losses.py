"""What training minimises: losses on logits with void pixels left out and absent classes harmless."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from terraseg.core.classes import VOID
from terraseg.errors import UnknownClass
from terraseg.nets.boundary_loss import boundary
from terraseg.nets.loss_options import LossOptions, loss_shares
from terraseg.nets.region_losses import REGION_LOSSES, Regions
from terraseg.nets.scoring import as_classes

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits (n, k, h, w) and labels (n, h, w) to a scalar of float32."""


def build_loss(parts: str | Mapping[str, float], options: LossOptions | None = None) -> Loss:
    """One loss by name, or a weighted sum of several: "ce", or {"ce": 1, "dice": 0.5}.

    Known are the keys of `LOSSES`. The loss takes logits (n, k, h, w) of any float type and memory layout, and class
    indices (n, h, w) of any integer type with 255 for void; it computes in float32, in float64 for float64 logits, under
    autocast too. One logit stands for two classes. A batch without a labelled pixel gives 0 with zero gradients; void
    pixels have no influence and no gradient.

    Raises `UnknownName` and `BadOption` for what cannot be a mixture. The loss raises `BadOption` when the class weights
    do not fit the logits, and on a processor `UnknownClass` for a label that is no class. On an accelerator, where asking
    would stop its queue, such a label counts as void: the cache of training scenes has refused it before.

    >>> loss = build_loss({"ce": 1, "dice": 1})
    >>> float(loss(torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 255)))
    0.0
    """
    shares = loss_shares(parts, LOSSES)
    chosen = options if options is not None else LossOptions()
    chosen.check_resolved()

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        batch = read_batch(logits, labels)
        return torch.stack([share * LOSSES[name](batch, chosen) for name, share in shares.items()]).sum()

    return loss


@dataclass(frozen=True, eq=False)
class Batch:
    """Logarithms of the class probabilities (n, k, h, w), and class indices (n, h, w) of int64, 255 where void."""

    log_shares: Tensor
    labels: Tensor

    @cached_property
    def regions(self) -> Regions:
        """The batch as predicted and true regions of each class."""
        classes = torch.arange(self.log_shares.shape[1], device=self.labels.device).view(-1, 1, 1)
        truth = (self.labels.unsqueeze(1) == classes).to(self.log_shares.dtype)
        return Regions(self.log_shares.exp() * self.known, truth, self.known)

    @cached_property
    def known(self) -> Tensor:
        """1 where a pixel is labelled and 0 where it is void, (n, 1, h, w) of the type of the logarithms."""
        return (self.labels != VOID).unsqueeze(1).to(self.log_shares.dtype)


def read_batch(logits: Tensor, labels: Tensor) -> Batch:
    """Logits and labels made ready for the losses; raises as `build_loss` says."""
    scores = as_classes(plain(logits))
    check_sizes(logits, labels)
    classes = scores.shape[1]
    if labels.device.type == "cpu":
        check_labels(labels, classes)
        known = labels.long()
    else:
        known = labels.long()
        known = torch.where((known >= 0) & (known < classes), known, VOID)
    return Batch(torch.log_softmax(scores, 1), known)


def plain(logits: Tensor) -> Tensor:
    """The logits in float32, float64 kept, channel by channel in memory, where a softmax runs several times faster."""
    precise = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(precise, memory_format=torch.contiguous_format)


def check_sizes(logits: Tensor, labels: Tensor) -> None:
    """Raises `ValueError` unless every pixel of the logits (n, k, h, w) has one label (n, h, w)."""
    if logits.ndim != 4 or labels.shape != (len(logits), *logits.shape[2:]):
        shapes = f"logits of shape {tuple(logits.shape)} and labels of shape {tuple(labels.shape)}"
        raise ValueError(f"{shapes}: pass (n, k, h, w) and (n, h, w)")


def check_labels(labels: Tensor, classes: int) -> None:
    """Raises `UnknownClass` for a label that is neither a class index below `classes` nor 255; any shape.

    On an accelerator it waits for the device.
    """
    beyond = (labels >= classes) & (labels != VOID)
    if labels.dtype != torch.uint8:
        beyond |= labels < 0
    if bool(beyond.any()):
        raise UnknownClass(
            f"the labels hold the class index {int(labels[beyond][0])}, and the network tells {classes} classes apart: "
            "correct the label rule in the project file"
        )


def cross_entropy(batch: Batch, options: LossOptions) -> Tensor:
    """Mean over the labelled pixels, weighted by their class.

    Label smoothing takes a share of each pixel's truth and spreads it evenly over the classes, each term with the weight
    of the class it asks for (Szegedy et al., CVPR 2016).
    """
    weights = _weights(batch, options)
    loss = F.nll_loss(batch.log_shares, batch.labels, weights, ignore_index=VOID, reduction="sum")
    if options.label_smoothing > 0:
        spread = -((batch.log_shares * batch.known).sum((0, 2, 3)) * weights).mean()
        loss = (1 - options.label_smoothing) * loss + options.label_smoothing * spread
    return loss / _weight_sum(_pixel_weights(batch, weights))


def focal(batch: Batch, options: LossOptions) -> Tensor:
    """Cross entropy with easy pixels played down by (1 - p) ** gamma (Lin et al., ICCV 2017)."""
    pixel_weights = _pixel_weights(batch, _weights(batch, options))
    each = F.nll_loss(batch.log_shares, batch.labels, ignore_index=VOID, reduction="none")
    return (focused(each, options.gamma) * pixel_weights).sum() / _weight_sum(pixel_weights)


def focused(each: Tensor, gamma: float) -> Tensor:
    """A cross entropy of any shape with easy places played down by (1 - p) ** gamma."""
    # The floor keeps the gradient of a power below 1 finite at p = 1.
    return (1 - torch.exp(-each)).clamp(min=1e-6) ** gamma * each


def _weights(batch: Batch, options: LossOptions) -> Tensor:
    return batch.log_shares.new_tensor(options.weights_for(batch.log_shares.shape[1]))


def _pixel_weights(batch: Batch, weights: Tensor) -> Tensor:
    table = torch.cat([weights, weights.new_zeros(VOID + 1 - len(weights))])
    return table.index_select(0, batch.labels.flatten()).view_as(batch.labels)


def _weight_sum(pixel_weights: Tensor) -> Tensor:
    """The divisor of a weighted mean; a batch without labelled pixels has the sum 0 and is divided by 1."""
    total = pixel_weights.sum()
    return torch.where(total > 0, total, 1.0)


def _of_regions(loss: Callable[[Regions, LossOptions], Tensor]) -> Callable[[Batch, LossOptions], Tensor]:
    return lambda batch, options: loss(batch.regions, options)


LOSSES: dict[str, Callable[[Batch, LossOptions], Tensor]] = {
    "ce": cross_entropy,
    "focal": focal,
    **{name: _of_regions(loss) for name, loss in REGION_LOSSES.items()},
    "boundary": _of_regions(boundary),
}
