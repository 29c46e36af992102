"""Lines and points become labels where they have a width; everything else is counted."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from terraseg.errors import BadOption, UnreadableFile
from terraseg.store.features import count_features, read_features, read_polygons

SQUARE = shapely.box(0, 0, 1, 1)
LINE = shapely.LineString([(0, 0), (4, 0)])
POINT = shapely.Point(2, 2)


def write(path: Path, rows: list[tuple[shapely.Geometry | None, dict[str, object]]]) -> Path:
    features = [
        {"type": "Feature", "geometry": None if g is None else json.loads(shapely.to_geojson(g)), "properties": p}
        for g, p in rows
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_one_width_for_all_draws_lines_and_points(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.geojson", [(SQUARE, {"k": "a"}), (LINE, {"k": "b"}), (POINT, {"k": "c"}), (None, {"k": "d"})]
    )
    found = read_features(path, field="k", width=3.0)
    assert found.values.tolist() == ["a", "b", "c"]
    assert found.widths is not None
    assert np.isnan(found.widths[0])
    assert found.widths[1:].tolist() == [3.0, 3.0]
    assert found.skipped == 1
    assert read_features(path, field="k").values.tolist() == read_polygons(path, field="k").values.tolist() == ["a"]
    assert read_features(path, field="k").skipped == 3


def test_an_attribute_holds_the_width_in_whatever_spelling(tmp_path: Path) -> None:
    widths: list[object] = ["6", "6.5 m", "7,5", None, "wide", "-2", "0"]
    path = write(tmp_path / "a.geojson", [(LINE, {"width": value}) for value in widths])
    found = read_features(path, width="width")
    assert found.widths is not None
    assert found.widths.tolist() == [6.0, 6.5, 7.5]
    assert found.skipped == 4
    with pytest.raises(BadOption, match="no attribute 'widht': did you mean 'width'"):
        read_features(path, width="widht")


def test_a_polygon_needs_no_width(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", [(SQUARE, {"width": None}), (LINE, {"width": 2.0})])
    found = read_features(path, width="width")
    assert [g.geom_type for g in found.geometry] == ["Polygon", "LineString"]
    assert count_features(path) == 2


def test_a_file_without_a_feature_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.geojson", [])
    assert count_features(path) == 0
    assert len(read_features(path).geometry) == 0


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", [(SQUARE, {"k": "a"})])
    first = read_polygons(path)
    assert read_features(path) is first
    with pytest.raises(ValueError, match="read-only"):
        first.geometry[0] = None
    write(path, [(SQUARE, {"k": "a"}), (shapely.box(2, 2, 3, 3), {"k": "b"})])
    assert len(read_polygons(path).geometry) == 2


def ring(count: int, noise: float) -> shapely.Polygon:
    """A jagged outline of about 400 m across, whose vertices lie up to `noise` metres off."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    reach = 0.004 * (1 + 0.3 * np.sin(7 * angle) + 0.01 * np.sin(503 * angle))
    reach = reach + noise / 1e5 * np.random.default_rng(0).normal(size=count)
    return shapely.Polygon(np.column_stack([reach * np.cos(angle), reach * np.sin(angle)]))


def test_an_outline_that_runs_over_itself_again_and_again_is_refused_at_once(tmp_path: Path) -> None:
    """300,000 vertices whose edges are longer than the outline's own steps by a thousand times; a fine one is read."""
    path = write(tmp_path / "tangled.geojson", [(ring(300_000, 40.0), {})])
    with pytest.raises(
        UnreadableFile, match=r"outline of 300,001 vertices that runs over itself [\d,]+ times at every edge"
    ):
        read_polygons(path)
    assert len(read_polygons(write(tmp_path / "fine.geojson", [(ring(60_000, 0.005), {})])).geometry) == 1
