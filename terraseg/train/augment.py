"""Batches made more varied and brought to the network's scale, all at once, on whatever device they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from terraseg.errors import UnknownName, nearest
from terraseg.train.counted import AUGMENT, MIX, PASTE, uniforms
from terraseg.train.mixing import NOTHING, Pasting, cut_out, donors, mix, paste
from terraseg.train.warp import scaled, turned

AUGMENTATIONS = {
    "d4": "the eight turns and mirrors of a square",
    "scale": "the ground sample distance, by up to a quarter",
    "photometric": "brightness, contrast, saturation, band gain, haze and noise: for pictures",
    "radiometric": "band gain, haze and noise, gently: for calibrated bands",
    "cutout": "a rectangle that is taken away, void inside",
    "cutmix": "a rectangle taken from another patch of the batch, with its labels",
    "copy-paste": "rare classes copied from one patch of a batch into another",
}
"""What `plan.augment` may name."""

SCALE = 1.25
HAZE_LEVEL = 2.5
"""What haze tends to, in standard deviations above the mean."""
_OFFSETS = 2**16
_RGB = ("red", "green", "blue")


@dataclass(frozen=True)
class Strength:
    """How far each change goes. Contrast and gain are factors up to this or its inverse; brightness and noise are in
    standard deviations of the band; haze is a share of the light. Haze and noise touch a part of the samples.
    """

    contrast: float
    brightness: float
    saturation: float
    gain: float
    haze: float
    noise: float


STRENGTHS = {
    "photometric": Strength(contrast=1.2, brightness=0.2, saturation=0.2, gain=1.06, haze=0.15, noise=0.1),
    "radiometric": Strength(contrast=1.0, brightness=0.0, saturation=0.0, gain=1.05, haze=0.1, noise=0.05),
}
HAZE_SHARE, NOISE_SHARE = 0.3, 0.5


class Augmentation:
    """The augmentations of a run, with its bands' statistics; a function of batch, step and indices.

    `names` are keys of `AUGMENTATIONS`. With none of them a batch is only normalised. "copy-paste" goes by `pasting`.
    `bands` are those that a sensor saw; `mean` and `std` go on with the spectral indices after them, which keep their values
    under any light: a gain of their own would make ground that there is not. Raises `UnknownName`.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        seed: int,
        bands: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        pasting: Pasting = NOTHING,
    ) -> None:
        for name in names:
            if name not in AUGMENTATIONS:
                raise UnknownName(f"there is no augmentation {name!r}: {nearest(name, AUGMENTATIONS)}")
        self.names, self.seed, self.pasting = frozenset(names), seed, pasting
        self.strength = next((STRENGTHS[n] for n in STRENGTHS if n in self.names), None)
        self.colored, self.sensed = tuple(bands[:3]) == _RGB, len(bands)
        self.mean, self.std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
        self._pool = torch.empty(0)

    def read_size(self, crop: int) -> int:
        """The side of the squares to cut, so that `crop` pixels are left after a change of scale."""
        return int(np.ceil(crop * SCALE)) if "scale" in self.names else crop

    def sources(self, step: int, indices: Sequence[int]) -> list[int]:
        """The samples of a step that those with these indices are made from: themselves, then any that give to them."""
        own = list(indices)
        uses = [use for name, use in (("copy-paste", PASTE), ("cutmix", MIX)) if name in self.names]
        given = (donors(self.seed, step, own, self.pasting.batch, use=use).tolist() for use in uses)
        return own + sorted({donor for found in given for donor in found if donor >= 0} - set(own))

    def _exchanged(self, images: Tensor, truth: Tensor, step: int, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The samples with these indices, after what others of those in `sources` give to them."""
        wanted, count = self.sources(step, indices), len(indices)

        def given(use: int) -> list[int]:
            found = donors(self.seed, step, indices, self.pasting.batch, use=use).tolist()
            return [wanted.index(donor) if donor >= 0 else -1 for donor in found]

        own = images[:count], truth[:count]
        if "copy-paste" in self.names:
            pasting = self.pasting
            own = paste(images, truth, given(PASTE), pasting.classes, overlapping=pasting.overlapping)
        if "cutmix" in self.names:
            own = mix(own, (images, truth), given(MIX), seed=self.seed, where=(step, indices))
        return own

    def __call__(
        self, raw: Tensor, labels: Tensor, *, step: int, indices: Sequence[int], crop: int
    ) -> tuple[Tensor, Tensor]:
        """Images (n, bands, crop, crop) of float32, (raw - mean) / std and changed, and their labels (n, crop, crop).

        `raw` and `labels` are squares of `read_size(crop)`, of the samples that `sources` names. Pixels that are not finite
        become 0, the mean. The changes of each sample depend on (seed, step, index) alone; with "copy-paste" and "cutmix"
        on the size of the batch, too.
        """
        wanted = self.sources(step, indices)
        draws = uniforms(self.seed, AUGMENT, step, wanted, 16 + 3 + len(self.mean))
        images, truth = raw, labels
        if "d4" in self.names:
            images, truth = turned(images, truth, (draws[:, 0] * 8).astype(np.int64))
        if {"copy-paste", "cutmix"} & self.names:
            images, truth = self._exchanged(images, truth, step, indices)
            draws = draws[: len(images)]
        images = finite_float(images, self.mean)
        if "scale" in self.names:
            images, truth = scaled(images, truth, SCALE ** (2 * draws[:, 1] - 1), crop)
        images = self._recolored(images, draws[:, 2:])
        if self.strength is not None:
            images = self._noisy(images, draws[:, 12:15], self.strength.noise)
        if "cutout" in self.names:
            truth = truth.clone() if truth is labels else truth
            cut_out(images, truth, seed=self.seed, step=step, indices=indices)
        return images, truth

    def _recolored(self, images: Tensor, draws: NDArray[np.float64]) -> Tensor:
        """Normalisation and all changes of colour at once: each is linear in the bands, so a sample gets one matrix."""
        if self.strength is None:
            scale, shift = 1 / self.std, -self.mean / self.std
            shape = (1, -1, 1, 1)
            return images * _like(scale, images).view(shape) + _like(shift, images).view(shape)
        matrix, offset = self._colors(draws, self.strength)
        flat = torch.baddbmm(_like(offset, images)[:, :, None], _like(matrix, images), images.flatten(2))
        return flat.view_as(images)

    def _colors(self, draws: NDArray[np.float64], by: Strength) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each sample a matrix (n, bands, bands) and an offset (n, bands) from raw to changed normalised values."""
        bands, level = len(self.mean), self.mean / self.std
        signed = 2 * draws - 1
        matrix = np.tile(np.eye(bands), (len(draws), 1, 1))
        if self.colored and by.saturation:
            keep = 1 + by.saturation * signed[:, 0]
            matrix[:, :3, :3] = keep[:, None, None] * np.eye(3) + ((1 - keep) / 3)[:, None, None]
        matrix *= by.contrast ** signed[:, 1, None, None]
        gain = by.gain ** signed[:, 17 : 17 + bands]
        offset = gain * (by.brightness * signed[:, 2, None] + level) - level
        clear = 1 - np.where(draws[:, 3] < HAZE_SHARE, by.haze * draws[:, 4], 0)[:, None]
        matrix = clear[:, :, None] * gain[:, :, None] * matrix
        offset = clear * offset + (1 - clear) * HAZE_LEVEL - matrix @ level
        matrix[:, self.sensed :] = np.eye(bands)[self.sensed :]
        offset[:, self.sensed :] = -level[self.sensed :]
        return matrix / self.std, offset

    def _noisy(self, images: Tensor, draws: NDArray[np.float64], most: float) -> Tensor:
        """White noise added in place, cut from a fixed pool: drawing normal numbers would cost as much as all the rest."""
        length = images[0].numel()
        if len(self._pool) < length + _OFFSETS or self._pool.device != images.device:
            generator = torch.Generator().manual_seed(self.seed)
            self._pool = torch.randn(length + _OFFSETS, generator=generator).to(images.device)
        starts = (draws[:, 2] * _OFFSETS).astype(np.int64).tolist()
        for number in np.flatnonzero(draws[:, 0] < NOISE_SHARE).tolist():
            noise = self._pool[starts[number] : starts[number] + length]
            images[number].view(-1).add_(noise, alpha=most * float(draws[number, 1]))
        return images


def finite_float(raw: Tensor, mean: NDArray[np.float64]) -> Tensor:
    """The pixels (n, bands, h, w) as float32, with the mean of the band where one is not a finite number."""
    images = raw.to(torch.float32)
    if raw.is_floating_point():
        images = torch.where(torch.isfinite(images), images, _like(mean, images).view(1, -1, 1, 1))
    return images


def _like(values: NDArray[Any], tensor: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32, device=tensor.device)
