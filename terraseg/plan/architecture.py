"""Which network, with which encoder: the largest that data and time allow, by what its steps cost here."""

from dataclasses import dataclass, field
from typing import Any

from terraseg.core.plan import Hardware, StepTime
from terraseg.plan.choice import Choice, settled
from terraseg.plan.options import TrainOptions

UNENCODED = frozenset({"simple-unet", "unet", "residual-unet"})
ROUNDS = 100
"""How often a network should see each training pixel before a larger one is worth its slower steps."""
TRAINED_SHARE = 0.85
"""Share of a time budget that goes into training steps; the rest is validation and saving."""


@dataclass(frozen=True)
class Candidate:
    """A network that the plan may choose, with its options, from so many training pixels on.

    With fewer a larger network learns the training ground by heart: on 0.7 million pixels of unseen sites ResNet-50 came to
    a building IoU of 43 where ResNet-18 reached 54 in a fifth of the time.
    """

    network: str
    options: dict[str, Any] = field(default_factory=dict)
    pixels: float = 0.0

    @property
    def encoder(self) -> str:
        """The encoder's name; empty for a network without."""
        return str(self.options.get("encoder", ""))


ON_PROCESSOR = (
    Candidate("unet-light", {"encoder": "resnet18", "deepest": 16}),
    Candidate("unet-light", {"encoder": "resnet34", "deepest": 16}, pixels=20e6),
    Candidate("unet-light", {"encoder": "resnet50"}, pixels=100e6),
)
ON_GPU = (
    Candidate("unet-light", {"encoder": "resnet34"}),
    Candidate("unet-light", {"encoder": "resnet50", "decoder": "wide"}, pixels=100e6),
)
"""From the fastest to the one that learns most in the end."""


def candidates(machine: Hardware, options: TrainOptions, start: Candidate | None = None) -> tuple[Candidate, ...]:
    """The networks worth timing here: what the user has named, that of the weights to `start` from, or those between
    which the clock decides.
    """
    if start is not None:
        return (start,)
    if not options.network and not options.encoder:
        return ON_PROCESSOR if machine.device == "cpu" else ON_GPU
    network = options.network or "unet-light"
    if network in UNENCODED:
        return (Candidate(network),)
    encoder = options.encoder or ("resnet18" if machine.device == "cpu" else "resnet34")
    return (Candidate(network, {"encoder": encoder}),)


def architecture(
    machine: Hardware, options: TrainOptions, start: Candidate | None, *, pixels: float, seconds: float | None
) -> Choice:
    """The candidate to train on so many working pixels in so many seconds, None when training is measured in steps."""
    known = candidates(machine, options, start)
    if start is not None:
        return Choice(start, "the network of the given weights")
    if options.network or options.encoder:
        return settled(known[0])
    costs = {(t.network, t.encoder): t for t in machine.timings}
    timed = [c for c in known if (c.network, c.encoder) in costs]
    if seconds is None or not timed:
        return Choice(
            known[0], "a residual encoder under a light decoder: of the U-Nets it learns most in a given time"
        )
    rounds = {c.encoder: rounds_of(costs[c.network, c.encoder], pixels, seconds) for c in timed}
    enough = [c for c in timed if rounds[c.encoder] >= ROUNDS and c.pixels <= pixels]
    chosen = enough[-1] if enough else timed[0]
    seen = f"in the time there is, {chosen.encoder} sees every training pixel {rounds[chosen.encoder]:.0f} times"
    larger = timed[timed.index(chosen) + 1 :]
    if not larger:
        return Choice(chosen, f"{seen}, and no candidate is larger")
    following = larger[0]
    if following.pixels > pixels:
        needed = f"{following.pixels / 1e6:.0f} million pixels and there are {pixels / 1e6:.1f}"
        return Choice(chosen, f"{seen}; {following.encoder} is for more than {needed}")
    return Choice(
        chosen, f"{seen}; {following.encoder} would only {rounds[following.encoder]:.0f} times, below {ROUNDS}"
    )


def rounds_of(cost: StepTime, pixels: float, seconds: float) -> float:
    """How often a network sees each of so many training pixels in so many seconds.

    >>> round(rounds_of(StepTime("unet-light", "resnet18", 100, 0.01, 0), 1e6, 1000.0))
    850
    """
    return TRAINED_SHARE * seconds / cost.seconds * cost.crop**2 / max(1.0, pixels)
