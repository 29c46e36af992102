"""The network in training: batch in, loss out, and the optimizer that follows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.errors import BadOption, BandMismatch
from terraseg.nets.build import build_network
from terraseg.nets.losses import Loss, build_loss
from terraseg.train.augment import Augmentation, finite_float
from terraseg.train.counted import LAYERS, WEIGHTS, integer_seed
from terraseg.train.quiet import seeded

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # no public name for all batch norms


@dataclass(frozen=True, eq=False)
class Recipe:
    """What a step needs besides the network: the changes to a batch, the loss, and the samples this process holds."""

    plan: Plan
    augmentation: Augmentation
    loss: Loss
    indices: Sequence[int]


class SegmentationModule(LightningModule):
    """A network under training by a recipe. `step` is the number of optimizer steps taken, over all sittings."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.step = 0

    def prepared(self, raw: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented images in float32, channels last, and their labels, for the current step."""
        recipe = self.recipe
        with torch.no_grad(), torch.autocast(raw.device.type, enabled=False):
            images, truth = recipe.augmentation(
                raw, labels, step=self.step, indices=recipe.indices, crop=recipe.plan.crop
            )
        return images.contiguous(memory_format=torch.channels_last), truth

    def normalised(self, raw: Tensor) -> Tensor:
        """Images in float32, channels last, as prediction will see them."""
        how = self.recipe.augmentation
        mean, std = (
            torch.as_tensor(v, dtype=torch.float32, device=raw.device).view(1, -1, 1, 1) for v in (how.mean, how.std)
        )
        images = (finite_float(raw, how.mean) - mean) / std
        return images.contiguous(memory_format=torch.channels_last)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """The loss of a batch of raw pixels and labels."""
        # Dropout, too, is a function of the step, so that no generator's state needs to be kept.
        torch.manual_seed(integer_seed(self.recipe.plan.seed, LAYERS, self.step))
        images, labels = self.prepared(*batch)
        return self.recipe.loss(self.network(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over two groups: weight decay for kernels only."""
        return build_optimizer(self.network, self.recipe.plan)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,  # noqa: ARG002  # Lightning's signature
        gradient_clip_val: float | None = None,  # noqa: ARG002
        gradient_clip_algorithm: str | None = None,  # noqa: ARG002
    ) -> None:
        """Clips the gradient's norm where the plan says so; Lightning's own way refuses fused optimizers."""
        if self.recipe.plan.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.plan.gradient_clip)


def build_optimizer(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, 2019) with no weight decay on normalisation layers and biases."""
    kernels, others = decayed(network)
    groups = [{"params": kernels, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.99), fused=True)


def decayed(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trainable parameters that weight decay applies to, and the others, in the network's order."""
    normed = {
        id(p) for module in network.modules() if isinstance(module, NORMS) for p in module.parameters(recurse=False)
    }
    kernels: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            plain = id(parameter) in normed or parameter.ndim < 2 or name.endswith("bias")
            (others if plain else kernels).append(parameter)
    return kernels, others


def set_rates(optimizer: torch.optim.Optimizer, *, learning_rate: float, momentum: float) -> None:
    """Gives every group of the optimizer its learning rate and momentum."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
        group["betas"] = (momentum, group["betas"][1])


def build_module(
    dataset: Dataset, fingerprint: Fingerprint, plan: Plan, *, network: Callable[[], nn.Module] | None = None
) -> SegmentationModule:
    """The plan's network with fresh weights by the plan's seed, ready to train; or the one that `network` gives.

    Raises `BandMismatch` when fingerprint and data set have other bands, `BadOption` for a legend of one class.
    """
    names = tuple(band.name for band in fingerprint.bands)
    if names != dataset.bands:
        raise BandMismatch(
            f"the fingerprint has the bands {', '.join(names)} and the data set {', '.join(dataset.bands)}: "
            "take the fingerprint again"
        )
    if len(dataset.legend) < 2:
        raise BadOption(
            f"the legend has {len(dataset.legend)} classes: a network needs two to tell apart, "
            "add one for the background to the project file"
        )
    with seeded(integer_seed(plan.seed, WEIGHTS, 0)):
        built = network() if network is not None else _planned(dataset, plan)
    augmentation = Augmentation(
        plan.augment, seed=plan.seed, bands=dataset.bands, mean=means(fingerprint), std=deviations(fingerprint)
    )
    return SegmentationModule(built, Recipe(plan, augmentation, build_loss(plan.loss), range(plan.batch)))


def _planned(dataset: Dataset, plan: Plan) -> nn.Module:
    return build_network(
        plan.network, bands=len(dataset.bands), classes=len(dataset.legend), options=plan.network_options
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
