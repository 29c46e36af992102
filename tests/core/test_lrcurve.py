"""The curve of a range test as a value."""

import json

import pytest

from terraseg.core.lrcurve import LrCurve
from terraseg.errors import UnreadableFile

CURVE = LrCurve((1e-7, 1e-3, 10.0), (0.7, 0.3, 4.0), 1e-3, 1e-7)


def test_a_curve_survives_json_exactly() -> None:
    assert LrCurve.from_json(json.loads(json.dumps(CURVE.to_json()))) == CURVE


@pytest.mark.parametrize(
    ("rates", "losses", "suggested", "message"),
    [
        ((1e-3, 1e-2), (0.5,), 1e-3, "2 rates and 1 losses"),
        ((1e-3, 1e-2), (0.5, float("nan")), 1e-3, "not finite"),
        ((1e-2, 1e-3), (0.5, 0.4), 1e-3, "do not rise"),
        ((1e-3, 1e-2), (0.5, 0.4), 0.5, "none of the rates"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(
    rates: tuple[float, ...], losses: tuple[float, ...], suggested: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LrCurve(rates, losses, suggested, suggested)


@pytest.mark.parametrize("value", [{}, {"rates": [1], "losses": [1]}, {**CURVE.to_json(), "losses": [1.0]}])
def test_json_that_is_no_curve_is_said_with_the_way_out(value: dict[str, object]) -> None:
    with pytest.raises(UnreadableFile, match="terraseg lr-find"):
        LrCurve.from_json(value)
