"""What a model's training imagery was like, so that other imagery can be held against it."""

from dataclasses import dataclass
from typing import Any

QUANTILES = (1, 5, 25, 50, 75, 95, 99)
"""The percentiles at which the values of a band are kept."""


@dataclass(frozen=True)
class ImageryFacts:
    """The look of the imagery that a model was trained on, over its valid training pixels, in raw pixel values.

    `quantiles[b]` are the values of band b at the percentiles `QUANTILES`. `red_over_blue` is how large a share of the
    pixels is redder than it is blue, as the 10th and the 90th percentile over cells of 256 px: (0.6, 1.0) for ground that
    is warm everywhere; None where no bands are named so or the cells were too few. `gsd_range_m` are the smallest and the
    largest ground sample distance of the scenes, `aspect` is a pixel's width on the ground over its height.
    """

    quantiles: tuple[tuple[float, ...], ...]
    red_over_blue: tuple[float, float] | None = None
    gsd_range_m: tuple[float, float] | None = None
    aspect: float = 1.0

    def __post_init__(self) -> None:
        for band in self.quantiles:
            if len(band) != len(QUANTILES) or list(band) != sorted(band):
                raise ValueError(f"the quantiles {band}: one value for each of the percentiles {QUANTILES}, rising")

    def at(self, percentile: int) -> tuple[float, ...]:
        """The value of each band at one of the percentiles `QUANTILES`.

        >>> ImageryFacts(((0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0),)).at(50)
        (3.0,)
        """
        return tuple(band[QUANTILES.index(percentile)] for band in self.quantiles)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "ImageryFacts":
        """The inverse of `dataclasses.asdict`."""
        pairs = {
            name: None if value.get(name) is None else (value[name][0], value[name][1])
            for name in ("red_over_blue", "gsd_range_m")
        }
        return ImageryFacts(tuple(tuple(band) for band in value["quantiles"]), **pairs, aspect=value.get("aspect", 1.0))
