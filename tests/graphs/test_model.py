"""Graphs put together by hand: the door, the working resolution, and the way back to full size."""

import json
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch
from terraseg.graphs.model import finished_model, normalised, reduced, restored
from terraseg.graphs.sketch import Sketch

LEGEND = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "water", "#0000FF")))


def make_spec(dtype: str = "uint8", reduction: int = 1) -> ModelSpec:
    """Two bands and two classes, so that the images themselves can stand for probabilities."""
    return ModelSpec(
        "forest", LEGEND, ("a", "b"), dtype, (10.0, 20.0), (2.0, 4.0), None, 64, 16, 1, reduction=reduction
    )


def run(graph: bytes, pixels: NDArray[Any]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"image": pixels})[0])


def there_and_back(spec: ModelSpec) -> bytes:
    sketch = Sketch()
    small = reduced(sketch, normalised(sketch, spec), spec.reduction)
    return finished_model(sketch, restored(sketch, small, spec.reduction), spec)


def spread_out(small: NDArray[np.float64], factor: int, length: int, axis: int) -> NDArray[np.float64]:
    """Linear interpolation between the centres of the squares, level beyond the first and the last."""
    at = (np.arange(length) + 0.5) / factor - 0.5
    centres = np.arange(small.shape[axis])
    return np.apply_along_axis(lambda line: np.interp(at, centres, line), axis, small)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 23), width=st.integers(1, 23), factor=st.integers(1, 4), seed=st.integers(0, 9))
def test_images_of_any_size_are_averaged_and_spread_again(height: int, width: int, factor: int, seed: int) -> None:
    """Against plain loops: a square at the edge is the mean of the pixels there are."""
    spec = make_spec(reduction=factor)
    pixels = np.random.default_rng(seed).integers(0, 255, (2, 2, height, width)).astype("uint8")
    scaled = (pixels - np.reshape(spec.mean, (1, 2, 1, 1))) / np.reshape(spec.std, (1, 2, 1, 1))
    rows, cols = -(-height // factor), -(-width // factor)
    small = np.zeros((2, 2, rows, cols))
    for i in range(rows):
        for j in range(cols):
            square = scaled[:, :, i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
            small[:, :, i, j] = square.mean(axis=(2, 3))
    expected = spread_out(spread_out(small, factor, height, 2), factor, width, 3) if factor > 1 else scaled
    found = run(there_and_back(spec), pixels)
    assert found.shape == pixels.shape
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_what_is_not_finite_counts_as_the_mean_before_it_is_averaged() -> None:
    spec = make_spec("float32", reduction=2)
    pixels = np.full((1, 2, 4, 4), 14.0, dtype=np.float32)
    filled = pixels.copy()
    for place, value in enumerate((np.nan, np.inf, -np.inf)):
        pixels[0, 0, place, place] = value
        filled[0, 0, place, place] = spec.mean[0]
    graph = there_and_back(spec)
    found = run(graph, pixels)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, run(graph, filled))


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float64"])
def test_raw_pixels_of_any_type_are_cast_inside(dtype: str) -> None:
    spec = make_spec(dtype)
    pixels = np.random.default_rng(0).integers(0, 60_000 if dtype == "uint16" else 30_000, (1, 2, 5, 6)).astype(dtype)
    expected = (pixels - np.reshape(spec.mean, (1, 2, 1, 1))) / np.reshape(spec.std, (1, 2, 1, 1))
    np.testing.assert_allclose(run(there_and_back(spec), pixels), expected, rtol=1e-5)


def test_the_file_says_what_it_is_and_equal_steps_give_equal_bytes() -> None:
    spec = make_spec(reduction=2)
    graph = there_and_back(spec)
    assert graph == there_and_back(spec)
    model = onnx.load_from_string(graph)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert ModelSpec.from_json(json.loads(metadata["terraseg"])) == spec
    shapes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 2, "height", "width"]] * 2


def test_a_pixel_type_that_graphs_lack_is_refused() -> None:
    with pytest.raises(BandMismatch, match="complex64"):
        there_and_back(make_spec("complex64"))


def test_equal_constants_share_a_name_and_unequal_ones_do_not() -> None:
    sketch = Sketch()
    assert sketch.constant([1.0, 2.0]) == sketch.constant([1.0, 2.0])
    assert len({sketch.constant([1.0, 2.0]), sketch.constant([[1.0, 2.0]]), sketch.sizes(1, 2)}) == 3
