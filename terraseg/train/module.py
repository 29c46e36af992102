"""The network in training: raw batch in, a step of the optimizer, its loss out."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.errors import BadOption, BandMismatch
from terraseg.nets.build import build_network, network_stride
from terraseg.nets.loss_options import LossOptions
from terraseg.nets.losses import Loss, build_loss
from terraseg.nets.multilabel_losses import build_multilabel_loss
from terraseg.nets.parts import freeze_encoder
from terraseg.store.bundle import read_spec
from terraseg.train.augment import Augmentation, finite_float
from terraseg.train.average import BATCH_NORMS
from terraseg.train.counted import LAYERS, WEIGHTS, integer_seed
from terraseg.train.gradients import backing_off, label_table, put_gradients
from terraseg.train.mixing import Pasting, rare_classes
from terraseg.train.optimizer import build_optimizer
from terraseg.train.quiet import seeded
from terraseg.train.world import ALONE, World, check_share

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Recipe:
    """What a step needs besides the network: the changes to a batch, the loss, and the samples this process holds.

    `table` (256,) says how much a pixel of each label counts in a mean of the loss: its class's weight, 0 for void.
    `coding` tells what labels mean.
    """

    plan: Plan
    augmentation: Augmentation
    loss: Loss
    table: Tensor
    coding: Coding
    world: World = ALONE

    @property
    def indices(self) -> Sequence[int]:
        """The samples of a batch that this process computes."""
        return self.world.share(self.plan.batch)


class SegmentationModule(LightningModule):
    """A network under training by a recipe.

    `step` is the number of optimizer steps taken, over all sittings. `accumulate` is the number of parts in which a whole
    batch is computed; it rises when the memory of a GPU does not do. `frozen` tells whether the encoder stands still.
    """

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network.to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.step = 0
        self.accumulate = recipe.plan.accumulate
        self.frozen = False
        self.autocast = autocasting(recipe.plan)

    def prepared(self, raw: Tensor, labels: Tensor, step: int | None = None) -> tuple[Tensor, Tensor]:
        """Augmented images in float32, channels last, and their labels, for a step, by default the current one."""
        recipe, step = self.recipe, self.step if step is None else step
        with torch.no_grad(), torch.autocast(raw.device.type, enabled=False):
            images, truth = recipe.augmentation(raw, labels, step=step, indices=recipe.indices, crop=recipe.plan.crop)
        return images.contiguous(memory_format=torch.channels_last), truth

    def normalised(self, raw: Tensor) -> Tensor:
        """Images in float32, channels last, as prediction will see them."""
        how = self.recipe.augmentation
        mean, std = (
            torch.as_tensor(v, dtype=torch.float32, device=raw.device).view(1, -1, 1, 1) for v in (how.mean, how.std)
        )
        images = (finite_float(raw, how.mean) - mean) / std
        return images.contiguous(memory_format=torch.channels_last)

    def loss_of(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of prepared images, in the plan's precision."""
        with self.autocast():
            return self.recipe.loss(self.network(images), labels)

    def put_gradients(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss of a batch of raw pixels and labels at the current step, with its gradients in the parameters."""
        plan, world = self.recipe.plan, self.recipe.world

        def compute(accumulate: int) -> Tensor:
            # Dropout, too, is a function of the step, so that no generator's state needs to be kept.
            torch.manual_seed(integer_seed(plan.seed, LAYERS, self.step) + world.rank)
            parts = world.parts(plan.batch, accumulate)
            prepared = self.prepared(*batch)
            table = self.recipe.table
            return put_gradients(self.network, self.loss_of, prepared, table=table, parts=parts, world=world)

        loss, self.accumulate = backing_off(compute, self.accumulate, most=self.most_parts)
        return loss

    @property
    def most_parts(self) -> int:
        """The number of parts beyond which a batch cannot be divided further."""
        world = self.recipe.world
        # Batch norms that speak to each other need the same number of passes in all processes.
        spoken = any(isinstance(module, nn.SyncBatchNorm) for module in self.network.modules())
        return self.accumulate if spoken else max(self.accumulate, self.recipe.plan.batch // world.size * world.size)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """A step of the optimizer on a batch of raw pixels and labels; its loss."""
        loss = self.put_gradients(batch)
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        self.step_with(optimizer)
        return loss

    def step_with(self, optimizer: torch.optim.Optimizer) -> None:
        """Bounds the gradient's norm where the plan says so, and takes the optimizer's step."""
        if self.recipe.plan.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.plan.gradient_clip)
        optimizer.step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """See `build_optimizer`."""
        return build_optimizer(self.network, self.recipe.plan)

    def learning(self, *, frozen: bool) -> None:
        """The network in training mode, with the encoder and its batch norms standing still where `frozen`."""
        if self.network.training and frozen == self.frozen:
            return
        self.network.train()
        if frozen or self.frozen:
            freeze_encoder(self.network, frozen)
        self.frozen = frozen


def build_module(
    dataset: Dataset,
    fingerprint: Fingerprint,
    plan: Plan,
    *,
    network: Callable[[], nn.Module] | None = None,
    world: World = ALONE,
) -> SegmentationModule:
    """The plan's network with fresh weights by the plan's seed, ready to train; or the one that `network` gives.

    Raises `BandMismatch` when fingerprint and data set have other bands, `BadOption` for a legend of one class, for class
    weights of another number and for a batch too small for its processes
    or its batch norms.
    """
    _check(dataset, fingerprint)
    check_share(world, plan.batch)
    options = LossOptions(class_weights=plan.class_weights, label_smoothing=plan.label_smoothing)
    coding = dataset.coding
    table = label_table(options.weights_for(coding.classes), coding)
    with seeded(integer_seed(plan.seed, WEIGHTS, 0)):
        built = network() if network is not None else _planned(dataset, plan)
    if network is None:
        _check_norms(built, plan, world)
    augmentation = Augmentation(
        plan.augment,
        seed=plan.seed,
        bands=dataset.sensed_bands,
        mean=means(fingerprint),
        std=deviations(fingerprint),
        pasting=Pasting(rare_classes(fingerprint.class_pixels), plan.batch, coding.overlapping),
    )
    loss = build_multilabel_loss(plan.loss, options) if coding.overlapping else build_loss(plan.loss, options)
    return SegmentationModule(built, Recipe(plan, augmentation, loss, table, coding, world))


def _check(dataset: Dataset, fingerprint: Fingerprint) -> None:
    names = tuple(band.name for band in fingerprint.bands)
    if names != dataset.bands:
        raise BandMismatch(
            f"the fingerprint has the bands {', '.join(names)} and the data set {', '.join(dataset.bands)}: "
            "take the fingerprint again"
        )
    if len(dataset.legend) < 2 and not dataset.coding.overlapping:
        raise BadOption(
            f"the legend has {len(dataset.legend)} classes: a network needs two to tell apart, "
            "add one for the background to the project file"
        )


def _check_norms(network: nn.Module, plan: Plan, world: World) -> None:
    """Raises `BadOption` where a batch norm would get one value a channel: torch refuses that in the middle of a step."""
    alone = world.parts(plan.batch, plan.accumulate) == plan.batch // world.size
    one_pixel = plan.crop <= network_stride(plan.network, plan.network_options)
    if alone and one_pixel and any(isinstance(module, BATCH_NORMS) for module in network.modules()):
        raise BadOption(
            f"one patch of {plan.crop} px at a time leaves one pixel of the network's deepest map, and nothing to normalise "
            "by: set a larger crop, a larger batch or fewer parts (accumulate) under [sample]"
        )


def _planned(dataset: Dataset, plan: Plan) -> nn.Module:
    start = plan.network_options.get("pretrained_path")
    return build_network(
        plan.network,
        bands=len(dataset.bands),
        classes=len(dataset.legend),
        options=plan.network_options,
        earlier=read_spec(Path(start)) if start and Path(start).is_dir() else None,
        say=log.warning,
    )


def autocasting(plan: Plan) -> Callable[[], Any]:
    """The context of the plan's precision, made anew at each call."""
    kind = plan.device.partition(":")[0]
    return lambda: torch.autocast(kind, dtype=torch.bfloat16, enabled=plan.precision == "bf16")


def means(fingerprint: Fingerprint) -> tuple[float, ...]:
    """Mean of each band in raw pixel values."""
    return tuple(band.mean for band in fingerprint.bands)


def deviations(fingerprint: Fingerprint) -> tuple[float, ...]:
    """Standard deviation of each band in raw pixel values; 1 for a band that is constant."""
    return tuple(band.std if band.std > 0 else 1.0 for band in fingerprint.bands)
