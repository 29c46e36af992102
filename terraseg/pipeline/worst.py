"""Pictures of the places where a map is worst: image, truth and map side by side."""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.window import Window
from terraseg.evaluate.cells import WorstTile
from terraseg.evaluate.ground import open_ground
from terraseg.pixels.colors import label_colors
from terraseg.report.figures import NO_PIXEL, natural_colors
from terraseg.store.raster import open_raster
from terraseg.store.rundir import replacing

LEAST, MOST = 256, 768
"""Sides in pixels between which a tile is drawn."""
GAP = 6


def worst_name(number: int, tile: WorstTile) -> str:
    """The file name of a tile's picture; `number` counts from 1, the worst."""
    return f"{number:02}_{tile.scene}_row{tile.window.row}_col{tile.window.col}.png"


def draw_worst(
    tiles: tuple[WorstTile, ...], maps: Mapping[str, tuple[Scene, Path]], dataset: Dataset, folder: Path
) -> list[Path]:
    """The pictures of tiles in a folder, which holds nothing else after; `maps` gives each scene and its map by name.

    Each is the image on the left, the truth in the middle and the map on the right, in the classes' colours; grey is void.
    """
    shutil.rmtree(folder, ignore_errors=True)
    files = []
    for number, tile in enumerate(tiles, 1):
        scene, path = maps[tile.scene]
        path_out = folder / worst_name(number, tile)
        picture = Image.fromarray(_panels(scene, path, dataset, tile.window))
        with replacing(path_out) as temporary:
            picture.save(temporary, "PNG", optimize=True)
        files.append(path_out)
    return files


def _panels(scene: Scene, path: Path, dataset: Dataset, window: Window) -> NDArray[np.uint8]:
    colors = label_colors(dataset.legend, dataset.coding, void=(NO_PIXEL,) * 3)
    with ExitStack() as stack:
        ground = stack.enter_context(open_ground(scene, path, dataset, [window]))
        raster = stack.enter_context(open_raster(scene.imagery))
        patch = raster.read(window)
        image = natural_colors(patch.pixels, patch.valid, raster.bands)
        panels = [image, colors[ground.truth(window)], colors[ground.mapped(window)]]
    height, width = _drawn_size(window)
    gap = np.full((height, GAP, 3), 255, dtype=np.uint8)
    drawn = [np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.NEAREST)) for p in panels]
    return np.hstack([drawn[0], gap, drawn[1], gap, drawn[2]])


def _drawn_size(window: Window) -> tuple[int, int]:
    """Height and width of a panel: whole multiples of a small tile, a large one shrunk."""
    longer = max(window.height, window.width)
    if longer <= MOST:
        times = max(1, -(-LEAST // longer))
        return window.height * times, window.width * times
    return max(1, round(window.height * MOST / longer)), max(1, round(window.width * MOST / longer))
