"""Makes docs/demo.jpg from a finished demo run: the town, the map over it, and the truth.

    python docs/make_pictures.py demo

docs/report.jpg is a screenshot of the run's report page at 1440 px width.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset
from terraseg.pixels.relabel import indices_from_ids
from terraseg.store.classmap import read_class_map
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster
from terraseg.store.rundir import RunFolder, read_json

SIDE = 640
CLEAR = 0.45


def main(demo: Path) -> None:
    """Writes the picture beside this script."""
    run = RunFolder(demo / "runs/first")
    dataset = Dataset.from_json(read_json(run.dataset))
    scene = next(scene for scene in dataset.scenes if scene.is_test)
    with open_raster(scene.imagery) as raster, open_labels(scene, dataset) as labels:
        image = np.moveaxis(raster.read(scene.grid.window).pixels[:3], 0, -1)
        truth = labels.read(scene.grid.window)
    with read_class_map(run.maps / f"{scene.name}.tif") as class_map:
        mapped = indices_from_ids(class_map.read(class_map.grid.window), class_map.legend)
    colors = np.zeros((VOID + 1, 3))
    colors[: len(dataset.legend)] = [c.rgb for c in dataset.legend.classes]
    over = [CLEAR * image + (1 - CLEAR) * colors[indices] for indices in (mapped, truth)]
    panels = [np.clip(panel, 0, 255).astype(np.uint8)[:SIDE, :SIDE] for panel in (image, *over)]
    gap = np.full((SIDE, 8, 3), 255, np.uint8)
    picture = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    Image.fromarray(picture).save(Path(__file__).with_name("demo.jpg"), quality=82)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
