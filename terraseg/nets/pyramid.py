"""An encoder's maps by halvings of the image, as decoders want them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from terraseg.errors import BadOption
from terraseg.nets.encoders import FeatureMap, Shape, take


@dataclass(frozen=True)
class Pyramid:
    """Maps by level: `levels[k]` is 2 ** (k + 1) times smaller than the image, None where the encoder has no such map.

    Decoders get a map without channels in its place and only double the size there.
    """

    levels: tuple[FeatureMap | None, ...]
    channels_last: bool

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels by level, 0 where there is no map."""
        return tuple(found.channels if found else 0 for found in self.levels)

    def read(self, images: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
        """The images (n, c, h, w) and after them one map a level, of the encoder's outputs."""
        there = take(outputs, [found for found in self.levels if found], channels_last=self.channels_last)
        maps = iter(there)
        n, _, height, width = images.shape
        empty = [images.new_empty(n, 0, height // 2**k, width // 2**k) for k in range(1, len(self.levels) + 1)]
        return [images, *(next(maps) if found else empty[k] for k, found in enumerate(self.levels))]


def build_pyramid(shape: Shape, who: str, *, depth: int | None = None, needs: Iterable[int] = ()) -> Pyramid:
    """The levels of an encoder down to its last map, or to level `depth`; those in `needs` must be there.

    Maps of the image's own size are left out. `who` opens the message of `BadOption`: "encoder 'x' under network y".
    """
    powers = {2**level: level for level in range(1, 12)}
    reductions = [r for r in shape.reductions if r > 1]
    odd = [r for r in reductions if r not in powers]
    if odd:
        raise BadOption(
            f"{who} shrinks images by {_listed(reductions)}, which is no halving: take another encoder, resnet18 say,"
            f" or network dynamic-unet"
        )
    found = {powers[m.reduction]: m for m in shape.by_size if m.reduction > 1}
    deepest = max(found) if depth is None else depth
    missing = [2**level for level in sorted({*needs, deepest}) if level not in found]
    if missing:
        raise BadOption(
            f"{who} has maps that are {_listed(reductions)} times smaller than the image, and the network needs"
            f" {_listed(missing)} too: take another encoder, resnet18 say, or network unet-light, which takes this one"
        )
    return Pyramid(tuple(found.get(level) for level in range(1, deepest + 1)), shape.channels_last)


def _listed(numbers: Iterable[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
