"""A model's map of suspicious labels: every labelled scene is mapped, what differs is ranked, drawn and written."""

import csv
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from PIL import Image

from terraseg.core.watch import SILENT
from terraseg.pipeline import suspects
from terraseg.pipeline.products import Model
from terraseg.pipeline.project import project_from
from terraseg.pipeline.suspects import draw_suspects
from tests.makers import UTM, PointScorer, make_grid, make_raster, make_spec

GRID = make_grid(96, 128)
TABLES = {
    "data": {
        "images": ["images/*.tif"],
        "labels": ["labels/*.tif"],
        "classes": [{"name": "land", "labels": ["0"]}, {"name": "roof", "labels": ["1"]}],
    }
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two scenes of dark land with a bright roof each; the second one's label misses half of its roof."""
    monkeypatch.setattr(
        suspects, "open_model", lambda *_: Model(PointScorer(make_spec(gsd_m=None)), "abc", {}, "predicting")
    )
    ids = np.zeros((1, 96, 128), np.uint8)
    ids[0, 20:60, 30:90] = 1
    for name in ("a", "b"):
        make_raster(tmp_path / f"images/{name}.tif", GRID, pixels=np.repeat(20 + 90 * ids, 3, axis=0))
    make_raster(tmp_path / "labels/a.tif", GRID, bands=("label",), pixels=ids)
    half = ids.copy()
    half[0, 20:60, 60:90] = 0
    make_raster(tmp_path / "labels/b.tif", GRID, bands=("label",), pixels=half)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text("{}")
    return tmp_path


def test_the_label_that_is_wrong_is_ranked_drawn_and_written(root: Path) -> None:
    files = draw_suspects(project_from(TABLES, root), root / "model", SILENT)
    folder = root / "runs/first/suspects"
    assert [f.relative_to(folder).parts[0] for f in files] == ["suspects.csv", "b.gpkg", "pictures"]
    with files[0].open() as table:
        (row,) = csv.DictReader(table)
    assert (row["rank"], row["scene"], row["label"], row["model_says"]) == ("1", "b", "land", "roof")
    assert row["pixels"] == "1200"
    assert float(row["area_m2"]) == pytest.approx(300, rel=2e-3)
    meta, _, _, data = pyogrio.raw.read(folder / "b.gpkg")
    columns = dict(zip(meta["fields"], data, strict=True))
    assert meta["crs"] == UTM
    assert columns["certainty"][0] > 0.8
    with Image.open(files[2]) as picture:
        assert picture.size[0] > 3 * 100


def test_a_second_look_drops_what_was_mended(root: Path) -> None:
    project = project_from(TABLES, root)
    draw_suspects(project, root / "model", SILENT)
    (root / "labels/b.tif").write_bytes((root / "labels/a.tif").read_bytes())
    files = draw_suspects(project, root / "model", SILENT)
    assert [f.name for f in files] == ["suspects.csv"]
    assert not list((root / "runs/first/suspects").glob("*.gpkg"))
