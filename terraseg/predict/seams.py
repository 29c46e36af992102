"""Do tile borders show in a map? What two tiles say of pixels that both see, held against what one tile says next door."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.pixels.blend import Array, decide, decide_each, to_host
from terraseg.pixels.tiling import Axis, Lattice
from terraseg.predict.tiles import Tile

LINES = (4, 7, 8, 9, 12)
"""Lines of pixels that are compared where one tile fades into the next, in sixteenths of the way across: most in the middle,
none where the map hardly listens to one of the two."""
FEWEST = 2000
"""Pixels below which nothing is said."""
QUIET = 0.005
"""The least disagreement inside tiles that a seam is held against: on calm ground any difference is many times nothing."""
SHOWING = 2.0
"""A seam score from which borders show."""


@dataclass(frozen=True)
class SeamTally:
    """Counts of compared pixels: two tiles on one pixel (`shared`, of which `differing`), and one tile on neighbouring
    pixels (`beside`, of which `changing`). `worst` is the largest difference of two tiles' probabilities at their border,
    looked at in exact maps only.
    """

    shared: int = 0
    differing: int = 0
    beside: int = 0
    changing: int = 0
    worst: float = 0.0

    def __add__(self, other: "SeamTally") -> "SeamTally":
        return SeamTally(
            self.shared + other.shared,
            self.differing + other.differing,
            self.beside + other.beside,
            self.changing + other.changing,
            max(self.worst, other.worst),
        )

    @property
    def across(self) -> float:
        """Share of the pixels that two tiles see on whose class they disagree."""
        return self.differing / max(1, self.shared)

    @property
    def inside(self) -> float:
        """Share of neighbouring pixels inside a tile, at the same places, whose classes differ."""
        return self.changing / max(1, self.beside)

    @property
    def score(self) -> float | None:
        """The seam score: `across` over `inside`, which counts as half a percent at least. None for too few pixels.

        Two tiles that look on a pixel from both sides should disagree less than neighbouring pixels do: far below 1 the
        borders cannot be found in the map, from 2 on they show.
        """
        return None if self.shared < FEWEST else self.across / max(self.inside, QUIET)

    @property
    def shows(self) -> bool:
        """True when the borders of tiles show in the map."""
        return self.score is not None and self.score >= SHOWING

    def sentence(self) -> str:
        """The score in words; empty where there is none."""
        if self.score is None:
            return ""
        text = (
            f"seam score {self.score:.2f}: tiles disagree on {self.across:.2%} of the pixels that two of them see, and "
            f"{self.inside:.2%} of neighbouring pixels differ inside tiles"
        )
        if not self.shows:
            return text
        return (
            f"{text}; the borders of tiles show in the map: the model answers otherwise near the edge of what it sees, so give "
            f"it more overlap (--set predict.overlap), larger tiles (--set predict.tile), or pass --exact"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "SeamTally":
        """The inverse of `to_json`."""
        return SeamTally(**value)


@dataclass(frozen=True)
class _Lines:
    """One tile's classes on the lines that a later tile is held against, lines first, and its scores there if wanted."""

    row: int
    col: int
    classes: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    scores: NDArray[np.float32] | None


class SeamMeter:
    """Compares tiles as they come, in the order of `tile_order`: each with the one before it and the one above it."""

    def __init__(self, lattice: Lattice, threshold: float | None) -> None:
        self._lattice, self._threshold = lattice, threshold
        self._left: _Lines | None = None
        self._above: dict[int, _Lines] = {}
        self._tally = SeamTally()

    def look(self, tile: Tile, scores: Array) -> None:
        """Takes a tile's scores, (classes, height, width) of at least the tile's window."""
        self._left = self._compare(tile, scores, self._left, down=False)
        below = self._compare(tile, scores, self._above.get(tile.col), down=True)
        if below is not None:
            self._above[tile.col] = below

    def taken(self) -> SeamTally:
        """What was counted since the last call."""
        tally, self._tally = self._tally, SeamTally()
        return tally

    def _compare(self, tile: Tile, scores: Array, before: _Lines | None, *, down: bool) -> _Lines | None:
        """Holds a tile against the one before it along an axis, and gives its lines for the one after it."""
        axis, across = (self._lattice.rows, self._lattice.cols) if down else (self._lattice.cols, self._lattice.rows)
        index, other = (tile.row, tile.col) if down else (tile.col, tile.row)
        start, run = axis.span(index)[0], slice(*(p - across.span(other)[0] for p in across.cell(other)))
        back = _places(axis, index - 1)[1] if index > 0 else ()
        ahead = _places(axis, index)[0] if index + 1 < axis.count else ()
        lines = [p - start for p in (*back, *(p + 1 for p in back), *ahead, *(p - 1 for p in ahead))]
        if not lines:
            return None
        picked = scores[:, lines, run] if down else scores[:, run, :][:, :, lines]
        classes = _lines_first(self._classes(picked), down)
        valid = _lines_first(tile.valid[lines, run] if down else tile.valid[run, :][:, lines], down)
        n, m = len(back), len(ahead)
        follows = before is not None and (before.row, before.col) == (
            (tile.row - 1, tile.col) if down else (tile.row, tile.col - 1)
        )
        if before is not None and follows:
            differing = (before.classes != classes[:n]) & (both := before.valid & valid[:n])
            self._count(shared=both, differing=differing)
            self._count_worst(before.scores, picked, n)
        # Next door is looked at by the tile that is further inside there: the first of the two up to the middle.
        for mine, next_to in (
            (slice((n + 1) // 2, n), slice(n + (n + 1) // 2, 2 * n)),
            (slice(2 * n, 2 * n + (m + 1) // 2), slice(2 * n + m, 2 * n + m + (m + 1) // 2)),
        ):
            both = valid[mine] & valid[next_to]
            self._count(beside=both, changing=(classes[mine] != classes[next_to]) & both)
        kept = slice(2 * n, 2 * n + m)
        exact = to_host(picked)[:, :, kept].copy() if axis.align and not down else None
        return _Lines(tile.row, tile.col, classes[kept], valid[kept], exact) if m else None

    def _classes(self, scores: Array) -> NDArray[np.uint8]:
        if self._threshold is None:
            return to_host(decide(scores)[0])
        masks = to_host(decide_each(scores, self._threshold)[0])
        return np.asarray(np.packbits(masks, axis=0)[0], dtype=np.uint8)

    def _count(self, **masks: NDArray[np.bool_]) -> None:
        self._tally += SeamTally(**{name: int(np.count_nonzero(mask)) for name, mask in masks.items()})

    def _count_worst(self, before: NDArray[np.float32] | None, picked: Array, lines: int) -> None:
        if before is not None:
            self._tally += SeamTally(worst=float(np.abs(before - to_host(picked)[:, :, :lines]).max(initial=0.0)))


def _lines_first(values: NDArray[Any], down: bool) -> NDArray[Any]:
    return values if down else values.T


def _places(axis: Axis, index: int) -> tuple[Sequence[int], Sequence[int]]:
    """The pixels along an axis at which tile `index` and the next are compared: of the one, and of the other.

    Where tiles meet without both seeing a pixel these are the last of the one and the first of the other. In an exact map
    only the border itself counts: further on either side one of the two is not meant to be right.
    """
    start, stop = axis.span(index + 1)[0], axis.span(index)[1]
    if start >= stop:
        return (stop - 1,), (start,)
    border = axis.cell(index + 1)[0]
    places = sorted({border + axis.ramp * line // 16 for line in LINES})
    return places, places


def tally_of(notes: Sequence[bytes]) -> tuple[SeamTally, int]:
    """The sum of what runs noted of one map, and the tiles that they scored."""
    values = [json.loads(note) for note in notes]
    return sum((SeamTally.from_json(v["seams"]) for v in values), SeamTally()), sum(v["scored"] for v in values)


def tally_note(tally: SeamTally, scored: int) -> bytes:
    """What a run notes of a row of tiles."""
    return json.dumps({"seams": tally.to_json(), "scored": scored}).encode()
