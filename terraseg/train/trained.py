"""What comes out of a training: the network with its best weights, and what a bundle says of it."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.modelspec import ModelSpec
from terraseg.core.plan import Plan
from terraseg.nets.build import architecture_options, build_network, network_stride, parameter_count
from terraseg.store.rundir import RunFolder
from terraseg.train.checkpoints import Tensors, TrainingState, best_path, read_last, read_weights
from terraseg.train.module import SegmentationModule, deviations, means
from terraseg.train.processes import told


@dataclass(frozen=True, eq=False)
class Task:
    """All that a process needs to take part in a training."""

    dataset: Dataset
    fingerprint: Fingerprint
    plan: Plan
    run: RunFolder
    cache_gb: float = 4.0


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network on the CPU, in evaluation mode, with its best weights; and what a bundle says of it."""

    network: nn.Module
    spec: ModelSpec

    @property
    def provenance(self) -> dict[str, Any]:
        """How it was trained: versions, steps, scores of the best validation, seed, data."""
        return self.spec.provenance


def trained_model(task: Task, module: SegmentationModule, state: TrainingState) -> TrainedModel:
    """The finished network of a training, the same in every process."""
    dataset, fingerprint, plan, world = task.dataset, task.fingerprint, task.plan, module.recipe.world
    module.learning(frozen=False)
    best = _best_weights(task, state) if world.leads else None
    network = module.network
    if any(isinstance(part, nn.SyncBatchNorm) for part in network.modules()):
        options = architecture_options(plan.network_options)
        best = best or {name: tensor.cpu() for name, tensor in network.state_dict().items()}
        network = build_network(plan.network, bands=len(dataset.bands), classes=len(dataset.legend), options=options)
    best = told(world, best)
    if best is not None:
        network.load_state_dict(best)
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
        imagery=fingerprint.imagery,
        overlapping=dataset.coding.overlapping,
        indices=dataset.indices,
        stored=dataset.stored,
    )
    return TrainedModel(network.eval(), spec)


def _best_weights(task: Task, state: TrainingState) -> Tensors | None:
    """The weights of the best validation; without any, the average where the plan asks for one; None for the last.

    An average that nothing judges is taken all the same: it was asked for, it is no worse than its parts where these
    stay close together, and after "swa" the last weights are not those of a finished descent.
    """
    folder = task.run.checkpoints
    if state.best_step is not None:
        return read_weights(best_path(folder, state.best_step))
    last = read_last(folder, state.key) if task.plan.average != "none" else None
    if last is None or last.average is None or last.average.is_empty:
        return None
    return last.network | last.average.tensors


def _provenance(network: nn.Module, plan: Plan, state: TrainingState, fingerprint: Fingerprint) -> dict[str, Any]:
    # No times here: a training that was interrupted ends with the bytes of one that was not.
    packages = ("terraseg", "torch", "lightning", "timm")
    unjudged = "last" if plan.average == "none" else "average"
    return {
        "steps": state.step,
        "stopped_early": state.stopped_early,
        "best_step": state.best_step,
        "weights": unjudged if state.best_step is None else state.best_weights,
        "validation": state.best_score,
        "parameters": parameter_count(network),
        "seed": plan.seed,
        "crop": plan.crop,
        "batch": plan.batch,
        "accumulate": max(plan.accumulate, state.accumulate),
        "learning_rate": plan.learning_rate,
        "schedule": plan.schedule,
        "precision": plan.precision,
        "device": plan.device,
        "augment": list(plan.augment),
        "loss": plan.loss,
        "train_pixels": fingerprint.train_pixels,
        "validation_pixels": fingerprint.validation_pixels,
        "class_shares": dict(zip(fingerprint.class_names, fingerprint.class_shares, strict=True)),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }
