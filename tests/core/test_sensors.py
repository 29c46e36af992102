"""Sensors: band names by code and by place, reflectance, and what is said of it."""

import pytest

from terraseg.core.sensors import SENSORS, sensor_named
from terraseg.core.spectral import INDICES, bands_of
from terraseg.errors import UnknownName


@pytest.mark.parametrize(
    ("sensor", "found", "names"),
    [
        ("sentinel-2", ("B02", "B03", "B04", "B08"), ("blue", "green", "red", "nir")),
        ("sentinel-2", ("b8a", "b11"), ("nir08", "swir16")),
        ("landsat", ("SR_B4", "SR_B5", "SR_B7"), ("red", "nir", "swir22")),
        ("landsat-tm", ("SR_B3", "SR_B4", "SR_B7"), ("red", "nir", "swir22")),
        ("planetscope", ("band_1", "band_2", "band_3", "band_4"), ("blue", "green", "red", "nir")),
        ("naip", ("1", "2", "3", "4"), ("red", "green", "blue", "nir")),
        ("naip", ("band_1", "band_2"), None),
        ("sentinel-2", ("B02", "B02"), None),
        ("sentinel-2", ("B02", "height"), None),
        ("naip", ("red", "green", "blue"), None),
    ],
)
def test_bands_are_named_by_code_or_else_by_place(
    sensor: str, found: tuple[str, ...], names: tuple[str, ...] | None
) -> None:
    """The same code means another band on another sensor, and names that say something are left as they are."""
    assert SENSORS[sensor].band_names(found) == names


@pytest.mark.parametrize(
    ("sensor", "value", "reflectance"),
    [
        ("sentinel-2", 11000, 1.0),
        ("sentinel-2-harmonized", 10000, 1.0),
        ("landsat", 7273, 0.0),
        ("planetscope", 2500, 0.25),
    ],
)
def test_whole_numbers_become_reflectance(sensor: str, value: int, reflectance: float) -> None:
    scale, offset = SENSORS[sensor].scaling("uint16")
    assert scale is not None
    assert scale * value + offset == pytest.approx(reflectance, abs=1e-4)
    assert SENSORS[sensor].scaling("float32") == (1.0, 0.0)


def test_pictures_have_no_reflectance() -> None:
    assert SENSORS["naip"].scaling("uint8") == (None, 0.0)
    assert "not comparable" in SENSORS["naip"].note("uint8")


def test_notes_say_the_formula() -> None:
    assert SENSORS["landsat"].note("uint16").endswith("reflectance is 2.75e-05 * value - 0.2")
    assert SENSORS["sentinel-2"].note("float32").endswith("0 to about 1")


def test_stacks_hold_the_bands_of_some_index_and_no_name_twice() -> None:
    for sensor in SENSORS.values():
        for stack in sensor.stacks:
            assert len(set(stack)) == len(stack)
        assert set(sensor.codes.values()) <= {band for stack in sensor.stacks for band in stack}
        assert any(set(bands_of(index)) <= set(sensor.stacks[0]) for index in INDICES.values())


def test_an_unknown_sensor_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no sensor 'sentinel2': did you mean 'sentinel-2"):
        sensor_named("sentinel2")
