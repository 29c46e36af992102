"""A map of suspicious labels: where a trained model is sure of another class than the label, the worst first."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from terraseg.core.classes import Legend
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.watch import Watch
from terraseg.core.window import cut
from terraseg.errors import BadOption, EmptyDataset, UnreadableFile
from terraseg.evaluate.cells import WorstTile
from terraseg.evaluate.ground import open_ground
from terraseg.pipeline.products import Job, open_model, predict_scene
from terraseg.pipeline.project import Project
from terraseg.pipeline.scoring import labelled_dataset
from terraseg.pipeline.worst import draw_worst
from terraseg.prepare.suspects import Suspect, looked_upon, outline, suspects_in
from terraseg.shapes.ground import ground_area_m2
from terraseg.store.rundir import RunFolder, write_csv
from terraseg.store.zones import write_zones

BLOCK = 2048
"""Side of the windows in which pieces are found; a larger piece is cut in several."""
MOST = 500
"""Pieces that are kept, of all scenes together."""
PICTURES = 12
FOLDER = "suspects"


def draw_suspects(project: Project, model: Path, watch: Watch) -> list[Path]:
    """The suspicious labels of a project by a model, or by the model of a run: the files written, under `suspects/` of its run.

    Every labelled scene is mapped. `suspects.csv` ranks the pieces of all scenes; a GeoPackage a scene holds their outlines
    in the scene's CRS (in pixels right and up where it has none); pictures show the first dozen. Raises `UnreadableFile` where
    there is no model, `BadOption` for classes that overlap, and what a prediction raises.
    """
    watch.step("suspects")
    dataset = labelled_dataset(project)
    if dataset.coding.overlapping:
        raise BadOption("the classes overlap, and suspects are looked for among classes of which a pixel has one")
    folder = _model_folder(model)
    scenes = [scene for scene in dataset.scenes if scene.labels is not None]
    if not scenes:
        raise EmptyDataset("no scene has labels, so none can be suspicious: name label files under [data]")
    out = project.run.root / FOLDER
    maps = _maps(project, folder, scenes, out / "maps", watch)
    ranked = _ranked(scenes, maps, dataset)
    by_name = {scene.name: scene for scene in scenes}
    rows = [_row(rank, each, by_name[each.scene], dataset.legend) for rank, each in enumerate(ranked, 1)]
    files = _write(ranked, rows, by_name, out)
    tiles = [WorstTile(s.scene, looked_upon(s, by_name[s.scene].grid), 0.0, s.pixels) for s in ranked[:PICTURES]]
    pairs = {name: (by_name[name], maps[name]) for name in maps}
    files += draw_worst(tuple(tiles), pairs, dataset, out / "pictures")
    watch.say(f"{len(ranked)} pieces of ground are labelled otherwise than the model is sure of")
    return files


def _model_folder(model: Path) -> Path:
    """The folder of a model: the one named, or that of the run named."""
    for folder in (model, RunFolder(model).model):
        if (folder / "model.json").is_file():
            return folder
    raise UnreadableFile(f"{model} is neither a model's folder nor a run with one: pass runs/first or runs/first/model")


def _maps(project: Project, model: Path, scenes: Sequence[Scene], folder: Path, watch: Watch) -> dict[str, Path]:
    """The maps of the scenes with their certainty, made where they are not up to date."""
    options = replace(project.predict, confidence=True, probabilities=False, uncertainty=False)
    job = Job(open_model([model], project.engine), options, project.inputs)
    watch.say(job.model.sentence)
    maps = {scene.name: folder / f"{scene.name}.tif" for scene in scenes}
    for scene in scenes:
        predict_scene(scene.name, scene.imagery, maps[scene.name], job=job, watch=watch)
    return maps


def _ranked(scenes: Sequence[Scene], maps: dict[str, Path], dataset: Dataset) -> list[Suspect]:
    """The pieces of all scenes, those that the model is surest of on the most pixels first."""
    found: list[Suspect] = []
    for scene in scenes:
        with open_ground(scene, maps[scene.name], dataset, [scene.grid.window]) as ground:
            if ground.confidence is None:
                raise UnreadableFile(
                    f"{maps[scene.name]} has no raster of its certainty beside it: delete it and run again"
                )
            for window in cut(scene.grid.window, BLOCK, BLOCK):
                truth, mapped = ground.truth(window), ground.mapped(window)
                found += suspects_in(scene.name, window, truth, mapped, ground.confidence(window))
        found = sorted(found, key=lambda s: (-s.score, s.scene, s.window))[:MOST]
    return found


def _row(rank: int, suspect: Suspect, scene: Scene, legend: Legend) -> dict[str, Any]:
    """One line of the ranking; its area is in square metres, None without a CRS."""
    area = None
    if scene.grid.crs is not None:
        shape = np.array([outline(suspect, scene.grid)], dtype=object)
        area = round(float(ground_area_m2(shape, scene.grid.crs)[0]), 2)
    return {
        "rank": rank,
        "scene": suspect.scene,
        "label": legend.names[suspect.label],
        "model_says": legend.names[suspect.mapped],
        "certainty": round(suspect.certainty, 3),
        "pixels": suspect.pixels,
        "area_m2": area,
        "row": suspect.window.row,
        "col": suspect.window.col,
        "height": suspect.window.height,
        "width": suspect.window.width,
    }


def _write(
    ranked: Sequence[Suspect], rows: Sequence[dict[str, Any]], scenes: dict[str, Scene], out: Path
) -> list[Path]:
    """The ranking, and the outlines of each scene that has any; outlines of an earlier run go."""
    for stale in out.glob("*.gpkg"):
        stale.unlink()
    table = out / "suspects.csv"
    write_csv(table, rows)
    files = [table]
    for name, scene in scenes.items():
        own = [(s, row) for s, row in zip(ranked, rows, strict=True) if s.scene == name]
        if own:
            geometry = np.array([outline(s, scene.grid) for s, _ in own], dtype=object)
            path = out / f"{name}.gpkg"
            write_zones(geometry, [row for _, row in own], path, crs=scene.grid.crs)
            files.append(path)
    return files
