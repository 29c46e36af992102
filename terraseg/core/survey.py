"""Places at which someone looks up what is really there."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID

UNLABELLED = -1
"""The truth of a point that nobody has looked at yet."""
UNSURE = VOID
"""The truth of a point at which it could not be told, and the stratum of one that was not drawn by class."""


@dataclass(frozen=True, eq=False)
class SurveyPoints:
    """Points in the order in which they are to be labelled; all arrays have shape (n,).

    `x` and `y` are map coordinates (float64). `stratum` (int16) is the class id that was mapped there when the point was
    drawn, `UNSURE` where it was not drawn so. `truth` (int16) is the class id found there, `UNLABELLED` or `UNSURE`.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    stratum: NDArray[np.int16]
    truth: NDArray[np.int16]
    crs: str | None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, chosen: NDArray[np.bool_]) -> "SurveyPoints":
        """The points that a mask picks."""
        picked = {name: getattr(self, name)[chosen] for name in ("x", "y", "stratum", "truth")}
        return replace(self, **picked)
