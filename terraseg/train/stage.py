"""What a training runs on, gathered once and handed to those who lead, judge and watch it."""

from collections.abc import Sequence
from dataclasses import dataclass

from terraseg.core.coding import Coding
from terraseg.core.plan import Plan
from terraseg.store.cache import TrainingScene
from terraseg.store.rundir import RunFolder
from terraseg.train.batches import Batches
from terraseg.train.validation import TileBatch
from terraseg.train.watch import Board, Progress
from terraseg.train.world import ALONE, World


@dataclass(frozen=True, eq=False)
class Stage:
    """The plan and the run folder, the open scenes, the training batches and validation tiles, and who watches."""

    plan: Plan
    run: RunFolder
    coding: Coding
    scenes: Sequence[TrainingScene]
    batches: Batches
    tiles: Sequence[TileBatch]
    board: Board | None = None
    progress: Progress | None = None
    world: World = ALONE
