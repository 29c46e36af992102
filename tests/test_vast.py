"""Files that are vast, damaged in the middle, or in awkward places, through the command line: bounded, and in one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.windows
from affine import Affine

from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.store.classmap import read_class_map
from terraseg.store.features import read_polygons
from tests.makers import UTM, make_grid, make_labels, make_pixels, make_raster
from tests.test_tricky import call, model_for

RGB = ("red", "green", "blue")
CHILD = """
import sys, time
from terraseg.cli.main import run
from terraseg.predict.memory import peak_memory_mb
code = run(sys.argv[1:])
print(f"{time.process_time():.1f} s {peak_memory_mb():.0f} MB", file=sys.stderr)
sys.exit(code)
"""


def measured(*arguments: str | Path) -> tuple[int, str, float, float]:
    """A command in a process of its own: exit code, what it said, processor seconds and megabytes."""
    command = [sys.executable, "-c", CHILD, *(str(a) for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    *said, last = done.stderr.strip().splitlines()
    seconds, _, megabytes, _ = last.split()
    assert "Traceback" not in done.stderr
    return done.returncode, "\n".join([*said, done.stdout]), float(seconds), float(megabytes)


def vrt(path: Path, width: int, height: int) -> Path:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{n}"><ColorInterp>{name}</ColorInterp></VRTRasterBand>'
        for n, name in enumerate(("Red", "Green", "Blue"), 1)
    )
    place = "<SRS>EPSG:32637</SRS><GeoTransform>500000,0.5,0,4000000,0,-0.5</GeoTransform>"
    path.write_text(f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{place}{bands}</VRTDataset>')
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_for(tmp_path_factory.mktemp("models"), RGB, "uint8")


def test_a_header_of_billions_of_pixels_is_refused_for_what_its_map_would_take(tmp_path: Path, model: Path) -> None:
    path = vrt(tmp_path / "a.vrt", 2**31 - 1, 2**31 - 1)
    out = tmp_path / "map.tif"
    code, said, seconds, megabytes = measured("predict", path, "--model", model, "--out", out, "--engine", "onnx")
    assert code == 2
    assert "GB" in said
    assert "make room, or pass an output on another disk" in said
    assert seconds < 30
    assert megabytes < 1500
    assert not out.exists()


def test_many_bands_are_refused_by_every_command(tmp_path: Path, model: Path) -> None:
    count = 60_000
    (tmp_path / "a.img").write_bytes(bytes(count))
    (tmp_path / "a.hdr").write_text(
        f"ENVI\nsamples = 1\nlines = 1\nbands = {count}\nheader offset = 0\nfile type = ENVI Standard\ndata type = 1\n"
        "interleave = bsq\nbyte order = 0\n"
    )
    for arguments in (
        ("predict", tmp_path / "a.img", "--model", model, "--out", tmp_path / "m.tif"),
        ("check", tmp_path / "a.img", "--config", tmp_path / "t.toml"),
    ):
        code, said, seconds, megabytes = measured(*arguments)
        assert code == 2
        assert "60,000 bands, where at most 1,024 are read" in " ".join(said.split())
        assert seconds < 30
        assert megabytes < 1500


def test_a_huge_sparse_raster_costs_what_is_looked_at(tmp_path: Path, model: Path) -> None:
    """900 megapixels on a hundred kilobytes of disk, an area of which is mapped."""
    side, path = 30_000, tmp_path / "a.tif"
    tiles = {"tiled": True, "blockxsize": 1024, "blockysize": 1024, "SPARSE_OK": True, "BIGTIFF": "YES"}
    shape = {"driver": "GTiff", "count": 3, "height": side, "width": side, "dtype": "uint8", "interleave": "pixel"}
    place = {"crs": UTM, "transform": Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)}
    with rasterio.open(path, "w", **shape, **tiles, **place, compress="deflate", photometric="rgb") as dataset:
        dataset.write(np.full((3, 512, 512), 200, np.uint8), window=rasterio.windows.Window(2048, 1024, 512, 512))
    assert path.stat().st_size < 2e6
    code, said, seconds, megabytes = measured("check", path, "--config", tmp_path / "t.toml")
    assert "30000 x 30000" in said
    assert (code, seconds < 30, megabytes < 1500) == (2, True, True)
    ring = [[501024, 3999488], [501280, 3999488], [501280, 3999232], [501024, 3999232], [501024, 3999488]]
    area = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32637"}}
    collection = {"type": "FeatureCollection", "crs": crs, "features": [area]}
    (tmp_path / "area.geojson").write_text(json.dumps(collection))
    flags: list[str | Path] = ["--aoi", tmp_path / "area.geojson", "--engine", "onnx", "--fresh"]
    code, said, seconds, megabytes = measured("predict", path, "--model", model, "--out", tmp_path / "m.tif", *flags)
    assert code == 0, said
    assert seconds < 100
    assert megabytes < 1500
    with read_class_map(tmp_path / "m.tif") as raster:
        assert (raster.read(Window(1024, 2048, 512, 512)) == 2).all()
        assert (raster.read(Window(0, 0, 1024, 1024)) == 255).all()


def test_a_million_vertices_are_read_and_burnt(tmp_path: Path) -> None:
    grid = make_grid(256, 256)
    make_raster(tmp_path / "images/a.tif", grid)
    angle = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    reach = 50 + 3 * np.sin(2000 * angle)
    ring = np.round(np.column_stack([500_064 + reach * np.cos(angle), 3_999_936 + reach * np.sin(angle)]), 4).tolist()
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32637"}}
    labels = tmp_path / "labels/a.geojson"
    labels.parent.mkdir()
    labels.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    assert len(read_polygons(labels).geometry[0].exterior.coords) > 900_000
    code, said, seconds, megabytes = measured("check", tmp_path, "--config", tmp_path / "t.toml")
    assert code == 0, said
    share = np.pi * (50**2 + 4.5) / 128**2
    assert f"object {100 * share:.0f}." in said, said
    assert seconds < 60
    assert megabytes < 2000


def test_a_tile_in_the_middle_that_does_not_decode_is_named_with_its_place(tmp_path: Path, model: Path) -> None:
    grid = make_grid(768, 768)
    path = make_raster(tmp_path / "images/a.tif", grid, pixels=make_pixels(grid))
    with rasterio.open(path) as dataset:
        offset = (
            int(dataset.tags(1, ns="TIFF")["BLOCK_OFFSET_1_1"])
            if "BLOCK_OFFSET_1_1" in dataset.tags(1, ns="TIFF")
            else 0
        )
        offset = offset or int(dataset.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset : offset + 200] = b"\xff" * 200
    path.write_bytes(content)
    out = tmp_path / "map.tif"
    code, _, err = call("predict", path, "--model", model, "--out", out, "--engine", "onnx")
    sentence = err.splitlines()[-1]
    assert code == 2
    assert "a.tif cannot be read" in sentence
    assert "it happened at rows" in sentence
    assert not out.exists()
    make_labels(tmp_path / "masks/a.tif", grid)
    code, said, err = call("check", tmp_path, "--config", tmp_path / "t.toml")
    assert code == 2
    assert "a.tif cannot be read" in " ".join((said + err).split())


def test_names_of_any_kind_and_links_are_followed(tmp_path: Path, model: Path) -> None:
    name = "Übersicht 東京 🗺 " + "x" * 180
    real = make_raster(tmp_path / f"böse Ordner/{name}.tif")
    link = tmp_path / "link.tif"
    link.symlink_to(real)
    loop = tmp_path / "loop.tif"
    loop.symlink_to(loop)
    for number, path in enumerate((real, link)):
        out = tmp_path / f"käfer {number}/map.tif"
        code, _, err = call("predict", path, "--model", model, "--out", out, "--engine", "onnx")
        assert code == 0, err
        assert out.exists()
    code, _, err = call("predict", loop, "--model", model, "--out", tmp_path / "m.tif", "--engine", "onnx")
    assert code == 2
    assert "loop.tif" in err
    assert link.is_symlink()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, model: Path) -> None:
    """A file in the place of the folder: the tests may run as root, for whom no folder is read-only."""
    raster = make_raster(tmp_path / "a.tif")
    (tmp_path / "closed").write_text("mine")
    out = tmp_path / "closed/map.tif"
    code, _, err = call("predict", raster, "--model", model, "--out", out, "--engine", "onnx")
    assert code == 2
    assert "closed" in err.splitlines()[-1]
    assert (tmp_path / "closed").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="for root no folder is read-only")
def test_a_read_only_folder_is_named(tmp_path: Path, model: Path) -> None:
    raster = make_raster(tmp_path / "a.tif")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    code, _, err = call("predict", raster, "--model", model, "--out", folder / "map.tif", "--engine", "onnx")
    assert code == 2
    assert "cannot be written" in err
    assert list(folder.iterdir()) == []


def test_the_grid_of_a_vast_header_is_the_files_own(tmp_path: Path) -> None:
    from terraseg.store.header import read_facts

    facts = read_facts(vrt(tmp_path / "a.vrt", 2**31 - 1, 1))
    assert facts.grid == Grid(UTM, (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_000_000.0), 1, 2**31 - 1)
