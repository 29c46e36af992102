"""The sweep from a raster to files: exactness, independence of its cut, nodata, failures."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terraseg.core.classes import VOID
from terraseg.core.dataset import Imagery
from terraseg.errors import BadOption, BandMismatch, BrokenBundle
from terraseg.predict import sweep
from terraseg.predict.budget import plan_sweep
from terraseg.predict.memory import peak_memory_mb
from terraseg.predict.options import PredictOptions
from terraseg.predict.sweep import MapJob, predict_raster
from terraseg.store import mapwriter
from terraseg.store.classmap import read_class_map
from terraseg.store.maplayers import layer_path
from terraseg.store.raster import open_raster

ALL = PredictOptions(confidence=True, probabilities=True, threads=1)


def layers_of(out: Path) -> dict[str, Any]:
    """All layers of a prediction, (bands, height, width)."""
    layers = {}
    for name in ("classes", "confidence", "probabilities"):
        with rasterio.open(layer_path(out, name)) as dataset:
            layers[name] = dataset.read()
    return layers


def digest(out: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.parent.iterdir())}


@given(st.integers(1, 90), st.integers(1, 90), st.integers(16, 40), st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pointwise_model_gives_the_whole_images_result(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any, height: int, width: int, tile: int, data: Any
) -> None:
    """Tiling, blending, filling and writing change nothing where the model looks at one pixel alone."""
    overlap = data.draw(st.integers(0, tile - 1))
    source, scorer = make_source(height, width), make_scorer(make_spec(tile, overlap))
    out = tmp_path / "map.tif"
    predict_raster(source, scorer, out, options=ALL)
    expected = make_scorer(make_spec()).score(source.pixels[None])[0]
    found = layers_of(out)
    close = np.sort(expected, axis=0)[-1] - np.sort(expected, axis=0)[-2] < 1e-6
    ids = np.array([2, 5, 9])[expected.argmax(axis=0)]
    assert np.array_equal(found["classes"][0][~close], ids[~close])
    assert np.abs(found["confidence"][0] - expected.max(axis=0) * 254).max() <= 0.501
    assert np.abs(found["probabilities"] - expected * 254).max() <= 0.501


def _narrow(columns: int, *args: Any, **kwargs: Any) -> Any:
    """A plan with panels of so many block columns."""
    return replace(plan_sweep(*args, **kwargs), panel_columns=columns)


def test_panels_and_batches_do_not_change_a_byte(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that answers by place in the tile, so that every seam would show."""
    source = make_source(150, 260)
    source.valid[20:90, 100:180] = False
    monkeypatch.setattr(mapwriter, "BLOCK", 32)
    monkeypatch.setattr(sweep, "BLOCK", 32)
    results = {}
    for columns, batch in [(99, 1), (1, 1), (2, 4), (3, 7), (5, 1)]:
        plan = partial(_narrow, columns)
        monkeypatch.setattr(sweep, "plan_sweep", plan)
        out = tmp_path / f"{columns}-{batch}" / "map.tif"
        options = replace(ALL, batch=batch, tile=32, overlap=12)
        scorer = make_scorer(make_spec(), bias=0.8)
        summary = predict_raster(source, scorer, out, options=options)
        assert (summary.tiles > 7 * 13) == (columns < 9), "panels score the columns that they share twice"
        results[columns, batch] = digest(out)
        assert {shape[0] for shape in scorer.batches} == {batch}, "the scorer always gets full batches"
    assert all(found == results[99, 1] for found in results.values())
    assert len(results[99, 1]) == 4


def test_nodata_comes_out_where_it_went_in_and_tiles_of_it_are_not_scored(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    source, scorer = make_source(200, 200), make_scorer(make_spec())
    source.pixels[:] = np.minimum(source.pixels, 254)
    source.valid[:120, :130] = False
    source.pixels[:, ~source.valid] = 255
    out = tmp_path / "map.tif"
    summary = predict_raster(source, scorer, out, options=ALL)
    for layer in layers_of(out).values():
        assert np.array_equal(layer == VOID, np.broadcast_to(~source.valid, layer.shape))
    assert summary.skipped > 0
    assert len(scorer.batches) == summary.tiles - summary.skipped
    assert not any((batch == 255).all(axis=1).any() for batch in scorer.seen), "raw nodata never reaches the model"


def test_the_fill_hides_raw_nodata_from_the_model(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    """Whatever stands in invalid pixels, valid pixels come out the same."""
    maps = []
    for hidden in (0, 255):
        source = make_source(100, 100)
        source.valid[30:60, 30:60] = False
        source.pixels[:, ~source.valid] = hidden
        scorer = make_scorer(make_spec(), bias=0.5)
        predict_raster(source, scorer, tmp_path / f"{hidden}" / "map.tif", options=ALL)
        maps.append(digest(tmp_path / f"{hidden}" / "map.tif"))
    assert maps[0] == maps[1]


def test_a_raster_of_nodata_gives_a_map_of_nodata_and_says_so(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    source, scorer = make_source(70, 70), make_scorer(make_spec())
    source.valid[:] = False
    summary = predict_raster(source, scorer, tmp_path / "map.tif")
    assert scorer.batches == []
    assert "no valid pixel" in summary.notes[0]
    with read_class_map(tmp_path / "map.tif") as reader:
        assert (reader.read(reader.grid.window) == VOID).all()


def test_progress_ends_with_all_tiles_and_all_pixels(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    calls: list[tuple[int, int, int]] = []
    summary = predict_raster(
        make_source(100, 130), make_scorer(make_spec()), tmp_path / "map.tif", progress=lambda *c: calls.append(c)
    )
    assert [done for done, _, _ in calls] == list(range(1, summary.tiles + 1))
    assert calls[-1] == (summary.tiles, summary.tiles, 13_000)
    assert summary.pixels == 13_000
    assert summary.seconds > 0
    assert summary.megapixels_per_s > 0
    assert 20 < summary.peak_memory_mb < 100_000
    assert summary.files == (tmp_path / "map.tif",)


@pytest.mark.parametrize("broken", ["scorer", "source", "interrupt"])
def test_a_failure_leaves_nothing_new_and_keeps_what_was_there(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any, broken: str
) -> None:
    source, scorer = make_source(150, 150), make_scorer(make_spec())
    out = tmp_path / "map.tif"
    out.write_bytes(b"the map of yesterday")
    error: type[BaseException] = {"scorer": RuntimeError, "source": OSError, "interrupt": KeyboardInterrupt}[broken]
    if broken == "scorer":
        scorer.fail_at = 5
    elif broken == "source":
        source.fail_at = 5

    def interrupt(done: int, total: int, pixels: int) -> None:
        if broken == "interrupt" and done == 7:
            raise KeyboardInterrupt

    with pytest.raises(error):
        predict_raster(source, scorer, out, options=replace(ALL, tile=32, overlap=8), progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]
    assert out.read_bytes() == b"the map of yesterday"


def test_a_model_whose_output_is_not_its_legends_is_refused(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    scorer = make_scorer(make_spec())
    scorer.score = lambda batch: np.ones((len(batch), 2, *batch.shape[2:]), dtype=np.float32)
    with pytest.raises(BrokenBundle, match=r"\(1, 2, 32, 32\) where its description promises \(1, 3, 32, 32\)"):
        predict_raster(make_source(50, 50), scorer, tmp_path / "map.tif", options=PredictOptions(tile=32))
    assert list(tmp_path.iterdir()) == []


def test_a_raster_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    source = make_source(50, 50)
    with pytest.raises(BandMismatch, match="uint8"):
        predict_raster(source, make_scorer(make_spec(dtype="uint16")), tmp_path / "map.tif")
    with pytest.raises(BadOption, match=r"\.tif"):
        predict_raster(source, make_scorer(make_spec()), tmp_path / "map.png")
    assert list(tmp_path.iterdir()) == []
    assert source.windows == []


def test_provenance_becomes_tags_of_the_map(tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any) -> None:
    provenance = {"TERRASEG_MODEL": "sha256:abc", "TERRASEG_VERSION": "0.1.0"}
    predict_raster(make_source(40, 40), make_scorer(make_spec()), tmp_path / "map.tif", job=MapJob(provenance))
    with read_class_map(tmp_path / "map.tif") as reader:
        assert provenance.items() <= reader.tags.items()


def test_a_real_raster_with_nan_nodata_is_predicted(tmp_path: Path, make_scorer: Any, make_spec: Any) -> None:
    """From a GeoTIFF through the reader of the house, NaN in and nodata out, on the same ground."""
    rng = np.random.default_rng(3)
    pixels = rng.random((2, 90, 70), dtype=np.float32) * 255
    pixels[:, 10:30, 5:50] = np.nan
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "dtype": "float32", "count": 2, "height": 90, "width": 70, "nodata": np.nan}
    transform = rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 4e6)
    with rasterio.open(path, "w", **profile, crs="EPSG:32637", transform=transform) as dataset:
        dataset.write(pixels)
    scorer = make_scorer(make_spec(dtype="float32"))
    with open_raster(Imagery((str(path),), ("a", "b"))) as source:
        predict_raster(source, scorer, tmp_path / "map.tif")
        grid = source.grid
    with read_class_map(tmp_path / "map.tif") as reader:
        ids = reader.read(reader.grid.window)
        assert reader.grid == grid
    assert np.array_equal(ids == VOID, np.isnan(pixels[0]))
    assert all(np.isfinite(batch).all() for batch in scorer.seen)


def test_peak_memory_is_the_processes_own(tmp_path: Path) -> None:
    """In a fresh process: what it held at its height, and nothing of what its parent holds."""
    script = """
import numpy as np
from terraseg.predict.memory import peak_memory_mb
before = peak_memory_mb()
np.ones(200 * 2**17).sum()
print(before, peak_memory_mb())
"""
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    before, after = map(float, run.stdout.split())
    assert 20 < before < 150
    assert before + 190 < after < before + 250
    assert peak_memory_mb(tmp_path / "no such file") > 20, "where there is no /proc, the system's own count"
