"""Training: from a data set and a plan to a network with its description."""

import platform
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.modelspec import ModelSpec
from terraseg.core.plan import Plan
from terraseg.errors import BadOption
from terraseg.nets.build import architecture_options, network_stride, parameter_count
from terraseg.store.cache import TrainingScene, entry_name, training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train.batches import Batches
from terraseg.train.checkpoints import TrainingState, best_path, read_last, read_weights, run_key
from terraseg.train.conduct import Conductor, Stage
from terraseg.train.interrupt import deferred_interrupt
from terraseg.train.module import SegmentationModule, autocasting, build_module, deviations, means
from terraseg.train.pace import fastest_threads
from terraseg.train.quiet import kept_generators, quiet_lightning, threads
from terraseg.train.sampling import make_sampler
from terraseg.train.schedule import Clock
from terraseg.train.validation import arrange
from terraseg.train.watch import Board, Progress


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network on the CPU, in evaluation mode, with its best weights; and what a bundle says of it."""

    network: nn.Module
    spec: ModelSpec

    @property
    def provenance(self) -> dict[str, Any]:
        """How it was trained: versions, steps, scores of the best validation, seed, data."""
        return self.spec.provenance


def train_model(
    dataset: Dataset,
    fingerprint: Fingerprint,
    plan: Plan,
    run: RunFolder,
    *,
    progress: Progress | None = None,
    cache_gb: float = 4.0,
) -> TrainedModel:
    """The network trained by the plan; the same call goes on with a training that was stopped or killed.

    With `plan.steps` the weights are, on one processor type, the same bytes whether or not it was stopped in between. The
    time of a `plan.time_budget_s` counts from here, over all sittings. `progress` hears a `TrainEvent` after each step;
    Ctrl-C, or a `KeyboardInterrupt` raised in it, leaves a checkpoint behind.

    Raises `EmptyDataset` when there is nothing to train on, `StaleRun` when the run folder holds a training by another
    plan or on other data, `TrainingFailed` when the loss is not finite, the budget too small or the disk full.
    """
    clock = Clock()
    if (plan.steps is None) == (plan.time_budget_s is None):
        raise BadOption("a plan needs either steps or a time budget: set one of the two under [train]")
    with ExitStack() as stack:
        for calm in (quiet_lightning(), threads(plan.threads), kept_generators()):
            stack.enter_context(calm)
        state, optimizer, module = _taken_up(dataset, fingerprint, plan, run)
        clock.resume(state.elapsed, state.setup, state.closing)
        if not state.finished:
            fill = means(fingerprint)
            scenes = stack.enter_context(
                training_scenes(dataset, run.cache, cache_gb=cache_gb, fill=fill, reduction=plan.reduction_at)
            )
            logger = TensorBoardLogger(run.tensorboard, name="", version="", purge_step=state.step + 1)
            board = Board(logger, dataset.legend, fingerprint)
            tiles = arrange(scenes, plan)
            stage = Stage(plan, run, len(dataset.legend), scenes, tiles, autocasting(plan), board, progress)
            batches = make_batches(scenes, dataset, module, state.step)
            if plan.time_budget_s is not None and plan.device == "cpu":
                # By the clock, speed counts; by steps, bytes do, and those depend on the number of threads.
                torch.set_num_threads(fastest_threads(module, batches, plan.threads, autocasting(plan)))
            _fit(module, batches, Conductor(stage, state, clock, optimizer))
        return _trained(module, state, fingerprint, dataset, run)


def trained_so_far(dataset: Dataset, fingerprint: Fingerprint, plan: Plan, run: RunFolder) -> TrainedModel | None:
    """What a training that was stopped or failed has learnt: its best weights, without a validation its last.

    None where no checkpoint was written yet. Raises as `train_model` does for a run folder of another training.
    """
    with kept_generators():
        state, _, module = _taken_up(dataset, fingerprint, plan, run)
        return _trained(module, state, fingerprint, dataset, run) if state.step else None


def make_batches(
    scenes: tuple[TrainingScene, ...], dataset: Dataset, module: SegmentationModule, start: int = 0
) -> Batches:
    """The training batches of a module's plan from a step on. Raises `EmptyDataset` when there is nothing to cut."""
    plan = module.recipe.plan
    size = module.recipe.augmentation.read_size(plan.crop)
    sampler = make_sampler(scenes, seed=plan.seed, size=size)
    return Batches(scenes, sampler, dtype=dataset.dtype, count=plan.batch, start=start)


def _taken_up(
    dataset: Dataset, fingerprint: Fingerprint, plan: Plan, run: RunFolder
) -> tuple[TrainingState, dict[str, Any] | None, SegmentationModule]:
    """State, optimizer and network as an earlier sitting left them, or fresh ones."""
    sources = [entry_name(s, dataset, means(fingerprint), whole=True) for s in dataset.scenes if s.labels is not None]
    key = run_key(dataset, fingerprint, plan, sources)
    earlier = read_last(run.checkpoints, key)
    module = build_module(dataset, fingerprint, plan)
    if earlier is None:
        return TrainingState(key), None, module
    state, weights, optimizer = earlier
    module.network.load_state_dict(weights)
    module.step = state.step
    return state, optimizer, module


def _fit(module: SegmentationModule, batches: Batches, conductor: Conductor) -> None:
    """Lightning's trainer over the batches until the conductor ends it."""
    plan, board = conductor.stage.plan, conductor.stage.board
    accelerator, _, number = plan.device.partition(":")
    trainer = Trainer(
        accelerator={"cuda": "gpu"}.get(accelerator, accelerator),
        devices=[int(number)] if number else 1,
        precision="bf16-mixed" if plan.precision == "bf16" else "32-true",
        max_epochs=1,
        logger=board.logger if board is not None else False,
        callbacks=[conductor],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=conductor.stage.run.root,
    )
    with deferred_interrupt(conductor.interrupt):
        try:
            trainer.fit(module, DataLoader(batches, batch_size=None))
        except SystemExit as error:  # what Lightning makes of a KeyboardInterrupt
            raise KeyboardInterrupt from error
    if conductor.interrupted:
        raise KeyboardInterrupt


def _trained(
    module: SegmentationModule, state: TrainingState, fingerprint: Fingerprint, dataset: Dataset, run: RunFolder
) -> TrainedModel:
    network, plan = module.network, module.recipe.plan
    if state.best_step is not None:
        network.load_state_dict(read_weights(best_path(run.checkpoints, state.best_step)))
    network = network.cpu().to(memory_format=torch.contiguous_format)
    trained_on = [scene.name for scene in dataset.scenes if scene.train]
    spec = ModelSpec(
        network=plan.network,
        legend=dataset.legend,
        bands=dataset.bands,
        dtype=dataset.dtype,
        mean=means(fingerprint),
        std=deviations(fingerprint),
        gsd_m=fingerprint.gsd_m,
        tile=plan.tile,
        overlap=plan.overlap,
        stride=network_stride(plan.network, plan.network_options) * plan.reduction,
        network_options=architecture_options(plan.network_options),
        provenance=_provenance(network, plan, state, fingerprint) | {"scenes": trained_on},
        reduction=plan.reduction,
    )
    return TrainedModel(network.eval(), spec)


def _provenance(network: nn.Module, plan: Plan, state: TrainingState, fingerprint: Fingerprint) -> dict[str, Any]:
    # No times here: a training that was interrupted ends with the bytes of one that was not.
    packages = ("terraseg", "torch", "lightning", "timm")
    return {
        "steps": state.step,
        "stopped_early": state.stopped_early,
        "best_step": state.best_step,
        "validation": state.best_score,
        "parameters": parameter_count(network),
        "seed": plan.seed,
        "crop": plan.crop,
        "batch": plan.batch,
        "learning_rate": plan.learning_rate,
        "precision": plan.precision,
        "device": plan.device,
        "augment": list(plan.augment),
        "loss": plan.loss,
        "train_pixels": fingerprint.train_pixels,
        "validation_pixels": fingerprint.validation_pixels,
        "class_shares": dict(zip(fingerprint.class_names, fingerprint.class_shares, strict=True)),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }
