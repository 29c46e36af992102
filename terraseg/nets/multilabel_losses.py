"""Losses for classes that overlap: every pixel may be of several classes, or of none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from terraseg.errors import BadOption, UnknownClass
from terraseg.nets.boundary_loss import boundary
from terraseg.nets.loss_options import LossOptions, loss_shares
from terraseg.nets.losses import Loss, check_sizes, focused, plain
from terraseg.nets.region_losses import REGION_LOSSES, Regions

CAPACITY = {torch.uint8: 7, torch.int8: 7, torch.int16: 15, torch.int32: 31, torch.int64: 63}
"""Classes that a bit mask of each type can hold; its highest bit is kept for void."""


def build_multilabel_loss(parts: str | Mapping[str, float], options: LossOptions | None = None) -> Loss:
    """One loss by name, or a weighted sum of several: "bce", or {"bce": 1, "dice": 0.5}.

    Known are the keys of `MULTILABEL_LOSSES`. The loss takes logits (n, k, h, w), each squashed by a sigmoid of its own,
    and labels (n, h, w) as bit masks: bit i is set where class i is present, 0 is a pixel of no class, and **void has
    all bits set**, which is 255 in uint8 and -1 in signed types. So uint8 holds 7 classes, int16 15, int32 31, int64
    63. All else is as in `build_loss`: void pixels have no influence, a batch of void gives 0, on a processor a bit beyond
    the classes raises `UnknownClass`, on an accelerator such a pixel counts as void.

    >>> loss = build_multilabel_loss({"bce": 1, "dice": 1})
    >>> float(loss(torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 255, dtype=torch.uint8)))
    0.0
    """
    shares = loss_shares(parts, MULTILABEL_LOSSES)
    chosen = options if options is not None else LossOptions()
    chosen.check_resolved()

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        check_sizes(logits, labels)
        scores = plain(logits)
        truth, known = read_masks(labels, logits.shape[1])
        batch = MultilabelBatch(scores, truth.to(scores.dtype), known.to(scores.dtype))
        return torch.stack([share * MULTILABEL_LOSSES[name](batch, chosen) for name, share in shares.items()]).sum()

    return loss


@dataclass(frozen=True, eq=False)
class MultilabelBatch:
    """Logits (n, k, h, w), the truth of the same shape as 0 and 1, and 1 for known pixels, (n, 1, h, w); one float type."""

    logits: Tensor
    truth: Tensor
    known: Tensor

    @cached_property
    def regions(self) -> Regions:
        """The batch as predicted and true regions of each class."""
        return Regions(torch.sigmoid(self.logits) * self.known, self.truth, self.known)

    def entropy(self, smoothing: float = 0.0) -> Tensor:
        """Binary cross entropy of each logit with the truth drawn towards one half, (n, k, h, w), void pixels included."""
        # -log(sigmoid(z)) where the class is present, -log(1 - sigmoid(z)) elsewhere; half as dear as PyTorch's own.
        wrong = self.logits * (1 - 2 * self.truth)
        each = F.softplus(wrong)
        return each - smoothing / 2 * wrong if smoothing > 0 else each

    def mean(self, each: Tensor, options: LossOptions) -> Tensor:
        """Mean over known pixels, then over classes by their weights."""
        weights = each.new_tensor(options.weights_for(each.shape[1]))
        per_class = (each * self.known).sum((0, 2, 3)) / self.known.sum().clamp(min=1)
        return (per_class * weights).sum() / weights.sum()


def read_masks(labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Bit masks (n, h, w) as truth (n, classes, h, w) and known pixels (n, 1, h, w), both bool.

    Raises `BadOption` when the integer type holds fewer classes, `UnknownClass` on a processor for a bit beyond them.

    >>> truth, known = read_masks(torch.tensor([[[5, 255]]], dtype=torch.uint8), 3)
    >>> truth[0, :, 0].tolist(), known[0, 0, 0].tolist()
    ([[True, False], [False, False], [True, False]], [True, False])
    """
    if classes > CAPACITY.get(labels.dtype, 0):
        holds = ", ".join(f"{str(kind).removeprefix('torch.')} {count}" for kind, count in CAPACITY.items())
        raise BadOption(f"labels of {labels.dtype} cannot hold the bits of {classes} classes: these types can: {holds}")
    masks = labels.unsqueeze(1)
    beyond = (masks >> classes) != 0
    known = masks != (255 if labels.dtype == torch.uint8 else -1)
    if labels.device.type == "cpu" and bool((beyond & known).any()):
        raise UnknownClass(
            f"the labels hold the bit mask {int(masks[beyond & known][0])}, and the network has {classes} classes: "
            "bit i stands for class i, and void has all bits set"
        )
    known = known & ~beyond
    places = torch.arange(classes, device=labels.device, dtype=labels.dtype).view(-1, 1, 1)
    return ((masks >> places) & 1).bool() & known, known


def binary_cross_entropy(batch: MultilabelBatch, options: LossOptions) -> Tensor:
    """Mean over the labelled pixels of each class, then over the classes by their weights.

    Label smoothing pulls the truth of each class towards one half.
    """
    return batch.mean(batch.entropy(options.label_smoothing), options)


def binary_focal(batch: MultilabelBatch, options: LossOptions) -> Tensor:
    """Binary cross entropy with easy pixels played down by (1 - p) ** gamma (Lin et al., ICCV 2017)."""
    return batch.mean(focused(batch.entropy(), options.gamma), options)


def _of_regions(loss: Callable[[Regions, LossOptions], Tensor]) -> Callable[[MultilabelBatch, LossOptions], Tensor]:
    return lambda batch, options: loss(batch.regions, options)


MULTILABEL_LOSSES: dict[str, Callable[[MultilabelBatch, LossOptions], Tensor]] = {
    "bce": binary_cross_entropy,
    "focal": binary_focal,
    **{name: _of_regions(loss) for name, loss in REGION_LOSSES.items()},
    "boundary": _of_regions(boundary),
}
