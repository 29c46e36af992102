"""From a run's scores to the values of a report."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset
from terraseg.errors import UnreadableFile
from terraseg.report.content import (
    Accuracy,
    ClassLine,
    ComparedScore,
    ModelComparison,
    ObjectLine,
    Reliability,
    ScoreSheet,
    WorstPlace,
)
from terraseg.report.figures import photograph
from terraseg.report.sources import scene_role
from terraseg.report.wording import count, percent, score
from terraseg.store.rundir import read_json

WORST_WIDTH = 780
"""Pixels across image, truth and map of a worst place."""


def read_accuracy(path: Path, dataset: Dataset | None) -> Accuracy | None:
    """The scores in a `scores.json`; None when there is none. `UnreadableFile` when it holds something else."""
    if not path.exists():
        return None
    value = read_json(path)
    roles = {} if dataset is None else {scene.name: scene_role(scene) for scene in dataset.scenes}
    try:
        scenes = tuple(_sheet(s["name"], s, roles.get(s["name"], "")) for s in value["scenes"])
        beside = value.get("baseline")
        baseline = None if beside is None else _sheet("", beside["total"])
        return Accuracy(
            str(value["part"]),
            _sheet("", value["total"]),
            scenes,
            baseline,
            _certainty(value),
            _objects(value["total"]),
            str(value.get("size_unit", "px")),
            _reliability(value["total"]),
            _worst(value, path.parent / "figures" / "worst"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableFile(f"{path} does not hold scores ({error!r}): run terraseg evaluate again") from error


def _sheet(name: str, value: Mapping[str, Any], role: str = "") -> ScoreSheet:
    legend = Legend.from_json(value["classes"])
    shapes = {shape["name"]: shape for shape in value.get("shapes", ())}
    lines = tuple(
        ClassLine(
            c,
            row["iou"],
            row["f1"],
            row["precision"],
            row["recall"],
            row["support"],
            row["predicted"],
            *_shape(shapes, c),
        )
        for c, row in zip(legend.classes, value["classes"], strict=True)
    )
    return ScoreSheet(
        name=name,
        accuracy=value["accuracy"],
        mean_iou=value["mean_iou"],
        kappa=value["kappa"],
        pixels=int(value["pixels"]),
        unpredicted=int(value["unpredicted"]),
        classes=lines,
        confusion=() if value.get("overlapping") else tuple(tuple(int(n) for n in row) for row in value["confusion"]),
        role=role,
    )


def _shape(shapes: Mapping[str, Any], land_class: LandClass) -> tuple[float | None, float | None]:
    """Boundary IoU and object F1 of a class."""
    shape = shapes.get(land_class.name, {})
    return shape.get("boundary_iou"), (shape.get("objects") or {}).get("f1")


def _certainty(value: Mapping[str, Any]) -> tuple[str, ...]:
    """What is known of how sure the scores are, and of whether the map's confidence can be taken at its word."""
    sure, sentences = value.get("intervals"), []
    if sure and sure["mean_iou"] and sure["accuracy"]:
        (low, high), (least, most) = sure["mean_iou"], sure["accuracy"]
        sentences.append(
            f"With 95 % confidence mean IoU lies between {score(low)} and {score(high)} and accuracy between {percent(least)} "
            f"and {percent(most)}, going by {count(sure['blocks'])} blocks of ground {sure['side_px']} px wide."
        )
    error = value["total"].get("reliability", {}).get("ece")
    if error is not None:
        sentences.append(f"The expected calibration error of the map’s confidence is {percent(error)}.")
    return tuple(sentences)


def _objects(total: Mapping[str, Any]) -> tuple[ObjectLine, ...]:
    """The objects of each class that has any, in truth or map."""
    lines = []
    for shape in total.get("shapes", ()):
        found, split = shape["objects"], shape.get("split")
        if not found or not (found["truth"] or found["mapped"]):
            continue
        pairs = zip(found["iou"], found["f1_by_iou"], strict=True)
        lines.append(
            ObjectLine(
                LandClass(shape["id"], shape["name"], shape["color"]),
                int(found["truth"]),
                int(found["mapped"]),
                found["precision"],
                found["recall"],
                found["f1"],
                tuple((float(iou), float(f1)) for iou, f1 in pairs if f1 is not None),
                tuple((float(s["from"]), int(s["truth"]), int(s["found"])) for s in found["sizes"]),
                None if not split else (int(split["mapped"]), split["precision"], split["recall"], split["f1"]),
            )
        )
    return tuple(lines)


def _reliability(total: Mapping[str, Any]) -> Reliability | None:
    found = total.get("reliability")
    if not found or found["ece"] is None:
        return None
    # Confidences are summed in steps of 1/254, as the confidence raster has them.
    rows = zip(found["confidence"], found["right"], found["pixels"], strict=True)
    points = tuple((total / (254 * pixels), right / pixels, int(pixels)) for total, right, pixels in rows if pixels)
    return Reliability(points, float(found["ece"]))


def _worst(value: Mapping[str, Any], folder: Path) -> tuple[WorstPlace, ...]:
    """The pictures of the worst places in a folder, small enough for a page; none where they were not drawn."""
    pictures = sorted(folder.glob("*.png"))
    tiles = value.get("worst", ())
    return tuple(_worst_place(path, tile) for path, tile in zip(pictures, tiles, strict=False))


def _worst_place(path: Path, tile: Mapping[str, Any]) -> WorstPlace:
    image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
    image.thumbnail((WORST_WIDTH, WORST_WIDTH))
    row, col = tile["window"]["row"], tile["window"]["col"]
    caption = f"{tile['scene']}, row {count(row)}, column {count(col)}: {percent(tile['accuracy'])} right"
    return WorstPlace(photograph(np.asarray(image), f"Image, truth and map of {caption}."), caption)


def read_comparison(path: Path) -> ModelComparison | None:
    """Two models side by side from a `comparison.json`; None when there is none."""
    if not path.exists():
        return None
    value = read_json(path)
    try:
        rows = tuple(_compared(row) for row in value["rows"])
        return ModelComparison(str(value["one"]), str(value["two"]), str(value["sentence"]), rows)
    except (KeyError, TypeError) as error:
        raise UnreadableFile(
            f"{path} holds no comparison ({error!r}): run terraseg evaluate --compare again"
        ) from error


def _compared(row: Mapping[str, Any]) -> ComparedScore:
    found = row["interval"]
    interval = None if found is None else (float(found[0]), float(found[1]))
    return ComparedScore(
        str(row["score"]),
        row["one"],
        row["two"],
        row["difference"],
        interval,
        row["p_value"],
        bool(row["more_than_noise"]),
    )
