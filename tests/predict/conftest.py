"""Small rasters in memory and scorers with known answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.core.window import Window

LEGEND = Legend((LandClass(2, "land", "#998877"), LandClass(5, "water", "#2244FF"), LandClass(9, "roof", "#FF0000")))


def _spec(tile: int = 32, overlap: int = 8, dtype: str = "uint8") -> ModelSpec:
    return ModelSpec("fake", LEGEND, ("a", "b"), dtype, (80.4, 20.0), (10.0, 10.0), None, tile, overlap, 4)


@dataclass(frozen=True)
class FakePatch:
    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass
class FakeSource:
    """A raster in memory that notes what is read of it."""

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    bands: tuple[str, ...] = ("a", "b")
    windows: list[Window] = field(default_factory=list)
    fail_at: int | None = None

    @property
    def grid(self) -> Grid:
        return Grid("EPSG:32637", (0.5, 0, 5e5, 0, -0.5, 4e6), *self.valid.shape)

    @property
    def dtype(self) -> str:
        return str(self.pixels.dtype)

    def read(self, window: Window) -> FakePatch:
        assert self.grid.window.contains(window)
        self.windows.append(window)
        if self.fail_at is not None and len(self.windows) > self.fail_at:
            raise OSError("the disk went away")
        return FakePatch(self.pixels[:, *window.slices], self.valid[window.slices])


def _source(height: int, width: int, seed: int = 0) -> FakeSource:
    """Random bytes in two bands, all valid."""
    rng = np.random.default_rng(seed)
    return FakeSource(
        rng.integers(0, 256, (2, height, width), dtype=np.uint8), np.ones((height, width), dtype=np.bool_)
    )


@dataclass
class FakeScorer:
    """Probabilities from a pixel's own value; with `bias`, also from its place in the tile, as a network's are."""

    spec: ModelSpec
    bias: float = 0.0
    fail_at: int | None = None
    batches: list[tuple[int, ...]] = field(default_factory=list)
    seen: list[NDArray[Any]] = field(default_factory=list)
    device: str = "fake"

    def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        self.batches.append(batch.shape)
        self.seen.append(batch.copy())
        if self.fail_at is not None and len(self.batches) > self.fail_at:
            raise RuntimeError("the engine broke")
        place = np.hypot(*np.meshgrid(np.arange(batch.shape[3]), np.arange(batch.shape[2])))
        first = batch[:, 0].astype(np.float32) / 255
        second = batch[:, 1].astype(np.float32) / 255 + self.bias * np.sin(place).astype(np.float32)
        logits = np.stack([first, second, np.full_like(first, 0.6)], axis=1) * 4
        exponent = np.exp(logits)
        return np.asarray(exponent / exponent.sum(axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def make_spec() -> Callable[..., ModelSpec]:
    return _spec


@pytest.fixture
def make_source() -> Callable[..., FakeSource]:
    return _source


@pytest.fixture
def make_scorer() -> Callable[..., FakeScorer]:
    return FakeScorer
