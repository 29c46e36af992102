"""Numbers as people read them, with a space that does not break before the unit."""

from collections.abc import Sequence

DASH = "–"
UNIT_SIGNS = {"m2": "m²", "m": "m", "px": "px"}
"""How units are written."""
NBSP = "\N{NO-BREAK SPACE}"


def percent(value: float | None) -> str:
    r"""A share from 0 to 1 as a percentage with one digit; two below one per cent.

    >>> percent(0.12345), percent(0.00123), percent(0), percent(None)
    ('12.3\xa0%', '0.12\xa0%', '0\xa0%', '–')
    """
    if value is None:
        return DASH
    if value == 0:
        return f"0{NBSP}%"
    return f"{100 * value:.2f}{NBSP}%" if abs(value) < 0.00995 else f"{100 * value:.1f}{NBSP}%"


def score(value: float | None) -> str:
    """A score with three decimals.

    >>> score(0.52349), score(None)
    ('0.523', '–')
    """
    return DASH if value is None else f"{value:.3f}"


def gain(value: float | None, over: float | None) -> str:
    """By how much a score is above another, with its sign.

    >>> gain(0.5234, 0.5), gain(0.4, 0.45), gain(None, 0.5)
    ('+0.023', '−0.050', '–')
    """
    if value is None or over is None:
        return DASH
    return f"{value - over:+.3f}".replace("-", "−")


def count(value: float | None) -> str:
    """A whole number with thousands set apart.

    >>> count(1234567)
    '1,234,567'
    """
    return DASH if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """A measured number to four significant digits, or whole with thousands set apart when it is large.

    >>> number(0.000123456), number(12.3456), number(98765.4), number(3)
    ('0.0001235', '12.35', '98,765', '3')
    """
    if value is None:
        return DASH
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def length(metres: float) -> str:
    r"""A length in the unit that suits it.

    >>> length(0.0746), length(50), length(2500)
    ('7.46\xa0cm', '50\xa0m', '2.5\xa0km')
    """
    if metres >= 1000:
        return f"{metres / 1000:.4g}{NBSP}km"
    return f"{metres:.3g}{NBSP}m" if metres >= 0.995 else f"{metres * 100:.3g}{NBSP}cm"


AREA_UNITS = ((1e6, "km²"), (1e4, "ha"), (1.0, "m²"))


def area_unit(areas_m2: Sequence[float]) -> tuple[float, str]:
    """Square metres in the unit that suits the largest of some areas, and the unit's name.

    >>> area_unit([12.0, 25_000.0])
    (10000.0, 'ha')
    """
    largest = max((abs(a) for a in areas_m2), default=0.0)
    return next(((size, name) for size, name in AREA_UNITS if largest >= size), AREA_UNITS[-1])


def area(square_metres: float) -> str:
    r"""An area in the unit that suits it.

    >>> area(12.34), area(123456)
    ('12.3\xa0m²', '12.3\xa0ha')
    """
    size, name = area_unit([square_metres])
    value = square_metres / size
    return f"{value:,.0f}{NBSP}{name}" if value >= 1000 else f"{value:.3g}{NBSP}{name}"


def duration(seconds: float) -> str:
    r"""A time span in two units at most.

    >>> duration(8.2), duration(492), duration(7384)
    ('8\xa0s', '8\xa0min 12\xa0s', '2\xa0h 3\xa0min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60}{NBSP}s" if whole % 60 else f"{whole // 60}{NBSP}min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}{NBSP}h {minutes}{NBSP}min" if minutes else f"{hours}{NBSP}h"


def clock(seconds: float) -> str:
    """A time span as a clock shows it.

    >>> clock(8.2), clock(492), clock(7384)
    ('0:08', '8:12', '2:03:04')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours}:{left:02}:{rest:02}" if hours else f"{left}:{rest:02}"


def plural(amount: int, noun: str) -> str:
    r"""An amount with its noun.

    >>> plural(1, "scene"), plural(5, "scene")
    ('1\xa0scene', '5\xa0scenes')
    """
    return f"{count(amount)}{NBSP}{noun}{'' if amount == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """Parts as a sentence has them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(", ".join(parts).rsplit(", ", 1)) if len(parts) > 1 else "".join(parts)
