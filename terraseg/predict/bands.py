"""Which bands of a raster are the ones that a model reads, by their names, and in which order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from terraseg.errors import BandMismatch

SPELLINGS = {
    "coastal": "coastal", "coastalaerosol": "coastal", "aerosol": "coastal",
    "blue": "blue", "b": "blue", "green": "green", "g": "green", "yellow": "yellow", "red": "red", "r": "red",
    "rededge": "rededge", "re": "rededge",
    "nir": "nir", "nearinfrared": "nir", "nearir": "nir", "ir": "nir", "infrared": "nir", "n": "nir", "nir08": "nir08",
    "swir": "swir", "swir1": "swir16", "swir16": "swir16", "swir2": "swir22", "swir22": "swir22",
    "pan": "pan", "panchromatic": "pan", "thermal": "thermal", "lwir": "thermal",
}  # fmt: skip
"""Ways to write a band's name, without signs and in lower case, and the one that is meant."""


@dataclass(frozen=True)
class BandMatch:
    """For each of the model's bands its place among the raster's, from 0, and what there is to say about it."""

    places: tuple[int, ...]
    notes: tuple[str, ...] = ()


def match_bands(wanted: Sequence[str], found: Sequence[str]) -> BandMatch:
    """The raster's bands that a model reads.

    By name where the raster has a band of each name, in whatever order and with whatever others; by position where the
    counts agree and no name says otherwise. Raises `BandMismatch`.
    """
    by_name = _by_name([b.lower() for b in wanted], [b.lower() for b in found])
    by_name = by_name or _by_name([meaning(b) for b in wanted], [meaning(b) for b in found])
    if by_name is not None:
        return BandMatch(by_name, _said(by_name, wanted, found))
    if len(wanted) != len(found):
        raise _other_count(wanted, found)
    for w, f in zip(wanted, found, strict=True):
        if meaning(w) and meaning(f) and meaning(w) != meaning(f):
            raise BandMismatch(
                f"the raster has the band {f!r} where the model reads {w!r} ({', '.join(wanted)}): pass imagery with the "
                f"model's bands; if only the name is wrong, name the raster's bands with --set input.bands"
            )
    foreign = [f for f in found if not is_unnamed(f) and meaning(f) is None and f.lower() not in map(str.lower, wanted)]
    if not foreign:
        return BandMatch(tuple(range(len(wanted))))
    note = f"the bands {', '.join(found)} are taken by their position as {', '.join(wanted)}"
    return BandMatch(tuple(range(len(wanted))), (note,))


def meaning(band: str) -> str | None:
    """The usual name of a band that is written in some other way; None for a name that says nothing about the band.

    >>> meaning("B08 - Near Infrared"), meaning("Red_Edge"), meaning("band 4"), meaning("SR_B4")
    ('nir', 'rededge', None, None)
    """
    words = [word for word in re.split(r"[^a-z0-9]+", band.lower()) if word]
    whole = SPELLINGS.get("".join(words))
    if whole is not None or len(words) < 2:
        return whole
    # A single letter beside other words is no band: it is a part of some code.
    pairs = ["".join(words[i : i + 2]) for i in range(len(words) - 1)]
    meant = {SPELLINGS[p] for p in pairs if p in SPELLINGS} or {
        SPELLINGS[word] for word in words if len(word) > 2 and word in SPELLINGS
    }
    return meant.pop() if len(meant) == 1 else None


def is_unnamed(band: str) -> bool:
    """True for a name that is only a number: "band_3", "3".

    >>> is_unnamed("Band 3"), is_unnamed("B3")
    (True, False)
    """
    return re.fullmatch(r"(band[ _-]?)?\d+", band.lower()) is not None


def _by_name(wanted: Sequence[str | None], found: Sequence[str | None]) -> tuple[int, ...] | None:
    """The place of each name, where every one is there exactly once and says something."""
    if any(name is None or is_unnamed(name) or found.count(name) != 1 for name in wanted):
        return None
    return tuple(found.index(name) for name in wanted)


def _said(places: tuple[int, ...], wanted: Sequence[str], found: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if list(places) != sorted(places):
        notes.append(f"the bands come as {', '.join(found)} and are put into the model's order, {', '.join(wanted)}")
    left = [band for place, band in enumerate(found) if place not in places]
    if left:
        verb = "is" if len(left) == 1 else "are"
        notes.append(f"the model reads {', '.join(wanted)}: {', '.join(left)} {verb} left out")
    return tuple(notes)


def _other_count(wanted: Sequence[str], found: Sequence[str]) -> BandMismatch:
    missing = [w for w in wanted if (meaning(w) or w.lower()) not in {meaning(f) or f.lower() for f in found}]
    if len(found) > len(wanted):
        cure = (
            "say which they are with --set 'input.bands=[...]', a name for each band of the raster in its order, or name "
            "the bands by their descriptions in the file"
        )
    elif missing and any(meaning(f) for f in found):
        verb = "is" if len(missing) == 1 else "are"
        cure = f"{', '.join(missing)} {verb} missing: add {', '.join(missing)}, or use a model trained without"
    else:
        cure = "pass imagery with all of them, or use a model trained on such imagery"
    noun = "band" if len(found) == 1 else "bands"
    return BandMismatch(
        f"the model reads {len(wanted)} bands ({', '.join(wanted)}) and the raster has {len(found)} {noun} "
        f"({', '.join(found)}): {cure}"
    )
