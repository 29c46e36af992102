"""Map files laid out by hand: read by GDAL as what they are, kept across kills, put together from parts."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import VOID, LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.errors import StaleRun
from terraseg.pixels.pyramid import Pyramid, halved_ids, halved_values
from terraseg.store import mapwriter, tiff
from terraseg.store.mapfolder import Keeping
from terraseg.store.maplayers import MapLayers, layer_path
from terraseg.store.mapwriter import map_writer

BLOCK = 64
LEGEND = Legend(tuple(LandClass(k, f"c{k}", "#112233") for k in (0, 3, 7)))
ALL = MapLayers(confidence=True, probabilities="uint8", uncertainty=True, threads=1)


def make_grid(height: int, width: int) -> Grid:
    return Grid("EPSG:32637", (0.5, 0.0, 5e5, 0.0, -0.5, 4e6), height, width)


def make_layers(height: int, width: int, wanted: MapLayers = ALL, seed: int = 0) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    layers: dict[str, NDArray[Any]] = {
        "classes": rng.choice(np.array([0, 3, 7, VOID], dtype=np.uint8), (height, width)),
        "confidence": rng.integers(0, 256, (height, width), dtype=np.uint8),
        "uncertainty": rng.integers(0, 256, (height, width), dtype=np.uint8),
    }
    if wanted.probabilities == "float16":
        layers["probabilities"] = rng.random((3, height, width)).astype(np.float16)
        layers["probabilities"][:, rng.random((height, width)) < 0.2] = np.nan
    else:
        layers["probabilities"] = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
    return layers


def part_of(layers: dict[str, NDArray[Any]], window: Window) -> dict[str, NDArray[Any]]:
    return {name: values[..., *window.slices] for name, values in layers.items()}


def read(path: Path, level: int | None = None) -> NDArray[Any]:
    more = {} if level is None else {"overview_level": level}
    with rasterio.open(path, **more) as dataset:
        return np.asarray(dataset.read())


@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from(["deflate", "zstd"]), st.booleans())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_gdal_reads_every_layer_and_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, height: int, width: int, compression: Any, halves: bool
) -> None:
    monkeypatch.setattr(mapwriter, "BLOCK", 32)
    wanted = MapLayers(True, "float16" if halves else "uint8", {}, compression, 1, uncertainty=True)
    layers = make_layers(height, width, wanted)
    with map_writer(tmp_path / "map.tif", make_grid(height, width), LEGEND, wanted) as writer:
        for window in cut(Window(0, 0, height, width), 29, 41):
            writer.write(window, part_of(layers, window))
        files = writer.finish()
    assert [f.name for f in files] == ["map.tif", "map_confidence.tif", "map_probabilities.tif", "map_uncertainty.tif"]
    for name, values in layers.items():
        expected = values.reshape(-1, height, width)
        path = layer_path(tmp_path / "map.tif", name)
        assert np.array_equal(read(path), expected, equal_nan=halves)
        with rasterio.open(path) as dataset:
            levels = len(dataset.overviews(1))
            assert levels == len(Pyramid(height, width, 32).sizes) - 1
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        for level in range(levels):
            expected = np.stack([_halved(name, band) for band in expected])
            assert np.array_equal(read(path, level), expected, equal_nan=halves)


def _halved(name: str, band: NDArray[Any]) -> NDArray[Any]:
    fill = np.nan if band.dtype.kind == "f" else VOID
    even = np.pad(band, ((0, band.shape[0] % 2), (0, band.shape[1] % 2)), constant_values=fill)
    return halved_ids(even) if name == "classes" else halved_values(even)


def test_halves_say_what_they_are(tmp_path: Path) -> None:
    wanted = MapLayers(probabilities="float16")
    layers = make_layers(40, 50, wanted)
    with map_writer(tmp_path / "map.tif", make_grid(40, 50), LEGEND, wanted) as writer:
        writer.write(Window(0, 0, 40, 50), layers)
        writer.finish()
    with rasterio.open(layer_path(tmp_path / "map.tif", "probabilities")) as dataset:
        assert dataset.descriptions == ("c0", "c3", "c7")
        assert np.isnan(dataset.nodata)
        assert dataset.scales == (1.0, 1.0, 1.0)
        assert dataset.interleaving.name == "band"


def test_files_beyond_four_gigabytes_are_bigtiff_of_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = make_layers(700, 600)
    for name, limit in (("a.tif", tiff.CLASSIC_LIMIT), ("b.tif", 1000)):
        monkeypatch.setattr(tiff, "CLASSIC_LIMIT", limit)
        with map_writer(tmp_path / name, make_grid(700, 600), LEGEND, ALL) as writer:
            writer.write(Window(0, 0, 700, 600), layers)
            writer.finish()
    one, other = (tmp_path / "a_probabilities.tif").read_bytes(), (tmp_path / "b_probabilities.tif").read_bytes()
    assert (one[2], other[2]) == (42, 43)
    for layer in ("classes", "probabilities"):
        a, b = layer_path(tmp_path / "a.tif", layer), layer_path(tmp_path / "b.tif", layer)
        assert np.array_equal(read(a), read(b))
        assert np.array_equal(read(a, 0), read(b, 0))


def test_blocks_stand_between_their_size_and_their_last_bytes(tmp_path: Path) -> None:
    """What a reader over the network relies on: heads first, overviews before the raster, each block framed."""
    with map_writer(tmp_path / "map.tif", make_grid(1300, 900), LEGEND) as writer:
        writer.write(Window(0, 0, 1300, 900), {"classes": make_layers(1300, 900)["classes"]})
        writer.finish()
    content = (tmp_path / "map.tif").read_bytes()
    fields = tiff.read_fields(content)
    offsets = np.frombuffer(fields[tiff.TILE_OFFSETS].content, "<u4")
    sizes = np.frombuffer(fields[tiff.TILE_SIZES].content, "<u4")
    assert (np.diff(offsets) > 0).all()
    for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True):
        assert int.from_bytes(content[offset - 4 : offset], "little") == size
        assert content[offset + size : offset + size + 4] == content[offset + size - 4 : offset + size]
    assert offsets[-1] + sizes[-1] + 4 == len(content)


def test_a_run_that_was_broken_off_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapwriter, "BLOCK", BLOCK)
    grid, layers = make_grid(180, 150), make_layers(180, 150)
    windows = list(cut(grid.window, 50, 62))

    def run(out: Path, stop: int | None, keeping: Keeping | None) -> int:
        with map_writer(out, grid, LEGEND, ALL, keeping=keeping) as writer:
            found = int(writer.done.sum())
            for number, window in enumerate(windows):
                if number == stop:
                    raise KeyboardInterrupt
                writer.write(window, part_of(layers, window))
            writer.note(b"whole")
            writer.finish()
        return found

    run(tmp_path / "whole" / "map.tif", None, None)
    out = tmp_path / "parts" / "map.tif"
    for stop in (5, 8):
        with pytest.raises(KeyboardInterrupt):
            run(out, stop, Keeping("key"))
        assert [p.name for p in out.parent.iterdir()] == [".map.part"]
    assert run(out, None, Keeping("key")) > 0
    assert digests(out.parent) == digests(tmp_path / "whole")


def test_without_a_finished_block_nothing_stays(tmp_path: Path) -> None:
    with map_writer(tmp_path / "map.tif", make_grid(600, 600), LEGEND, keeping=Keeping("key")) as writer:
        writer.write(Window(0, 0, 10, 10), {"classes": np.zeros((10, 10), dtype=np.uint8)})
    assert list(tmp_path.iterdir()) == []


def test_fresh_and_another_key_start_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapwriter, "BLOCK", BLOCK)
    grid, layers = make_grid(137, 75), make_layers(137, 75)

    def begin(keeping: Keeping) -> tuple[int, bool]:
        with map_writer(tmp_path / "map.tif", grid, LEGEND, ALL, keeping=keeping) as writer:
            found = int(writer.done.sum()), writer.started_over
            window = Window(0, 0, BLOCK, 75)
            writer.write(window, part_of(layers, window))
        return found

    assert begin(Keeping("key")) == (0, False)
    assert begin(Keeping("key")) == (2, False)
    assert begin(Keeping("other")) == (0, True)
    assert begin(Keeping("other", fresh=True)) == (0, False)


@given(st.permutations(range(3)))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_last_part_makes_the_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: list[int]) -> None:
    monkeypatch.setattr(mapwriter, "BLOCK", BLOCK)
    grid, layers = make_grid(180, 150), make_layers(180, 150)
    whole = tmp_path / "whole" / "map.tif"
    with map_writer(whole, grid, LEGEND, ALL) as writer:
        writer.write(grid.window, layers)
        writer.finish()
    out = tmp_path / "parts" / "map.tif"
    for turn, number in enumerate(order):
        window = Window(BLOCK * number, 0, min(BLOCK, 180 - BLOCK * number), 150)
        with map_writer(out, grid, LEGEND, ALL, keeping=Keeping("key", f"{number + 1}-of-3")) as writer:
            writer.write(window, part_of(layers, window))
            assert writer.finish_part() == (turn == 2)
    assert digests(out.parent) == digests(whole.parent)


def test_a_run_without_parts_takes_up_what_parts_have_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapwriter, "BLOCK", BLOCK)
    grid, layers = make_grid(137, 75), make_layers(137, 75)
    window = Window(0, 0, BLOCK, 75)
    with map_writer(tmp_path / "map.tif", grid, LEGEND, ALL, keeping=Keeping("key", "1-of-2")) as writer:
        writer.write(window, part_of(layers, window))
        assert not writer.finish_part()
    with map_writer(tmp_path / "map.tif", grid, LEGEND, ALL, keeping=Keeping("key")) as writer:
        assert writer.done.tolist() == [[True, True], [False, False], [False, False]]
        rest = Window(BLOCK, 0, 137 - BLOCK, 75)
        writer.write(rest, part_of(layers, rest))
        writer.finish()
    assert np.array_equal(read(tmp_path / "map.tif")[0], layers["classes"])
    assert not (tmp_path / ".map.part").exists()


def test_one_part_has_one_writer_and_parts_keep_the_whole_away(tmp_path: Path) -> None:
    out, grid = tmp_path / "map.tif", make_grid(600, 600)
    with map_writer(out, grid, LEGEND, keeping=Keeping("key", "1-of-2")):
        with map_writer(out, grid, LEGEND, keeping=Keeping("key", "2-of-2")):
            pass
        for keeping in (Keeping("key", "1-of-2"), Keeping("key"), None):
            with (
                pytest.raises(StaleRun, match="another process is writing"),
                map_writer(out, grid, LEGEND, keeping=keeping),
            ):
                pass


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
