"""Squares turned, mirrored and magnified: pixels and labels alike, sample by sample."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def _mirror_columns(squares: Tensor) -> Tensor:
    return squares.flip(-1)


def _mirror_rows(squares: Tensor) -> Tensor:
    return squares.flip(-2)


def _swap_axes(squares: Tensor) -> Tensor:
    return squares.transpose(-1, -2)


TURNS = (_mirror_columns, _mirror_rows, _swap_axes)


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
    reach = torch.as_tensor(crop / images.shape[-1] / factors, dtype=torch.float32, device=images.device)
    line = (torch.arange(crop, device=images.device, dtype=torch.float32) + 0.5) * (2 / crop) - 1
    ticks = reach[:, None] * line
    count = len(images)
    grid = torch.stack(
        [ticks[:, None, :].expand(count, crop, crop), ticks[:, :, None].expand(count, crop, crop)], dim=-1
    )
    changed = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return changed, _picked(labels, ticks)


def _picked(labels: Tensor, ticks: Tensor) -> Tensor:
    """The labels (n, side, side) at the pixels nearest to `ticks` (n, crop), from -1 to 1, along both axes."""
    side = labels.shape[-1]
    places = (((ticks + 1) * side - 1) / 2).round().clamp(0, side - 1).long()
    if labels.device.type != "cpu":
        numbers = torch.arange(len(labels), device=labels.device)[:, None, None]
        return labels[numbers, places[:, :, None], places[:, None, :]]
    # Rows, then columns, by copies of bytes: several times faster on a processor than any sampling of pixels.
    pairs = zip(labels.numpy(), places.numpy(), strict=True)
    return torch.from_numpy(np.stack([truth.take(place, 0).take(place, 1) for truth, place in pairs]))
