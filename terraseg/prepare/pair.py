"""Which label belongs to which image: rules on names alone, so that they can be read and tested."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# Words that say what a file is, not which scene it shows; they are left out when names are compared.
IMAGE_WORDS = frozenset(
    "image images img imgs sat satellite ortho tile tiles rgb rgbir irrg bgrn scene scenes top photo truecolor band".split()
)
LABEL_WORDS = frozenset(
    "mask masks label labels gt groundtruth truth annotation annotations anno target targets seg nobound noboundary "
    "building buildings footprint footprints landcover classes roads road water trees".split()
)
LABEL_MARKS = frozenset(
    "mask masks label labels gt groundtruth truth annotation annotations anno target targets seg footprint footprints".split()
)
FOLDER_ROLES = LABEL_MARKS | {"image", "images", "img", "imgs", "band"}
BAND_WORDS = (
    "coastal", "blue", "green", "red", "rededge", "nir", "nir08", "swir", "swir1", "swir2", "swir16", "swir22", "pan", "thermal",
)  # fmt: skip


Key = Callable[[PurePosixPath], Hashable]


def words(name: str) -> list[str]:
    """The lower-case words and numbers of a name.

    >>> words("top_potsdam_2_10_RGB")
    ['top', 'potsdam', '2', '10', 'rgb']
    """
    return [word for word in re.split(r"[^0-9a-z]+", name.lower()) if word]


@dataclass(frozen=True)
class SceneKey:
    """What is left of a path when the words for "image" and "label" are taken out: the place and the name."""

    folder: tuple[str, ...]
    name: tuple[str, ...]


def scene_key(path: PurePosixPath) -> SceneKey:
    """The key of a path relative to the data's root; equal keys are one scene.

    >>> scene_key(PurePosixPath("Tile 1/images/a_01.jpg")) == scene_key(PurePosixPath("Tile 1/masks/a_01.png"))
    True
    """
    drop = IMAGE_WORDS | LABEL_WORDS
    folder = tuple("_".join(kept) for part in path.parts[:-1] if (kept := _without_roles(part, drop)))
    stem = words(path.stem)
    return SceneKey(folder, tuple(word for word in stem if word not in drop) or tuple(stem))


def _without_roles(part: str, drop: frozenset[str]) -> list[str]:
    """A folder's words without those that say what lies in it: "train_gt" is "train", "images" nothing; "Tile 1" is whole."""
    found = words(part)
    return [] if all(word in drop for word in found) else [word for word in found if word not in FOLDER_ROLES]


def pair(images: Sequence[PurePosixPath], labels: Sequence[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """The label of each image, for those that have one.

    In this order: equal keys; equal names in different folders, when that is one label and one image; a label whose name
    begins the image's name (`zanzibar_buildings` for `zanzibar_1`), the longest first; the only label there is.
    """
    found = _by_key(images, labels, scene_key)
    found |= _by_key([i for i in images if i not in found], labels, lambda path: scene_key(path).name)
    for image in images:
        if image not in found and (label := _by_prefix(image, labels)) is not None:
            found[image] = label
    if len(labels) == 1 and not found:
        found = dict.fromkeys(images, labels[0])
    return found


def _by_key(
    images: Iterable[PurePosixPath], labels: Iterable[PurePosixPath], key: Key
) -> dict[PurePosixPath, PurePosixPath]:
    by_image = _unique(images, key)
    by_label = _unique(labels, key)
    return {image: by_label[k] for k, image in by_image.items() if k in by_label}


def _unique(paths: Iterable[PurePosixPath], key: Key) -> Mapping[Hashable, PurePosixPath]:
    """Paths by key, without the keys that more than one path has."""
    grouped: dict[Hashable, list[PurePosixPath]] = {}
    for path in paths:
        grouped.setdefault(key(path), []).append(path)
    return {k: group[0] for k, group in grouped.items() if len(group) == 1}


def _by_prefix(image: PurePosixPath, labels: Iterable[PurePosixPath]) -> PurePosixPath | None:
    name = scene_key(image).name
    fitting = [label for label in labels if (key := scene_key(label).name) and name[: len(key)] == key]
    return max(fitting, key=lambda label: len(scene_key(label).name), default=None)
