"""A mean of the weights over a part of the training, beside the weights themselves."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from terraseg.errors import UnknownName, nearest

KINDS = ("none", "ema", "swa")
MARKS = 200
"""Times in a run that weights are added to the mean, so that its cost is bounded however many steps there are."""
HALF_LIFE = 0.025
"""Share of the run after which weights count half in an exponential mean."""
SWA_START = 0.75
"""Progress from which weights enter a plain mean."""
BATCH_NORMS = nn.modules.batchnorm._BatchNorm  # no public name for all of them

Tensors = dict[str, Tensor]


@dataclass
class Average:
    """A running mean of a network's float tensors, by name: parameters and the statistics of batch norms.

    "ema" forgets: weights that are `HALF_LIFE` of the run old count half, and the mean is corrected for its start (as in
    Kingma and Ba, "Adam", 2015), so that it is a true mean of what it has seen after 50 steps as after 50,000.
    "swa" is the plain mean from `SWA_START` on (Izmailov et al., "Averaging weights leads to wider optima", UAI 2018).
    `weight` is the sum of the shares so far, `at` the progress of the last addition.

    Statistics of batch norms are averaged like the weights: within a half-life both move little, and the mean of the
    statistics is near the statistics of the mean. Over the last quarter of a run that does not hold: after "swa" they are
    to be taken anew with `restate_norms`.
    """

    kind: str
    tensors: Tensors
    weight: float = 0.0
    at: float = 0.0

    def due(self, before: float, after: float) -> bool:
        """True when progress went over one of the marks at which weights are added."""
        if self.kind == "swa" and after < SWA_START:
            return False
        # A step may lie on a mark, and its quotient a little below it.
        return math.floor(after * MARKS + 1e-6) > math.floor(before * MARKS + 1e-6)

    def add(self, network: nn.Module, fraction: float) -> None:
        """Takes in the network as it is at this progress."""
        keep = 0.5 ** ((fraction - self.at) / HALF_LIFE) if self.kind == "ema" else 1.0
        fresh = 1 - keep if self.kind == "ema" else 1.0
        self.weight, self.at = keep * self.weight + fresh, fraction
        with torch.no_grad():
            torch._foreach_lerp_(list(self.tensors.values()), self._own(network), fresh / self.weight)

    def take(self, network: nn.Module) -> None:
        """Becomes a copy of the network, as after its batch norms were restated."""
        with torch.no_grad():
            torch._foreach_copy_(list(self.tensors.values()), self._own(network))

    def resume(self, earlier: "Average") -> None:
        """Goes on from what an earlier sitting left, on this one's device."""
        self.weight, self.at = earlier.weight, earlier.at
        for name, tensor in self.tensors.items():
            tensor.copy_(earlier.tensors[name])

    @property
    def is_empty(self) -> bool:
        """True before the first addition."""
        return self.weight == 0.0

    def _own(self, network: nn.Module) -> list[Tensor]:
        own = network.state_dict()
        return [own[name] for name in self.tensors]


def start_average(kind: str, network: nn.Module) -> Average | None:
    """An empty mean for a network, on its device; None for "none". Raises `UnknownName`."""
    if kind not in KINDS:
        raise UnknownName(f"there is no average {kind!r}: {nearest(kind, KINDS)}")
    if kind == "none":
        return None
    floats = {name: t.detach().clone() for name, t in network.state_dict().items() if t.is_floating_point()}
    return Average(kind, floats)


@contextmanager
def standing_in(average: Average, network: nn.Module) -> Iterator[None]:
    """Inside, the network has the mean's tensors; after it has its own again, bit by bit."""
    own = network.state_dict()
    kept = {name: tensor.clone() for name, tensor in own.items()}
    with torch.no_grad():
        for name, tensor in average.tensors.items():
            own[name].copy_(tensor)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in kept.items():
                own[name].copy_(tensor)


def restate_norms(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Takes the statistics of all batch norms in training mode anew, as plain means over batches of normalised images.

    The network is left in evaluation mode. `batches` is not touched where there is no such batch norm.
    """
    norms = [m for m in network.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats and m.training]
    if not norms:
        return
    network.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for images in batches:
            network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
