"""What test-time augmentation brings and costs on a project's own labelled scenes."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.watch import Watch
from terraseg.engines.options import Augmentation, EngineOptions
from terraseg.errors import EmptyDataset, UnknownName, nearest
from terraseg.evaluate.evaluate import Evaluation, evaluate_scenes
from terraseg.pipeline.products import Job, open_model, predict_scene
from terraseg.pipeline.project import Project


@dataclass(frozen=True)
class Gain:
    """The scores of the same scenes in one view a tile and in many, and the seconds that predicting them took."""

    tta: Augmentation
    plain: Evaluation
    averaged: Evaluation
    plain_s: float
    averaged_s: float

    @property
    def sentence(self) -> str:
        """Gain and cost in one sentence."""
        times = self.averaged_s / max(self.plain_s, 1e-9)
        before, after = self.plain.total, self.averaged.total
        if before.mean_iou is None or after.mean_iou is None:
            return f"{self.tta} takes {times:.1f} times as long"
        points = 100 * (after.mean_iou - before.mean_iou)
        return (
            f"{self.tta} takes {times:.1f} times as long ({self.averaged_s:.1f} s instead of {self.plain_s:.1f} s) and "
            f"{'gains' if points >= 0 else 'loses'} {abs(points):.1f} points of mean IoU"
        )


def measure_gain(
    project: Project, dataset: Dataset, scenes: Sequence[Scene], *, options: EngineOptions, watch: Watch
) -> Gain:
    """The gain of the options' augmentation on those of the scenes that have labels.

    They are predicted twice, without and with it, into a folder that is removed again. Raises `EmptyDataset` where no scene
    has labels, `UnknownName` where the options want no augmentation.
    """
    if options.tta == "none":
        raise UnknownName(f"--tta none has nothing to compare: {nearest('none', ('flips', 'd4', 'd4+scales'))}")
    labelled = [scene for scene in scenes if scene.labels is not None]
    if not labelled:
        raise EmptyDataset("none of the mapped scenes has labels: name labelled test scenes under [data]")
    watch.step("tta")
    results = [
        _scored(project, dataset, labelled, options=replace(options, tta=tta), watch=watch)
        for tta in ("none", options.tta)
    ]
    (plain, plain_s), (averaged, averaged_s) = results
    return Gain(options.tta, plain, averaged, plain_s, averaged_s)


def _scored(
    project: Project, dataset: Dataset, scenes: Sequence[Scene], *, options: EngineOptions, watch: Watch
) -> tuple[Evaluation, float]:
    """Scores of the scenes, predicted by the options, and the seconds of the prediction."""
    wanted = replace(project.predict, confidence=False, uncertainty=False, probabilities=False)
    job = Job(open_model([project.run.model], options), wanted, project.inputs)
    watch.say(job.model.sentence)
    seconds = 0.0
    with tempfile.TemporaryDirectory(dir=project.run.root, prefix=".tta_") as folder:
        pairs = [(scene, Path(folder) / f"{scene.name}.tif") for scene in scenes]
        for scene, out in pairs:
            seconds += predict_scene(scene.name, scene.imagery, out, job=job, watch=watch).seconds
        plain = replace(project.evaluate, shapes=False, resamples=0, worst=0)
        return evaluate_scenes(pairs, dataset, options=plain), seconds
