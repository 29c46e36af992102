"""A town to try everything on: made imagery with exact labels, and the project file that maps it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from terraseg.core.polygons import PolygonTable
from terraseg.prepare.check import check_sources
from terraseg.prepare.projectfile import project_text
from terraseg.shapes.ground import ground_area_m2, ground_length_m
from terraseg.store.imagery import write_raster
from terraseg.store.rundir import write_text
from terraseg.store.vector import write_polygons
from terraseg.town import Town, make_town, town_features

TRAINED, TESTED = (2, 4, 6), 1


def write_demo(folder: Path, *, size: int = 1024, time_budget: str = "150s") -> Path:
    """Three towns to train on, one to map, and `terraseg.toml`, in a folder; gives the project file.

    Towns that are there already are kept, so that a second run finds nothing stale.
    """
    for seed in (*TRAINED, TESTED):
        name = town_name(seed)
        image, labels = folder / "imagery" / f"{name}.tif", folder / "labels" / f"{name}.gpkg"
        if not (image.exists() and labels.exists()):
            write_town(make_town(seed, size), image, labels)
    project = folder / "terraseg.toml"
    if not project.exists():
        found = check_sources([folder / "imagery", folder / "labels"], [], folder)
        found = replace(found, data=replace(found.data, test=(town_name(TESTED),)))
        text = project_text(found).replace('# time_budget = "8m" ', f'time_budget = "{time_budget}"')
        write_text(project, text)
    return project


def town_name(seed: int) -> str:
    """The name of a demo town's files."""
    return f"town_{seed}"


def write_town(town: Town, image: Path, labels: Path) -> None:
    """A town's imagery as GeoTIFF and its exact labels as GeoPackage with `class_name`."""
    write_raster(image, town.pixels, town.grid, town.band_names)
    features = town_features(town)
    geometry = np.array([shape for shape, _ in features], dtype=object)
    crs = town.grid.crs or ""
    table = PolygonTable(
        geometry=geometry,
        class_id=class_ids([name for _, name in features], town),
        area=ground_area_m2(geometry, crs),
        perimeter=ground_length_m(geometry, crs),
        confidence=np.full(len(features), np.nan),
        legend=town.legend,
        crs=crs,
    )
    write_polygons(table, labels)


def class_ids(names: Sequence[str], town: Town) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Map ids of class names in a town's legend."""
    return np.array([town.legend.classes[town.legend.index_of(name)].id for name in names], dtype=np.uint8)
