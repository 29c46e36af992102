"""What training minimises: losses on logits with void pixels left out and absent classes harmless."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from terraseg.core.classes import VOID
from terraseg.errors import BadOption, UnknownName, nearest
from terraseg.nets.scoring import as_classes

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits (n, k, h, w) and class indices (n, h, w), 255 void, to a scalar of float32."""


@dataclass(frozen=True)
class LossOptions:
    """Weights per class (None: all equal) and label smoothing of the pixel losses; gamma of the focal loss."""

    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if self.class_weights is not None and (min(self.class_weights) < 0 or max(self.class_weights) == 0):
            raise BadOption(f"class weights {self.class_weights}: none may be negative and one must be above zero")
        if not 0 <= self.label_smoothing < 1:
            raise BadOption(f"label_smoothing = {self.label_smoothing}: pass at least 0 and less than 1")
        if self.gamma < 0:
            raise BadOption(f"gamma = {self.gamma}: pass 0 or more")


def build_loss(parts: str | Mapping[str, float], options: LossOptions | None = None) -> Loss:
    """One loss by name, or a weighted sum of several: "ce", or {"ce": 1, "dice": 0.5}.

    Known are the keys of `LOSSES`. Each is 0, with zero gradients, on a batch in which every pixel is void; each takes one
    logit as well as several.

    >>> loss = build_loss({"ce": 1, "dice": 1})
    >>> float(loss(torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 255)))
    0.0
    """
    shares = {parts: 1.0} if isinstance(parts, str) else dict(parts)
    for name in shares:
        if name not in LOSSES:
            raise UnknownName(f"there is no loss {name!r}: {nearest(name, LOSSES)}")
    if not shares or min(shares.values()) < 0 or sum(shares.values()) == 0:
        raise BadOption(f"the loss {shares}: give each part a weight of 0 or more, and one above 0")
    chosen = options if options is not None else LossOptions()

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        classes = as_classes(logits.float())
        wanted = labels.long()
        terms = [share * LOSSES[name](classes, wanted, chosen) for name, share in shares.items()]
        return torch.stack(terms).sum()

    return loss


def cross_entropy(logits: Tensor, labels: Tensor, options: LossOptions) -> Tensor:
    """Mean over the labelled pixels, weighted by their class."""
    weights = _class_weights(logits, options.class_weights)
    total = F.cross_entropy(
        logits,
        labels,
        weight=weights,
        ignore_index=VOID,
        reduction="sum",
        label_smoothing=options.label_smoothing,
    )
    return total / _weight_sum(labels, weights)


def focal(logits: Tensor, labels: Tensor, options: LossOptions) -> Tensor:
    """Cross entropy with easy pixels played down by (1 - p) ** gamma (Lin et al., ICCV 2017)."""
    weights = _class_weights(logits, options.class_weights)
    each = F.cross_entropy(logits, labels, ignore_index=VOID, reduction="none")
    # The floor keeps the gradient of a power below 1 finite at p = 1.
    hard = (1 - torch.exp(-each)).clamp(min=1e-6) ** options.gamma
    return (hard * each * _pixel_weights(labels, weights)).sum() / _weight_sum(labels, weights)


def dice(logits: Tensor, labels: Tensor, options: LossOptions) -> Tensor:
    """One minus the Dice coefficient of soft regions over the whole batch, mean over the classes present in it.

    After Milletari, Navab and Ahmadi, "V-Net", 3DV 2016, without its squares.
    """
    overlap, predicted, labelled = _regions(logits, labels)
    return _mean_present(1 - 2 * overlap / (predicted + labelled).clamp(min=1e-6), labelled, options)


def jaccard(logits: Tensor, labels: Tensor, options: LossOptions) -> Tensor:
    """One minus the soft intersection over union over the whole batch, mean over the classes present in it."""
    overlap, predicted, labelled = _regions(logits, labels)
    return _mean_present(1 - overlap / (predicted + labelled - overlap).clamp(min=1e-6), labelled, options)


LOSSES: dict[str, Callable[[Tensor, Tensor, LossOptions], Tensor]] = {
    "ce": cross_entropy,
    "focal": focal,
    "dice": dice,
    "jaccard": jaccard,
}


def _class_weights(logits: Tensor, weights: Sequence[float] | None) -> Tensor:
    classes = logits.shape[1]
    if weights is None:
        return logits.new_ones(classes)
    if len(weights) != classes:
        raise BadOption(
            f"{len(weights)} class weights for {classes} classes: give one each, in the order of the legend"
        )
    return logits.new_tensor(weights)


def _pixel_weights(labels: Tensor, weights: Tensor) -> Tensor:
    known = labels != VOID
    return weights[torch.where(known, labels, 0)] * known


def _weight_sum(labels: Tensor, weights: Tensor) -> Tensor:
    """The divisor of a weighted mean; a batch without labelled pixels has the sum 0 and is divided by 1."""
    total = _pixel_weights(labels, weights).sum()
    return torch.where(total > 0, total, 1.0)


def _regions(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft overlap, predicted and labelled pixels of each class, void left out; each of shape (k,)."""
    known = (labels != VOID).unsqueeze(1)
    truth = F.one_hot(torch.where(known[:, 0], labels, 0), logits.shape[1]).movedim(-1, 1) * known
    share = torch.softmax(logits, 1) * known
    axes = (0, 2, 3)
    return (share * truth).sum(axes), share.sum(axes), truth.sum(axes).to(share.dtype)


def _mean_present(per_class: Tensor, labelled: Tensor, options: LossOptions) -> Tensor:
    weights = _class_weights(per_class[None], options.class_weights) * (labelled > 0)
    return (per_class * weights).sum() / torch.where(weights.sum() > 0, weights.sum(), 1.0)
