"""Every error a user can meet, named for the situation.

    TerrasegError
    ├── BadOption          a setting, a flag or a project-file key that cannot be used
    ├── UnknownName        a name that is in no list: a network, an encoder, a class, a band
    ├── MissingExtra       a feature whose optional dependencies are not installed
    ├── UnreadableFile     a raster, a vector or a bundle that cannot be opened or is damaged
    ├── UnwritableFile     an output that cannot be written: no room, no permission, a wrong place
    ├── BandMismatch       imagery whose bands or bit depth are not the ones expected
    ├── GridMismatch       rasters that should share a grid and do not
    ├── CrsMissing         a coordinate reference system is needed and absent
    ├── NoOverlap          labels and imagery that do not meet on the ground
    ├── UnknownClass       a label value that no class of the project stands for
    ├── EmptyDataset       nothing left to train on, to predict or to score
    ├── BrokenBundle       a model folder whose parts are missing or disagree
    ├── StaleRun           a run folder made by other settings or held by another process
    ├── RastersFailed      some rasters of a job that could not be predicted; the others were
    └── TrainingFailed     training that cannot go on (a loss that is not finite, a budget too small)

A message says what was found, why that fails and what to do, with the file and the value. The command line prints it as
one line and leaves with exit code 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class TerrasegError(Exception):
    """The root: an input, a setting or an environment that the user can mend."""


class BadOption(TerrasegError):
    """A setting, a flag or a project-file key that cannot be used."""


class UnknownName(TerrasegError):
    """A name that is in no list: a network, an encoder, a class, a band."""


class MissingExtra(TerrasegError):
    """A feature whose optional dependencies are not installed."""


class UnreadableFile(TerrasegError):
    """A raster, a vector or a bundle that cannot be opened or is damaged."""


class UnwritableFile(TerrasegError):
    """An output that cannot be written: no room on the disk, no permission, a wrong place."""


class BandMismatch(TerrasegError):
    """Imagery whose bands or bit depth are not the ones expected."""


class GridMismatch(TerrasegError):
    """Rasters that should share a grid and do not."""


class CrsMissing(TerrasegError):
    """A coordinate reference system is needed and absent."""


class NoOverlap(TerrasegError):
    """Labels and imagery that do not meet on the ground."""


class UnknownClass(TerrasegError):
    """A label value that no class of the project stands for."""


class EmptyDataset(TerrasegError):
    """Nothing left to train on, to predict or to score."""


class BrokenBundle(TerrasegError):
    """A model folder whose parts are missing or disagree."""


class StaleRun(TerrasegError):
    """A run folder made by other settings or held by another process."""


class RastersFailed(TerrasegError):
    """Some rasters of a job that could not be predicted; the others were."""


class TrainingFailed(TerrasegError):
    """Training that cannot go on: a loss that is not finite, a budget too small."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The closing half-sentence of an unknown name's message: the nearest known one, then all of them.

    >>> nearest("unet-resent", ["unet", "unet-resnet"])
    "did you mean 'unet-resnet'? Known: unet, unet-resnet"
    >>> nearest("x", ["unet"])
    'known are unet'
    >>> nearest("x", [])
    'none is known here'
    """
    names = list(known)
    if not names:
        return "none is known here"
    close = get_close_matches(name, names, n=1)
    listed = ", ".join(names)
    return f"did you mean {close[0]!r}? Known: {listed}" if close else f"known are {listed}"


def missing_extra(feature: str, extra: str) -> MissingExtra:
    """The error for a feature of an optional extra, with the command that installs it."""
    return MissingExtra(f"{feature} needs packages that are not installed: run pip install 'terraseg[{extra}]'")
