"""The losses of regions once more, in numpy, float64 and plain loops over classes and pixels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from terraseg.nets.loss_options import LossOptions

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def region_oracle(name: str, shares: Floats, truth: Bools, known: Bools, options: LossOptions) -> float:
    """A region loss of probabilities and truth (n, k, h, w) over known pixels (n, h, w)."""
    classes = shares.shape[1]
    weights = np.ones(classes) if options.class_weights is None else np.array(options.class_weights)
    terms, priced = [], []
    for k in range(classes):
        if name == "boundary":
            term = boundary_term(shares[:, k], truth[:, k], known, options)
        else:
            inside = truth[:, k][known]
            term = TERMS[name](shares[:, k][known], inside, options) if inside.any() else None
        if term is not None:
            terms.append(term)
            priced.append(weights[k])
    return float(np.average(terms, weights=priced)) if sum(priced) else 0.0


def dice_term(share: Floats, inside: Bools, _: LossOptions) -> float:
    return float(1 - 2 * share[inside].sum() / (share.sum() + inside.sum()))


def jaccard_term(share: Floats, inside: Bools, _: LossOptions) -> float:
    both = share[inside].sum()
    return float(1 - both / (share.sum() + inside.sum() - both))


def tversky_term(share: Floats, inside: Bools, options: LossOptions) -> float:
    hit, false, missed = share[inside].sum(), share[~inside].sum(), (1 - share[inside]).sum()
    index = hit / (hit + options.tversky_alpha * false + options.tversky_beta * missed)
    return float((1 - index) ** (1 / options.tversky_gamma))


def lovasz_term(share: Floats, inside: Bools, _: LossOptions) -> float:
    """The Jaccard loss of ever more wrong pixels, from the worst on; each step is paid with the error that it adds."""
    errors = np.where(inside, 1 - share, share)
    total, before = 0.0, 0.0
    wrong = np.zeros(len(errors), dtype=bool)
    for pixel in np.argsort(-errors, kind="stable"):
        wrong[pixel] = True
        loss = 1 - (inside & ~wrong).sum() / (inside | wrong).sum()
        total += errors[pixel] * (loss - before)
        before = loss
    return total


TERMS: dict[str, Callable[[Floats, Bools, LossOptions], float]] = {
    "dice": dice_term,
    "jaccard": jaccard_term,
    "tversky": tversky_term,
    "lovasz": lovasz_term,
}


def boundary_term(share: Floats, inside: Bools, known: Bools, options: LossOptions) -> float | None:
    """One minus the F1 score of boundaries (n, h, w); None where the truth has none."""
    true, predicted = outline(inside.astype(np.float64), known), outline(share, known)
    if true.sum() == 0:
        return None
    reach = options.boundary_tolerance
    recall = (true * greatest(predicted, known, reach)).sum() / true.sum()
    precision = (predicted * greatest(true, known, reach)).sum() / max(predicted.sum(), 1e-6)
    return float(1 - 2 * precision * recall / max(precision + recall, 1e-6))


def outline(values: Floats, known: Bools) -> Floats:
    """A value less the smallest known one around it; 0 at void pixels."""
    return np.where(known, greatest(1 - values, known, 1) - (1 - values), 0.0)


def greatest(values: Floats, known: Bools, reach: int) -> Floats:
    """The greatest known value, 0 without any, in the square around each pixel."""
    result = np.zeros_like(values)
    for n, row, col in np.ndindex(values.shape):
        rows, cols = slice(max(0, row - reach), row + reach + 1), slice(max(0, col - reach), col + reach + 1)
        result[n, row, col] = values[n, rows, cols][known[n, rows, cols]].max(initial=0.0)
    return result
