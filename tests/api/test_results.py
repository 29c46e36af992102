"""Scores and pictures of labelled windows, against a model whose answer is known for every pixel."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import terraseg as ts
from terraseg.api.results import grown, judge, labelled_places, score_part, spread
from terraseg.core.classes import Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.core.window import Window
from terraseg.errors import BandMismatch, EmptyDataset, UnknownClass
from terraseg.evaluate.scores import score
from terraseg.pixels.confusion import confusion
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster

WHERE = Path("model")


class Parity:
    """A model that tells the class of a pixel from its first band alone."""

    device = "a test"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def score(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        indices = batch[:, 0].astype(int) % len(self.spec.legend)
        return np.moveaxis(np.eye(len(self.spec.legend), dtype=np.float32)[indices], -1, 1)


@pytest.fixture
def parity(data: ts.Data) -> Callable[..., Parity]:
    def make(tile: int = 50, overlap: int = 14, **changes: object) -> Parity:
        bands = data.dataset.bands
        ones = (1.0,) * len(bands)
        spec = ModelSpec("none", data.dataset.legend, bands, "uint8", ones, ones, None, tile, overlap, 1)
        return Parity(replace(spec, **changes))  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("tile", [50, 1000])
def test_scores_come_from_one_matrix_over_all_windows(data: ts.Data, parity: Callable[..., Parity], tile: int) -> None:
    found = score_part(parity(tile), data.dataset, "validation", source=WHERE)
    matrix = np.zeros((len(data.classes), len(data.classes)), dtype=np.int64)
    for scene, window in data.dataset.labelled("validation"):
        with open_raster(scene.imagery) as raster, open_labels(scene, data.dataset) as labels:
            patch, truth = raster.read(window), labels.read(window)
        guess = np.where(patch.valid, patch.pixels[0] % len(data.classes), 255).astype(np.uint8)
        matrix += confusion(truth, guess, len(data.classes))
    assert found == score(matrix, data.dataset.legend)
    assert found.pixels == data.fingerprint.validation_pixels


def test_classes_meet_by_name(data: ts.Data, parity: Callable[..., Parity]) -> None:
    turned = Legend(tuple(reversed(data.dataset.legend.classes)))
    places = labelled_places(data.dataset, "validation")
    straight = next(judge(parity(), data.dataset, places, source=WHERE)).block.prediction
    reversed_ = next(judge(parity(legend=turned), data.dataset, places, source=WHERE)).block.prediction
    assert np.array_equal(straight, len(turned) - 1 - reversed_)


def test_a_model_of_other_bands_or_classes_is_refused(data: ts.Data, parity: Callable[..., Parity]) -> None:
    places = labelled_places(data.dataset, "validation")
    with pytest.raises(BandMismatch, match="blue, green, red"):
        next(judge(parity(bands=("blue", "green", "red")), data.dataset, places, source=WHERE))
    other = replace(data.dataset, legend=Legend(data.dataset.legend.classes[1:]))
    with pytest.raises(UnknownClass, match=data.classes[0]):
        next(judge(parity(), other, places, source=WHERE))


def test_a_part_without_labels_is_an_error(data: ts.Data) -> None:
    with pytest.raises(EmptyDataset, match="no labelled test windows"):
        labelled_places(data.dataset, "test")


@given(
    window=st.builds(Window, st.integers(0, 90), st.integers(0, 90), st.integers(1, 10), st.integers(1, 10)),
    margin=st.integers(0, 200),
)
def test_surroundings_stay_inside_the_scene(window: Window, margin: int) -> None:
    whole = Window(0, 0, 100, 100)
    seen = grown(window, margin, whole)
    assert whole.contains(seen)
    assert seen.contains(window)


@pytest.mark.parametrize(
    ("count", "side", "found", "drawn"),
    [(1, 128, 1, 128), (3, 128, 3, 64), (2, 512, 2, 128), (8, 64, 8, 64), (99, 64, 12, None), (4, 32, 4, 32)],
)
def test_pictures_are_spread_over_the_windows(
    data: ts.Data, count: int, side: int, found: int, drawn: int | None
) -> None:
    """150 x 256 pixels hold 2 squares of 128, 8 of 64, and 12 places of 64 with those that are cut."""
    chosen = [window for _, window in spread([(data.dataset.scenes[0], Window(0, 0, 150, 256))], count, side)]
    assert len(chosen) == len(set(chosen)) == found
    assert drawn is None or {(w.height, w.width) for w in chosen} == {(drawn, drawn)}


def test_windows_smaller_than_a_picture_are_shown_whole(data: ts.Data) -> None:
    scene, small = data.dataset.scenes[0], Window(10, 10, 20, 30)
    assert spread([(scene, small)], 4, 256) == [(scene, small)]
