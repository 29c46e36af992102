"""The finished page, read as a browser reads it."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Imagery
from terraseg.core.grid import Grid
from terraseg.errors import BadOption, EmptyDataset, UnknownClass
from terraseg.evaluate.evaluate import Evaluation, SceneScores
from terraseg.evaluate.scores import score
from terraseg.report.build import MappedScene, build_report
from terraseg.report.options import ReportOptions
from terraseg.store.classmap import write_class_map
from terraseg.store.imagery import write_raster
from terraseg.store.rundir import RunFolder, read_json, write_json

SECTIONS = ["maps", "areas", "accuracy", "training", "plan", "provenance"]
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Page(HTMLParser):
    """The elements of a page, checked to be closed in order; text by the elements around it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not set(self.open) & {"script", "style"}:
            self.text += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def sections(self) -> list[str]:
        return [attributes["id"] for attributes in self.all("section")]


@pytest.fixture(scope="module")
def source(finished: Any) -> str:
    path = build_report(finished.run, finished.dataset, finished.scenes, options=ReportOptions(title="A <b>town</b>"))
    assert path == finished.run.report
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_the_page_is_well_formed_and_whole(page: Page) -> None:
    assert page.sections == SECTIONS
    assert [a["href"] for a in page.all("a")][1:] == [f"#{name}" for name in SECTIONS]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing_from_outside(source: str, page: Page) -> None:
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert str(attributes.get(name, "")).split(":")[0].split("#")[0] in ("", "data")
    without_pictures = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]*", "", source)
    for trace in ("http:", "https:", "@import", "url(", "fetch(", "<link"):
        assert trace not in without_pictures
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


def test_every_picture_decodes_and_is_described(page: Page) -> None:
    assert len(page.all("img")) == 2 * 5
    for attributes in page.all("img"):
        kind, data = attributes["src"].removeprefix("data:").split(";base64,")
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        image.load()
        assert Image.MIME[str(image.format)] == kind
        assert image.size == (int(attributes["width"]), int(attributes["height"]))
        assert len(attributes["alt"]) > 10


def test_the_overlay_has_the_legends_colours(finished: Any, page: Page) -> None:
    overlay = next(a for a in page.all("img") if a.get("class") == "over")
    rgba = np.asarray(Image.open(io.BytesIO(base64.b64decode(overlay["src"].split(",")[1]))).convert("RGBA"))
    ids = finished.maps["north"]
    for land_class in finished.dataset.legend.classes:
        assert (rgba[ids == land_class.id] == [*land_class.rgb, 255]).all()
    assert (rgba[ids == 255, 3] == 0).all()


def test_names_from_outside_are_text_and_never_markup(source: str, page: Page) -> None:
    assert len(page.all("script")) == 1
    assert "<script>alert" not in source
    assert '<script>alert("roof")</script>' in page.text
    assert "A <b>town</b>" in page.text
    assert "three times the median <building>" in page.text
    assert page.all("b") == []


def test_numbers_on_the_page_are_those_of_the_files(finished: Any, page: Page) -> None:
    text = page.text.replace("\xa0", " ")
    mapped = sum(int((ids != 255).sum()) for ids in finished.maps.values())
    total = read_json(finished.run.scores)["total"]
    assert f"2 scenes covering {mapped * 0.25:,.0f} m² of ground were mapped" in text
    assert f"Held against {total['pixels']:,} labelled pixels" in text
    assert f"its mean IoU is {total['mean_iou']:.3f}. 1 of the 2 scored scenes was seen in training" in text
    assert f"{total['unpredicted']:,} labelled pixels have no prediction" in text
    assert "Best mean IoU on validation data: 0.600 at step 200" in text
    assert "1 min 26 s" in text
    for row in total["confusion"]:
        assert all(f"{pixels:,}" in text for pixels in row)


def test_controls_tables_and_charts_can_be_used_without_sight_or_mouse(page: Page) -> None:
    ranges = [a for a in page.all("input") if a["type"] == "range"]
    assert len(ranges) == 2 * 2
    assert page.all("html")[0]["lang"] == "en"
    assert all(a.get("scope") in ("col", "row") for a in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg"))
    assert {a["tabindex"] for a in page.all("div") if a.get("class", "").startswith("table")} == {"0"}


def test_what_does_not_exist_has_no_section(finished: Any, tmp_path: Path) -> None:
    bare = replace(finished.scenes[0], labels=None, map_path=tmp_path / "map.tif")
    write_class_map(bare.map_path, finished.maps["north"], finished.dataset.scenes[0].grid, finished.dataset.legend)
    page = Page(build_report(RunFolder(tmp_path), None, [bare]).read_text(encoding="utf-8"))
    assert page.sections == ["maps", "provenance"]
    assert len(page.all("img")) == 2
    assert "No scores" in page.text


def test_a_run_without_maps_reports_its_training(finished: Any) -> None:
    options = ReportOptions(max_scenes=0)
    page = Page(
        build_report(finished.run, finished.dataset, finished.scenes, options=options).read_text(encoding="utf-8")
    )
    assert "maps" not in page.sections
    assert "training" in page.sections
    assert page.all("img") == []


def test_more_scenes_than_asked_for_are_counted_not_shown(finished: Any) -> None:
    options = ReportOptions(max_scenes=1)
    page = Page(
        build_report(finished.run, finished.dataset, finished.scenes, options=options).read_text(encoding="utf-8")
    )
    assert len(page.all("article")) == 1
    assert "1\xa0more scene left out" in page.text


def test_the_file_stays_below_its_limit(tmp_path: Path) -> None:
    grid = Grid("EPSG:32637", (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_000_000.0), 700, 900)
    legend = Legend((LandClass(0, "a", "#112233"), LandClass(1, "b", "#445566")))
    generator = np.random.default_rng(0)
    scenes = []
    for name in ("x", "y", "z"):
        write_raster(
            tmp_path / f"{name}.tif", generator.integers(0, 255, (3, 700, 900)).astype(np.uint8), grid, list("rgb")
        )
        write_class_map(tmp_path / f"{name}_map.tif", generator.integers(0, 2, (700, 900)), grid, legend)
        imagery = Imagery((str(tmp_path / f"{name}.tif"),), tuple("rgb"))
        scenes.append(MappedScene(name, imagery, tmp_path / f"{name}_map.tif"))
    path = build_report(RunFolder(tmp_path), None, scenes, options=ReportOptions(max_mb=0.6))
    assert 200_000 < path.stat().st_size <= 600_000


def test_a_limit_that_cannot_be_kept_is_said_and_nothing_is_written(finished: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    options = ReportOptions(max_mb=0.01)
    with pytest.raises(BadOption, match=r"max_mb is 0\.01"):
        build_report(run, finished.dataset, finished.scenes, options=options)
    assert not run.report.exists()


def test_nothing_to_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataset, match="neither a mapped scene nor a data set"):
        build_report(RunFolder(tmp_path), None, [])


def test_maps_of_different_classes_do_not_share_a_report(finished: Any, tmp_path: Path) -> None:
    other = replace(finished.scenes[1], map_path=tmp_path / "other.tif", labels=None)
    legend = Legend((*finished.dataset.legend.classes[:2], LandClass(9, "else", "#000000")))
    write_class_map(other.map_path, finished.maps["south"], finished.dataset.scenes[0].grid, legend)
    with pytest.raises(UnknownClass, match="different classes"):
        build_report(RunFolder(tmp_path), finished.dataset, [finished.scenes[0], other])


@pytest.mark.parametrize(
    ("hits", "words"),
    [
        (60, "Deep learning paid: it brought 11.3 points."),
        (48, "within a point of each other, so the network has not paid yet"),
        (20, "The network is 20.5 points behind"),
    ],
)
def test_a_forest_s_scores_stand_beside_the_network_s(finished: Any, tmp_path: Path, hits: int, words: str) -> None:
    """Of 100 pixels, half of them land: the forest gets 24 of each half right."""
    legend = Legend(finished.dataset.legend.classes[:2])
    network = score(np.array([[hits - hits // 2, 50 - hits + hits // 2], [50 - hits // 2, hits // 2]]), legend)
    forest = score(np.array([[24, 26], [26, 24]]), legend)
    run = RunFolder(tmp_path)
    beside = Evaluation("test", (SceneScores("north", "north.tif", forest),))
    write_json(run.scores, Evaluation("test", (SceneScores("north", "n.tif", network),), beside).to_json())
    page = Page(build_report(run, finished.dataset, []).read_text(encoding="utf-8"))
    text = page.text.replace("\xa0", " ")
    assert "Did deep learning pay?" in text
    assert f"reaches a mean IoU of {forest.mean_iou:.3f}" in text
    assert words in text
    assert len(page.all("caption")) == len(page.all("table"))
