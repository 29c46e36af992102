"""The optimizer: which parameters it moves, how fast, and which of them decay."""

import torch
from torch import nn

from terraseg.core.plan import Plan
from terraseg.nets.parts import encoder_parameters

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # no public name for all batch norms


def build_optimizer(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, 2019) with no weight decay on normalisation layers and biases.

    Where the plan's `encoder_rate` is not 1 the encoder has groups of its own; the `rate` of a group is its share of the
    learning rate.
    """
    encoder = {id(p) for p in encoder_parameters(network)} if plan.encoder_rate != 1 else set()
    groups = []
    for decay, parameters in zip((plan.weight_decay, 0.0), decayed(network), strict=True):
        rest = [p for p in parameters if id(p) not in encoder]
        groups.append({"params": rest, "weight_decay": decay, "rate": 1.0})
        if encoder:
            own = [p for p in parameters if id(p) in encoder]
            groups.append({"params": own, "weight_decay": decay, "rate": plan.encoder_rate})
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
    """Gives every group of the optimizer its share of the learning rate, and the momentum."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("rate", 1.0)
        group["betas"] = (momentum, group["betas"][1])
