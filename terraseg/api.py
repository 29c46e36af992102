"""The notebook face: a few functions and one class, with the meanings that users of fast.ai and arcgis.learn expect."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.watch import SILENT, Watch
from terraseg.errors import EmptyDataset, TrainingFailed
from terraseg.measure.options import MeasureOptions
from terraseg.pipeline import steps as pipeline_steps
from terraseg.pipeline.map import map_project
from terraseg.pipeline.products import polygons_file, predict_files, statistics_files
from terraseg.pipeline.project import Project, project_from, read_project
from terraseg.prepare.check import check_sources
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster
from terraseg.vectorize.options import VectorizeOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from terraseg.core.plan import Plan
    from terraseg.train.finder import LrCurve
    from terraseg.train.loop import TrainedModel

__all__ = ["Data", "UNet", "map_project", "measure", "predict", "prepare_data", "vectorize"]


@dataclass(frozen=True)
class Data:
    """A prepared data set: the project, its scenes with their split, and their facts."""

    project: Project
    dataset: Dataset
    fingerprint: Fingerprint

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by index."""
        return self.dataset.legend.names


def prepare_data(
    project: str | Path | None = None,
    *,
    images: str | Path | Sequence[str | Path] | None = None,
    labels: str | Path | Sequence[str | Path] | None = None,
    run: str | Path = "runs/notebook",
    watch: Watch = SILENT,
) -> Data:
    """The data of a project file, or of folders of imagery and labels, checked, split and measured.

    Raises what `terraseg check` would say, as errors.
    """
    if project is not None:
        opened = read_project(Path(project))
    elif images is not None:
        found = check_sources(_paths(images), _paths(labels), Path())
        if found.problems:
            raise EmptyDataset(found.problems[0])
        opened = replace(project_from({"data": {"images": ["*"]}}, Path()), data=found.data)
        opened = replace(opened, map=replace(opened.map, run=str(run)))
    else:
        raise EmptyDataset("there is nothing to prepare: pass a project file, or images= and labels=")
    with opened.run.locked():
        dataset, facts = pipeline_steps.prepare(opened, watch)
    return Data(opened, dataset, facts)


def _paths(value: str | Path | Sequence[str | Path] | None) -> list[Path]:
    if value is None:
        return []
    return [Path(value)] if isinstance(value, str | Path) else [Path(v) for v in value]


class UNet:
    """A U-Net on any backbone, to be trained on prepared data: one line, every setting planned.

    `network` is one of terraseg's networks, `backbone` a timm encoder for those that take one. `pretrained_path` holds
    encoder weights in timm's key names, or an earlier model's folder.
    """

    def __init__(
        self,
        data: Data,
        *,
        network: str = "dynamic-unet",
        backbone: str = "resnet34",
        pretrained_path: str | Path | None = None,
        watch: Watch = SILENT,
    ) -> None:
        self.data = data
        self.watch = watch
        options = replace(
            data.project.train,
            network=network,
            encoder=backbone if network in ("unet-light", "unet-resnet", "dynamic-unet") else "",
            pretrained_path="" if pretrained_path is None else str(Path(pretrained_path).resolve()),
        )
        self._project = replace(data.project, train=options)
        self._trained: TrainedModel | None = None

    def plan(self, **settings: Any) -> "Plan":
        """The training plan with its reasons; `settings` are those of the [train] table."""
        project = replace(self._project, train=replace(self._project.train, **settings))
        return pipeline_steps.plan(project, self.data.fingerprint, self.watch)

    def lr_find(self) -> "LrCurve":
        """A learning-rate range test; its suggestion is what `fit` takes when no rate is given (Smith, 2017)."""
        from terraseg.train.finder import find_learning_rate

        curve = find_learning_rate(self.data.dataset, self.data.fingerprint, self.plan(), self.data.project.run)
        self._project = replace(
            self._project, train=replace(self._project.train, learning_rate=curve.suggestion_valley)
        )
        return curve

    def fit(
        self, epochs: int | None = None, lr: float | None = None, *, steps: int | None = None, time_budget: str = ""
    ) -> "UNet":
        """Trains by the one-cycle policy for a number of epochs, steps, or a time such as "8m"; gives itself back.

        An epoch is as many patches as cover the training pixels once. With none of them the project's own length counts.
        """
        from terraseg.train.loop import train_model

        settings: dict[str, Any] = {} if lr is None else {"learning_rate": lr}
        if epochs is not None:
            first = self.plan(steps=1, time_budget="")
            patch = first.crop * first.crop * first.batch
            steps = max(1, math.ceil(self.data.fingerprint.train_pixels / patch)) * epochs
        if steps is not None or time_budget:
            settings |= {"steps": steps, "time_budget": time_budget}
        plan = self.plan(**settings)
        run = self.data.project.run
        with run.locked():
            pipeline_steps.forget_training(self.data.project)
            self._trained = train_model(
                self.data.dataset,
                self.data.fingerprint,
                plan,
                run,
                progress=lambda event: self.watch.progress(event.fraction, 1.0, event.text),
            )
        return self

    @property
    def trained(self) -> "TrainedModel":
        """The trained network with its description; `TrainingFailed` before `fit`."""
        if self._trained is None:
            raise TrainingFailed("the network is not trained yet: call fit first")
        return self._trained

    def save(self, folder: str | Path) -> Path:
        """Writes the model's bundle: model.onnx, weights.safetensors and model.json."""
        pipeline_steps.write_model(self.trained, Path(folder))
        return Path(folder)

    def show_results(self, rows: int = 4) -> "Figure":
        """Image, truth and prediction of validation patches side by side, as a matplotlib figure."""
        from matplotlib.figure import Figure

        places = list(self.data.dataset.labelled("validation")) or list(self.data.dataset.labelled("train"))
        chosen = places[:: max(1, len(places) // rows)][:rows]
        figure = Figure(figsize=(9, 3 * len(chosen)), layout="constrained")
        axes = figure.subplots(len(chosen), 3, squeeze=False)
        colors = np.array([c.rgb for c in self.data.dataset.legend.classes] + [(0, 0, 0)], dtype=np.uint8)
        for line, (scene, window) in zip(axes, chosen, strict=True):
            part = replace(window, height=min(512, window.height), width=min(512, window.width))
            with open_raster(scene.imagery) as raster, open_labels(scene, self.data.dataset) as labels:
                pixels, truth = raster.read(part).pixels, labels.read(part)
            predicted = _probabilities(self.trained, pixels).argmax(axis=0)
            shown = (_stretched(pixels), colors[np.where(truth == VOID, len(colors) - 1, truth)], colors[predicted])
            for axis, picture, title in zip(line, shown, ("image", "truth", "prediction"), strict=True):
                axis.imshow(picture)
                axis.set_title(f"{scene.name}: {title}", fontsize=9)
                axis.set_axis_off()
        return figure


def _probabilities(trained: "TrainedModel", pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Class probabilities (classes, height, width) of raw pixels (bands, height, width)."""
    import torch

    from terraseg.nets.scoring import Scoring

    with torch.inference_mode():
        scores: np.ndarray[Any, Any] = (
            Scoring(trained.network, trained.spec).eval()(torch.from_numpy(pixels[None]))[0].numpy()
        )
    return scores


def _stretched(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Three bands from 0 to 1, between the 2nd and 98th percentile."""
    rgb = np.moveaxis(pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0), 0, -1).astype(np.float32)
    low, high = np.nanpercentile(rgb, (2, 98))
    return np.asarray(np.clip((rgb - low) / max(float(high - low), 1e-6), 0, 1))


def predict(
    raster: str | Path, out: str | Path, *, model: str | Path, engine: str = "auto", **settings: Any
) -> list[Path]:
    """The class map of a raster, and the files written; `settings` are those of the [predict] table."""
    return predict_files([str(raster)], Path(model), Path(out), settings, engine=engine)


def vectorize(class_map: str | Path, out: str | Path, **settings: Any) -> Path:
    """The polygons of a class map, as GeoPackage, GeoJSON or GeoParquet; `settings` are those of [vectorize]."""
    polygons_file(Path(class_map), Path(out), VectorizeOptions(**settings))
    return Path(out)


def measure(product: str | Path, **settings: Any) -> list[dict[str, Any]]:
    """Statistics of a class map or of its polygons, one row a class; also written beside it as CSV and JSON.

    A map brings its polygons when they lie beside it; polygons bring their map.
    """
    path = Path(product)
    outputs = [path.with_suffix(".csv"), path.with_suffix(".json")]
    return statistics_files(path, outputs, MeasureOptions(**settings))
