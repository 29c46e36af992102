"""Several models as one scorer: each scores every tile, and their probabilities are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.joint import joined
from terraseg.core.modelspec import ModelSpec
from terraseg.core.scorer import Scorer
from terraseg.pixels.blend import Array, namespace, to_host


@dataclass(frozen=True)
class MeanScorer:
    """A Scorer of the mean of others' probabilities; `spec` is what they are together."""

    spec: ModelSpec
    members: tuple[Scorer, ...]

    @property
    def device(self) -> str:
        """How many models there are, and what runs them."""
        return f"{len(self.members)} models on {'; '.join(dict.fromkeys(m.device for m in self.members))}"

    def score(self, batch: NDArray[Any]) -> Array:
        """The mean, (n, classes, height, width) in float32, where the members' arrays live; on the host where they differ."""
        scores = [member.score(batch) for member in self.members]
        if len({namespace(each) for each in scores}) > 1:
            scores = [to_host(each) for each in scores]
        total = scores[0]
        for each in scores[1:]:
            total = total + each
        return total * np.float32(1 / len(scores)) if isinstance(total, np.ndarray) else total / len(scores)


def mean_scorer(folders: Sequence[Path], scorers: Sequence[Scorer]) -> Scorer:
    """The scorers of model folders as one; a single one is itself.

    Raises `UnknownClass` and `BandMismatch` for models whose classes, bands or pixel type differ.
    """
    if len(scorers) == 1:
        return scorers[0]
    return MeanScorer(joined(folders, [scorer.spec for scorer in scorers]), tuple(scorers))
