"""From what stands in a label file to label bytes, and from class indices to map ids."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend


class UnlistedValues(ValueError):
    """Label values that neither a class nor the ignore list stands for; `values` holds them as text."""

    def __init__(self, values: tuple[str, ...]) -> None:
        super().__init__(", ".join(values))
        self.values = values


def pack_colors(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """One integer a pixel, 0xRRGGBB, from (3, height, width) colours."""
    red, green, blue = (pixels[band].astype(np.int32) for band in range(3))
    packed: NDArray[np.int32] = (red << 16) | (green << 8) | blue
    return packed


def color_text(packed: int) -> str:
    """The text of a packed colour, "#RRGGBB".

    >>> color_text(0x3C1098)
    '#3C1098'
    """
    return f"#{packed:06X}"


def index_ids(values: NDArray[Any], index_of: Mapping[str, int], ignore: tuple[str, ...]) -> NDArray[np.uint8]:
    """Label bytes of an array of label ids; ignored ids become void, unlisted ones raise `UnlistedValues`.

    Values may be of any integer or float type; whole floats count as their integer ("4.0" is "4").
    """
    found, inverse = np.unique(values, return_inverse=True)
    texts = [_number_text(value) for value in found]
    return _lookup(texts, index_of, ignore)[inverse].reshape(values.shape)


def index_colors(pixels: NDArray[np.uint8], index_of: Mapping[str, int], ignore: tuple[str, ...]) -> NDArray[np.uint8]:
    """Label bytes of (3, height, width) colours; ignored colours become void, unlisted ones raise `UnlistedValues`."""
    packed = pack_colors(pixels)
    found, inverse = np.unique(packed, return_inverse=True)
    table = {key.upper(): index for key, index in index_of.items()}
    texts = [color_text(int(value)) for value in found]
    return _lookup(texts, table, tuple(value.upper() for value in ignore))[inverse].reshape(packed.shape)


def stacked_masks(values: NDArray[Any], bands: Sequence[Sequence[int]], void: Sequence[float]) -> NDArray[np.uint8]:
    """Bit masks of overlapping classes from (bands, height, width), each band 0 outside its class.

    `bands` holds for each class the places of its bands. A pixel that is `void` or not finite in any of these is void.

    >>> stacked_masks(np.array([[[0, 1, 1, 9]], [[0, 0, 1, 1]]]), [[0], [1]], [9.0]).tolist()
    [[0, 1, 3, 255]]
    """
    masks = np.zeros(values.shape[1:], dtype=np.uint8)
    unknown = np.zeros(masks.shape, dtype=np.bool_)
    for index, places in enumerate(bands):
        for place in places:
            unknown |= np.isin(values[place], void) | ~np.isfinite(values[place])
            masks |= (values[place] != 0).astype(np.uint8) << np.uint8(index)
    masks[unknown] = VOID
    return masks


def _number_text(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _lookup(texts: list[str], index_of: Mapping[str, int], ignore: tuple[str, ...]) -> NDArray[np.uint8]:
    unlisted = tuple(text for text in texts if text not in index_of and text not in ignore and text != "nan")
    if unlisted:
        raise UnlistedValues(unlisted)
    return np.array([index_of.get(text, VOID) for text in texts], dtype=np.uint8)


def mask_table(table: NDArray[np.uint8], classes: int) -> NDArray[np.uint8]:
    """A lookup (256,) between bit masks of overlapping classes from one between their indices, of which `classes` count.

    >>> mask_table(np.array([1, 0] + [255] * 254, dtype=np.uint8), 2)[[0, 1, 2, 3, 255]].tolist()
    [0, 2, 1, 3, 255]
    """
    masks = np.full(VOID + 1, VOID, dtype=np.uint8)
    codes = np.arange(1 << classes)
    bits = (codes[:, None] >> np.arange(classes)) & 1
    masks[: len(codes)] = (bits << table[:classes].astype(np.int64)).sum(axis=1)
    return masks


def ids_from_indices(indices: NDArray[np.uint8], legend: Legend) -> NDArray[np.uint8]:
    """Map ids of class indices; void stays void."""
    table = np.full(256, VOID, dtype=np.uint8)
    table[: len(legend)] = legend.ids
    return table[indices]


def indices_from_ids(ids: NDArray[np.uint8], legend: Legend) -> NDArray[np.uint8]:
    """Class indices of map ids: the inverse of `ids_from_indices`; ids outside the legend become void."""
    table = np.full(256, VOID, dtype=np.uint8)
    table[np.array(legend.ids, dtype=np.intp)] = np.arange(len(legend), dtype=np.uint8)
    return table[ids]
