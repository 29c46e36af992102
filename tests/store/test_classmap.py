"""Class maps: what is written is read back, by us, by GDAL, and from rasters that others made."""

import json
import resource
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import PALETTE, VOID, LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.errors import BadOption, GridMismatch, StaleRun, UnknownClass, UnreadableFile, UnwritableFile
from terraseg.store.classmap import open_confidence, read_class_map, write_class_map
from terraseg.store.maplayers import LEGEND_TAG, MapLayers, layer_path
from terraseg.store.mapwriter import map_writer

LEGEND = Legend(
    (LandClass(3, "Straße & Weg", "#6EC1E4"), LandClass(0, "land", "#8429F6"), LandClass(7, "roof", "#FF0000"))
)
GRID = Grid("EPSG:32637", (0.5, 0.0, 5e5, 0.0, -0.5, 4e6), 1300, 900)


def make_ids(grid: Grid, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([0, 3, 7, VOID], dtype=np.uint8), (grid.height, grid.width))


def write_foreign(path: Path, values: NDArray[Any], **profile: Any) -> Path:
    """A raster as another tool would write it."""
    shape = values.shape if values.ndim == 3 else (1, *values.shape)
    size = {"count": shape[0], "height": shape[1], "width": shape[2], "dtype": values.dtype}
    transform = rasterio.Affine(1, 0, 0, 0, -1, 100)
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32637", transform=transform, **size, **profile) as dataset:
        dataset.write(values.reshape(shape))
    return path


def test_ids_grid_legend_and_tags_come_back(tmp_path: Path) -> None:
    ids = make_ids(GRID)
    files = write_class_map(tmp_path / "map.tif", ids, GRID, LEGEND, tags={"TERRASEG_MODEL": "sha256:1"})
    assert files == (tmp_path / "map.tif",)
    with read_class_map(files[0]) as reader:
        assert reader.grid == GRID
        assert reader.legend == LEGEND
        assert reader.tags["TERRASEG_MODEL"] == "sha256:1"
        assert np.array_equal(reader.read(GRID.window), ids)
        window = Window(700, 333, 400, 500)
        assert np.array_equal(reader.read(window), ids[window.slices])


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([None, "EPSG:4326", "EPSG:3857"]), st.booleans())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_grid_comes_back(tmp_path: Path, height: int, width: int, crs: str | None, rotated: bool) -> None:
    # Without a transform a CRS says nothing, so that only grids without one may start at nowhere.
    plain = (0.1, 0.0, 5.0, 0.0, -0.1, 6.0) if crs is not None else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    transform = (0.1, 0.02, 5.0, 0.03, -0.1, 6.0) if rotated else plain
    grid = Grid(crs, transform, height, width)
    ids = make_ids(grid)
    write_class_map(tmp_path / "map.tif", ids, grid, LEGEND)
    with read_class_map(tmp_path / "map.tif") as reader:
        assert reader.grid == grid
        assert np.array_equal(reader.read(grid.window), ids)


def test_all_three_files_are_cogs_with_overviews(tmp_path: Path) -> None:
    out = tmp_path / "map.tif"
    with map_writer(out, GRID, LEGEND, MapLayers(confidence=True, probabilities="uint8")) as writer:
        for window in cut(GRID.window, 512, 512):
            one = np.zeros((window.height, window.width), dtype=np.uint8)
            writer.write(window, {"classes": one, "confidence": one + 200, "probabilities": np.stack([one] * 3)})
        files = writer.finish()
    assert [f.name for f in files] == ["map.tif", "map_confidence.tif", "map_probabilities.tif"]
    for file in files:
        with rasterio.open(file) as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert dataset.overviews(1) == [2, 4]
            assert dataset.block_shapes[0] == (512, 512)
            assert dataset.nodata == VOID
            assert dataset.compression.name == "deflate"
    with rasterio.open(files[2]) as dataset:
        assert dataset.descriptions == LEGEND.names


def test_overviews_hold_classes_and_never_a_mean_of_ids(tmp_path: Path) -> None:
    out = tmp_path / "map.tif"
    ids = np.where(make_ids(GRID) == 0, 0, 7).astype(np.uint8)
    write_class_map(out, ids, GRID, LEGEND, confidence=np.where(ids == 0, 100, 200).astype(np.uint8))
    with rasterio.open(out, overview_level=1) as dataset:
        assert set(np.unique(dataset.read())) <= {0, 7}
    with rasterio.open(layer_path(out, "confidence"), overview_level=1) as dataset:
        assert len(np.unique(dataset.read())) > 2, "confidences are averaged"


def test_gdal_sees_the_colours_and_the_class_names(tmp_path: Path) -> None:
    """Through a VRT, into which GDAL copies what it found: QGIS takes its legend from the same two places."""
    out = tmp_path / "map.tif"
    write_class_map(out, make_ids(GRID), GRID, LEGEND)
    with rasterio.open(out) as dataset:
        assert dataset.colorinterp[0].name == "palette"
        assert {i: dataset.colormap(1)[i][:3] for i in (0, 3, 7)} == {c.id: c.rgb for c in LEGEND.classes}
    rasterio.shutil.copy(out, tmp_path / "seen.vrt", driver="VRT")
    band = ET.parse(tmp_path / "seen.vrt").getroot().find("VRTRasterBand")
    assert band is not None
    names = [category.text or "" for category in band.findall("CategoryNames/Category")]
    assert names == ["land", "", "", "Straße & Weg", "", "", "", "roof"]


def test_the_sidecar_holds_an_attribute_table(tmp_path: Path) -> None:
    write_class_map(tmp_path / "map.tif", make_ids(GRID), GRID, LEGEND)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.tif", "map.tif.aux.xml"]
    table = ET.parse(tmp_path / "map.tif.aux.xml").getroot().find("PAMRasterBand/GDALRasterAttributeTable")
    assert table is not None
    rows = [[field.text for field in row] for row in table.findall("Row")]
    assert rows[1] == ["3", "Straße & Weg", "110", "193", "228"]
    assert [name.text for name in table.findall("FieldDefn/Name")] == ["Value", "Class", "Red", "Green", "Blue"]


def test_the_map_is_whole_without_its_sidecar(tmp_path: Path) -> None:
    write_class_map(tmp_path / "map.tif", make_ids(GRID), GRID, LEGEND)
    (tmp_path / "map.tif.aux.xml").unlink()
    with read_class_map(tmp_path / "map.tif") as reader:
        assert reader.legend == LEGEND


def test_pixels_never_written_are_nodata(tmp_path: Path) -> None:
    window = Window(100, 50, 200, 300)
    with map_writer(tmp_path / "map.tif", GRID, LEGEND) as writer:
        writer.write(window, {"classes": np.full((200, 300), 7, dtype=np.uint8)})
        writer.finish()
    expected = np.full((GRID.height, GRID.width), VOID)
    expected[window.slices] = 7
    with read_class_map(tmp_path / "map.tif") as reader:
        assert np.array_equal(reader.read(GRID.window), expected)


def test_the_order_and_the_windows_of_writing_do_not_change_a_byte(tmp_path: Path) -> None:
    ids, made = make_ids(GRID), set()
    for size, backwards in [(512, False), (448, True), (61, False), (900, True)]:
        out = tmp_path / "map.tif"
        windows = list(cut(GRID.window, size, size))
        with map_writer(out, GRID, LEGEND, MapLayers(threads=1)) as writer:
            for window in reversed(windows) if backwards else windows:
                writer.write(window, {"classes": ids[window.slices]})
            writer.finish()
        made.add(out.read_bytes())
    assert len(made) == 1


def test_confidence_is_read_back_as_bytes(tmp_path: Path) -> None:
    confidence = np.random.default_rng(1).integers(0, 256, (GRID.height, GRID.width), dtype=np.uint8)
    write_class_map(tmp_path / "map.tif", make_ids(GRID), GRID, LEGEND, confidence=confidence)
    with open_confidence(layer_path(tmp_path / "map.tif", "confidence")) as reader:
        assert np.array_equal(reader.read(GRID.window), confidence)


def test_a_block_that_ends_without_finish_leaves_nothing(tmp_path: Path) -> None:
    with map_writer(tmp_path / "map.tif", GRID, LEGEND) as writer:
        writer.write(Window(0, 0, 1, 1), {"classes": np.zeros((1, 1), dtype=np.uint8)})
    assert list(tmp_path.iterdir()) == []


def test_a_killed_runs_leavings_are_cleared(tmp_path: Path) -> None:
    out = tmp_path / "map.tif"
    script = f"""
import os, signal
from pathlib import Path
from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.store.mapwriter import map_writer
with map_writer(Path({str(out)!r}), {GRID!r}, {LEGEND!r}) as writer:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert (tmp_path / ".map.part" / "whole.blocks").exists()
    write_class_map(out, make_ids(GRID), GRID, LEGEND)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.tif", "map.tif.aux.xml"]


def test_two_writers_of_one_map_do_not_mix(tmp_path: Path) -> None:
    with (
        map_writer(tmp_path / "map.tif", GRID, LEGEND),
        pytest.raises(StaleRun, match="another process is writing"),
        map_writer(tmp_path / "map.tif", GRID, LEGEND),
    ):
        pass


def test_a_disk_without_room_is_found_before_the_work(tmp_path: Path) -> None:
    vast = Grid(None, (1, 0, 0, 0, 1, 0), 40_000_000, 40_000_000)
    with pytest.raises(UnwritableFile, match="GB left"), map_writer(tmp_path / "map.tif", vast, LEGEND):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    """A limit on file size stands for a disk that fills up while the finished file is written."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with map_writer(tmp_path / "map.tif", GRID, LEGEND) as writer:
        writer.write(GRID.window, {"classes": make_ids(GRID)})
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
        try:
            with pytest.raises(UnwritableFile, match="cannot be written"):
                writer.finish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GridMismatch, match=r"\(5, 5\) on a grid of 1300 x 900"):
        write_class_map(tmp_path / "map.tif", np.zeros((5, 5)), GRID, LEGEND)
    with pytest.raises(UnknownClass, match="value 1 is no class"):
        write_class_map(tmp_path / "map.tif", np.ones((1300, 900), dtype=np.uint8), GRID, LEGEND)
    with pytest.raises(BadOption, match=r"\.tif"):
        write_class_map(tmp_path / "map.jpg", make_ids(GRID), GRID, LEGEND)


def test_a_raster_of_others_gets_a_legend_from_its_values(tmp_path: Path) -> None:
    values = np.array([[0, 4, 9], [9, 4, 4]], dtype=np.int16)
    with read_class_map(write_foreign(tmp_path / "a.tif", values, nodata=0)) as reader:
        assert reader.legend.ids == (4, 9)
        assert reader.legend.names == ("class 4", "class 9")
        assert [c.color for c in reader.legend.classes] == list(PALETTE[:2])
        assert reader.read(reader.grid.window).tolist() == [[VOID, 4, 9], [9, 4, 4]]


def test_a_raster_of_others_keeps_the_colours_of_its_table(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "a.tif", np.array([[0, 2]], dtype=np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (1, 2, 3, 255), 2: (255, 128, 0, 255)})
    with read_class_map(path) as reader:
        assert [c.color for c in reader.legend.classes] == ["#010203", "#FF8000"]


def test_a_map_of_nothing_but_nodata_has_an_empty_legend(tmp_path: Path) -> None:
    with read_class_map(write_foreign(tmp_path / "a.tif", np.full((4, 4), 255, np.uint8), nodata=255)) as reader:
        assert len(reader.legend) == 0


def test_a_255_that_is_not_declared_nodata_is_not_lost_in_silence(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "mask.tif", np.array([[0, 255]], dtype=np.uint8))
    with read_class_map(path) as reader, pytest.raises(UnreadableFile, match=r"mask.tif holds the value 255.*nodata"):
        reader.read(reader.grid.window)


@pytest.mark.parametrize("values", [np.zeros((3, 4, 4), np.uint8), np.zeros((4, 4), np.float32)])
def test_a_raster_that_cannot_be_a_class_map_is_refused(tmp_path: Path, values: NDArray[Any]) -> None:
    with pytest.raises(UnreadableFile, match=r"a.tif has \d bands? of .*class map"):
        read_class_map(write_foreign(tmp_path / "a.tif", values))


def test_files_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"none.tif does not exist"):
        read_class_map(tmp_path / "none.tif")
    (tmp_path / "bad.tif").write_bytes(b"II*\0 and then nothing")
    with pytest.raises(UnreadableFile, match=r"bad.tif cannot be read"):
        read_class_map(tmp_path / "bad.tif")


def test_a_spoilt_legend_tag_is_named(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "a.tif", np.zeros((2, 2), np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{LEGEND_TAG: json.dumps([{"id": 300, "name": "x", "color": "#000000"}])})
    with read_class_map(path) as reader, pytest.raises(UnreadableFile, match="tag that is no legend"):
        _ = reader.legend


def test_a_window_outside_the_map_is_refused(tmp_path: Path) -> None:
    with (
        read_class_map(write_foreign(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))) as reader,
        pytest.raises(ValueError, match="does not lie inside"),
    ):
        reader.read(Window(0, 0, 5, 5))
