"""A network to be trained on prepared data, one short call a step, with the meanings of fast.ai and arcgis.learn."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from terraseg.api import files
from terraseg.api.data import Data
from terraseg.api.kept import Kept, folder_of, keep, open_kept
from terraseg.api.notebook import show, watcher
from terraseg.api.picture import Picture
from terraseg.api.results import results_picture, score_part
from terraseg.api.settings import completed, rate_settings, start_settings, with_settings, without_clock
from terraseg.api.table import Table, class_table
from terraseg.core.dataset import Role
from terraseg.core.lrcurve import LrCurve
from terraseg.core.modelspec import ModelSpec
from terraseg.core.watch import SILENT, Watch
from terraseg.engines.choose import open_scorer
from terraseg.errors import BadOption, EmptyDataset, TrainingFailed
from terraseg.evaluate.scores import Scores
from terraseg.pipeline import steps as pipeline
from terraseg.pipeline.project import Project
from terraseg.report.content import ProgressRow
from terraseg.report.curves import losses_figure, lr_figure, scores_figure
from terraseg.report.sources import read_progress
from terraseg.store.bundle import copy_bundle

if TYPE_CHECKING:
    from terraseg.core.plan import Plan
    from terraseg.train.loop import TrainedModel


class UNet:
    """A segmentation network to be trained on prepared data; every setting that is not given is planned.

    `network` is one of `networks()`, `backbone` the timm encoder of those that take one, see `available_backbones()`.
    `pretrained_path` holds encoder weights in timm's key names (.safetensors), or is the folder of an earlier model, whose
    network and backbone are taken where none are named. `settings` are keys of the tables [train], [sample] and [optimize]:
    `UNet(data, loss={"ce": 1, "dice": 1}, crop=128)`.

    Training goes on where it was: a second `fit` begins with the weights of the first. The trained model lies in the run
    folder of the data. `watch` hears of the progress; by default a notebook shows it and a script does not.

    Raises `BadOption` for an unknown setting, `UnknownName` for an unknown network.
    """

    def __init__(
        self,
        data: Data | None,
        *,
        network: str | None = None,
        backbone: str | None = None,
        pretrained_path: str | Path | None = None,
        watch: Watch | None = None,
        **settings: Any,
    ) -> None:
        self.data, self._watch = data, watch
        named = {"network": network, "encoder": backbone, "pretrained_path": pretrained_path}
        chosen = settings | {name: str(value) for name, value in named.items() if value is not None}
        self._settings, self._frozen = completed(chosen), False
        self._kept: Kept | None = None
        self._curve: LrCurve | None = None
        self._suggestion: float | None = None
        self._history: tuple[ProgressRow, ...] = ()
        self._scores: dict[Role, Scores] = {}
        if data is not None:
            with_settings(data.project, self._settings)

    @staticmethod
    def load(folder: str | Path, data: Data | None = None, *, watch: Watch | None = None, **settings: Any) -> "UNet":
        """The model of a folder that `save`, `fit` or `terraseg train` wrote, as a new `UNet`.

        Without `data` it can predict and be saved; with `data` it can also be scored, shown and trained further. Raises
        `BrokenBundle` when the folder is no whole model.
        """
        unet = UNet(data, watch=watch, **settings)
        unet._kept = open_kept(Path(folder))
        return unet

    def plan(self, **settings: Any) -> "Plan":
        """How the next `fit` will train, with its reasons; `settings` replace those of this network for once."""
        with self._data.project.run.locked():
            return self._made(self._next(settings))

    def lr_find(self, **settings: Any) -> float:
        """The learning rate that a range test suggests: a hundred steps at rising rates, whose weights are thrown away.

        The next `fit` takes it where it is given no rate. A notebook shows the curve; `plot_lr` gives it anywhere. It is the
        middle of the loss's longest fall, fast.ai's "valley" (Smith, 2017). `settings` hold for this call only.
        """
        data, watch = self._data, watcher(self._watch)
        with data.project.run.locked():
            plan = self._made(without_clock(self._next(settings)))
            # The test of weights that have changed since has the same name.
            data.project.run.lr_find.unlink(missing_ok=True)
            self._curve = pipeline.find_rate(data.project, data.dataset, data.fingerprint, plan, watch)
        self._suggestion = self._curve.suggestion_valley
        show(self.plot_lr())
        return self._suggestion

    def fit(
        self,
        epochs: int | None = None,
        lr: SupportsFloat | slice | None = None,
        *,
        steps: int | None = None,
        time_budget: str | None = None,
        **settings: Any,
    ) -> "UNet":
        """Trains for a number of epochs, of optimizer steps, or a time such as "8m", and gives itself back.

        An epoch is as many patches as cover the training pixels once; with no length the project's own counts. `lr` is the
        peak of the schedule, by default what `lr_find` suggested, else what is planned; slice(low, high) gives the encoder
        a lower one. `settings` hold for this call only. The best weights of the validations are kept.

        When it is stopped by the notebook's stop button, or fails, what was trained so far is kept and the error goes on.
        """
        lengths = {"epochs": epochs, "steps": steps, "time_budget": time_budget}
        given = settings | {name: value for name, value in lengths.items() if value is not None} | rate_settings(lr)
        if self._next(given).train.learning_rate == "find":
            self.lr_find(**{name: value for name, value in given.items() if name != "learning_rate"})
            given.pop("learning_rate", None)
        with self._data.project.run.locked():
            asked = self._next(given)
            plan = self._made(asked)
            pipeline.forget_training(self._data.project)
            self._suggestion = None
            self._train(plan, cache_gb=asked.sample.cache_gb)
        show(self.plot_losses())
        return self

    def fit_one_cycle(self, epochs: int, lr_max: SupportsFloat | slice | None = None, **settings: Any) -> "UNet":
        """`fit` by the one-cycle policy: the rate rises to `lr_max` and falls to almost nothing (Smith and Topin, 2018).

        It is the default schedule of `fit` too, whatever the project file may say there.
        """
        return self.fit(epochs, lr_max, **{"schedule": "one-cycle", **settings})

    def freeze(self) -> "UNet":
        """From now on only the decoder learns, until `unfreeze`: a first round on top of a pretrained backbone.

        Raises `BadOption` for a network without a backbone.
        """
        with self._data.project.run.locked():
            plan = self._made(without_clock(self._next({})))
        if "encoder" not in plan.network_options:
            raise BadOption(
                f"network {plan.network} has no backbone to freeze: train it whole, or choose another network"
            )
        self._frozen = True
        return self

    def unfreeze(self) -> "UNet":
        """From now on the whole network learns, the backbone at the rate that is set or planned."""
        self._frozen, self._settings = False, self._settings | {"freeze": 0.0}
        return self

    def evaluate(self, part: Role = "validation") -> Scores:
        """The scores over all labelled pixels of a part of the data ("train", "validation" or "test")."""
        if part not in self._scores:
            folder = folder_of(self._trained)
            self._scores[part] = score_part(open_scorer(folder), self._data.dataset, part, source=folder)
        return self._scores[part]

    def accuracy(self, part: Role = "validation") -> float | None:
        """The share of a part's labelled pixels that get their true class; None where there is none."""
        return self.evaluate(part).accuracy

    def mean_iou(self, part: Role = "validation") -> float | None:
        """The mean of intersection over union over the classes, from one confusion matrix of a part of the data."""
        return self.evaluate(part).mean_iou

    def per_class_metrics(self, part: Role = "validation") -> Table:
        """Precision, recall, F1, IoU and true pixels of each class, from one confusion matrix of a part of the data."""
        return class_table(self.evaluate(part), part)

    def show_results(self, rows: int = 4, part: Role = "validation") -> Picture:
        """Image, truth and prediction side by side, for places spread over a part of the data."""
        folder = folder_of(self._trained)
        return results_picture(open_scorer(folder), self._data, (rows, part), source=folder)

    def plot_lr(self) -> Picture:
        """The curve of the last `lr_find` with its suggestions."""
        if self._curve is None:
            raise TrainingFailed("no learning rate was searched for yet: call lr_find first")
        return Picture(lr_figure(self._curve))

    def plot_losses(self) -> Picture:
        """Training and validation loss over the steps of the last `fit`."""
        return Picture(losses_figure(self._rows))

    def plot_metrics(self) -> Picture:
        """Mean IoU and accuracy on validation data over the steps of the last `fit`."""
        return Picture(scores_figure(self._rows))

    def save(self, folder: str | Path) -> Path:
        """Writes the model's folder: model.onnx, weights.safetensors and model.json. Gives the folder."""
        source = folder_of(self._trained)
        if source.resolve() != Path(folder).resolve():
            copy_bundle(source, Path(folder))
        return Path(folder)

    def predict(self, raster: str | Path, out: str | Path, *, engine: str = "auto", **settings: Any) -> list[Path]:
        """The class map of a raster, and the files written; `settings` are those of the [predict] table."""
        usual = {} if self.data is None else asdict(self.data.project.predict)
        model, chosen = folder_of(self._trained), usual | settings
        return files.predict(raster, out, model=model, engine=engine, watch=self._watch, **chosen)

    @property
    def spec(self) -> ModelSpec:
        """What the trained model is, eats and was trained with; `TrainingFailed` before `fit`."""
        return self._trained.spec

    def __repr__(self) -> str:
        if self._kept is None:
            return "UNet, not trained yet: fit(epochs) trains it"
        spec = self._kept.spec
        scores, backbone = spec.provenance.get("validation") or {}, spec.network_options.get("encoder")
        named = f"{spec.network} on {backbone}" if backbone else spec.network
        parts = [f"UNet ({named}), last trained for {spec.provenance.get('steps', '?')} steps"]
        if scores:
            parts.append(f"mean IoU {scores['mean_iou']:.3f}, accuracy {scores['accuracy']:.3f} on validation then")
        return "; ".join([*parts, str(self._kept.folder)])

    @property
    def _data(self) -> Data:
        if self.data is None:
            raise EmptyDataset("this model was loaded without data: pass them, UNet.load(folder, data)")
        return self.data

    @property
    def _trained(self) -> Kept:
        if self._kept is None:
            raise TrainingFailed("the network is not trained yet: call fit first")
        return self._kept

    @property
    def _rows(self) -> tuple[ProgressRow, ...]:
        if not self._history:
            raise TrainingFailed("there are no curves to draw: call fit first")
        return self._history

    def _next(self, settings: Mapping[str, Any]) -> Project:
        """The project of the next training: from the weights that there are, at the rate that was found."""
        project = with_settings(self._data.project, self._settings)
        if self._kept is not None:
            # A network that began with random weights knows no more below than above: no part of it holds back.
            from_scratch = self._kept.trained is not None and not project.train.pretrained_path
            if from_scratch and project.optimize.encoder_rate is None:
                project = with_settings(project, {"encoder_rate": 1.0})
            project = with_settings(project, start_settings(folder_of(self._kept)))
        if self._suggestion is not None:
            project = with_settings(project, {"learning_rate": self._suggestion})
        project = with_settings(project, settings)
        return with_settings(project, {"encoder_rate": 0.0}) if self._frozen else project

    def _made(self, project: Project) -> "Plan":
        # Its many lines would pass through a notebook's one; the plan itself keeps them.
        return pipeline.plan(project, self._data.fingerprint, self._watch or SILENT)

    def _train(self, plan: "Plan", *, cache_gb: float) -> None:
        from terraseg.train.loop import train_model, trained_so_far
        from terraseg.train.temperature import with_temperature

        data, run, watch = self._data, self._data.project.run, watcher(self._watch)
        watch.step("train")
        asked = (data.dataset, data.fingerprint, plan, run)
        try:
            trained = train_model(
                *asked, progress=lambda event: watch.progress(event.fraction, 1.0, event.text), cache_gb=cache_gb
            )
        except (KeyboardInterrupt, TrainingFailed):
            self._take(trained_so_far(*asked))
            raise
        self._take(with_temperature(trained, *asked[:2], plan, run, cache_gb=cache_gb))

    def _take(self, trained: "TrainedModel | None") -> None:
        if trained is None:
            return
        run = self._data.project.run
        self._kept = keep(trained, run.model)
        self._history = read_progress(run.progress)
        self._scores.clear()
