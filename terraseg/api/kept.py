"""The trained model behind a `UNet`: where it lies, and how it is put there again when another one took its place."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BrokenBundle
from terraseg.pipeline.steps import write_model
from terraseg.store.bundle import bundle_hash, read_spec

if TYPE_CHECKING:
    from terraseg.train.loop import TrainedModel


@dataclass(frozen=True, eq=False)
class Kept:
    """A model's folder, its hash and what it says of itself; and the network in memory where it was trained here."""

    folder: Path
    hash: str
    spec: ModelSpec
    trained: "TrainedModel | None" = None


def keep(trained: "TrainedModel", folder: Path) -> Kept:
    """Writes a model that has just been trained."""
    write_model(trained, folder)
    return Kept(folder, bundle_hash(folder), trained.spec, trained)


def open_kept(folder: Path) -> Kept:
    """A model that lies in a folder; `BrokenBundle` when none does."""
    return Kept(folder.resolve(), bundle_hash(folder), read_spec(folder))


def folder_of(kept: Kept) -> Path:
    """The folder, holding this very model: networks of one run share it, and the last to be trained lies there.

    Raises `BrokenBundle` for a model that was loaded from there and has been replaced since.
    """
    if _hash_in(kept.folder) == kept.hash:
        return kept.folder
    if kept.trained is None:
        raise BrokenBundle(f"{kept.folder} holds another model than the one that was loaded: load it again")
    write_model(kept.trained, kept.folder)
    return kept.folder


def _hash_in(folder: Path) -> str:
    try:
        return bundle_hash(folder)
    except BrokenBundle:
        return ""
