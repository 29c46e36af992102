"""The objects of a truth and of a map, and how much of each other they cover, over a raster of any size."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.pixels.pieces import label_pieces, parted_keys
from terraseg.shapes.chains import linked

LEAST_IOU = 0.1
"""Objects that share less are strangers."""


@dataclass(frozen=True, eq=False)
class StripPair:
    """A strip of full rows: `truth` and `mapped` class indices (height, width), 255 for none; `areas` of the pixels.

    Areas are in whole steps, so that sums do not depend on the order; None counts pixels. `parts` holds numbers from 0 by
    which mapped neighbours of one class are told apart where they are two objects.
    """

    truth: NDArray[np.uint8]
    mapped: NDArray[np.uint8]
    areas: NDArray[np.float64] | None = None
    parts: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects numbered by their first pixels in reading order, (n,) each: class index, pixels, and area in steps."""

    class_index: NDArray[np.uint8]
    pixels: NDArray[np.int64]
    area: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.class_index)


@dataclass(frozen=True, eq=False)
class ObjectPairs:
    """Objects of the truth and of the map, and the pairs of one class that share pixels.

    Pair k is of the true object `one[k]` and the mapped object `two[k]`, whose intersection over union is `iou[k]`.
    """

    truth: Objects
    mapped: Objects
    one: NDArray[np.int64]
    two: NDArray[np.int64]
    iou: NDArray[np.float64]


@dataclass(eq=False)
class _Sweep:
    """The pieces of one of the two, gathered from the top down."""

    pieces: int = 0
    class_index: list[NDArray[np.uint8]] = field(default_factory=list)
    pixels: list[NDArray[np.int64]] = field(default_factory=list)
    area: list[NDArray[np.float64]] = field(default_factory=list)
    links: list[NDArray[np.int64]] = field(default_factory=list)
    bottom: tuple[NDArray[np.integer], NDArray[np.int64]] | None = None

    def add(
        self, labels: NDArray[np.uint8], areas: NDArray[np.float64] | None, parts: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """The pieces (height, width) of a strip, numbered on from those above; -1 where there is none."""
        keys = labels if parts is None else parted_keys(labels, parts)
        found = label_pieces(keys)
        flat, count = found.ravel(), int(found.max(initial=0)) + 1
        index = np.zeros(count, dtype=np.uint8)
        index[flat] = labels.ravel()
        pixels = np.bincount(flat, minlength=count)
        area = pixels if areas is None else np.bincount(flat, weights=areas.ravel(), minlength=count)
        self.class_index.append(index[1:])
        self.pixels.append(pixels[1:].astype(np.int64))
        self.area.append(area[1:].astype(np.float64))
        numbers = np.where(found > 0, found + (self.pieces - 1), -1)
        if self.bottom is not None:
            same = (self.bottom[0] == keys[0]) & (keys[0] != VOID)
            self.links.append(np.unique(np.column_stack([self.bottom[1][same], numbers[0][same]]), axis=0))
        self.bottom = keys[-1], numbers[-1]
        self.pieces += count - 1
        return numbers

    def finished(self) -> tuple[Objects, NDArray[np.int64]]:
        """The objects, and the object of each piece."""
        links = np.concatenate([np.zeros((0, 2), np.int64), *self.links])
        name, first = linked(self.pieces, links[:, 0], links[:, 1])
        index = np.concatenate([np.zeros(0, np.uint8), *self.class_index])[first]
        pixels, area = (
            np.bincount(name, weights=np.concatenate([np.zeros(0), *parts]), minlength=len(first))
            for parts in (self.pixels, self.area)
        )
        return Objects(index, pixels.astype(np.int64), area.astype(np.float64)), name


def pair_objects(strips: Iterable[StripPair]) -> ObjectPairs:
    """The objects of truth and map, pixels of one class that hang together over pixel sides, and what they share.

    The strips follow each other from the top; they are read once, and how they are cut makes no difference. Memory is one
    strip and what the objects themselves take.
    """
    truth, mapped = _Sweep(), _Sweep()
    codes, shared = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for strip in strips:
        one, two = truth.add(strip.truth, strip.areas), mapped.add(strip.mapped, strip.areas, strip.parts)
        same = (strip.truth == strip.mapped) & (strip.truth != VOID)
        code, count = np.unique((one[same] << 32) | two[same], return_counts=True)
        codes.append(code)
        shared.append(count.astype(np.int64))
    (true, true_name), (guess, guess_name) = truth.finished(), mapped.finished()
    pieces = np.concatenate(codes)
    one, two = true_name[pieces >> 32], guess_name[pieces & 0xFFFFFFFF]
    code, place = np.unique((one << 32) | two, return_inverse=True)
    both = np.bincount(place, weights=np.concatenate(shared), minlength=len(code))
    one, two = code >> 32, code & 0xFFFFFFFF
    return ObjectPairs(true, guess, one, two, both / (true.pixels[one] + guess.pixels[two] - both))


def best_iou(pairs: ObjectPairs, *, truth: NDArray[np.bool_], mapped: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The intersection over union of each true object (n,) with the mapped object that it is matched to, 0 without one.

    Each object has one partner at most: pairs are taken by falling IoU while both are free, and those below 0.1 never. With
    objects that do not overlap this is SpaceNet's matching at every threshold: above one half an object has one candidate
    only. `truth` and `mapped` say which objects take part. Source: Van Etten et al., "SpaceNet", arXiv:1807.01232.
    """
    kept = (pairs.iou >= LEAST_IOU) & truth[pairs.one] & mapped[pairs.two]
    one, two, iou = pairs.one[kept], pairs.two[kept], pairs.iou[kept]
    best = np.zeros(len(pairs.truth))
    taken = np.zeros(len(pairs.mapped), dtype=np.bool_)
    for place in np.lexsort((two, one, -iou)).tolist():
        if not best[one[place]] and not taken[two[place]]:
            best[one[place]], taken[two[place]] = iou[place], True
    return best
