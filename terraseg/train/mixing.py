"""Parts of samples taken away or exchanged: rectangles cut out, rare classes pasted from one sample into another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from terraseg.core.classes import VOID
from terraseg.train.counted import CUT, MIX, PASTE, uniforms

CUT_SHARE = 0.5
"""Share of the samples that lose a rectangle."""
CUT_SIDES = (0.125, 0.4)
"""Shortest and longest side of a rectangle, as shares of the sample's."""
GIVEN_SHARE = 0.5
"""Share of the samples that something of another sample is put into."""
MIX_SIDES = (0.25, 0.75)
"""Shortest and longest side of a rectangle that is exchanged, as shares of the sample's."""
RARE = 0.5
"""A class is rare with less than this part of an even share of the pixels."""


@dataclass(frozen=True)
class Pasting:
    """The classes whose pixels are copied, the number of samples of a step among which they are, and whether they overlap."""

    classes: tuple[int, ...] = ()
    batch: int = 0
    overlapping: bool = False


NOTHING = Pasting()


def cut_out(images: Tensor, labels: Tensor, *, seed: int, step: int, indices: Sequence[int]) -> None:
    """Sets a rectangle in a part of the samples to 0, the bands' mean, and its labels to void, in place.

    `images` (n, bands, side, side) are normalised. What becomes of a sample depends on (seed, step, index) alone.
    Method: DeVries and Taylor, "Cutout", 2017; void inside, so that no class is to be guessed from nothing.
    """
    side = labels.shape[-1]
    draws = uniforms(seed, CUT, step, indices, 5)
    sizes = np.rint((CUT_SIDES[0] + (CUT_SIDES[1] - CUT_SIDES[0]) * draws[:, 1:3]) * side).astype(np.int64)
    corners = (draws[:, 3:5] * (side - sizes + 1)).astype(np.int64)
    for number in np.flatnonzero(draws[:, 0] < CUT_SHARE).tolist():
        (top, left), (height, width) = corners[number].tolist(), sizes[number].tolist()
        images[number, :, top : top + height, left : left + width] = 0.0
        labels[number, top : top + height, left : left + width] = VOID


def rare_classes(class_pixels: Sequence[int]) -> tuple[int, ...]:
    """The indices of the classes with few training pixels, at least one; a class without any is none of them.

    >>> rare_classes((900, 60, 40, 0)), rare_classes((60, 40)), rare_classes((5, 0))
    ((1, 2), (1,), ())
    """
    present = [index for index, pixels in enumerate(class_pixels) if pixels]
    if len(present) < 2:
        return ()
    limit = RARE * sum(class_pixels) / len(present)
    rare = tuple(index for index in present if class_pixels[index] < limit)
    return rare or (min(present, key=lambda index: class_pixels[index]),)


def donors(seed: int, step: int, indices: Sequence[int], batch: int, *, use: int = PASTE) -> NDArray[np.int64]:
    """For each sample the index of another one of its batch, from which it gets something; -1 for none."""
    draws = uniforms(seed, use, step, indices, 2)
    if batch < 2:
        return np.full(len(draws), -1, dtype=np.int64)
    others = (np.asarray(indices) + 1 + (draws[:, 1] * (batch - 1)).astype(np.int64)) % batch
    return np.where(draws[:, 0] < GIVEN_SHARE, others, -1)


def paste(
    images: Tensor, labels: Tensor, given: Sequence[int], classes: Sequence[int], *, overlapping: bool = False
) -> tuple[Tensor, Tensor]:
    """The first samples, with pixels and labels of the `classes` copied over them from others at the same place.

    `given` holds for each of the first samples the number of the one that gives, -1 for none; all give what they had before
    anything was pasted. Void pixels stay void: there may be no imagery. Method: Ghiasi et al., "Simple copy-paste", CVPR
    2021, with the pixels of rare classes in the place of instances.
    """
    # torch knows few operations on 16-bit unsigned numbers.
    images = images if images.dtype in (torch.uint8, torch.float32) else images.to(torch.float32)
    count = len(given)
    changed, truth = images[:count].clone(), labels[:count].clone()
    rare = torch.zeros_like(labels, dtype=torch.bool)
    for index in classes:
        rare |= ((labels >> index) & 1).bool() & (labels != VOID) if overlapping else labels == index
    known = truth != VOID
    for number, donor in enumerate(given):
        if donor >= 0:
            wanted = rare[donor] & known[number]
            _lay_over(truth[number], labels[donor], wanted)
            _lay_over(changed[number], images[donor], wanted)
    return changed, truth


def mix(
    under: tuple[Tensor, Tensor],
    over: tuple[Tensor, Tensor],
    given: Sequence[int],
    *,
    seed: int,
    where: tuple[int, Sequence[int]],
) -> tuple[Tensor, Tensor]:
    """Images and labels of `under` with a rectangle of each copied from `over` at the same place.

    `given` holds for each sample the number in `over` of the one that gives, -1 for none; `where` are the step and the
    indices by which the rectangles are drawn. The labels come along, so that what a place shows, and not what surrounds
    it, decides. Method: Yun et al., "CutMix", ICCV 2019, as French et al., BMVC 2020, use it on masks.
    """
    images, labels = (part.clone() for part in under)
    side = labels.shape[-1]
    draws = uniforms(seed, MIX, *where, 6)[:, 2:]
    sizes = np.rint((MIX_SIDES[0] + (MIX_SIDES[1] - MIX_SIDES[0]) * draws[:, :2]) * side).astype(np.int64)
    corners = (draws[:, 2:] * (side - sizes + 1)).astype(np.int64)
    for number, donor in enumerate(given):
        if donor >= 0:
            (top, left), (height, width) = corners[number].tolist(), sizes[number].tolist()
            place = (..., slice(top, top + height), slice(left, left + width))
            images[number][place] = over[0][donor][place]
            labels[number][place] = over[1][donor][place]
    return images, labels


def _lay_over(under: Tensor, over: Tensor, wanted: Tensor) -> None:
    """Puts `over` into `under` where `wanted`; bytes without a branch, which a processor does ten times faster."""
    if under.dtype == torch.uint8:
        under ^= (under ^ over) & wanted.to(torch.uint8).neg()
    else:
        under.copy_(torch.where(wanted, over, under))
