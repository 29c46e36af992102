"""The parts of a network that training treats differently: its encoder, by itself and frozen."""

from typing import Any

from torch import nn

NORMS = nn.modules.batchnorm._BatchNorm  # no public name for all batch norms


def encoder_of(network: nn.Module) -> nn.Module | None:
    """The encoder that came with weights of its own or could have: a timm network; None for networks without one."""
    encoder = getattr(network, "encoder", None)
    return encoder if isinstance(encoder, nn.Module) and hasattr(encoder, "feature_info") else None


def encoder_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters of the network's encoder, in its order; none for a network without one."""
    encoder = encoder_of(network)
    return [] if encoder is None else list(encoder.parameters())


def freeze_encoder(network: nn.Module, frozen: bool) -> None:
    """Hold the encoder's weights and batch statistics as they are, or let them go again.

    While frozen its batch norms use and keep the statistics they have, whatever mode the network is put into. Nothing
    happens to a network without an encoder.
    """
    encoder = encoder_of(network)
    if encoder is None:
        return
    encoder.requires_grad_(not frozen)
    hooks = encoder._forward_pre_hooks
    for number in [number for number, hook in hooks.items() if hook is _hold_statistics]:
        del hooks[number]
    if frozen:
        # Training puts the whole network back into training mode at will; the encoder sees to its norms at each step.
        encoder.register_forward_pre_hook(_hold_statistics)
        _hold_statistics(encoder)
        return
    for module in encoder.modules():
        if isinstance(module, NORMS):
            module.train(encoder.training)


def _hold_statistics(encoder: nn.Module, *_: Any) -> None:
    for module in encoder.modules():
        if isinstance(module, NORMS):
            module.eval()
