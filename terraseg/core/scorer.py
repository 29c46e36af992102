"""The one thing prediction needs of a model, whatever runs it."""

from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from terraseg.core.modelspec import ModelSpec

Precision = Literal["exact", "fast", "int8"]
"""How a model counts: in 32 bit; in 16 bit where the machine multiplies them in hardware; in bytes, once calibrated."""


class Scorer(Protocol):
    """A model ready to run: raw pixels in, class probabilities out.

    `score` takes a batch (n, bands, height, width) in the model's own dtype and gives (n, classes, height, width) of
    float32 probabilities. They sum to 1 over axis 1, unless the spec says that classes overlap: then each class has its
    own from 0 to 1. Height and width may be any positive numbers.
    """

    @property
    def spec(self) -> ModelSpec:
        """What the model is and eats."""
        ...

    @property
    def device(self) -> str:
        """Engine and device in a few words, for the first line of a run."""
        ...

    def score(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Class probabilities of a batch of raw pixels."""
        ...
