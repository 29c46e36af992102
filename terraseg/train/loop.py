"""Training: from a data set and a plan to a network with its description."""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from timm.layers.norm_act import convert_sync_batchnorm
from torch.utils.data import DataLoader

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.errors import BadOption
from terraseg.nets.build import architecture_options
from terraseg.store.cache import TrainingScene, training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train.batches import Batches
from terraseg.train.checkpoints import Checkpoint, TrainingState, read_last
from terraseg.train.clock import Clock
from terraseg.train.conduct import Conductor
from terraseg.train.interrupt import deferred_interrupt
from terraseg.train.module import SegmentationModule, build_module, means
from terraseg.train.pace import fastest_threads
from terraseg.train.processes import device_of, in_turns, joined, told
from terraseg.train.quiet import kept_generators, quiet_lightning, threads
from terraseg.train.runkey import run_key
from terraseg.train.sampling import make_sampler
from terraseg.train.stage import Stage
from terraseg.train.trained import Task, TrainedModel, trained_model
from terraseg.train.validation import arrange
from terraseg.train.watch import Board, Progress
from terraseg.train.world import ALONE, World

__all__ = ["TrainedModel", "make_batches", "train_model", "train_together", "trained_so_far"]


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

    A plan on "cuda" uses all visible GPUs of the machine. Under torchrun, on as many machines as it starts processes, all
    of them call this, the leading one's arguments count, and all get the same result; each computes its share of every
    batch. Batch norms speak to each other on GPUs; on processors each normalises by its own share.

    Raises `EmptyDataset` when there is nothing to train on, `StaleRun` when the run folder holds a training by another
    plan or on other data, `TrainingFailed` when the loss is not finite, the budget too small, the disk full or another
    process lost.
    """
    clock = Clock()
    if (plan.steps is None) == (plan.time_budget_s is None):
        raise BadOption("a plan needs either steps or a time budget: set one of the two under [train]")
    with joined(plan) as world:
        task = told(world, Task(dataset, fingerprint, plan, run, cache_gb))
        return train_together(task, world, clock, progress=progress)


def trained_so_far(dataset: Dataset, fingerprint: Fingerprint, plan: Plan, run: RunFolder) -> TrainedModel | None:
    """What a training that was stopped or failed has learnt: its best weights, without a validation its last.

    None where no checkpoint was written yet. Raises as `train_model` does for a run folder of another training.
    """
    with kept_generators():
        task = Task(dataset, fingerprint, plan, run, cache_gb=0.0)
        module, state, _ = _taken_up(task, plan, ALONE)
        return trained_model(task, module, state) if state.step else None


def train_together(task: Task, world: World, clock: Clock, *, progress: Progress | None = None) -> TrainedModel:
    """What `train_model` gives, in each of its processes."""
    plan = replace(task.plan, device=device_of(task.plan, world), threads=max(1, task.plan.threads // world.local_size))
    with ExitStack() as stack:
        for calm in (quiet_lightning(), threads(plan.threads), kept_generators()):
            stack.enter_context(calm)
        module, state, earlier = _taken_up(task, plan, world)
        clock.resume(state.elapsed, state.setup, state.closing)
        if not state.finished:
            scenes = in_turns(world, lambda: stack.enter_context(_scenes(task)))
            stage = _stage(task, scenes, module, progress)
            if plan.time_budget_s is not None and plan.device == "cpu":
                # By the clock, speed counts; by steps, bytes do, and those depend on the number of threads.
                torch.set_num_threads(fastest_threads(module, stage.batches, plan.threads))
            _fit(module, Conductor(stage, state, clock, earlier))
        return trained_model(task, module, state)


def make_batches(
    scenes: tuple[TrainingScene, ...], dataset: Dataset, module: SegmentationModule, start: int = 0
) -> Batches:
    """The training batches of a module's plan, as far as its process needs them, from a step on.

    Raises `EmptyDataset` when there is nothing to cut.
    """
    recipe = module.recipe
    plan, how = recipe.plan, recipe.augmentation
    sampler = make_sampler(scenes, seed=plan.seed, size=how.read_size(plan.crop), centred_share=plan.centred_share)

    def indices(step: int) -> list[int]:
        return how.sources(step, recipe.indices)

    return Batches(scenes, sampler, dtype=dataset.dtype, indices=indices, start=start)


def _scenes(task: Task) -> AbstractContextManager[tuple[TrainingScene, ...]]:
    fill, working = means(task.fingerprint), task.plan.working
    return training_scenes(task.dataset, task.run.cache, cache_gb=task.cache_gb, fill=fill, working=working)


def _taken_up(task: Task, plan: Plan, world: World) -> tuple[SegmentationModule, TrainingState, Checkpoint | None]:
    """Network and state as an earlier sitting left them, with its checkpoint; or fresh ones.

    Only the leading process reads weights from files: others may be on machines that lack them.
    """
    key, earlier = "", None
    if world.leads:
        key = run_key(task.dataset, task.fingerprint, task.plan)
        earlier = read_last(task.run.checkpoints, key)
    else:
        plan = replace(plan, network_options=architecture_options(plan.network_options))
    module = build_module(task.dataset, task.fingerprint, plan, world=world)
    key, earlier = told(world, (key, earlier))
    if earlier is not None:
        module.network.load_state_dict(earlier.network)
    elif world.size > 1:
        module.network.load_state_dict(told(world, module.network.state_dict()))
    if world.size > 1 and plan.device.startswith("cuda"):
        module.network = convert_sync_batchnorm(module.network)  # type: ignore[no-untyped-call]  # timm's
    state = TrainingState(key) if earlier is None else earlier.state
    module.step, module.accumulate = state.step, max(plan.accumulate, state.accumulate)
    return module, state, earlier


def _stage(
    task: Task, scenes: tuple[TrainingScene, ...], module: SegmentationModule, progress: Progress | None
) -> Stage:
    plan, world, board = module.recipe.plan, module.recipe.world, None
    if world.leads:
        logger = TensorBoardLogger(task.run.tensorboard, name="", version="", purge_step=module.step + 1)
        board = Board(logger, task.dataset.legend, task.fingerprint)
    else:
        progress = None
    batches = make_batches(scenes, task.dataset, module, module.step)
    tiles = arrange(scenes, plan)
    return Stage(plan, task.run, task.dataset.coding, scenes, batches, tiles, board, progress, world)


def _fit(module: SegmentationModule, conductor: Conductor) -> None:
    """Lightning's trainer over the batches until the conductor ends it.

    Several processes each have a trainer on one device; what they share is no affair of Lightning's.
    """
    stage = conductor.stage
    accelerator, _, number = stage.plan.device.partition(":")
    trainer = Trainer(
        accelerator={"cuda": "gpu"}.get(accelerator, accelerator),
        devices=[int(number)] if number else 1,
        precision="32-true",
        max_epochs=1,
        logger=stage.board.logger if stage.board is not None else False,
        callbacks=[conductor],
        plugins=[LightningEnvironment()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=stage.run.root,
    )
    # A Ctrl-C reaches every process; the leading one tells the others what comes of it.
    with deferred_interrupt(conductor.interrupt) if stage.world.leads else nullcontext():
        try:
            trainer.fit(module, DataLoader(stage.batches, batch_size=None))
        except SystemExit as error:  # what Lightning makes of a KeyboardInterrupt
            raise KeyboardInterrupt from error
    if conductor.interrupted:
        raise KeyboardInterrupt
