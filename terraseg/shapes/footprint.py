"""What a building's outline says of it: length, width, orientation, compactness."""

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.shapes.ground import ellipsoid, to_longitude_latitude


def footprint_columns(
    polygons: NDArray[np.object_], crs: str | None, *, area: NDArray[np.float64], perimeter: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Columns (n,) by name: `length_m`, `width_m` (`length_px`, `width_px` without a CRS), `orientation_deg`, `compactness`.

    Length and width are the sides of the smallest rectangle around the polygon, on the ground; the orientation is the
    bearing of the longer one from true north, clockwise from 0 up to 180 degrees (without a CRS from the y axis). The
    compactness is 4 pi area / perimeter squared: 1 for a circle, 0.785 for a square, less for what is long or ragged
    (Polsby and Popper 1991). `area` and `perimeter` are those of the polygons in the same units.
    """
    unit = "px" if crs is None else "m"
    one, two, bearing_one, bearing_two = _sides(polygons, crs)
    along = one >= two
    with np.errstate(invalid="ignore", divide="ignore"):
        compactness = 4 * np.pi * area / perimeter**2
        orientation = np.mod(np.where(along, bearing_one, bearing_two), 180.0)
    return {
        f"length_{unit}": np.where(along, one, two),
        f"width_{unit}": np.where(along, two, one),
        "orientation_deg": orientation,
        "compactness": compactness,
    }


def _sides(
    polygons: NDArray[np.object_], crs: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Lengths and bearings of two neighbouring sides of each polygon's smallest rectangle."""
    if len(polygons) == 0:
        none = np.zeros(0)
        return none, none, none, none
    rectangles = np.asarray(shapely.oriented_envelope(polygons), dtype=object)
    corners = shapely.get_coordinates(rectangles).reshape(len(polygons), -1, 2)[:, :3]
    if crs is None:
        steps = np.diff(corners, axis=1)
        lengths = np.hypot(steps[..., 0], steps[..., 1])
        bearings = np.degrees(np.arctan2(steps[..., 0], steps[..., 1]))
    else:
        lon, lat = to_longitude_latitude(crs).transform(corners[..., 0].ravel(), corners[..., 1].ravel())
        lon, lat = np.reshape(lon, (-1, 3)), np.reshape(lat, (-1, 3))
        starts, stops = (lon[:, :2].ravel(), lat[:, :2].ravel()), (lon[:, 1:].ravel(), lat[:, 1:].ravel())
        ahead, _, length = ellipsoid(crs).inv(starts[0], starts[1], stops[0], stops[1])
        lengths, bearings = np.reshape(length, (-1, 2)), np.reshape(ahead, (-1, 2))
    return lengths[:, 0], lengths[:, 1], bearings[:, 0], bearings[:, 1]
