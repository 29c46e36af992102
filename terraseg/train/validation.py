"""How good the network is on the validation windows: confusions counted over all of them, and what follows."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from terraseg.core.classes import VOID
from terraseg.core.plan import Plan
from terraseg.core.window import Window
from terraseg.nets.scoring import mapped_labels
from terraseg.pixels.confusion import confusions
from terraseg.store.cache import TrainingScene, cells_of
from terraseg.train.counted import TILES, uniforms
from terraseg.train.module import SegmentationModule
from terraseg.train.processes import least, summed

VALIDATIONS = 12
"""Validations of a run when the plan does not say."""
TIME_SHARE = 0.1
"""Share of a time budget that all validations together may take."""
STEP_COST = 3
"""A training step costs about three forward passes."""
FEW_PIXELS = 1 << 20
"""Validation windows of at most so many pixels are always swept whole when a run is measured in steps."""
LARGEST_TILE = 512


@dataclass(frozen=True)
class Tile:
    """A window of scene number `scene`; of its pixels those from row `top` and column `left` on are counted here."""

    scene: int
    window: Window
    top: int = 0
    left: int = 0


TileBatch = tuple[Tile, ...]


@dataclass(frozen=True, eq=False)
class Score:
    """Scores over all labelled pixels: mean loss, share of right ones, IoU by class (NaN where a class is absent).

    `matrix` (classes, classes) counts the truth in rows, predictions in columns; where classes are `overlapping` it is
    (classes, 4), see `class_confusions`. `batches` says how much was swept.
    """

    loss: float
    matrix: NDArray[np.int64]
    batches: int
    overlapping: bool = False

    @property
    def pixels(self) -> int:
        """Labelled pixels."""
        return int(self.matrix[0].sum() if self.overlapping else self.matrix.sum())

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are right; of overlapping classes the mean over them; NaN without a labelled pixel."""
        if not self.pixels:
            return float("nan")
        right = self.matrix[:, [0, 3]].sum() / len(self.matrix) if self.overlapping else np.trace(self.matrix)
        return float(right / self.pixels)

    @property
    def iou(self) -> tuple[float, ...]:
        """Intersection over union by class; NaN for a class that the truth does not hold."""
        if self.overlapping:
            _, false, missed, hit = self.matrix.T
            true, union = missed + hit, false + missed + hit
        else:
            hit, true = np.diag(self.matrix), self.matrix.sum(axis=1)
            union = true + self.matrix.sum(axis=0) - hit
        return tuple(float(hit[k] / union[k]) if true[k] else float("nan") for k in range(len(hit)))

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the classes that the truth holds; NaN without a labelled pixel."""
        present = [value for value in self.iou if not np.isnan(value)]
        return float(np.mean(present)) if present else float("nan")

    def summary(self) -> dict[str, Any]:
        """The scores as plain JSON, None where there is no number."""
        iou = [None if np.isnan(value) else value for value in self.iou]
        return {"mean_iou": self.mean_iou, "accuracy": self.accuracy, "loss": self.loss, "iou": iou}


def arrange(scenes: Sequence[TrainingScene], plan: Plan) -> tuple[TileBatch, ...]:
    """The validation windows in tiles, each pixel counted once, in batches of tiles of one shape.

    The order is shuffled by the plan's seed, so that the first batches are a fair part of the whole. Tiles without a
    labelled pixel are left out.
    """
    side = min(plan.tile // plan.reduction, LARGEST_TILE)
    everywhere = (t for n, s in enumerate(scenes) for w in s.scene.validation for t in tiled(n, w, side))
    tiles = [t for t in everywhere if scenes[t.scene].counts[:, *cells_of(t.window, whole=False)].any()]
    order = np.argsort(uniforms(plan.seed, TILES, 0, np.arange(len(tiles)), 1)[:, 0], kind="stable")
    count = max(1, plan.batch * plan.crop**2 // (plan.accumulate * side**2))
    waiting: dict[tuple[int, int], list[Tile]] = {}
    batches: list[TileBatch] = []
    for tile in (tiles[n] for n in order):
        same = waiting.setdefault((tile.window.height, tile.window.width), [])
        same.append(tile)
        if len(same) == count:
            batches.append(tuple(same))
            same.clear()
    return (*batches, *(tuple(rest) for rest in waiting.values() if rest))


def tiled(scene: int, window: Window, side: int) -> Iterator[Tile]:
    """The window in tiles of `side` pixels: the last ones are moved inwards, and count only what no other does."""
    height, width = min(side, window.height), min(side, window.width)
    for row in range(0, window.height, height):
        for col in range(0, window.width, width):
            top, left = min(row, window.height - height), min(col, window.width - width)
            place = Window(window.row + top, window.col + left, height, width)
            yield Tile(scene, place, row - top, col - left)


def batch_limit(batches: Sequence[TileBatch], plan: Plan) -> int:
    """How many batches a run measured in steps sweeps: all, or what keeps validations near `TIME_SHARE` of the work."""
    rounds = max(1, plan.steps // plan.validate_every) if plan.steps and plan.validate_every else VALIDATIONS
    affordable = TIME_SHARE * STEP_COST * (plan.steps or 0) * plan.batch * plan.crop**2 / rounds
    left = max(FEW_PIXELS, affordable)
    for number, batch in enumerate(batches):
        left -= sum(t.window.height * t.window.width for t in batch)
        if left < 0:
            return max(1, number)
    return len(batches)


def validate(
    module: SegmentationModule,
    scenes: Sequence[TrainingScene],
    batches: Sequence[TileBatch],
    *,
    most_s: float = float("inf"),
) -> Score:
    """Scores of the network on the tiles, or on as many batches of them as take `most_s` seconds, at least one.

    Several processes share the batches, and each gets the scores of all.
    """
    world, coding = module.recipe.world, module.recipe.coding
    mine = batches[world.rank :: world.size]
    shape = coding.classes, 4 if coding.overlapping else coding.classes
    matrix, total, done = np.zeros(shape, dtype=np.int64), 0.0, 0
    started = time.monotonic()
    module.network.eval()
    with torch.inference_mode():
        for batch in mine:
            counts, loss = _scored(module, *read_tiles(scenes, batch))
            matrix, total, done = matrix + counts, total + loss, done + 1
            if time.monotonic() - started > most_s:
                break
    module.learning(frozen=module.frozen)
    sums = summed(world, torch.tensor([total, *matrix.flatten().tolist()], dtype=torch.float64))
    total, *cells = sums.tolist()
    matrix = np.asarray(cells).reshape(shape).astype(np.int64)
    swept = least(world, len(batches) if done == len(mine) else done * world.size)
    score = Score(0.0, matrix, swept, coding.overlapping)
    return replace(score, loss=total / max(1, score.pixels))


def _scored(module: SegmentationModule, raw: Tensor, labels: Tensor) -> tuple[NDArray[np.int64], float]:
    """Confusions of tiles, and their loss times their labelled pixels; in halves where a GPU lacks the memory."""
    known, coding = int((labels != VOID).sum()), module.recipe.coding
    if not known:
        void = np.full((1, 1), VOID, dtype=np.uint8)
        return confusions(void, void, coding), 0.0
    try:
        with module.autocast():
            logits = module.network(module.normalised(raw.to(module.device))).float()
        loss = float(module.recipe.loss(logits, labels.to(module.device)))
        mapped = mapped_labels(logits, overlapping=coding.overlapping).cpu().numpy()
        return confusions(labels.numpy(), mapped, coding), loss * known
    except torch.cuda.OutOfMemoryError:
        if len(raw) == 1:
            raise
    torch.cuda.empty_cache()
    half = len(raw) // 2
    one = _scored(module, raw[:half], labels[:half])
    other = _scored(module, raw[half:], labels[half:])
    return one[0] + other[0], one[1] + other[1]


def read_tiles(scenes: Sequence[TrainingScene], batch: TileBatch) -> tuple[Tensor, Tensor]:
    """Raw pixels (n, bands, h, w) and labels (n, h, w) of tiles of one shape; pixels counted elsewhere are void."""
    blocks = [scenes[tile.scene].read(tile.window) for tile in batch]
    labels = np.stack([block[1] for block in blocks])
    for truth, tile in zip(labels, batch, strict=True):
        truth[: tile.top] = VOID
        truth[:, : tile.left] = VOID
    return torch.from_numpy(np.stack([block[0] for block in blocks])), torch.from_numpy(labels)
