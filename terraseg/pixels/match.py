"""Whether two pictures show the same ground, found by what they look like: for imagery that says nothing of its place.

The pictures lie alike (no rotation between them) and differ in scale by at most a sixth. Coarse versions are correlated
at every shift by FFT; the best shifts are then looked at closely: small blocks must find their counterparts one by one,
all moved alike. After the template matching of J. P. Lewis, "Fast normalized cross-correlation" (1995), and the block
displacements of image registration (Zitova and Flusser, Image and Vision Computing 21, 2003).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

COARSE_SIDE = 112
"""Longer side in pixels of the median picture when shifts are searched."""
SCALES = tuple(float(1.05**n) for n in range(-3, 4))
LEAST_SIDE = 16
"""Shared strips narrower than this, in coarse pixels, are not found: a seventh of a picture's side."""
LEAST_PIXELS = 400
ALONE = 8
"""Coarse pixels around a peak within which further peaks are the same one."""
CORRELATED = 9.0
"""Coarse pixels that say one thing together."""
WORTH_A_LOOK = 4.5
MOST_LOOKS = 300
DISTINCT = 0.8
"""A second peak above this share of the first: the texture repeats itself, and the shift means nothing."""
BLOCK, STRIDE, REACH = 24, 16, 12
MOST_BLOCKS = 64
TEXTURED = 0.15
ALIKE = 0.5
OFF = 2.0
LEAST_BLOCKS = 4
LEAST_AGREEMENT = 0.5
"""Of the share of agreeing blocks times their correlation: quarters built to one plan reach 0.47, one ground 0.6 to 1."""
MOST_COMPARISONS = 80_000

Plane = NDArray[np.float32]
Spectrum = NDArray[np.complex64]


@dataclass(frozen=True)
class Match:
    """Two pictures of the same ground: position in `one` = `scale` times position in `other` + (`row`, `col`).

    Positions are in pixels of the pictures given, the outer corner of the first pixel at (0, 0). `correlation` is the
    median correlation of the blocks that agree, `agreeing` their share.
    """

    one: int
    other: int
    scale: float
    row: float
    col: float
    correlation: float
    agreeing: float


@dataclass(frozen=True)
class _Peak:
    score: float
    rival: float
    scale: float
    row: float
    col: float


def find_matches(pictures: Sequence[Plane], groups: Sequence[str]) -> tuple[Match, ...] | None:
    """The pairs of pictures that share ground, among those of different groups; None when they are too many to compare.

    `pictures` are grey (height, width) of float32, NaN where nothing is known, all reduced by one common factor. Needs
    about a millisecond a pair and scale; beyond `MOST_COMPARISONS` only one scale is tried, then none.

    >>> find_matches([], [])
    ()
    """
    pairs = sum(groups[i] != groups[j] for j in range(len(groups)) for i in range(j))
    scales = SCALES if pairs * len(SCALES) <= MOST_COMPARISONS else (1.0,)
    if pairs * len(scales) > MOST_COMPARISONS:
        return None
    if not pairs:
        return ()
    zoom = min(1.0, COARSE_SIDE / float(np.median([max(p.shape) for p in pictures])))
    peaks = _coarse_peaks(pictures, groups, zoom, scales)
    best = sorted(peaks.items(), key=lambda item: (-item[1].score, item[0]))[:MOST_LOOKS]
    fine: dict[int, Plane] = {}
    matches = []
    for (i, j), peak in best:
        for n in (i, j):
            if n not in fine:
                fine[n] = texture(pictures[n])
        found = _look(fine[i], fine[j], peak)
        if found is not None:
            matches.append(Match(i, j, *found))
    return tuple(sorted(matches, key=lambda m: (m.one, m.other)))


def texture(grey: Plane, spread: float = 4.0) -> Plane:
    """The picture with its local mean taken off and its local contrast made even; zero where nothing is known.

    Smooth ground stays near zero: contrast below a tenth of the picture's own is not blown up.
    """
    known = np.isfinite(grey)
    if not known.any():
        return np.zeros(grey.shape, dtype=np.float32)
    filled = np.where(known, grey, np.float32(0.0)).astype(np.float32)
    weight = np.maximum(ndimage.gaussian_filter(known.astype(np.float32), spread), 1e-6)
    off = np.where(known, filled - ndimage.gaussian_filter(filled, spread) / weight, np.float32(0.0))
    local = np.sqrt(ndimage.gaussian_filter(off * off, spread) / weight)
    floor = 0.1 * float(filled[known].std()) + 1e-6
    return np.asarray(off / (local + floor), dtype=np.float32)


def resized(grey: Plane, zoom: float) -> Plane:
    """The picture at `zoom` times its size, smoothed before it is made smaller; at least one pixel."""
    shape = [max(1, round(side * zoom)) for side in grey.shape]
    soft = ndimage.gaussian_filter(grey, 0.5 / zoom) if zoom < 1 else grey
    factors = [new / old for new, old in zip(shape, grey.shape, strict=True)]
    return np.asarray(ndimage.zoom(soft, factors, order=1, mode="nearest", grid_mode=True), dtype=np.float32)


def _coarse_peaks(
    pictures: Sequence[Plane], groups: Sequence[str], zoom: float, scales: Sequence[float]
) -> dict[tuple[int, int], _Peak]:
    """The best shift of each pair over the scales, where it is worth a closer look; in pixels of the pictures."""
    filled = [_filled(p) for p in pictures]
    side = fft.next_fast_len(
        int(np.ceil(zoom * max(max(p.shape) for p in pictures) * (1 + max(scales)))) + 2, real=True
    )
    coarse = [texture(resized(p, zoom)) for p in filled]
    spectra = [fft.rfft2(plane, (side, side)) for plane in coarse]
    peaks: dict[tuple[int, int], _Peak] = {}
    for j, scale in product(range(len(pictures)), scales):
        others = [i for i in range(j) if groups[i] != groups[j]]
        if not others:
            continue
        moved = texture(resized(filled[j], zoom * scale))
        spectrum = np.conj(fft.rfft2(moved, (side, side)))
        for i in others:
            peak = _best_shift(coarse[i], moved, fft.irfft2(spectra[i] * spectrum, (side, side)))
            if peak is None or peak.score <= max(WORTH_A_LOOK, peaks[i, j].score if (i, j) in peaks else 0.0):
                continue
            at = _Peak(peak.score, peak.rival, scale, peak.row / zoom, peak.col / zoom)
            peaks[i, j] = at
    return {pair: peak for pair, peak in peaks.items() if peak.rival <= DISTINCT * peak.score}


def _filled(grey: Plane) -> Plane:
    known = np.isfinite(grey)
    mean = float(grey[known].mean()) if known.any() else 0.0
    return np.where(known, grey, np.float32(mean)).astype(np.float32)


def _best_shift(one: Plane, other: Plane, correlation: Plane) -> _Peak | None:
    """The highest peak with its rival; scores are Fisher's z of the correlation in units of its deviation by chance."""
    side = len(correlation)
    shifts = fft.fftfreq(side, 1 / side).round().astype(int)
    shared = [_shared(one.shape[axis], other.shape[axis], shifts) for axis in (0, 1)]
    even = [np.where(n >= LEAST_SIDE, 1 / np.sqrt(np.maximum(n, 1)), 0).astype(np.float32) for n in shared]
    surface = correlation * even[0][:, None] * even[1][None, :]
    found: list[tuple[float, int, int]] = []
    for _ in range(3):
        row, col = divmod(int(surface.argmax()), side)
        if surface[row, col] <= 0:
            break
        found.append((_score(one, other, int(shifts[row]), int(shifts[col])), int(shifts[row]), int(shifts[col])))
        near = np.arange(-ALONE, ALONE + 1)
        surface[np.ix_((row + near) % side, (col + near) % side)] = 0
    if not found:
        return None
    found.sort(reverse=True)
    return _Peak(found[0][0], found[1][0] if len(found) > 1 else 0.0, 1.0, found[0][1], found[0][2])


def _shared(one: int, other: int, shifts: NDArray[np.int_]) -> NDArray[np.int_]:
    return np.minimum(one, other + shifts) - np.maximum(0, shifts)


def _score(one: Plane, other: Plane, row: int, col: int) -> float:
    """How far a correlation at a shift is above chance, in standard deviations."""
    a = one[max(0, row) : other.shape[0] + row, max(0, col) : other.shape[1] + col]
    b = other[max(0, -row) : one.shape[0] - row, max(0, -col) : one.shape[1] - col]
    energy = float(np.sqrt((a * a).sum() * (b * b).sum()))
    # Flat ground on one side has no say: its few grains of texture correlate by chance.
    if a.size < LEAST_PIXELS or energy < TEXTURED * a.size:
        return 0.0
    r = min(0.999, float((a * b).sum()) / energy)
    return float(np.arctanh(r) * np.sqrt(a.size / CORRELATED)) if r > 0 else 0.0


def _look(one: Plane, other: Plane, peak: _Peak) -> tuple[float, float, float, float, float] | None:
    """Scale, shift, correlation and agreement of a coarse shift looked at block by block; None for a false alarm."""
    moved = resized(other, peak.scale)
    row, col = round(peak.row), round(peak.col)
    frame = _placed(moved, (row, col), one.shape)
    places, moves, alike = [], [], []
    for top, left in _blocks(one.shape, moved.shape, row, col):
        block = one[top : top + BLOCK, left : left + BLOCK]
        if float((block * block).mean()) < TEXTURED:
            continue
        around = frame[top : top + BLOCK + 2 * REACH, left : left + BLOCK + 2 * REACH]
        r, move = _find_block(block, around)
        places.append((top + BLOCK / 2, left + BLOCK / 2))
        moves.append(move)
        alike.append(r)
    if len(places) < LEAST_BLOCKS:
        return None
    found = _agreed(np.array(places), np.array(moves), np.array(alike), peak.scale, (row, col))
    if found is None or repetition(one[max(0, row) : moved.shape[0] + row, max(0, col) : moved.shape[1] + col]) > (
        DISTINCT * found[3]
    ):
        return None
    return found


def repetition(plane: Plane) -> float:
    """The highest correlation of a textured picture with itself, moved by more than `ALONE` and at most half its size."""
    shape = tuple(fft.next_fast_len(2 * side, real=True) for side in plane.shape)
    spectrum = fft.rfft2(plane, shape)
    raw = fft.irfft2(spectrum * np.conj(spectrum), shape)
    down, across = (side // 2 + 1 for side in plane.shape)
    columns = np.concatenate([raw[:down, :across], raw[:down, -across + 1 :]], axis=1)
    shifts = np.arange(down), np.concatenate([np.arange(across), np.arange(-across + 1, 0)])
    pixels = (plane.shape[0] - shifts[0])[:, None] * (plane.shape[1] - np.abs(shifts[1]))[None, :]
    far = np.maximum(shifts[0][:, None], np.abs(shifts[1])[None, :]) > ALONE
    energy = float(raw[0, 0]) / plane.size
    return float((columns / pixels)[far].max() / energy) if far.any() and energy > 0 else 0.0


def _placed(moved: Plane, shift: tuple[int, int], shape: tuple[int, ...]) -> Plane:
    """The second picture on the first one's pixels, with a rim of `REACH`; zero where it has none."""
    frame = np.zeros((shape[0] + 2 * REACH, shape[1] + 2 * REACH), dtype=np.float32)
    row, col = shift[0] + REACH, shift[1] + REACH
    part = moved[max(0, -row) : max(0, frame.shape[0] - row), max(0, -col) : max(0, frame.shape[1] - col)]
    top, left = max(0, row), max(0, col)
    frame[top : top + part.shape[0], left : left + part.shape[1]] = part
    return frame


def _blocks(one: tuple[int, ...], moved: tuple[int, ...], row: int, col: int) -> Iterator[tuple[int, int]]:
    """Corners of blocks over the shared rectangle, at most about `MOST_BLOCKS`."""
    top, bottom = max(0, row), min(one[0], moved[0] + row)
    left, right = max(0, col), min(one[1], moved[1] + col)
    many = max(1, (bottom - top) // STRIDE) * max(1, (right - left) // STRIDE)
    stride = int(np.ceil(STRIDE * max(1.0, np.sqrt(many / MOST_BLOCKS))))
    yield from product(range(top, bottom - BLOCK + 1, stride), range(left, right - BLOCK + 1, stride))


def _find_block(block: Plane, around: Plane) -> tuple[float, tuple[float, float]]:
    """The highest correlation of a block within its surroundings, and how far off it lies."""
    shape = around.shape
    product_sum = fft.irfft2(fft.rfft2(around) * np.conj(fft.rfft2(block, shape)), shape)
    sums = np.zeros((shape[0] + 1, shape[1] + 1))
    sums[1:, 1:] = (around.astype(np.float64) ** 2).cumsum(axis=0).cumsum(axis=1)
    energy = sums[BLOCK:, BLOCK:] - sums[:-BLOCK, BLOCK:] - sums[BLOCK:, :-BLOCK] + sums[:-BLOCK, :-BLOCK]
    least = 0.25 * TEXTURED * BLOCK**2
    norm = np.sqrt(np.maximum(energy, least) * float((block.astype(np.float64) ** 2).sum()))
    r = product_sum[: 2 * REACH + 1, : 2 * REACH + 1] / norm
    down, right = divmod(int(r.argmax()), r.shape[1])
    return float(r[down, right]), (down - REACH, right - REACH)


def _agreed(
    places: NDArray[np.float64],
    moves: NDArray[np.float64],
    alike: NDArray[np.float64],
    scale: float,
    shift: tuple[int, int],
) -> tuple[float, float, float, float, float] | None:
    """One move and one change of scale for all blocks, by least squares over those that agree with each other."""
    good = alike >= ALIKE
    if good.sum() < LEAST_BLOCKS:
        return None
    centre = places[good].mean(axis=0)
    start, growth = np.median(moves[good], axis=0), 0.0
    kept = good
    for tolerance in (4 * OFF, 2 * OFF, OFF):
        expected = start + growth * (places - centre)
        kept = good & (np.abs(moves - expected).max(axis=1) <= tolerance)
        if kept.sum() < LEAST_BLOCKS:
            return None
        off, by = places[kept] - centre, moves[kept]
        inner = off - off.mean(axis=0)
        spread = float((inner**2).sum())
        growth = float((inner * (by - by.mean(axis=0))).sum() / spread) if spread > 0 else 0.0
        start = by.mean(axis=0) - growth * off.mean(axis=0)
    correlation, agreeing = float(np.median(alike[kept])), float(kept.mean())
    if correlation * agreeing < LEAST_AGREEMENT:
        return None
    # A place p of the first picture is found at p + move in the moved second: p = (q - start + growth centre) / (1 + growth).
    corner = (np.array(shift) - start + growth * centre) / (1 + growth)
    ratio = scale / (1 + growth)
    return ratio, float(corner[0]), float(corner[1]), correlation, agreeing
