"""From what stands in a label file to class indices, and from class indices to map ids."""

from collections.abc import Mapping
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
    """Class indices of an array of label ids; ignored ids become void, unlisted ones raise `UnlistedValues`.

    Values may be of any integer or float type; whole floats count as their integer ("4.0" is "4").
    """
    found, inverse = np.unique(values, return_inverse=True)
    texts = [_number_text(value) for value in found]
    return _lookup(texts, index_of, ignore)[inverse].reshape(values.shape)


def index_colors(pixels: NDArray[np.uint8], index_of: Mapping[str, int], ignore: tuple[str, ...]) -> NDArray[np.uint8]:
    """Class indices of (3, height, width) colours; ignored colours become void, unlisted ones raise `UnlistedValues`."""
    packed = pack_colors(pixels)
    found, inverse = np.unique(packed, return_inverse=True)
    table = {key.upper(): index for key, index in index_of.items()}
    texts = [color_text(int(value)) for value in found]
    return _lookup(texts, table, tuple(value.upper() for value in ignore))[inverse].reshape(packed.shape)


def _number_text(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _lookup(texts: list[str], index_of: Mapping[str, int], ignore: tuple[str, ...]) -> NDArray[np.uint8]:
    unlisted = tuple(text for text in texts if text not in index_of and text not in ignore and text != "nan")
    if unlisted:
        raise UnlistedValues(unlisted)
    return np.array([index_of.get(text, VOID) for text in texts], dtype=np.uint8)


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
