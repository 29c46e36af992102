from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.pixels.match import MOST_COMPARISONS, SCALES, find_matches, texture

REAL = Path(__file__).parents[3] / "shared" / "data"
Plane = NDArray[np.float32]


def ground(height: int, width: int, seed: int = 0) -> Plane:
    """Blobs of several sizes, as fields, roofs and cars are, with edges between them."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for size in (2, 5, 12):
        rough = ndimage.gaussian_filter(generator.normal(size=(height, width)), size)
        total += np.where(rough > 0, 40.0, 0.0) + 30 * rough / rough.std()
    return (100 + total).astype(np.float32)


def scaled(plane: Plane, factor: float) -> Plane:
    return np.asarray(ndimage.zoom(plane, factor, order=1, grid_mode=True, mode="nearest"), dtype=np.float32)


@pytest.mark.parametrize("scale", [1.0, 1.04, 0.9, 1.12])
@pytest.mark.parametrize(("row", "col"), [(0, 190), (120, 160), (-130, 60)])
def test_shared_ground_is_found_with_its_shift_and_scale(scale: float, row: int, col: int) -> None:
    country = ground(600, 700)
    one = country[150:390, 100:380]
    other = country[150 + row : 390 + row, 100 + col : 380 + col]
    generator = np.random.default_rng(1)
    other = scaled(other, 1 / scale) * np.float32(0.7) + np.float32(30)
    other = other + generator.normal(0, 6, other.shape).astype(np.float32)
    (match,) = find_matches([one, other], ["a", "b"]) or ()
    assert (match.one, match.other) == (0, 1)
    assert match.scale == pytest.approx(scale, abs=0.015)
    assert match.row == pytest.approx(row, abs=2.5)
    assert match.col == pytest.approx(col, abs=2.5)
    assert 0 < match.correlation <= 1
    assert 0 < match.agreeing <= 1


def test_different_ground_does_not_match() -> None:
    pictures = [ground(180 + 10 * seed, 200, seed) for seed in range(12)]
    assert find_matches(pictures, [str(n) for n in range(12)]) == ()


def test_rows_of_roofs_that_repeat_do_not_match() -> None:
    """Two plantations with rows alike agree at many shifts, so at none."""

    def rows(seed: int) -> Plane:
        generator = np.random.default_rng(seed)
        tile = np.zeros((20, 24))
        tile[3:13, 4:18] = 120
        plane = np.tile(tile, (12, 10))[:220, :230] + generator.normal(0, 12, (220, 230))
        return plane.astype(np.float32)

    assert find_matches([rows(1), rows(2)], ["a", "b"]) == ()


def test_smooth_water_does_not_match() -> None:
    generator = np.random.default_rng(3)
    coast = ground(200, 200)
    water = [
        np.where(np.arange(200)[None, :] < 180, 30.0, coast) + generator.normal(0, 1, (200, 200)) for _ in range(2)
    ]
    flat = [np.full((150, 150), 7, dtype=np.float32), np.full((150, 150), np.nan, dtype=np.float32)]
    pictures = [water[0].astype(np.float32), np.roll(water[1], 0, 1)[:, ::-1].astype(np.float32), *flat]
    assert find_matches(pictures, ["a", "b", "c", "d"]) == ()


def test_pictures_of_one_group_are_not_compared() -> None:
    country = ground(300, 400)
    assert find_matches([country[:, :250], country[:, 150:]], ["a", "a"]) == ()


def test_nodata_has_no_say() -> None:
    country = ground(300, 400)
    one, other = country[:, :250].copy(), country[:, 150:].copy()
    one[:80], other[-70:] = np.nan, np.nan
    (match,) = find_matches([one, other], ["a", "b"]) or ()
    assert match.col == pytest.approx(150, abs=2)
    assert (texture(one)[:80] == 0).all()


def test_too_many_pictures_are_not_compared_and_that_is_said() -> None:
    many = int(np.sqrt(2 * MOST_COMPARISONS)) + 2
    tiny = np.zeros((4, 4), dtype=np.float32)
    assert find_matches([tiny] * many, [str(n) for n in range(many)]) is None
    assert min(SCALES) < 0.9 < 1.1 < max(SCALES)


@pytest.mark.skipif(not REAL.exists(), reason="the shared real imagery is not there")
def test_the_corner_that_two_tiles_of_dubai_share_is_found_and_nothing_else() -> None:
    from PIL import Image

    pictures, names = [], []
    for tile, part in ((1, 1), (1, 2), (3, 9), (3, 6), (2, 5), (4, 5), (2, 1)):
        image = Image.open(REAL / f"dubai/Tile {tile}/images/image_part_00{part}.jpg").convert("L")
        small = image.resize((-(-image.width // 3), -(-image.height // 3)), Image.Resampling.BOX)
        pictures.append(np.asarray(small, dtype=np.float32))
        names.append(f"{tile}.{part}")
    matches = find_matches(pictures, [name[0] for name in names]) or ()
    assert [(names[m.one], names[m.other]) for m in matches] == [("1.1", "3.9")]
    assert matches[0].scale == pytest.approx(1.0, abs=0.01)
