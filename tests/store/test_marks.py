"""Marks of rasters: they change with what the pixels come from, and with nothing else."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terraseg.errors import UnreadableFile
from terraseg.store.marks import raster_marks
from tests.makers import make_grid, make_pixels, make_raster


def make_vrt(folder: Path, source: str, size: int = 300) -> Path:
    path = folder / "mosaic.vrt"
    relative = int(not source.startswith("/vsi"))
    path.write_text(
        f'<VRTDataset rasterXSize="{size}" rasterYSize="{size}"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>1</SourceBand>'
        f'<SrcRect xOff="0" yOff="0" xSize="{size}" ySize="{size}"/><DstRect xOff="0" yOff="0" xSize="{size}" ySize="{size}"/>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


def make_scene(folder: Path, seed: int = 0) -> Path:
    grid = make_grid(300, 300)
    return make_raster(folder / "scene.tif", grid, pixels=make_pixels(grid, seed=seed))


def test_a_changed_source_of_a_vrt_changes_its_marks(tmp_path: Path) -> None:
    make_scene(tmp_path)
    vrt = str(make_vrt(tmp_path, "scene.tif"))
    before = raster_marks([vrt])
    assert [name for name, _ in before] == ["mosaic.vrt", "scene.tif"]
    assert raster_marks([vrt]) == before
    make_scene(tmp_path, seed=1)
    assert raster_marks([vrt]) != before


def test_a_vrt_of_a_vrt_is_followed(tmp_path: Path) -> None:
    make_scene(tmp_path)
    inner = make_vrt(tmp_path, "scene.tif").rename(tmp_path / "inner.vrt")
    outer = str(make_vrt(tmp_path, inner.name))
    before = raster_marks([outer])
    make_scene(tmp_path, seed=1)
    assert raster_marks([outer]) != before


@pytest.mark.parametrize("through_vrt", [False, True])
def test_what_lies_in_an_archive_is_known_by_its_pixels(tmp_path: Path, through_vrt: bool) -> None:
    marks = []
    for seed in (0, 0, 1):
        with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
            archive.write(make_scene(tmp_path, seed), "scene.tif")
        path = f"/vsizip/{tmp_path}/scenes.zip/scene.tif"
        marks.append(raster_marks([str(make_vrt(tmp_path, path)) if through_vrt else path]))
    assert marks[0] == marks[1]
    assert marks[0] != marks[2]


def test_a_copy_elsewhere_has_the_same_marks_and_statistics_change_none(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    (tmp_path / "copy").mkdir()
    copy = shutil.copy(scene, tmp_path / "copy" / "scene.tif")
    before = raster_marks([str(scene)])
    assert raster_marks([str(copy)]) == before
    scene.with_name("scene.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    assert raster_marks([str(scene)]) == before


def test_a_mask_beside_a_file_counts(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    before = raster_marks([str(scene)])
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(scene, "r+") as dataset:
        dataset.write_mask(np.ones((300, 300), dtype=bool))
    assert raster_marks([str(scene)]) != before


def test_a_raster_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="does not exist"):
        raster_marks([str(tmp_path / "nothing.tif")])
