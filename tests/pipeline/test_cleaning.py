"""Cleaned maps of files and of projects: where they lie, and what is moved when [clean] is switched on and off."""

from pathlib import Path

import numpy as np
import pytest
from pyogrio.raw import read as read_layer

from terraseg.clean.options import CleanOptions
from terraseg.cli.main import run
from terraseg.core.classes import LandClass, Legend
from terraseg.core.watch import SILENT
from terraseg.errors import BadOption
from terraseg.pipeline.cleaning import clean, clean_file, move_predicted, predict_options, predicted_path
from terraseg.pipeline.ledger import Ledger
from terraseg.pipeline.project import Project, project_from
from terraseg.store.classmap import open_confidence, read_class_map, write_class_map
from tests.makers import make_grid

LEGEND = Legend(
    (LandClass(0, "background", "#000000"), LandClass(1, "building", "#D55E00"), LandClass(2, "road", "#777777"))
)
GRID = make_grid(40, 60, gsd=0.5)


def write_map(path: Path) -> tuple[Path, ...]:
    """A house, a speck, and a house that is not sure; a street along the lower edge."""
    ids = np.zeros((40, 60), dtype=np.uint8)
    ids[5:20, 5:25] = ids[5:20, 35:55] = ids[25, 30] = 1
    ids[30:38] = 2
    confidence = np.full((40, 60), 240, dtype=np.uint8)
    confidence[5:20, 35:55] = 150
    return write_class_map(path, ids, GRID, LEGEND, confidence=confidence, tags={"TERRASEG_MODEL": "abc"})


def project_of(folder: Path, **tables: dict[str, object]) -> Project:
    return project_from({"data": {"images": ["*.tif"]}, "map": {"run": "run"}, **tables}, folder)


def classes(path: Path) -> set[int]:
    with read_class_map(path) as found:
        return set(np.unique(found.read(found.grid.window)).tolist())


def test_a_file_is_cleaned_with_the_confidence_beside_it(tmp_path: Path) -> None:
    write_map(tmp_path / "map.tif")
    options = CleanOptions(threshold={"building": 0.7}, min_area_m2={"building": 2.0})
    summary = clean_file(tmp_path / "map.tif", tmp_path / "out.tif", options)
    assert (summary.observed, summary.changed) == (2400, 301)
    with read_class_map(tmp_path / "out.tif") as found:
        ids = found.read(found.grid.window)
        assert found.legend == LEGEND
        assert found.tags["TERRASEG_MODEL"] == "abc"
    assert (ids == 1).sum() == 300
    assert ids[10, 40] == 0
    with open_confidence(tmp_path / "out_confidence.tif") as confidence:
        assert set(np.unique(confidence.read(confidence.grid.window))) == {240, 255}


def test_the_map_itself_is_never_written_over(tmp_path: Path) -> None:
    write_map(tmp_path / "map.tif")
    with pytest.raises(BadOption, match="pass another --out"):
        clean_file(tmp_path / "map.tif", tmp_path / "map.tif", CleanOptions(min_area_m2=4.0))


def test_the_commands_clean_and_vectorize_write_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.tif"
    write_map(path)
    assert run(["clean", str(path), "--threshold", "building=0.7", "--min-area", "2", "--smooth", "road=0.5"]) == 0
    assert "of 2,400 pixels changed" in capsys.readouterr().out
    cleaned = tmp_path / "map_clean.tif"
    out = tmp_path / "map.gpkg"
    command = ["vectorize", str(cleaned), "--out", str(out), "--regularize", "--split", "building,road"]
    assert run([*command, "--centerlines", "road", "--crs", "EPSG:4326"]) == 0
    meta, _, geometry, data = read_layer(out, layer="map")
    assert len(geometry) == 2
    assert {"confidence_p10", "length_m", "width_m", "orientation_deg", "compactness", "n_vertices"} <= set(
        meta["fields"]
    )
    assert "4326" in meta["crs"]
    lines, _, geometry, data = read_layer(out, layer="map_centerlines")
    assert len(geometry) == 1
    width = dict(zip(lines["fields"], data, strict=True))["width_m"][0]
    assert width == pytest.approx(4, abs=0.3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "nothing is to be cleaned"),
        (["--min-area", "building"], "write 10 or building=10"),
        (["--min-area", "5", "--min-area", "road=3"], "write CLASS=NUMBER for each"),
        (["--min-area", "houses=3"], "there is no class 'houses'"),
        (["--threshold", "7"], "a probability from 0 to 1"),
        (["--threshold", "0.5", "--below", "nothing"], "below = 'nothing' cannot be used"),
    ],
)
def test_flags_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    write_map(tmp_path / "map.tif")
    assert run(["clean", str(tmp_path / "map.tif"), *flags]) == 2
    assert message in capsys.readouterr().err


def test_without_settings_maps_stay_where_and_what_they_are(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    maps = [predicted_path(project, "a")]
    assert maps == [project.run.maps / "a.tif"]
    assert clean(project, maps, SILENT) == maps
    assert not predict_options(project).confidence


def test_a_project_keeps_the_raw_map_and_cleans_again_only_when_something_changed(tmp_path: Path) -> None:
    project = project_of(tmp_path, clean={"threshold": 0.7})
    raw = predicted_path(project, "a")
    assert raw == project.run.maps / "raw" / "a.tif"
    assert predict_options(project).confidence
    write_map(raw)
    (out,) = clean(project, [raw], SILENT)
    assert out == project.run.maps / "a.tif"
    written = out.stat().st_mtime_ns
    clean(project, [raw], SILENT)
    assert out.stat().st_mtime_ns == written
    clean(project_of(tmp_path, clean={"threshold": 0.99}), [raw], SILENT)
    assert out.stat().st_mtime_ns > written
    assert classes(out) == {0}
    assert classes(raw) == {0, 1, 2}


def test_switching_clean_on_and_off_moves_the_prediction_instead_of_making_it_again(tmp_path: Path) -> None:
    off, on = project_of(tmp_path), project_of(tmp_path, clean={"min_area_m2": 1.0})
    ledger = Ledger(off.run)
    ledger.finish("predict a", "key", write_map(predicted_path(off, "a")))
    content = predicted_path(off, "a").read_bytes()

    move_predicted(ledger, "predict a", predicted_path(on, "a"))
    assert predicted_path(on, "a").read_bytes() == content
    assert ledger.is_fresh("predict a", "key")
    clean(on, [predicted_path(on, "a")], SILENT)
    assert predicted_path(off, "a").read_bytes() != content

    move_predicted(ledger, "predict a", predicted_path(off, "a"))
    assert predicted_path(off, "a").read_bytes() == content
    assert not predicted_path(on, "a").exists()
    assert (off.run.maps / "a_confidence.tif").exists()
