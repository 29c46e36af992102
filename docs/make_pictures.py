"""Makes the pictures of the documentation.

    python docs/make_pictures.py demo DEMO_FOLDER
    python docs/make_pictures.py roofs --out roofs_model.jpg --scene SCENE.tif --map MAP.tif --at ROW COL SIDE
    python docs/make_pictures.py roofs --out roofs_osm.jpg --scene SCENE.tif --footprints BUILDINGS.geojson --at ROW COL SIDE

`demo` draws a finished demo run: the town, the map over it, and the truth. `roofs` draws the outlines of buildings over a part of
an image: as the pixels have them, regularised, and regularised with an IoU of 0.85 asked for; of a map, or of footprints burnt as
one. docs/report.jpg is a screenshot of a run's report page at 1440 px width.
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pyproj import Transformer

from terraseg.core.classes import VOID, LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.dataset import Dataset, Imagery
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.pixels.relabel import indices_from_ids
from terraseg.store.classmap import read_class_map
from terraseg.store.features import read_polygons
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster
from terraseg.store.rundir import RunFolder, read_json
from terraseg.vectorize.options import VectorizeOptions
from terraseg.vectorize.polygons import polygons_of

SIDE, ROOF_SIDE = 640, 480
CLEAR = 0.45
GAP = 8
LINE = (255, 225, 0)
LEGEND = Legend((LandClass(0, "background", "#808080"), LandClass(1, "building", "#D7301F")))


def main() -> None:
    """Writes one picture beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("demo").add_argument("folder", type=Path)
    roofs = kinds.add_parser("roofs")
    for name in ("out", "scene", "map", "footprints"):
        roofs.add_argument(f"--{name}", type=Path, required=name in ("out", "scene"))
    roofs.add_argument("--at", type=int, nargs=3, required=True)
    chosen = parser.parse_args()
    if chosen.kind == "demo":
        write_demo(chosen.folder)
    else:
        write_roofs(chosen)


def write_demo(demo: Path) -> None:
    """docs/demo.jpg: the image, the map over it, and the truth over it."""
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
    write_panels([Image.fromarray(panel) for panel in panels], Path("demo.jpg"))


def write_roofs(chosen: argparse.Namespace) -> None:
    """The outlines of buildings over a part of an image, before and after they are regularised."""
    row, col, side = chosen.at
    with open_raster(Imagery((str(chosen.scene),), ("red", "green", "blue"))) as raster:
        image = np.moveaxis(raster.read(Window(row, col, side, side)).pixels[:3], 0, -1)
        grid = raster.grid
    class_map = mapped(chosen.map) if chosen.map is not None else burnt(chosen.footprints, grid)
    panels = []
    for least in (None, 0.95, 0.85):
        how = {"simplify_m": 0.0} if least is None else {"regularize": True, "regularize_iou": least}
        table = polygons_of(class_map, options=VectorizeOptions(classes=("building",), **how))  # type: ignore[arg-type]
        panels.append(outlined(image, table.geometry, (grid, chosen.at)))
    write_panels(panels, chosen.out)


def mapped(path: Path) -> ClassArray:
    """A class map, whole."""
    with read_class_map(path) as opened:
        return ClassArray(opened.grid, opened.legend, np.array(opened.read(opened.grid.window)))


def burnt(path: Path, grid: Grid) -> ClassArray:
    """Footprints as a map of two classes on the grid of an image."""
    labels = read_polygons(path)
    place = Transformer.from_crs(labels.crs, grid.crs, always_xy=True)
    shapes = shapely.transform(labels.geometry, lambda p: np.column_stack(place.transform(p[:, 0], p[:, 1])))
    size, transform = (grid.height, grid.width), rasterio.Affine(*grid.transform)
    ids = rasterio.features.rasterize([(shape, 1) for shape in shapes], size, transform=transform, dtype="uint8")
    return ClassArray(grid, LEGEND, ids)


def outlined(
    image: NDArray[np.uint8], polygons: NDArray[np.object_], place: tuple[Grid, tuple[int, int, int]]
) -> Image.Image:
    """Part of an image with the rings of polygons drawn over it."""
    grid, (row, col, side) = place
    scale = ROOF_SIDE / side
    picture = Image.fromarray(image).resize((ROOF_SIDE, ROOF_SIDE), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for ring in shapely.get_rings(polygons):
        x, y = shapely.get_coordinates(ring).T
        rows, cols = grid.to_pixel(x, y)
        pen.line([((c - col) * scale, (r - row) * scale) for r, c in zip(rows, cols, strict=True)], fill=LINE, width=2)
    return picture


def write_panels(panels: list[Image.Image], out: Path) -> None:
    """Pictures of one size side by side, beside this script unless a folder is named."""
    width, height = panels[0].size
    sheet = Image.new("RGB", (len(panels) * (width + GAP) - GAP, height), "white")
    for place, panel in enumerate(panels):
        sheet.paste(panel, (place * (width + GAP), 0))
    sheet.save(Path(__file__).parent / out, quality=82)


if __name__ == "__main__":
    main()
