import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.fingerprint import BandFacts, Fingerprint, SceneFacts
from terraseg.core.grid import Grid
from terraseg.core.split import SplitReport
from terraseg.core.window import Window
from terraseg.report.splitmap import MOST_PANELS, left_out, make_panels, split_figure, split_picture

LEGEND = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "house", "#D02010")))


def scene(
    name: str, group: str = "", *, col: float = 0.0, crs: str | None = "EPSG:32637", turned: bool = False
) -> Scene:
    d = 0.2 if turned else 0.0
    grid = Grid(crs, (0.5, d, 500_000.0 + col / 2, d, -0.5, 4_000_000.0), 100, 120)
    windows = (Window(0, 0, 100, 70),), (Window(0, 90, 100, 30),)
    return Scene(name, Imagery((f"{name}.tif",), ("red",)), f"{name}.png", group or name, grid, *windows)


def drawn(scenes: list[Scene]) -> tuple[Image.Image, int]:
    """The figure as a picture, and the number of its panels."""
    dataset = Dataset(tuple(scenes), LEGEND, LabelRule("ids", (("0",), ("1",))), ("red",), "uint8")
    rows = tuple(SceneFacts(s.name, 100, 120, 0.5, 1.0, 1.0, (9, 1)) for s in scenes)
    band = BandFacts("red", 1, 1, 0, 1, 2)
    facts = Fingerprint("uint8", (band,), rows, LEGEND.names, (700, 300), 9, 9, None, validation_class_pixels=(80, 20))
    grey = np.linspace(0, 1, 30 * 36, dtype=np.float32).reshape(30, 36)
    figure = split_figure(dataset, facts, SplitReport("so it was done"), pictures={s.name: grey for s in scenes})
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=60)
    panels = [axis for part in figure.subfigs[:1] for axis in part.axes if axis.axison]
    return Image.open(buffer), len(panels)


windows = st.lists(
    st.builds(Window, st.integers(0, 20), st.integers(0, 20), st.integers(1, 15), st.integers(1, 15)), max_size=4
)


@given(windows)
def test_what_is_left_out_is_every_other_pixel_once(parts: list[Window]) -> None:
    grid = Grid(None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 24, 30)
    inside = tuple(w.intersection(grid.window) for w in parts)
    one = replace(scene("a"), grid=grid, train=inside[:2], validation=inside[2:])
    used, seen = np.zeros((24, 30), bool), np.zeros((24, 30), int)
    for window in inside:
        used[window.slices] = True
    for window in left_out(one):
        seen[window.slices] += 1
    assert (seen == ~used).all()


def test_neighbours_share_a_panel_and_far_scenes_do_not() -> None:
    near, far = [scene("a"), scene("b", col=150)], [scene("c", col=9000), scene("d", col=9100, turned=True)]
    panels = make_panels([*near, *far])
    assert [[s.name for s in p.scenes] for p in panels] == [["a", "b"], ["c", "d"]]
    assert all(p.placed for p in panels)


def test_scenes_without_a_crs_lie_side_by_side_in_their_group() -> None:
    panels = make_panels([scene(f"{g}{n}", g, crs=None) for g in "xy" for n in range(5)])
    assert [p.title for p in panels] == ["x", "y"]
    boxes = [panels[0].corners(n, s.grid.window) for n, s in enumerate(panels[0].scenes)]
    for n, one in enumerate(boxes):
        for other in boxes[:n]:
            apart = (one.min(axis=0) >= other.max(axis=0)) | (other.min(axis=0) >= one.max(axis=0))
            assert apart.any()


@pytest.mark.parametrize("crs", [None, "EPSG:32637"])
def test_the_picture_shows_every_side_in_its_colour(crs: str | None) -> None:
    test = replace(scene("t", "t", col=400, crs=crs), train=(), validation=(), is_test=True)
    image, panels = drawn([scene("a", "a", crs=crs), scene("b", "a", col=140, crs=crs), test])
    assert panels >= 1
    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    for color in ((0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73), (0xD0, 0x20, 0x10)):
        assert (np.abs(pixels - color).max(axis=1) < 24).any(), color


def test_many_groups_still_fit() -> None:
    far = [scene(f"s{n}", col=9000 * n) for n in range(MOST_PANELS + 6)]
    image, panels = drawn(far)
    assert panels == MOST_PANELS
    assert image.height < 60 * 30
    assert drawn([scene(f"s{n}", crs=None) for n in range(MOST_PANELS + 6)])[1] == 1


def test_the_page_gets_the_picture_where_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "split.png"
    assert split_picture(path, 1e6) is None
    drawn([scene("a")])[0].resize((2400, 900)).save(path)
    shown = split_picture(path, 1e6)
    assert shown is not None
    assert (shown.mime, shown.width, shown.height) == ("image/jpeg", 1200, 450)
    assert split_picture(path, 100) is None
