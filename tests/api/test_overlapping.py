"""A notebook's scores of a model whose classes overlap."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from terraseg.api.results import score_part
from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.modelspec import ModelSpec
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.store.imagery import write_raster
from tests.makers import make_grid

LEGEND = Legend((LandClass(0, "dark", "#000000"), LandClass(1, "flat", "#FFFFFF")))
GRID = make_grid(50, 70)


@dataclass(frozen=True)
class Known:
    """Says of a pixel that it is dark below 128 in its first band, and flat below 64 in its second."""

    spec: ModelSpec
    device: str = "none"

    def score(self, batch: NDArray[Any]) -> NDArray[Any]:
        by_name = {"dark": batch[:, 0] < 128, "flat": batch[:, 1] < 64}
        return np.stack([by_name[name] for name in self.spec.legend.names], axis=1).astype(np.float32) * 0.9 + 0.05


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (2, 50, 70)).astype(np.uint8)
    labels = random.choice([0, 1, 2, 3, 9], (1, 50, 70)).astype(np.uint8)
    write_raster(tmp_path / "a.tif", pixels, GRID, ["x", "y"])
    write_raster(tmp_path / "l.tif", labels, GRID, ["label"])
    windows = (Window(0, 0, 50, 30),), (Window(0, 30, 50, 40),)
    scene = Scene("a", Imagery((str(tmp_path / "a.tif"),), ("x", "y")), str(tmp_path / "l.tif"), "a", GRID, *windows)
    rule = LabelRule("ids", (("1", "3"), ("2", "3")), ("9",), overlapping=True)
    return Dataset((scene,), LEGEND, rule, ("x", "y"), "uint8")


def spec_of(legend: Legend) -> ModelSpec:
    return ModelSpec("fake", legend, ("x", "y"), "uint8", (0.0, 0.0), (1.0, 1.0), None, 16, 4, 4, overlapping=True)


@pytest.mark.parametrize("turned", [False, True])
def test_scores_are_those_of_a_direct_count_whatever_the_order_of_the_models_classes(
    dataset: Dataset, turned: bool, tmp_path: Path
) -> None:
    scorer = Known(spec_of(Legend(LEGEND.classes[::-1]) if turned else LEGEND))
    found = score_part(scorer, dataset, "validation", source=Path("model"))
    rows, cols = slice(0, 50), slice(30, 70)
    with rasterio.open(tmp_path / "a.tif") as image, rasterio.open(tmp_path / "l.tif") as drawn:
        pixels, labels = image.read()[:, rows, cols], drawn.read(1)[rows, cols]
    known = labels != 9
    for index, guess in enumerate((pixels[0] < 128, pixels[1] < 64)):
        true = labels >> index & 1 == 1
        wanted = (true & guess & known).sum() / ((true | guess) & known).sum()
        assert found.classes[index].iou == pytest.approx(wanted)
    assert found.pixels == known.sum()


def test_a_model_of_the_other_kind_is_refused(dataset: Dataset) -> None:
    scorer = Known(replace(spec_of(LEGEND), overlapping=False))
    with pytest.raises(
        BadOption, match="the classes of the model model exclude each other and those of the data overlap"
    ):
        score_part(scorer, dataset, "validation", source=Path("model"))
