"""Small labelled scenes on disk, their fingerprint, and plans that train in a second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from tests.makers import make_grid

LEGEND = Legend((LandClass(0, "field", "#998877"), LandClass(1, "roof", "#FF0000")))
RULE = LabelRule("ids", (("0",), ("1",)), ignore=("9",))
BANDS = ("red", "green", "blue")


@dataclass
class SceneMaker:
    """Writes scenes under a folder; label 9 is void."""

    folder: Path

    def scene(
        self,
        name: str,
        pixels: NDArray[Any],
        labels: NDArray[Any],
        *,
        train: Sequence[Window] = (),
        validation: Sequence[Window] = (),
        nodata: float | None = None,
    ) -> Scene:
        grid = make_grid(*labels.shape)
        image, truth = self.folder / f"{name}.tif", self.folder / f"{name}_labels.tif"
        bands = BANDS[: len(pixels)]
        write_raster(image, pixels, grid, bands, nodata=nodata)
        write_raster(truth, labels.astype("uint8")[None], grid, ["label"])
        imagery = Imagery((str(image),), bands)
        return Scene(name, imagery, str(truth), name, grid, tuple(train), tuple(validation))

    def easy(self, name: str = "easy", *, seed: int = 0, side: int = 96) -> Scene:
        """Bright roofs on dark fields: left two thirds for training, the rest for validation."""
        random = np.random.default_rng(seed)
        labels = np.kron(random.integers(0, 2, (side // 8, side // 8)), np.ones((8, 8)))
        pixels = np.clip(random.normal(80, 15, (3, side, side)) + 80 * labels, 0, 255).astype("uint8")
        split = side * 2 // 3
        train, validation = Window(0, 0, side, split), Window(0, split, side, side - split)
        return self.scene(name, pixels, labels, train=[train], validation=[validation])


def dataset_of(*scenes: Scene, dtype: str = "uint8") -> Dataset:
    return Dataset(scenes, LEGEND, RULE, scenes[0].imagery.bands, dtype)


def facts_of(dataset: Dataset, *, mean: float = 120.0, std: float = 40.0) -> Fingerprint:
    bands = tuple(BandFacts(name, mean, std, 40.0, mean, 200.0) for name in dataset.bands)
    scenes = tuple(SceneFacts(s.name, s.grid.height, s.grid.width, 0.5, 1.0, 1.0, (1, 1)) for s in dataset.scenes)
    return Fingerprint(dataset.dtype, bands, scenes, LEGEND.names, (1, 1), 100, 50, 0.5)


PLAN = Plan(
    network="unet",
    network_options={"depth": 2, "width": 8, "batch_norm": True},
    crop=32,
    batch=4,
    steps=24,
    time_budget_s=None,
    learning_rate=5e-3,
    weight_decay=0.01,
    precision="fp32",
    device="cpu",
    threads=1,
    augment=("d4", "photometric"),
    validate_every=0,
    patience=0,
    tile=64,
    overlap=8,
    seed=3,
)


@pytest.fixture
def make(tmp_path: Path) -> SceneMaker:
    folder = tmp_path / "data"
    folder.mkdir()
    return SceneMaker(folder)


@pytest.fixture
def plan() -> Plan:
    return PLAN


@pytest.fixture
def dataset_from() -> Callable[..., Dataset]:
    return dataset_of


@pytest.fixture
def facts_from() -> Callable[..., Fingerprint]:
    return facts_of


@pytest.fixture
def easy(make: SceneMaker) -> tuple[Dataset, Fingerprint]:
    """A task that a tiny network learns in a few dozen steps."""
    dataset = dataset_of(make.easy())
    return dataset, facts_of(dataset)


def without_validation(scene: Scene) -> Scene:
    return replace(scene, validation=())
