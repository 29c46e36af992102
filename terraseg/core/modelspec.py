"""What a trained model is and what it eats: the content of `model.json`."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from terraseg.core.classes import Legend
from terraseg.core.imagery import ImageryFacts
from terraseg.core.spectral import SpectralIndices
from terraseg.errors import BadOption, BrokenBundle

FORMAT = 1
FOREST, ENSEMBLE = "forest", "ensemble"
"""What stands for the name of a network in a model that is none: decision trees, and several models averaged."""

PIXEL_TYPES = frozenset(
    {*(f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64)), "float16", "float32", "float64"}
)
"""Names of numpy's types that the pixels of imagery have."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a raster must meet, and a map must carry, besides the weights.

    `bands` are the input channels in order, `dtype` their numpy type on disk. `mean` and `std` are per band, in raw pixel
    values: the network sees (raw - mean) / std. `gsd_m` is the ground sample distance of the training imagery in metres,
    None when it had no CRS. `tile` and `overlap` (pixels) are the prediction lattice's defaults; `stride` is the
    model's total downsampling: a multiple of it is a size that needs no padding inside. The network sees squares of
    `reduction` x `reduction` pixels as one, and its scores are spread over them again: all sizes here, the stride too,
    are in pixels of the imagery. Where classes are `overlapping`, each has a probability of its own and a map a band for
    each. `network_options` rebuilds the network; `provenance` says how it was trained. `imagery` is what the training imagery
    looked like, None in bundles that do not say. The network's logits are divided by `temperature` before they become
    probabilities, so that these mean what they say; 1 leaves them as they are. The last of the `bands` are those of
    `indices`, computed from the others before the model sees them; None where there are none. A model of `stored` numbers
    reads them as they stand in a file, whatever scale it declares.
    """

    network: str
    legend: Legend
    bands: tuple[str, ...]
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    gsd_m: float | None
    tile: int
    overlap: int
    stride: int
    network_options: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    reduction: int = 1
    overlapping: bool = False
    imagery: ImageryFacts | None = None
    temperature: float = 1.0
    indices: SpectralIndices | None = None
    stored: bool = False

    def __post_init__(self) -> None:
        if not len(self.bands) == len(self.mean) == len(self.std):
            counts = f"{len(self.bands)} bands, {len(self.mean)} means and {len(self.std)} deviations"
            raise BrokenBundle(f"a model with {counts}: each band needs one of each")
        if self.imagery is not None and len(self.imagery.quantiles) != len(self.bands):
            raise BrokenBundle(f"a model of {len(self.bands)} bands with quantiles of {len(self.imagery.quantiles)}")
        if self.indices is not None and self.bands[len(self.sensed_bands) :] != self.indices.names:
            raise BrokenBundle(f"a model of the bands {', '.join(self.bands)}: its indices must be the last of them")
        if any(s <= 0 for s in self.std):
            raise BrokenBundle(f"a model with the band deviations {self.std}: each must be above zero")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise BrokenBundle(f"a model with the temperature {self.temperature}: it must be a number above zero")
        if not 0 <= self.overlap < self.tile:
            raise BrokenBundle(
                f"an overlap of {self.overlap} on tiles of {self.tile} px: it must be smaller than the tile"
            )

    @property
    def sensed_bands(self) -> tuple[str, ...]:
        """The bands that a raster must have: without the indices."""
        return self.bands if self.indices is None else self.bands[: -len(self.indices.names) or None]

    @property
    def sensed(self) -> "ModelSpec":
        """What the model reads of a raster before indices are computed: its bands, their type and their look."""
        if self.indices is None:
            return self
        count = len(self.sensed_bands)
        look = self.imagery and replace(self.imagery, quantiles=self.imagery.quantiles[:count])
        return replace(
            self,
            bands=self.sensed_bands,
            dtype=self.indices.dtype,
            mean=self.mean[:count],
            std=self.std[:count],
            imagery=look,
            indices=None,
        )

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the networks inside: those of an ensemble's members, else the one."""
        if self.network != ENSEMBLE:
            return (self.network,)
        return tuple(str(name) for name in self.network_options.get("members", ()))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with the format's version."""
        plain = {"format": FORMAT, **asdict(self), "legend": self.legend.to_json()}
        if not self.stored:
            del plain["stored"]
        return plain | {"indices": None if self.indices is None else self.indices.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "ModelSpec":
        """The inverse of `to_json`; `BrokenBundle` names what is missing or of a newer format."""
        if value.get("format") != FORMAT:
            raise BrokenBundle(f"a model.json of format {value.get('format')!r}: this terraseg reads format {FORMAT}")
        fields = {k: v for k, v in value.items() if k != "format"}
        try:
            fields["legend"] = Legend.from_json(fields["legend"])
            for name in ("bands", "mean", "std"):
                fields[name] = tuple(fields[name])
            if fields.get("imagery") is not None:
                fields["imagery"] = ImageryFacts.from_json(fields["imagery"])
            if fields.get("indices") is not None:
                fields["indices"] = SpectralIndices.from_json(fields["indices"])
                fields["indices"].check_bands(fields["bands"][: -len(fields["indices"].names) or None])
            if fields["dtype"] not in PIXEL_TYPES:
                known = ", ".join(sorted(PIXEL_TYPES))
                raise BrokenBundle(f"a model for pixels of type {fields['dtype']!r}: known are {known}")
            return ModelSpec(**fields)
        except (KeyError, TypeError, ValueError, AttributeError, BadOption) as error:
            raise BrokenBundle(f"model.json does not describe a model: {error}") from error
