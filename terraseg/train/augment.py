"""Batches made more varied and brought to the network's scale, all at once, on whatever device they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from terraseg.errors import UnknownName, nearest
from terraseg.train.counted import AUGMENT, uniforms

AUGMENTATIONS = {
    "d4": "the eight turns and mirrors of a square",
    "scale": "the ground sample distance, by up to a quarter",
    "photometric": "brightness, contrast, saturation, band gain, haze and noise: for pictures",
    "radiometric": "band gain, haze and noise, gently: for calibrated bands",
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
    "photometric": Strength(contrast=1.3, brightness=0.3, saturation=0.3, gain=1.1, haze=0.25, noise=0.15),
    "radiometric": Strength(contrast=1.0, brightness=0.0, saturation=0.0, gain=1.05, haze=0.1, noise=0.05),
}
HAZE_SHARE, NOISE_SHARE = 0.3, 0.5


def _mirror_columns(squares: Tensor) -> Tensor:
    return squares.flip(-1)


def _mirror_rows(squares: Tensor) -> Tensor:
    return squares.flip(-2)


def _swap_axes(squares: Tensor) -> Tensor:
    return squares.transpose(-1, -2)


TURNS = (_mirror_columns, _mirror_rows, _swap_axes)


class Augmentation:
    """The augmentations of a run, with its bands' statistics; a function of batch, step and indices.

    `names` are keys of `AUGMENTATIONS`. With none of them a batch is only normalised. Raises `UnknownName`.
    """

    def __init__(
        self, names: Sequence[str], *, seed: int, bands: Sequence[str], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        for name in names:
            if name not in AUGMENTATIONS:
                raise UnknownName(f"there is no augmentation {name!r}: {nearest(name, AUGMENTATIONS)}")
        self.names, self.seed = frozenset(names), seed
        self.strength = next((STRENGTHS[n] for n in STRENGTHS if n in self.names), None)
        self.colored = tuple(bands[:3]) == _RGB
        self.mean, self.std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
        self._pool = torch.empty(0)

    def read_size(self, crop: int) -> int:
        """The side of the squares to cut, so that `crop` pixels are left after a change of scale."""
        return int(np.ceil(crop * SCALE)) if "scale" in self.names else crop

    def __call__(
        self, raw: Tensor, labels: Tensor, *, step: int, indices: Sequence[int], crop: int
    ) -> tuple[Tensor, Tensor]:
        """Images (n, bands, crop, crop) of float32, (raw - mean) / std and changed, and their labels (n, crop, crop).

        `raw` and `labels` are squares of `read_size(crop)`. Pixels that are not finite become 0, the mean. The changes of
        each sample depend on (seed, step, index) alone.
        """
        draws = uniforms(self.seed, AUGMENT, step, indices, 16 + 3 + len(self.mean))
        images, truth = raw, labels
        if "d4" in self.names:
            images, truth = turned(images, truth, (draws[:, 0] * 8).astype(np.int64))
        images = finite_float(images, self.mean)
        if "scale" in self.names:
            images, truth = scaled(images, truth, SCALE ** (2 * draws[:, 1] - 1), crop)
        images = self._recolored(images, draws[:, 2:])
        if self.strength is not None:
            images = self._noisy(images, draws[:, 12:15], self.strength.noise)
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


def turned(images: Tensor, labels: Tensor, elements: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Each square sample under one of the eight symmetries: bit 0 mirrors columns, bit 1 rows, bit 2 swaps the two."""
    # Plain bytes where it can be: torch knows few operations on 16-bit unsigned numbers.
    images = images if images.dtype in (torch.uint8, torch.float32) else images.to(torch.float32)
    turn = _turned_singly if images.device.type == "cpu" else _turned_together
    return turn(images, elements), turn(labels, elements)


def _turned_together(batch: Tensor, elements: NDArray[np.int64]) -> Tensor:
    """`turned` for one tensor (n, ..., side, side) in three calls, whatever n: launches are what costs on a GPU."""
    out = batch.clone()
    for bit, turn in enumerate(TURNS):
        which = torch.from_numpy(np.flatnonzero(elements >> bit & 1)).to(out.device)
        if len(which):
            out[which] = turn(out[which])
    return out


def _turned_singly(batch: Tensor, elements: NDArray[np.int64]) -> Tensor:
    """`turned` for one tensor (n, ..., side, side) on the processor: one copy a sample, several times faster there."""
    out = torch.empty_like(batch)
    source, target = batch.numpy(), out.numpy()
    for number, element in enumerate(elements.tolist()):
        view = source[number]
        if element & 1:
            view = view[..., ::-1]
        if element & 2:
            view = view[..., ::-1, :]
        target[number] = view.swapaxes(-1, -2) if element & 4 else view
    return out


def scaled(images: Tensor, labels: Tensor, factors: NDArray[np.float64], crop: int) -> tuple[Tensor, Tensor]:
    """The middle of each sample, `crop` pixels wide, magnified by its factor: images bilinear, labels nearest."""
    reach = _like(crop / images.shape[-1] / factors, images)
    line = (torch.arange(crop, device=images.device, dtype=torch.float32) + 0.5) * (2 / crop) - 1
    ticks = reach[:, None] * line
    count = len(images)
    grid = torch.stack(
        [ticks[:, None, :].expand(count, crop, crop), ticks[:, :, None].expand(count, crop, crop)], dim=-1
    )
    changed = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    truth = labels[:, None].to(torch.float32)
    picked = F.grid_sample(truth, grid, mode="nearest", padding_mode="border", align_corners=False)
    return changed, picked[:, 0].to(torch.uint8)


def _like(values: NDArray[Any], tensor: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32, device=tensor.device)
