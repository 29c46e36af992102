"""A map measured, file by file: districts and cells, a sample from the plan to the corrected areas, a raster of truth."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import BadOption, GridMismatch, UnknownClass, UnreadableFile
from terraseg.evaluate.evaluate import Evaluation, SceneScores
from terraseg.evaluate.scores import Scores
from terraseg.measure.design import SampleOptions
from terraseg.measure.options import MeasureOptions
from terraseg.pipeline.measuring import Reference, measure_files, sample_file
from terraseg.pipeline.products import polygons_file
from terraseg.store.classmap import read_class_map, write_class_map
from terraseg.store.rundir import read_csv, read_json
from terraseg.vectorize.options import VectorizeOptions

LEGEND = Legend(
    (LandClass(0, "background", "#000000"), LandClass(3, "building", "#D55E00"), LandClass(5, "road", "#0072B2"))
)
GRID = Grid("EPSG:32645", (0.5, 0, 330_000, 0, -0.5, 3_066_000), 200, 240)


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    ids = np.zeros((200, 240), np.uint8)
    ids[95:115] = 5
    for row in (20, 60, 140, 170):
        for col in range(15, 220, 40):
            ids[row : row + 16, col : col + 24] = 3
    path = tmp_path / "map.tif"
    write_class_map(path, ids, GRID, LEGEND)
    return path


def relabelled(path: Path, out: Path, truth: Path) -> None:
    """A sample with the truth of a raster filled in, as someone in QGIS would."""
    meta, _, wkb, data = pyogrio.raw.read(path, layer=path.stem)
    columns = dict(zip(meta["fields"], data, strict=True))
    points = shapely.from_wkb(wkb)
    names = {c.id: c.name for c in LEGEND.classes}
    with read_class_map(truth) as raster:
        ids = raster.read(raster.grid.window)
        rows, cols = raster.grid.to_pixel(shapely.get_x(points), shapely.get_y(points))
    columns["truth"] = np.array([names[int(i)] for i in ids[rows.astype(int), cols.astype(int)]], dtype=object)
    pyogrio.raw.write(
        out,
        geometry=wkb,
        field_data=list(columns.values()),
        fields=list(columns),
        geometry_type="Point",
        crs=meta["crs"],
    )


def shifted_truth(class_map: Path, out: Path) -> Path:
    """What is really there: the map's buildings without their last six columns."""
    with read_class_map(class_map) as raster:
        ids = raster.read(Window(0, 0, 200, 240))
    building = ids == 3
    ids[building & ~np.roll(building, -6, axis=1)] = 0
    write_class_map(out, ids, GRID, LEGEND)
    return out


def test_files_hold_classes_figures_and_distributions(class_map: Path) -> None:
    found = measure_files(class_map, class_map.with_suffix(".csv"), MeasureOptions())
    value = read_json(class_map.with_suffix(".json"))
    assert [path.name for path in found.files] == ["map.csv", "map.json"]
    assert value["unit"] == "m"
    assert [row["class_name"] for row in value["classes"]] == ["background", "building", "road"]
    assert value["figures"]["buildings"] == 24
    assert value["figures"]["street_width_m"] == pytest.approx(10, abs=0.25)
    assert value["figures"]["mean_building_area_m2"] == pytest.approx(16 * 24 / 4, rel=0.02)
    assert value["figures"]["median_building_gap_m"] == pytest.approx(7, abs=0.6)
    assert sum(value["distributions"]["building"]["histogram"]["counts"]) == 24
    assert len(value["details"]["street_segments"]) == 1
    rows = read_csv(class_map.with_suffix(".csv"))
    assert list(rows[0])[:6] == ["class_id", "class_name", "pixels", "area_m2", "share", "objects"]
    assert rows[0]["objects"] == ""


def test_districts_make_a_styled_package_and_a_table(class_map: Path, tmp_path: Path) -> None:
    districts = tmp_path / "districts.gpkg"
    west, south, east, north = GRID.bounds
    middle = (west + east) / 2
    shapes = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    pyogrio.raw.write(
        districts,
        geometry=shapely.to_wkb(shapes),
        field_data=[np.array(["West", "East"], dtype=object)],
        fields=["NAME"],
        geometry_type="Polygon",
        crs=GRID.crs,
    )
    found = measure_files(class_map, class_map.with_suffix(".csv"), MeasureOptions(per=str(districts)))
    package, table = found.files[2:]
    assert (package.name, table.name) == ("map_zones.gpkg", "map_zones.csv")
    rows = read_csv(table)
    assert [row["zone"] for row in rows] == ["West", "East"]
    whole = read_json(class_map.with_suffix(".json"))
    for name, row in zip(("building", "road"), whole["classes"][1:], strict=True):
        assert sum(float(r[f"{name}_m2"]) for r in rows) == pytest.approx(row["area_m2"], rel=1e-9)
    meta, _, wkb, data = pyogrio.raw.read(package, layer=package.stem)
    columns = dict(zip(meta["fields"], data, strict=True))
    assert columns["buildings"].tolist() == [int(row["buildings"]) for row in rows]
    assert shapely.equals(shapely.from_wkb(wkb), shapely.multipolygons([[s] for s in shapes])).all()
    with closing(sqlite3.connect(package)) as connection:
        ((style,),) = connection.execute("SELECT styleQML FROM layer_styles WHERE useAsDefault").fetchall()
    assert 'attr="built_share"' in style
    assert [zone["zone"] for zone in whole["zones"]] == ["West", "East"]


def test_a_sample_leads_from_the_plan_to_corrected_areas(class_map: Path, tmp_path: Path) -> None:
    truth = shifted_truth(class_map, tmp_path / "truth.tif")
    sample = tmp_path / "sample.gpkg"
    design, drawn = sample_file(class_map, sample, SampleOptions(precision=0.03, seed=1))
    assert drawn == design.points
    labelled = tmp_path / "labelled.gpkg"
    relabelled(sample, labelled, truth)
    found = measure_files(
        class_map, class_map.with_suffix(".csv"), MeasureOptions(figures=False), reference=Reference(sample=labelled)
    )
    assert found.honest is not None
    building = found.honest.classes[1]
    with read_class_map(truth) as raster:
        true = float((raster.read(GRID.window) == 3).sum()) * building.mapped_area / (24 * 16 * 24)
    assert building.area.low < true < building.area.high < building.mapped_area
    assert building.users is not None
    assert building.users.low < 18 / 24 < building.users.high
    assert found.files[-1].name == "map_areas.csv"
    with found.files[-1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["area_m2"]) == pytest.approx(building.area.value)
    saved = json.loads(found.files[1].read_text())["honest"]
    assert saved["classes"][1]["area"]["high"] == pytest.approx(building.area.high)


def test_a_raster_of_truth_does_too_and_says_what_it_is_worth(class_map: Path, tmp_path: Path) -> None:
    truth = shifted_truth(class_map, tmp_path / "truth.tif")
    options = MeasureOptions(figures=False)
    with pytest.raises(BadOption, match="two at least"):
        measure_files(class_map, tmp_path / "a.csv", options, reference=Reference(truth=truth))
    large = tmp_path / "large.tif"
    for path in (class_map, truth):
        with read_class_map(path) as raster:
            ids = np.tile(raster.read(GRID.window), (3, 3))
        name = large if path == class_map else tmp_path / "large_truth.tif"
        write_class_map(name, ids, Grid(GRID.crs, GRID.transform, *ids.shape), LEGEND)
    found = measure_files(large, tmp_path / "a.csv", options, reference=Reference(truth=tmp_path / "large_truth.tif"))
    assert found.honest is not None
    assert "no random sample" in found.notes[0]
    assert found.honest.classes[1].area.value == pytest.approx(found.honest.classes[1].mapped_area * 18 / 24, rel=1e-3)
    with pytest.raises(GridMismatch, match="does not lie on the map's grid"):
        measure_files(large, tmp_path / "a.csv", options, reference=Reference(truth=truth))
    other = Legend((*LEGEND.classes, LandClass(9, "lava", "#FF0000")))
    write_class_map(tmp_path / "lava.tif", np.full((200, 240), 9), GRID, other)
    with pytest.raises(UnknownClass, match="class id 9"):
        measure_files(class_map, tmp_path / "a.csv", options, reference=Reference(truth=tmp_path / "lava.tif"))
    with pytest.raises(BadOption, match="pass --sample or --truth"):
        Reference(truth, truth)


def scores_of(path: Path, matrices: list[list[list[int]]]) -> Path:
    """A scores.json of scenes with these confusions, truth in rows."""
    scenes = tuple(
        SceneScores(f"s{k}", f"s{k}.tif", Scores(LEGEND, tuple(map(tuple, matrix))))
        for k, matrix in enumerate(matrices)
    )
    path.write_text(json.dumps(Evaluation("test", scenes).to_json()))
    return path


def test_the_scores_of_a_run_correct_the_areas(class_map: Path, tmp_path: Path) -> None:
    """A quarter of what is mapped as building is background in each scene, so three quarters of the area are left."""
    scene = [[900, 100, 0], [0, 300, 0], [0, 0, 200]]
    truth = scores_of(tmp_path / "scores.json", [scene, scene, (3 * np.array(scene)).tolist()])
    found = measure_files(class_map, tmp_path / "map.csv", MeasureOptions(), reference=Reference(truth=truth))
    assert found.honest is not None
    building = found.honest.classes[1]
    assert building.area.value == pytest.approx(0.75 * building.mapped_area)
    assert "3 scored scenes" in found.notes[0]


def test_scores_that_say_nothing_of_areas_are_refused(class_map: Path, tmp_path: Path) -> None:
    alone = scores_of(tmp_path / "scores.json", [[[9, 1, 0], [0, 3, 0], [0, 0, 2]]])
    with pytest.raises(BadOption, match="one scene"):
        measure_files(class_map, tmp_path / "map.csv", MeasureOptions(), reference=Reference(truth=alone))
    alone.write_text('{"something": 1}')
    with pytest.raises(UnreadableFile, match="no scores"):
        measure_files(class_map, tmp_path / "map.csv", MeasureOptions(), reference=Reference(truth=alone))


def test_polygons_read_piece_by_piece_measure_as_the_map_does(class_map: Path, tmp_path: Path) -> None:
    options = MeasureOptions(per="40m")
    traced = measure_files(class_map, tmp_path / "one.csv", options).statistics
    polygons_file(class_map, class_map.with_suffix(".gpkg"), VectorizeOptions())
    read = measure_files(class_map, tmp_path / "two.csv", options).statistics
    assert read.rows() == traced.rows()
    assert read.zone_rows() == traced.zone_rows()
    assert read.figures == traced.figures
