"""How many points to label on ground of each class, so that areas and accuracies come out as sure as is wanted."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.errors import BadOption, UnknownName, nearest
from terraseg.measure.accuracy import LEAST_POINTS, Z

Allocation = Literal["neyman", "proportional"]


@dataclass(frozen=True)
class SampleOptions:
    """What a sample is planned for.

    precision   half the width of the 95 % interval of the overall accuracy: 0.05 for plus or minus 5 %
    expected    the share of each class's mapped ground that is thought to be right, its user's accuracy
    classes     other expectations than that, by class name
    least       points on ground of any class, however rare
    allocation  "neyman" gives more points to ground that is less sure, "proportional" goes by area alone
    seed        which of all such samples is drawn
    """

    precision: float = 0.05
    expected: float = 0.7
    classes: tuple[tuple[str, float], ...] = ()
    least: int = 50
    allocation: Allocation = "neyman"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.precision < 1:
            raise BadOption(f"a precision of {self.precision}: pass a share between 0 and 1, 0.05 or +-5% say")
        wrong = [value for value in (self.expected, *dict(self.classes).values()) if not 0 <= value <= 1]
        if wrong:
            raise BadOption(f"an expected accuracy of {wrong[0]}: pass a share from 0 to 1")
        if self.least < LEAST_POINTS:
            raise BadOption(
                f"{self.least} points for a class: {LEAST_POINTS} at least give an interval, 50 a useful one"
            )
        if self.allocation not in get_args(Allocation):
            raise BadOption(f"the allocation {self.allocation!r}: {nearest(self.allocation, get_args(Allocation))}")


@dataclass(frozen=True)
class Stratum:
    """The ground that is mapped as one class: its share of the map, and the points to be labelled on it.

    `share_half_width` is half the width of the interval that the class's area will get, as a share of the map, if the map
    is as right as expected and its errors fall on the other classes by their areas.
    """

    class_id: int
    class_name: str
    share: float
    expected: float
    points: int
    share_half_width: float


@dataclass(frozen=True)
class SampleDesign:
    """The strata of a sample, in the legend's order without classes that are not mapped.

    `half_width` is half the width of the interval that the overall accuracy will get if the expectations hold.
    """

    strata: tuple[Stratum, ...]
    half_width: float
    options: SampleOptions

    @property
    def points(self) -> int:
        """All points together."""
        return sum(stratum.points for stratum in self.strata)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"points": self.points}


def parse_precision(text: str) -> float:
    """The share in "+-5%", "±5 %", "5%" or "0.05"; `BadOption` for anything else.

    >>> parse_precision("+-5%"), parse_precision("± 2.5 %"), parse_precision("0.03")
    (0.05, 0.025, 0.03)
    """
    found = re.fullmatch(r"(?:\+/?-|±)?\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)", text.strip())
    if found is None:
        raise BadOption(f"a precision of {text!r} cannot be read: write +-5%, or 0.05")
    return float(found[1]) / (100 if found[2] else 1)


def plan_sample(
    areas: NDArray[np.float64], pixels: NDArray[np.int64], legend: Legend, options: SampleOptions | None = None
) -> SampleDesign:
    """How many points to label on the ground of each class; `areas` and `pixels` (K,) are what is mapped, by index.

    The number is Cochran's for a stratified sample, n = (sum W S)^2 / (V + sum W S^2 / N) with S^2 = U (1 - U) (Sampling
    Techniques, 1977, eq. 5.25; Olofsson et al. 2014, eq. 13), and grows until the least of each class leaves the precision
    that was asked for. No class gets more points than it has pixels.
    """
    options = options or SampleOptions()
    expected = _expectations(legend, options)
    mapped = np.flatnonzero(areas > 0)
    if len(mapped) == 0:
        raise BadOption("the map holds nothing but nodata: there is no ground to draw points on")
    share, right, most = areas[mapped] / areas.sum(), expected[mapped], pixels[mapped]
    deviation = np.sqrt(right * (1 - right))
    wanted = (options.precision / Z) ** 2
    number = cochran_size(share, deviation, variance=wanted, units=int(pixels.sum()))
    weight = share * deviation if options.allocation == "neyman" and (deviation > 0).any() else share
    while True:
        points = allocate(number, weight, least=options.least, most=most)
        variance = _variance(share, deviation, points)
        if variance <= wanted or (points == most).all():
            break
        number += max(1, number // 50)
    spread = Z * np.sqrt(_share_variance(share, right, points))
    strata = tuple(
        Stratum(legend.ids[k], legend.names[k], float(share[i]), float(right[i]), int(points[i]), float(spread[i]))
        for i, k in enumerate(mapped)
    )
    return SampleDesign(strata, float(Z * np.sqrt(variance)), options)


def cochran_size(share: NDArray[np.float64], deviation: NDArray[np.float64], *, variance: float, units: int) -> int:
    """Points for which a best allocated stratified sample of `units` pixels gives an estimate of that `variance`.

    >>> share, right = np.array([0.020, 0.015, 0.320, 0.645]), np.array([0.70, 0.60, 0.90, 0.95])
    >>> cochran_size(share, np.sqrt(right * (1 - right)), variance=0.01**2, units=10_000_000)
    641
    """
    if not (deviation > 0).any():
        return 0
    return int(np.ceil((share @ deviation) ** 2 / (variance + share @ deviation**2 / units)))


def allocate(number: int, weight: NDArray[np.float64], *, least: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """`number` points shared out by weight, (n,): no fewer than `least` anywhere, nor more than `most` (n,), which wins.

    The other strata share what the least of the small ones leaves; where that does not suffice there are more points.

    >>> allocate(641, np.array([0.020, 0.015, 0.320, 0.645]), least=75, most=np.full(4, 10**6)).tolist()
    [75, 75, 163, 329]
    """
    floor = np.minimum(least, most)
    points, is_open = floor.copy(), np.ones(len(weight), dtype=np.bool_)
    while is_open.any():
        left = number - int(points[~is_open].sum())
        total = weight[is_open].sum()
        part = max(0, left) * weight / total if total > 0 else np.zeros(len(weight))
        low, high = is_open & (part <= floor), is_open & (part >= most)
        if not (low | high).any():
            points[is_open] = np.ceil(part[is_open] - 1e-9).astype(np.int64)
            break
        # Those raised to their least take from the others, which may then fall below theirs: they go first.
        settled = low if low.any() else high
        points[settled] = floor[settled] if low.any() else most[settled]
        is_open &= ~settled
    return np.asarray(points)


def _variance(share: NDArray[np.float64], deviation: NDArray[np.float64], points: NDArray[np.int64]) -> float:
    """The variance of the estimated overall accuracy; strata of a single pixel are known when it is."""
    return float((share**2 * deviation**2 / np.maximum(1, points - 1)).sum())


def _share_variance(
    share: NDArray[np.float64], right: NDArray[np.float64], points: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Variances of the estimated area shares when errors fall on the other classes by their areas."""
    others = share[None, :] / np.maximum(1 - share[:, None], 1e-12) * (1 - right[:, None])
    rate = np.where(np.eye(len(share), dtype=np.bool_), right[:, None], others)
    return np.asarray((share[:, None] ** 2 * rate * (1 - rate) / np.maximum(1, points - 1)[:, None]).sum(axis=0))


def _expectations(legend: Legend, options: SampleOptions) -> NDArray[np.float64]:
    for name, _ in options.classes:
        if name not in legend.names:
            raise UnknownName(f"there is no class {name!r} to expect an accuracy of: {nearest(name, legend.names)}")
    given = dict(options.classes)
    return np.array([given.get(name, options.expected) for name in legend.names])
