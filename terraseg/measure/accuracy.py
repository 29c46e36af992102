"""Areas that own up to the map's errors: corrected by a reference, with confidence intervals.

A map's pixel counts are biased wherever its errors do not cancel out, by amounts that the map itself cannot tell. A sample
of places with known truth can: Olofsson et al., "Good practices for estimating area and assessing accuracy of land
change", Remote Sensing of Environment 148 (2014), 42-57.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.polygons import Unit
from terraseg.errors import BadOption
from terraseg.measure.intervals import CONFIDENCE, TAIL, Ends, PointEnds, point_ends

Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors from an estimate to either end of its interval: 1.96."""
LEAST_POINTS = 2
"""Points without which a stratum has no standard error."""

Source = Literal["points", "blocks"]


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error and the ends of its 95 % confidence interval."""

    value: float
    standard_error: float
    low: float
    high: float

    def times(self, factor: float) -> "Estimate":
        """The same in another unit."""
        return Estimate(*(factor * part for part in (self.value, self.standard_error, self.low, self.high)))


@dataclass(frozen=True)
class ClassEstimates:
    """One class: its area as mapped and as estimated, and how far the map can be trusted on it.

    `users` is the user's accuracy, the share of its mapped ground that is right, None for a class that is not mapped;
    `producers` is the producer's accuracy, the share of its true ground that is mapped, None for a class that was found
    nowhere. `points` counts the reference pixels on ground that is mapped as this class.
    """

    class_id: int
    class_name: str
    mapped_area: float
    mapped_share: float
    area: Estimate
    share: Estimate
    users: Estimate | None
    producers: Estimate | None
    points: int


@dataclass(frozen=True)
class HonestAreas:
    """Estimated areas by class in the legend's order, in square metres, or in pixels with `unit` "px".

    `observed` is the mapped ground that they add up to, `overall` the overall accuracy by area. `confusion[i][k]` counts
    the reference pixels mapped as class i that are class k, by index. `source` says what the reference was: a sample of
    "points", or whole "blocks" with known truth, of which there were `clusters`.
    """

    unit: Unit
    observed: float
    overall: Estimate
    classes: tuple[ClassEstimates, ...]
    confusion: tuple[tuple[int, ...], ...]
    source: Source
    clusters: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"confusion": [list(row) for row in self.confusion], "confidence": CONFIDENCE}

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a class, as a CSV file has them."""
        unit = "m2" if self.unit == "m" else "px"
        rows = []
        for c in self.classes:
            row: dict[str, Any] = {"class_id": c.class_id, "class_name": c.class_name, "points": c.points}
            row |= {f"mapped_area_{unit}": c.mapped_area, "mapped_share": c.mapped_share}
            for name, found in (
                (f"area_{unit}", c.area), ("share", c.share), ("users_accuracy", c.users), ("producers_accuracy", c.producers)
            ):  # fmt: skip
                row |= {name: None, f"{name}_low": None, f"{name}_high": None}
                if found is not None:
                    row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
            rows.append(row)
        return rows


def estimate_from_points(
    counts: NDArray[np.int64], areas: NDArray[np.float64], legend: Legend, *, unit: Unit = "m"
) -> HonestAreas:
    """Areas and accuracies from a sample that was drawn class by class of the map (Olofsson et al. 2014, eqs. 1 to 11).

    `counts[i][k]` are the points on ground mapped as class i where class k was found, (K, K) by index; `areas` (K,) is the
    ground mapped as each class. The same formulas hold for a simple random or a regular sample over the whole map. Estimates and
    standard errors are the paper's; the intervals are those of `point_ends`, which hold where errors are rare as well. Where not
    one error was found they leave open what the number of points leaves open; see `_unseen`.
    Raises `BadOption` for a mapped class with fewer than two points: nothing is known of its ground then.
    """
    mapped = _checked(counts, areas, legend)
    share = areas / areas.sum()
    number = counts.sum(axis=1).astype(np.float64)
    rate = counts[mapped] / number[mapped, None]
    weight = share[mapped]
    spread = rate * (1 - rate) / (number[mapped, None] - 1)
    right, right_spread = _own(rate, mapped), _own(spread, mapped)
    found = weight @ rate
    figures = _Figures(
        share=found,
        share_error=np.sqrt(weight**2 @ spread),
        users=right,
        users_error=np.sqrt(right_spread),
        producers_error=_producers_error(share * right, found, share**2 * right_spread, weight**2 @ spread),
        overall_error=float(np.sqrt(np.nansum(share**2 * right_spread))),
    )
    missed, _, _ = _unseen(counts, share, number)
    ends = point_ends(counts, share, mapped, missed=missed, worst=_any_error(counts, share, number))
    return _assembled(figures, ends, counts, areas, of=(legend, unit, "points", int(number.sum())))


def _producers_error(
    hit: NDArray[np.float64], found: NDArray[np.float64], hit_spread: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Standard errors of the producer's accuracies P = hit / found (eq. 7), both as shares of the map.

    `spread` is the variance of `found`, which `hit_spread`, that of `hit`, is a part of.
    """
    hit, hit_spread = np.nan_to_num(hit), np.nan_to_num(hit_spread)
    share = np.divide(hit, found, out=np.zeros_like(hit), where=found > 0)
    variance = (1 - share) ** 2 * hit_spread + share**2 * np.maximum(spread - hit_spread, 0)
    return np.asarray(np.divide(np.sqrt(variance), found, out=np.full_like(hit, np.nan), where=found > 0))


def estimate_from_blocks(
    counts: Sequence[NDArray[np.int64]] | NDArray[np.int64],
    areas: NDArray[np.float64],
    legend: Legend,
    *,
    unit: Unit = "m",
) -> HonestAreas:
    """Areas and accuracies from blocks in which the truth of every pixel is known; `counts` (blocks, K, K), map in rows.

    Pixels of one block err together, so that the block, not the pixel, is what was drawn: rates are ratios of totals over
    the blocks, and their variances those of ratio estimators by linearization (Cochran, Sampling Techniques, 1977, ch. 6;
    Stehman, Int. J. Remote Sensing 18 (1997)). The intervals hold as far as the blocks are a random draw from the mapped
    ground. Raises `BadOption` for fewer than two blocks, and for a mapped class that no block holds.
    """
    blocks = np.asarray(counts, dtype=np.int64).reshape(-1, len(legend), len(legend))
    blocks = blocks[blocks.sum(axis=(1, 2)) > 0]
    if len(blocks) < LEAST_POINTS:
        raise BadOption(
            f"{len(blocks)} blocks of the map have a known truth: an interval needs two at least, so pass truth for more ground"
        )
    total = blocks.sum(axis=0)
    mapped = _checked(total, areas, legend)
    share = areas / areas.sum()
    number = total.sum(axis=1).astype(np.float64)
    rate = total[mapped] / number[mapped, None]
    # How far each block pulls each rate from where all blocks together put it, (blocks, mapped, K).
    pull = (blocks[:, mapped] - rate * blocks[:, mapped].sum(axis=2, keepdims=True)) / number[mapped, None]
    found, pulled = share[mapped] @ rate, np.einsum("i,bik->bk", share[mapped], pull)
    right = _own(rate, mapped)
    own = np.full((len(blocks), len(legend)), np.nan)
    own[:, mapped] = np.diagonal(pull[:, :, mapped], axis1=1, axis2=2)
    hit = np.nan_to_num(share * right)
    producers = np.divide(hit, found, out=np.full_like(hit, np.nan), where=found > 0)
    with np.errstate(invalid="ignore"):
        producers_pull = (np.nan_to_num(share * own) - producers * pulled) / np.where(found > 0, found, np.nan)
    figures = _Figures(
        share=found,
        share_error=_cluster_error(pulled),
        users=right,
        users_error=_cluster_error(own),
        producers_error=_cluster_error(producers_pull),
        overall_error=float(_cluster_error(np.nansum(share * own, axis=1)[:, None])[0]),
    )
    ends = _normal_ends(figures, total, share, (blocks.sum(axis=2) > 0).sum(axis=0).astype(np.float64))
    return _assembled(figures, ends, total, areas, of=(legend, unit, "blocks", len(blocks)))


def _cluster_error(pull: NDArray[np.float64]) -> NDArray[np.float64]:
    count = len(pull)
    return np.asarray(np.sqrt(count / (count - 1) * (pull**2).sum(axis=0)))


def _checked(counts: NDArray[np.int64], areas: NDArray[np.float64], legend: Legend) -> NDArray[np.intp]:
    """Indices of the classes that are mapped somewhere, each with points enough."""
    if counts.shape != (len(legend), len(legend)) or areas.shape != (len(legend),):
        raise ValueError(
            f"counts {counts.shape} and areas {areas.shape} of {len(legend)} classes: one row a class is needed"
        )
    mapped = np.flatnonzero(areas > 0)
    if len(mapped) == 0:
        raise BadOption("the map holds nothing but nodata: there is no area to estimate")
    few = [legend.names[i] for i in mapped if counts[i].sum() < LEAST_POINTS]
    if few:
        raise BadOption(
            f"the reference says nothing of ground that is mapped as {', '.join(few)} (fewer than {LEAST_POINTS} places): "
            "label points there too, `terraseg measure MAP --plan-sample 5%` draws them"
        )
    return mapped


def _own(values: NDArray[np.float64], mapped: NDArray[np.intp]) -> NDArray[np.float64]:
    """Of rows of mapped classes each one's own column, (K,); NaN where a class is not mapped."""
    own = np.full(values.shape[1], np.nan)
    own[mapped] = values[np.arange(len(mapped)), mapped]
    return own


@dataclass(frozen=True, eq=False)
class _Figures:
    """Shares, accuracies and their standard errors by class, (K,); NaN where they are not defined."""

    share: NDArray[np.float64]
    share_error: NDArray[np.float64]
    users: NDArray[np.float64]
    users_error: NDArray[np.float64]
    producers_error: NDArray[np.float64]
    overall_error: float


def _assembled(
    figures: _Figures,
    ends: PointEnds,
    counts: NDArray[np.int64],
    areas: NDArray[np.float64],
    *,
    of: tuple[Legend, Unit, Source, int],
) -> HonestAreas:
    legend, unit, source, clusters = of
    observed = float(areas.sum())
    share = areas / observed
    hit = np.nan_to_num(share * figures.users)
    rows = []
    for k, land in enumerate(legend.classes):
        part = _estimate(figures.share[k], figures.share_error[k], ends.share, k)
        users = producers = None
        if not np.isnan(figures.users[k]):
            users = _estimate(figures.users[k], figures.users_error[k], ends.users, k)
        if figures.share[k] > 0:
            producers = _estimate(hit[k] / figures.share[k], figures.producers_error[k], ends.producers, k)
        mapped = (float(areas[k]), float(share[k]))
        points = int(counts[k].sum())
        rows.append(ClassEstimates(land.id, land.name, *mapped, part.times(observed), part, users, producers, points))
    overall = _estimate(hit.sum(), figures.overall_error, ends.overall, 0)
    confusion = tuple(tuple(int(n) for n in row) for row in counts)
    return HonestAreas(unit, observed, overall, tuple(rows), confusion, source, clusters)


def _normal_ends(
    figures: _Figures, counts: NDArray[np.int64], share: NDArray[np.float64], units: NDArray[np.float64]
) -> PointEnds:
    """Intervals of 1.96 standard errors to either side, and what no block has shown; `units` are the blocks of each class."""
    hit = np.nan_to_num(share * figures.users)
    missed, false, none = _unseen(counts, share, units)
    with np.errstate(divide="ignore", invalid="ignore"):
        producers = hit / figures.share
        least = np.where(hit > 0, missed / (hit + missed), 0.0)
    overall, error = np.array([hit.sum()]), np.array([figures.overall_error])
    return PointEnds(
        _around(figures.share, figures.share_error, share * false, missed),
        _around(figures.users, figures.users_error, false, none),
        _around(producers, figures.producers_error, least, np.zeros_like(least)),
        _around(overall, error, np.array([_any_error(counts, share, units)]), np.zeros(1)),
    )


def _any_error(counts: NDArray[np.int64], share: NDArray[np.float64], units: NDArray[np.float64]) -> float:
    """The share of the map that may be wrong although nothing drawn was; 0 where something was."""
    return _rare(share, units) if counts.sum() == np.trace(counts) else 0.0


def _unseen(
    counts: NDArray[np.int64], share: NDArray[np.float64], units: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How much of an error there may be that no point has shown, (K,) each, 0 where one has; at 97.5 % confidence.

    Of each class the share of the map that it may cover unmapped, the share of its mapped ground that may be wrong, and,
    for a class that was never right, the share that may be right. A sample without an error has no variance; but n draws
    without one leave rates up to 1 - 0.025^(1/n) open (Clopper and Pearson, Biometrika 26 (1934)).
    """
    classes = len(share)
    rate = np.where(units > 0, 1 - TAIL ** (1 / np.maximum(units, 1)), 0.0)
    hits, mapped, found = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    missed = np.zeros(classes)
    for k in range(classes):
        if found[k] == hits[k]:
            missed[k] = _rare(np.where(np.arange(classes) == k, 0.0, share), units)
    return missed, np.where(hits == mapped, rate, 0.0), np.where(hits == 0, rate, 0.0)


def _rare(share: NDArray[np.float64], units: NDArray[np.float64]) -> float:
    """The largest share of the map on which something may be that no point has shown.

    Without a find in any stratum, sum n_i u_i is below -log(0.025) for rare rates u_i, and sum W_i u_i is largest when all
    of it lies in the stratum with the largest W_i / n_i.
    """
    density = np.divide(share, units, out=np.zeros_like(share), where=units > 0)
    return float(min(share.sum(), -np.log(TAIL) * density.max(initial=0)))


def _around(
    value: NDArray[np.float64], error: NDArray[np.float64], below: NDArray[np.float64], above: NDArray[np.float64]
) -> Ends:
    """Shares with normal intervals, kept within 0 and 1.

    What may lie `below` and `above` without having been seen is joined to the standard error as independent parts of an
    interval are (the method of variance estimates recovery, Zou and Donner, Stat. Med. 27 (2008)).
    """
    low, high = value - np.hypot(Z * error, below), value + np.hypot(Z * error, above)
    return Ends(np.clip(low, 0, 1), np.clip(high, 0, 1))


def _estimate(value: float, error: float, ends: Ends, place: int) -> Estimate:
    return Estimate(float(value), float(error), float(ends.low[place]), float(ends.high[place]))
