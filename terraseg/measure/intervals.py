"""Intervals of a stratified sample that hold the truth as often as they say, for rare classes and few points too.

Normal intervals of plus and minus 1.96 standard errors are too narrow where an error is rare: a sample that shows few of them
has a small estimate and a small standard error at once. So each rate in each stratum gets an interval of its own, that of
Jeffreys (Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16 (2001), 101-133), and
those of sums and ratios are put together from them by the method of variance estimates recovery: for sums Zou and Donner,
Statistics in Medicine 27 (2008), 1693-1702, as Yan and Su, Statistics in Biopharmaceutical Research 2 (2010), 476-482, do for
strata; for ratios Donner and Zou, Statistical Methods in Medical Research 21 (2012), 347-359.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ends:
    """Lower and upper ends of intervals, of one shape."""

    low: Values
    high: Values


@dataclass(frozen=True, eq=False)
class PointEnds:
    """The intervals of a sample of points: by class (K,) of the shares, the user's and the producer's accuracies; the overall
    accuracy in arrays of one. NaN where there is no such figure.
    """

    share: Ends
    users: Ends
    producers: Ends
    overall: Ends


def rate_ends(hits: NDArray[np.integer], draws: NDArray[np.integer], *, exact: NDArray[np.bool_]) -> Ends:
    """Jeffreys' intervals of rates of `hits` in `draws`, of any one shape.

    Where `exact`, a rate of 0 or 1 is left open as far as so many draws without the other leave it, up to 1 - 0.025^(1/n): what
    Brown, Cai and DasGupta recommend for a rate that stands by itself.

    >>> ends = rate_ends(np.array([0, 30]), np.array([60, 60]), exact=np.array([True, True]))
    >>> ends.low.round(3).tolist(), ends.high.round(3).tolist()
    ([0.0, 0.376], [0.06, 0.624])
    """
    x, n = hits.astype(np.float64), draws.astype(np.float64)
    low = np.where(x > 0, special.betaincinv(x + 0.5, n - x + 0.5, TAIL), 0.0)
    high = np.where(x < n, special.betaincinv(x + 0.5, n - x + 0.5, 1 - TAIL), 1.0)
    far = TAIL ** (1 / np.maximum(n, 1))
    low = np.where(exact & (x == n), far, low)
    return Ends(low, np.where(exact & (x == 0), 1 - far, high))


def point_ends(
    counts: NDArray[np.int64], share: Values, mapped: NDArray[np.intp], *, missed: Values, worst: float
) -> PointEnds:
    """The intervals of a sample of points; `counts` (K, K) by map and truth, `share` (K,) of the ground mapped as each class.

    `mapped` are the indices of the strata. `missed` (K,) is how much of the map a class may cover unmapped of which no point
    has shown any, 0 where one has; `worst` the same of any error at all.
    """
    classes, rows = len(share), np.arange(len(mapped))
    own = np.zeros((len(mapped), classes), dtype=np.bool_)
    own[rows, mapped] = True
    draws, weight = counts[mapped].sum(axis=1, keepdims=True), share[mapped, None]
    rate = counts[mapped] / draws
    ends = rate_ends(counts[mapped], np.broadcast_to(draws, rate.shape), exact=own)
    down, up = weight * (rate - ends.low), weight * (ends.high - rate)
    hit, rest = (weight * np.where(chosen, rate, 0.0) for chosen in (own, ~own))
    right, other = hit.sum(axis=0), rest.sum(axis=0)
    right_ends = Ends(right - _joined(down, own), right + _joined(up, own))
    other_up = np.maximum(_joined(up, ~own), missed)
    other_ends = Ends(np.maximum(0, other - _joined(down, ~own)), other + other_up)
    whole = right + other
    share_ends = Ends(
        whole - np.hypot(right - right_ends.low, other - other_ends.low),
        whole + np.hypot(right_ends.high - right, other_up),
    )
    total, below, above = hit.sum(), np.sqrt((down[own] ** 2).sum()), np.sqrt((up[own] ** 2).sum())
    overall = Ends(np.array([total - max(below, worst)]), np.array([total + above]))
    users = Ends(np.full(classes, np.nan), np.full(classes, np.nan))
    users.low[mapped], users.high[mapped] = ends.low[rows, mapped], ends.high[rows, mapped]
    return PointEnds(
        _bounded(share_ends), users, part_ends((right, right_ends), (other, other_ends)), _bounded(overall)
    )


def part_ends(part: tuple[Values, Ends], rest: tuple[Values, Ends]) -> Ends:
    """The intervals of part / (part + rest), two independent estimates with theirs; NaN where both are nothing.

    The smaller of the two is the numerator of a ratio, from which the share follows.
    """
    turned = part[0] > rest[0]
    (one, one_low, one_high), (two, two_low, two_high) = (
        [np.where(turned, b, a) for a, b in zip(_three(first), _three(second), strict=True)]
        for first, second in ((part, rest), (rest, part))
    )
    both = one * two
    with np.errstate(divide="ignore", invalid="ignore"):
        least, most = two_high * (2 * two - two_high), two_low * (2 * two - two_low)
        low = (both - np.sqrt(np.maximum(0, both**2 - one_low * (2 * one - one_low) * least))) / least
        high = (both + np.sqrt(np.maximum(0, both**2 - one_high * (2 * one - one_high) * most))) / most
        # Where the denominator may be twice what was found, or nothing at all, the ratio has no such bound.
        low = np.where(least > 0, np.maximum(0, low), 0.0)
        high = np.where(most > 0, high, np.inf)
        ends = low / (1 + low), np.where(np.isinf(high), 1.0, high / (1 + high))
    low, high = np.where(turned, 1 - ends[1], ends[0]), np.where(turned, 1 - ends[0], ends[1])
    nothing = one + two <= 0
    return Ends(np.where(nothing, np.nan, low), np.where(nothing, np.nan, high))


def _three(figure: tuple[Values, Ends]) -> tuple[Values, Values, Values]:
    return figure[0], figure[1].low, figure[1].high


def _joined(distances: Values, chosen: NDArray[np.bool_]) -> Values:
    """How far the ends of independent parts are from their sums, by column."""
    return np.asarray(np.sqrt((np.where(chosen, distances, 0.0) ** 2).sum(axis=0)))


def _bounded(ends: Ends) -> Ends:
    return Ends(np.clip(ends.low, 0, 1), np.clip(ends.high, 0, 1))
