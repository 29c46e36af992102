"""Which losses there are, what sets them, and class weights from pixel counts: all that a plan needs, without torch."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from terraseg.errors import BadOption, EmptyDataset, UnknownName, nearest

LOSS_NAMES = ("ce", "focal", "dice", "jaccard", "lovasz", "tversky", "boundary")
"""Losses for pixels of one class each: what `nets.losses.build_loss` knows."""
MULTILABEL_LOSS_NAMES = ("bce", "focal", "dice", "jaccard", "lovasz", "tversky", "boundary")
"""Losses for pixels of several classes at once: what `nets.multilabel_losses.build_multilabel_loss` knows."""
LARGEST_WEIGHT_RATIO = 10.0
"""The rarest class weighs at most so many times what the commonest does."""


@dataclass(frozen=True)
class LossOptions:
    """What sets the losses; each reads the fields that concern it.

    class_weights       one a class in the order of the legend, None for all alike, "auto" for `balanced_weights` of the
                        training pixels, to be put in by `resolved` before a loss is built; a pixel loss weighs pixels
                        by them, a region loss classes
    label_smoothing     share of the truth that cross entropy spreads over all classes, 0 to below 1
    gamma               by how much the focal loss plays down easy pixels; 0 is cross entropy
    tversky_alpha       price of a false pixel; both at 0.5 give Dice, both at 1 Jaccard
    tversky_beta        price of a missed pixel; above alpha it favours recall
    tversky_gamma       the Tversky loss is raised to 1 / gamma; 4/3 is the focal Tversky loss
    boundary_tolerance  pixels by which a boundary may be off and still be found
    """

    class_weights: tuple[float, ...] | Literal["auto"] | None = None
    label_smoothing: float = 0.0
    gamma: float = 2.0
    tversky_alpha: float = 0.3
    tversky_beta: float = 0.7
    tversky_gamma: float = 1.0
    boundary_tolerance: int = 2

    def __post_init__(self) -> None:
        _check_weights(self.class_weights)
        if not 0 <= self.label_smoothing < 1:
            raise BadOption(f"label_smoothing = {self.label_smoothing}: pass at least 0 and less than 1")
        for name in ("gamma", "tversky_alpha", "tversky_beta"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise BadOption(f"{name} = {value}: pass 0 or more")
        if self.tversky_alpha + self.tversky_beta == 0:
            raise BadOption("tversky_alpha and tversky_beta are both 0: then no error costs anything, pass one above 0")
        if not 0 < self.tversky_gamma < math.inf:
            raise BadOption(f"tversky_gamma = {self.tversky_gamma}: pass a number above 0")
        if self.boundary_tolerance < 0:
            raise BadOption(f"boundary_tolerance = {self.boundary_tolerance}: pass 0 pixels or more")

    def resolved(self, class_pixels: Sequence[int]) -> "LossOptions":
        """The same options with "auto" replaced by the balanced weights of these pixel counts."""
        if self.class_weights != "auto":
            return self
        return LossOptions(**{**asdict(self), "class_weights": balanced_weights(class_pixels)})

    def check_resolved(self) -> None:
        """Raises `BadOption` for class weights that are still "auto"."""
        if self.class_weights == "auto":
            raise BadOption(
                'class_weights = "auto" is not yet numbers: give LossOptions.resolved the training pixels of each class'
            )

    def weights_for(self, classes: int) -> tuple[float, ...]:
        """One weight a class, all 1 when none are given. Raises `BadOption` for "auto" and for another number of them."""
        self.check_resolved()
        if not isinstance(self.class_weights, tuple):
            return (1.0,) * classes
        if len(self.class_weights) != classes:
            raise BadOption(
                f"{len(self.class_weights)} class weights for {classes} classes: "
                "give one each, in the order of the legend"
            )
        return self.class_weights

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: weights as a list, "auto" or null."""
        weights = self.class_weights
        return {**asdict(self), "class_weights": list(weights) if isinstance(weights, tuple) else weights}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "LossOptions":
        """The inverse of `to_json`; a key left out keeps its default, an unknown one raises `BadOption`."""
        known = [f.name for f in fields(LossOptions)]
        for key in value:
            if key not in known:
                raise BadOption(f"the loss options have the key {key!r}, which means nothing: {nearest(key, known)}")
        weights = value.get("class_weights")
        return LossOptions(**{**value, "class_weights": tuple(weights) if isinstance(weights, list) else weights})


def _check_weights(weights: tuple[float, ...] | str | None) -> None:
    if isinstance(weights, str):
        if weights != "auto":
            raise BadOption(f'class_weights = {weights!r}: pass "auto" or one number a class')
    elif weights is not None and not (all(0 <= w < math.inf for w in weights) and any(w > 0 for w in weights)):
        raise BadOption(f"class weights {weights}: none may be negative or infinite and one must be above zero")


def loss_shares(parts: str | Mapping[str, float], known: Collection[str] = LOSS_NAMES) -> dict[str, float]:
    """The losses of a mixture with the weight of each, those of weight 0 left out: "ce", or {"ce": 1, "dice": 0.5}.

    Raises `UnknownName` for a loss that is not `known`, `BadOption` for weights that are negative or all 0.

    >>> loss_shares({"ce": 1, "dice": 0.5, "focal": 0})
    {'ce': 1.0, 'dice': 0.5}
    """
    shares = {parts: 1.0} if isinstance(parts, str) else {name: float(share) for name, share in parts.items()}
    for name in shares:
        if name not in known:
            raise UnknownName(f"there is no loss {name!r}: {nearest(name, known)}")
    if not all(0 <= share < math.inf for share in shares.values()) or not any(shares.values()):
        raise BadOption(f"the loss {shares}: give each part a weight of 0 or more, and one above 0")
    return {name: share for name, share in shares.items() if share > 0}


def balanced_weights(class_pixels: Sequence[int]) -> tuple[float, ...]:
    """Class weights from pixel counts: one over the square root of a class's share, with a mean of 1 over the pixels.

    The square root stands between no balance and inverse frequency, under which a handful of pixels, the mislabelled ones
    among them, would outweigh the rest (Mahajan et al., "Exploring the limits of weakly supervised pretraining", ECCV
    2018, sample so). No class weighs more than `LARGEST_WEIGHT_RATIO` times the commonest; one without pixels weighs
    0. The mean of 1 keeps the loss's size, and with it the learning rate. Raises `EmptyDataset` when all counts are 0.

    >>> [round(w, 3) for w in balanced_weights((900, 100, 0))]
    [0.833, 2.5, 0.0]
    """
    if any(pixels < 0 for pixels in class_pixels):
        raise ValueError(f"class pixels {tuple(class_pixels)}: a count cannot be negative")
    most = max(class_pixels, default=0)
    if most == 0:
        raise EmptyDataset(
            f"none of the {len(class_pixels)} classes has a training pixel, so there is nothing to balance: "
            "check the labels, and the ignored values under [data]"
        )
    raw = [min(math.sqrt(most / pixels), LARGEST_WEIGHT_RATIO) if pixels else 0.0 for pixels in class_pixels]
    mean = sum(w * pixels for w, pixels in zip(raw, class_pixels, strict=True)) / sum(class_pixels)
    return tuple(w / mean for w in raw)
