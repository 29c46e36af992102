"""Small labelled scenes on disk and a plan, as training gets them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.fingerprint import BandFacts, Fingerprint, SceneFacts
from terraseg.core.plan import Plan
from terraseg.core.window import Window
from terraseg.store.imagery import write_raster
from terraseg.store.rundir import RunFolder
from tests.makers import make_grid

LEGEND = Legend((LandClass(0, "field", "#998877"), LandClass(4, "roof", "#FF0000"), LandClass(7, "lake", "#0000FF")))
RULE = LabelRule("ids", (("0",), ("1",), ("2",)), ignore=("9",))
BANDS = ("red", "green", "blue")


@dataclass(frozen=True)
class Made:
    """What a forest is trained on, and where."""

    dataset: Dataset
    facts: Fingerprint
    run: RunFolder


def make_blocks(
    seed: int, height: int = 160, width: int = 200, *, classes: int = 2
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Blocks of 10 px that differ by brightness from class to class, with noise; pixels (3, h, w) and labels (h, w)."""
    random = np.random.default_rng(seed)
    labels = np.kron(random.integers(0, classes, (height // 10, width // 10)), np.ones((10, 10))).astype("uint8")
    pixels = np.clip(random.normal(70, 12, (3, height, width)) + 60 * labels, 0, 255).astype("uint8")
    return pixels, labels


def make_scene(
    folder: Path, name: str, pixels: NDArray[Any], labels: NDArray[Any], train: Sequence[Window] | None = None
) -> Scene:
    """A scene written to disk; label 9 is void. It is all for training unless windows are given."""
    grid = make_grid(*labels.shape)
    image, truth = folder / f"{name}.tif", folder / f"{name}_labels.tif"
    write_raster(image, pixels, grid, BANDS)
    write_raster(truth, labels.astype("uint8")[None], grid, ["label"])
    windows = (grid.window,) if train is None else tuple(train)
    return Scene(name, Imagery((str(image),), BANDS), str(truth), name, grid, windows)


def make_data(folder: Path, *scenes: Scene, dtype: str = "uint8") -> Made:
    """The data set of scenes with facts near the truth."""
    bands = tuple(BandFacts(name, 100.0, 40.0, 40.0, 100.0, 200.0) for name in BANDS)
    sizes = tuple(SceneFacts(s.name, s.grid.height, s.grid.width, 0.5, 1.0, 1.0, (1, 1, 0)) for s in scenes)
    facts = Fingerprint(dtype, bands, sizes, LEGEND.names, (60, 40, 0), 100, 0, 0.5)
    return Made(Dataset(scenes, LEGEND, RULE, BANDS, dtype), facts, RunFolder(folder / "run"))


def make_plan(*, reduction: int = 1, seed: int = 0, threads: int = 1, augment: tuple[str, ...] = ("d4",)) -> Plan:
    return Plan(
        "unet", {}, 64, 4, 10, None, 1e-3, 0.01, "fp32", "cpu", threads, augment, 0, 0, 128, 32, seed,
        reduction=reduction,
    )  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Two scenes of two of the three classes."""
    scenes = [make_scene(tmp_path, f"scene{seed}", *make_blocks(seed)) for seed in (1, 2)]
    return make_data(tmp_path, *scenes)
