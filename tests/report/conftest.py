"""A finished run in miniature, with class names that try to break out of the page."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.plan import Plan
from terraseg.evaluate.evaluate import evaluate_scenes
from terraseg.evaluate.options import EvaluateOptions
from terraseg.report.scenes import MappedScene
from terraseg.store.classmap import write_class_map
from terraseg.store.imagery import write_raster
from terraseg.store.rundir import RunFolder, write_csv, write_json

HOSTILE = '<script>alert("roof")</script>'
LEGEND = Legend(
    (LandClass(2, "land", "#AA8844"), LandClass(5, "water & ice", "#0000FF"), LandClass(9, HOSTILE, "#12AB34"))
)
GRID = Grid("EPSG:32637", (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_000_000.0), 120, 160)
IDS = np.array(LEGEND.ids, dtype=np.uint8)


@dataclass(frozen=True)
class Finished:
    """A run folder with all its files, its data set and its mapped scenes."""

    run: RunFolder
    dataset: Dataset
    scenes: list[MappedScene]
    maps: dict[str, NDArray[np.uint8]]


def make_finished(root: Path, names: tuple[str, ...] = ("north", "south")) -> Finished:
    run = RunFolder(root / "runs" / "first")
    scenes, mapped, maps = [], [], {}
    for seed, name in enumerate(names):
        generator = np.random.default_rng(seed)
        imagery = Imagery((str(root / f"{name}.tif"),), ("red", "green", "blue"))
        write_raster(
            root / f"{name}.tif", generator.integers(1, 255, (3, 120, 160)).astype("uint8"), GRID, imagery.bands
        )
        truth, ids = (IDS[generator.integers(0, 3, (12, 16))].repeat(10, 0).repeat(10, 1) for _ in range(2))
        truth[:10], ids[-10:] = 0, 255
        write_raster(root / f"{name}_labels.tif", truth[None], GRID, ["label"])
        write_class_map(run.maps / f"{name}.tif", ids, GRID, LEGEND)
        labels = str(root / f"{name}_labels.tif")
        scenes.append(
            Scene(name, imagery, labels, name, GRID, is_test=seed == 0, train=() if seed == 0 else (GRID.window,))
        )
        mapped.append(MappedScene(name, imagery, run.maps / f"{name}.tif", labels))
        maps[name] = ids
        write_json(run.maps / f"{name}.json", statistics(ids))
    dataset = Dataset(tuple(scenes), LEGEND, LabelRule("ids", (("2",), ("5",), ("9",)), ("0",)), imagery.bands, "uint8")
    pairs = [(scene, m.map_path) for scene, m in zip(scenes, mapped, strict=True)]
    write_json(run.scores, evaluate_scenes(pairs, dataset, options=EvaluateOptions(part="all")).to_json())
    write_csv(run.progress, progress())
    write_json(run.plan, make_plan().to_json())
    return Finished(run, dataset, mapped, maps)


def statistics(ids: NDArray[np.uint8]) -> dict[str, object]:
    rows = [
        {
            "class_id": c.id,
            "class_name": c.name,
            "area_m2": 0.25 * float((ids == c.id).sum()),
            "share": float((ids == c.id).sum() / (ids != 255).sum()),
            "objects": 4 + c.id if c.id == 9 else None,
            "mean_area_m2": 17.5 if c.id == 9 else None,
            "p10_area_m2": None,
        }
        for c in LEGEND.classes
    ]
    return {"unit": "m", "classes": rows}


def progress() -> list[dict[str, object]]:
    return [
        {
            "step": 50 * n,
            "seconds": 21.5 * n,
            "lr": 1e-3 / n,
            "train_loss": 1.5 / n,
            "val_loss": "nan" if n == 3 else 1.8 / n,
            "accuracy": 0.4 + 0.1 * n,
            "mean_iou": 0.2 + 0.1 * n,
        }
        for n in range(1, 5)
    ]


def make_plan() -> Plan:
    plan = Plan(
        "unet-resnet",
        {"encoder": "resnet18"},
        128,
        16,
        None,
        480.0,
        1e-3,
        0.05,
        "bf16",
        "cpu",
        2,
        ("d4",),
        0,
        5,
        512,
        64,
        7,
    )
    return replace(plan, reasons={"crop": "three times the median <building>", "encoder": "the lightest that pays"})


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return make_finished(tmp_path_factory.mktemp("report"))
