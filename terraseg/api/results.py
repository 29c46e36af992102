"""What a model makes of the labelled windows of the data: their scores together, and some of them as pictures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.api.data import Data
from terraseg.api.picture import Panel, Picture, panels
from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset, Role, Scene
from terraseg.core.scorer import Scorer
from terraseg.core.window import Window, cut
from terraseg.errors import BadOption, BandMismatch, EmptyDataset
from terraseg.evaluate.evaluate import Block, class_table, score_blocks
from terraseg.evaluate.scores import Scores
from terraseg.pixels.blend import decide_each, to_host
from terraseg.pixels.relabel import mask_table, stacked_masks
from terraseg.predict.options import HALF
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster
from terraseg.train.pictures import striped, visible

Place = tuple[Scene, Window]
SMALLEST_PANEL, LARGEST_PANEL = 64, 512


@dataclass(frozen=True, eq=False)
class Judged:
    """A window as it is and as it is seen: raw pixels (bands, height, width), label bytes (height, width)."""

    scene: Scene
    pixels: NDArray[Any]
    block: Block


def score_part(scorer: Scorer, dataset: Dataset, part: Role, *, source: Path) -> Scores:
    """The scores over all labelled pixels of a part of the data, from one confusion matrix; `source` is the model's folder.

    Windows are read and scored in tiles of the model's size, each with its surroundings. Raises `BandMismatch` for a model of
    other bands, `UnknownClass` for one with a class that the labels lack, `EmptyDataset` without a labelled window.
    """
    places = labelled_places(dataset, part)
    tiles = [(scene, tile) for scene, window in places for tile in cut(window, scorer.spec.tile, scorer.spec.tile)]
    blocks = (judged.block for judged in judge(scorer, dataset, tiles, source=source))
    return score_blocks(blocks, dataset.legend, overlapping=dataset.coding.overlapping)


def results_picture(scorer: Scorer, data: Data, shown: tuple[int, Role], *, source: Path) -> Picture:
    """Image, truth and prediction side by side, for so many places spread over a part of the data; raises as `score_part`."""
    count, part = shown
    legend, overlapping = data.dataset.legend, data.dataset.coding.overlapping
    places = spread(labelled_places(data.dataset, part), count, min(LARGEST_PANEL, scorer.spec.tile))
    rows = []
    for seen in judge(scorer, data.dataset, places, source=source):
        both = (seen.block.truth, seen.block.prediction)
        truth, guess = (striped(labels, legend, overlapping=overlapping) for labels in both)
        images = {"image": visible(seen.pixels, data.fingerprint), "truth": truth, "prediction": guess}
        rows.append([Panel(f"{seen.scene.name}: {title}", image) for title, image in images.items()])
    return panels(rows, legend)


def labelled_places(dataset: Dataset, part: Role) -> list[Place]:
    """The labelled windows of a part of the data; `EmptyDataset` when there is none."""
    places = [(scene, window) for scene, window in dataset.labelled(part) if not window.is_empty]
    if not places:
        raise EmptyDataset(f'the data have no labelled {part} windows: pass part="train", "validation" or "test"')
    return places


def judge(scorer: Scorer, dataset: Dataset, places: Iterable[Place], *, source: Path) -> Iterator[Judged]:
    """Each place with its truth and its prediction, as label bytes of the data; nodata is 255 in the prediction."""
    spec = scorer.spec
    if spec.bands != dataset.bands:
        raise BandMismatch(
            f"the model {source} takes the bands {', '.join(spec.bands)} and the data have {', '.join(dataset.bands)}: "
            "prepare data with the model's bands, in its order"
        )
    if spec.overlapping != dataset.coding.overlapping:
        kinds = "overlap", "exclude each other"
        model, data = kinds if spec.overlapping else kinds[::-1]
        raise BadOption(
            f"the classes of the model {source} {model} and those of the data {data}: prepare data with overlapping = "
            f"{str(spec.overlapping).lower()} under [data], or train on these"
        )
    table = class_table(spec.legend, dataset.legend, source)
    if spec.overlapping:
        table = mask_table(table, len(spec.legend))
    for scene, window in places:
        seen = grown(window, spec.overlap // 2, scene.grid.window)
        inner = window.shifted(-seen.row, -seen.col).slices
        with open_raster(scene.imagery) as raster, open_labels(scene, dataset) as labels:
            patch, truth = raster.read(seen), labels.read(window)
        mapped = _mapped(to_host(scorer.score(patch.pixels[None]))[0], overlapping=spec.overlapping)
        mapped[~patch.valid] = VOID
        yield Judged(scene, patch.pixels[:, *inner], Block(window, truth, table[mapped[inner]]))


def _mapped(probabilities: NDArray[Any], *, overlapping: bool) -> NDArray[np.uint8]:
    """Label bytes (height, width) of probabilities (classes, height, width)."""
    if not overlapping:
        return np.asarray(probabilities.argmax(axis=0), dtype=np.uint8)
    inside, _ = decide_each(probabilities, HALF)
    return stacked_masks(to_host(inside), [[index] for index in range(len(probabilities))], [])


def grown(window: Window, margin: int, whole: Window) -> Window:
    """The window with so many pixels more on each side, as far as `whole` goes.

    >>> grown(Window(10, 0, 5, 5), 4, Window(0, 0, 100, 100))
    Window(row=6, col=0, height=13, width=9)
    """
    wide = Window(window.row - margin, window.col - margin, window.height + 2 * margin, window.width + 2 * margin)
    return wide.intersection(whole)


def spread(places: Iterable[Place], count: int, side: int) -> list[Place]:
    """At most `count` squares of `side` pixels, spread evenly over the places.

    Where the places hold too few, squares of half the side, and so on down to `SMALLEST_PANEL`; of those that are left,
    the whole ones first.
    """
    where = list(places)
    squares = [(scene, square) for scene, window in where for square in cut(window, side, side)]
    whole = [(scene, s) for scene, s in squares if s.height == s.width == side]
    if len(whole) < count and side // 2 >= SMALLEST_PANEL:
        return spread(where, count, side // 2)
    chosen = whole if len(whole) >= count else sorted(squares, key=lambda p: -p[1].height * p[1].width)[:count]
    return [chosen[n * len(chosen) // count] for n in range(count)] if len(chosen) >= count else chosen
