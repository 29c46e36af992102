"""Test-time augmentation: a tile is scored in several views, and what they say of each pixel is averaged."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.modelspec import ModelSpec
from terraseg.core.scorer import Scorer
from terraseg.engines.batch import checked_batch
from terraseg.engines.options import Augmentation
from terraseg.pixels.blend import Array, namespace
from terraseg.pixels.resample import resampled

SCALES = (1.0, 0.75, 1.25)
DOWN, ACROSS = 2, 3
"""The axes of a batch (n, bands, height, width)."""


@dataclass(frozen=True)
class View:
    """One way to look at a batch: resampled by `scale`, turned by `turns` quarters, mirrored left to right last."""

    turns: int = 0
    mirrored: bool = False
    scale: float = 1.0


FLIPS = (View(), View(mirrored=True), View(2), View(2, mirrored=True))
D4 = (*FLIPS, View(1), View(1, mirrored=True), View(3), View(3, mirrored=True))
"""The symmetries of the square: overhead imagery has no up."""

VIEWS: dict[Augmentation, tuple[View, ...]] = {
    "none": (View(),),
    "flips": FLIPS,
    "d4": D4,
    "d4+scales": tuple(View(v.turns, v.mirrored, scale) for scale in SCALES for v in D4),
}


def views_cost(tta: Augmentation) -> float:
    """How many times the arithmetic of a single view an augmentation takes.

    >>> views_cost("d4"), views_cost("d4+scales")
    (8.0, 25.0)
    """
    return sum(view.scale**2 for view in VIEWS[tta])


@dataclass(frozen=True)
class ViewsScorer:
    """A Scorer that averages another one's probabilities over several views of each tile.

    Turns and mirrorings are undone exactly. Where a view has another scale, raw pixels are brought to it (rounded to their
    type, sizes to multiples of the model's stride) and probabilities back, both averaged over area or bilinear.
    """

    scorer: Scorer
    views: tuple[View, ...]

    @property
    def spec(self) -> ModelSpec:
        """The model's own."""
        return self.scorer.spec

    @property
    def device(self) -> str:
        """The inner scorer's, and the number of views."""
        return f"{self.scorer.device}, {len(self.views)} views of each tile"

    def score(self, batch: NDArray[Any]) -> Array:
        """The mean over the views, (n, classes, height, width) in float32, where the inner scorer's arrays live."""
        pixels = checked_batch(batch, self.spec)
        total = None
        for view, seen in self._seen(pixels):
            scores = self._undone(self.scorer.score(np.ascontiguousarray(seen)), view, pixels.shape[2:])
            total = scores if total is None else total + scores
        assert total is not None
        return total * np.float32(1 / len(self.views)) if isinstance(total, np.ndarray) else total / len(self.views)

    def _seen(self, pixels: NDArray[Any]) -> Iterator[tuple[View, NDArray[Any]]]:
        """Each view with the batch as it shows it; views of one scale share what is resampled."""
        scale, scaled = 1.0, pixels
        for view in self.views:
            if view.scale != scale:
                scale, scaled = view.scale, self._resized(pixels, view.scale)
            turned = np.rot90(scaled, view.turns, (DOWN, ACROSS))
            yield view, np.flip(turned, (ACROSS,)) if view.mirrored else turned

    def _resized(self, pixels: NDArray[Any], scale: float) -> NDArray[Any]:
        if scale == 1.0:
            return pixels
        stride = self.spec.stride
        height, width = (max(1, round(side * scale / stride)) * stride for side in pixels.shape[2:])
        values = resampled(pixels, height, width)
        rounded: NDArray[Any] = np.rint(values) if pixels.dtype.kind in "ui" else values
        return rounded.astype(pixels.dtype)

    @staticmethod
    def _undone(scores: Array, view: View, size: tuple[int, ...]) -> Array:
        xp = namespace(scores)
        straight = xp.rot90(xp.flip(scores, (ACROSS,)) if view.mirrored else scores, -view.turns, (DOWN, ACROSS))
        return straight if view.scale == 1.0 else resampled(straight, *size)


def with_views(scorer: Scorer, tta: Augmentation) -> Scorer:
    """The scorer, with the views of an augmentation averaged; "none" leaves it as it is."""
    return scorer if tta == "none" else ViewsScorer(scorer, VIEWS[tta])
