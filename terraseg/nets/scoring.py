"""A network with all that stands around it at prediction: raw pixels in, class probabilities out."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terraseg.core.modelspec import ModelSpec
from terraseg.nets.padding import crop_to, image_size, pad_to_stride


class Scoring(nn.Module):
    """The graph that a bundle carries: cast, fill, normalise, network, temperature, softmax; a sigmoid where classes overlap.

    Takes raw pixels (n, bands, h, w) in the spec's dtype, or any that casts to float32, and gives float32 probabilities
    (n, classes, h, w). NaN and infinite pixels of float imagery count as their band's mean, so that nodata poisons no
    neighbour. A network with one logit and a legend of two classes gives [1 - p, p]. Dividing the logits by a temperature moves
    no pixel to another class. Where the spec has a reduction, the
    network works on means of so many pixels along either axis, and its probabilities are spread by bilinear
    interpolation, so that borders are drawn finer than the network's pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = network
        self.fills = np.dtype(spec.dtype).kind == "f"
        self.classes = len(spec.legend)
        self.overlapping = spec.overlapping
        self.reduction = spec.reduction
        self.temperature = spec.temperature
        self.register_buffer("mean", torch.tensor(spec.mean, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        """Probabilities of raw pixels."""
        x = self._normalised(raw)
        if self.reduction == 1:
            return self._scores(x)
        size = image_size(x)
        reduced = F.avg_pool2d(pad_to_stride(x, self.reduction), self.reduction)
        spread = F.interpolate(self._scores(reduced), scale_factor=self.reduction, mode="bilinear", align_corners=False)
        return crop_to(spread, size)

    def logits(self, raw: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of raw pixels at the network's own resolution, before the temperature."""
        logits = self.network(self._normalised(raw)).float()
        return logits if self.overlapping or self.classes == 1 else as_classes(logits)

    def _normalised(self, raw: Tensor) -> Tensor:
        x = (raw.to(torch.float32) - self.mean) / self.std
        return torch.where(torch.isfinite(x), x, 0.0) if self.fills else x

    def _scores(self, x: Tensor) -> Tensor:
        logits = self.network(x).float()
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.overlapping:
            return torch.sigmoid(logits)
        return torch.softmax(as_classes(logits) if self.classes > 1 else logits, dim=1)


def mapped_labels(logits: Tensor, *, overlapping: bool) -> Tensor:
    """What logits (n, k, h, w) map, as label bytes (n, h, w) of uint8 (see `core.Coding`).

    The likeliest class, or the bits of all overlapping classes that are at least as likely as not.

    >>> mapped_labels(torch.tensor([0.5, -1.0, 2.0]).view(1, 3, 1, 1), overlapping=True).item()
    5
    """
    if not overlapping:
        return as_classes(logits).argmax(dim=1).to(torch.uint8)
    masks = torch.zeros_like(logits[:, 0], dtype=torch.uint8)
    for index in range(logits.shape[1]):
        masks |= (logits[:, index] >= 0).to(torch.uint8) << index
    return masks


def as_classes(logits: Tensor) -> Tensor:
    """Logits (n, k, h, w) with one channel a class: a single one gets the zero logit of its counter-class before it.

    The softmax of [0, z] is [1 - sigmoid(z), sigmoid(z)], so one code path serves binary and multi-class.
    """
    return torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits
