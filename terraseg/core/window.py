"""A rectangle of pixels: the unit in which rasters are read, predicted and written."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil, floor


@dataclass(frozen=True, order=True)
class Window:
    """A half-open rectangle of pixels: rows `row` to `row + height`, columns `col` to `col + width`.

    The offsets may be negative or lie beyond a raster (a tile over its edge); the size may not be negative.

    >>> Window(2, 3, 10, 20).intersection(Window(0, 0, 5, 5))
    Window(row=2, col=3, height=3, width=2)
    >>> Window(0, 0, 5, 5).intersection(Window(9, 9, 1, 1)).is_empty
    True
    """

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 0 or self.width < 0:
            raise ValueError(f"a window of {self.height} x {self.width} pixels: sizes cannot be negative")

    @property
    def row_stop(self) -> int:
        """First row below the window."""
        return self.row + self.height

    @property
    def col_stop(self) -> int:
        """First column right of the window."""
        return self.col + self.width

    @property
    def is_empty(self) -> bool:
        """True when the window holds no pixel."""
        return self.height == 0 or self.width == 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices for an array that starts at pixel (0, 0)."""
        return slice(self.row, self.row_stop), slice(self.col, self.col_stop)

    def reduced(self, rows: Fraction | int, cols: Fraction | int) -> "Window":
        """The window in pixels of `rows` times the height and `cols` times the width: those that lie wholly in it.

        >>> Window(3, 4, 10, 9).reduced(2, Fraction(1, 2))
        Window(row=2, col=8, height=4, width=18)
        """
        row, col = ceil(self.row / Fraction(rows)), ceil(self.col / Fraction(cols))
        height, width = floor(self.row_stop / Fraction(rows)) - row, floor(self.col_stop / Fraction(cols)) - col
        return Window(row, col, max(0, height), max(0, width))

    def magnified(self, factor: int) -> "Window":
        """The window in pixels of a `factor`th of the size: the same ground."""
        return Window(self.row * factor, self.col * factor, self.height * factor, self.width * factor)

    def intersection(self, other: "Window") -> "Window":
        """The pixels of both; empty where they do not meet."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = max(0, min(self.row_stop, other.row_stop) - row)
        width = max(0, min(self.col_stop, other.col_stop) - col)
        return Window(row, col, height, width)

    def contains(self, other: "Window") -> bool:
        """True when every pixel of `other` is in this window."""
        return (
            self.row <= other.row
            and self.col <= other.col
            and other.row_stop <= self.row_stop
            and other.col_stop <= self.col_stop
        )

    def shifted(self, rows: int, cols: int) -> "Window":
        """The same size, moved."""
        return Window(self.row + rows, self.col + cols, self.height, self.width)

    def to_json(self) -> dict[str, int]:
        """Plain JSON."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, int]) -> "Window":
        """The inverse of `to_json`."""
        return Window(**value)


def cut(window: Window, height: int, width: int) -> Iterator[Window]:
    """The window in blocks of at most `height` x `width`, row by row; together they cover it once.

    >>> [block.width for block in cut(Window(0, 0, 1, 5), 1, 2)]
    [2, 2, 1]
    """
    for row in range(window.row, window.row_stop, height):
        for col in range(window.col, window.col_stop, width):
            yield Window(row, col, min(height, window.row_stop - row), min(width, window.col_stop - col))
