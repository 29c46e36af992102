"""What can stand on a plot: houses, L-shapes, terraces, courtyards, flats and halls, drawn in the plot's own frame.

A plot's frame has its origin on the street's edge at the middle of the frontage: a runs along the street, b away from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from shapely.geometry import Polygon

from terraseg.town.vectors import Building, Outline, Wing

RightTurn = np.pi / 2


@dataclass(frozen=True)
class Sketch:
    """A building in plot coordinates: outer ring, hole or None, and wings as (a, b, length, width, turned by 90 degrees)."""

    kind: str
    shell: Outline
    hole: Outline | None
    wings: tuple[tuple[float, float, float, float, bool], ...]
    roof: str
    form: str
    eaves_m: float
    pitch: float


@dataclass(frozen=True)
class Blueprint:
    """The buildings of one plot, its frontage, its parcels (one, or one a house), and its gravel (drive or yard) as rings."""

    kind: str
    sketches: tuple[Sketch, ...]
    frontage_m: float
    parcels: tuple[Outline, ...]
    gravel: tuple[Outline, ...]


@dataclass(frozen=True)
class Site:
    """A place on a street's edge: the origin, the street's direction, and +1 for its left side, -1 for its right."""

    x: float
    y: float
    angle: float
    side: int

    def place(self, ring: Outline) -> Outline:
        """Ground coordinates of plot coordinates; equal points stay equal."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        a, b = ring[:, 0], ring[:, 1] * self.side
        return np.column_stack([self.x + a * c - b * s, self.y + a * s + b * c])


@dataclass(frozen=True)
class Style:
    """A town's taste: how often each roof material occurs, and how steep its roofs are."""

    pitched: tuple[tuple[str, float], ...]
    flat: tuple[tuple[str, float], ...]
    pitch: float
    hip_share: float


def draw_style(rng: np.random.Generator) -> Style:
    """A style: towns of red tiles, of slate, and all between."""
    red, dark = rng.dirichlet([1.6, 1.2]) * 0.86
    rare = (("grey concrete", 0.1), ("white", 0.025))
    pitched = (
        ("red tile", red * 0.7),
        ("brown tile", red * 0.3),
        ("dark tile", dark * 0.6),
        ("slate", dark * 0.4),
        *rare,
    )
    white = float(rng.uniform(0.15, 0.5))
    flat = (("grey concrete", 0.85 - white), ("white", white), ("bitumen", 0.15))
    return Style(pitched, flat, float(rng.uniform(0.5, 0.85)), float(rng.uniform(0.15, 0.5)))


def _pick(rng: np.random.Generator, shares: tuple[tuple[str, float], ...]) -> str:
    weights = np.array([w for _, w in shares])
    return shares[int(rng.choice(len(shares), p=weights / weights.sum()))][0]


def _rectangle(a0: float, b0: float, a1: float, b1: float) -> Outline:
    """The ring of a rectangle between two corners."""
    return np.array([(a0, b0), (a1, b0), (a1, b1), (a0, b1)], dtype=np.float64)


def _on_one_parcel(sketches: list[Sketch], frontage: float, depth: float, gravel: tuple[Outline, ...]) -> Blueprint:
    parcel = _rectangle(-frontage / 2, 0.0, frontage / 2, depth)
    return Blueprint(sketches[0].kind, tuple(sketches), frontage, (parcel,), gravel)


def _box_sketch(
    kind: str, size: tuple[float, float], at: tuple[float, float], look: tuple[str, str, float, float]
) -> Sketch:
    """A rectangular building of size (along, deep), front edge centred at `at`; the ridge runs along the longer side."""
    (length, depth), (a, b) = size, at
    wing = (a, b + depth / 2, length, depth, False) if length >= depth else (a, b + depth / 2, depth, length, True)
    shell = _rectangle(a - length / 2, b, a + length / 2, b + depth)
    return Sketch(kind, shell, None, (wing,), *look)


def _shed(rng: np.random.Generator, style: Style, a: float, b: float) -> Sketch:
    look = (_pick(rng, style.flat), "flat", float(rng.uniform(2.3, 2.9)), 0.0)
    return _box_sketch("shed", (float(rng.uniform(3.2, 5.8)), float(rng.uniform(3.0, 5.2))), (a, b), look)


def draw_house(rng: np.random.Generator, style: Style) -> Blueprint:
    """A detached house with a drive, and often a shed behind."""
    length, depth, setback = rng.uniform(9, 13.5), rng.uniform(8, 11), rng.uniform(3.5, 7)
    form = "hip" if rng.random() < style.hip_share else "gable"
    look = (_pick(rng, style.pitched), form, float(rng.uniform(4.2, 6.2)), style.pitch)
    sketches = [_box_sketch("house", (float(length), float(depth)), (0.0, float(setback)), look)]
    sign = float(rng.choice([-1, 1]))
    if rng.random() < 0.45:
        sketches.append(_shed(rng, style, -sign * float(rng.uniform(0, 3)), float(setback + depth + rng.uniform(4, 8))))
    drive = _rectangle(
        sign * (length / 2 + 0.7), -0.3, sign * (length / 2 + 3.6), setback + depth * rng.uniform(0.3, 0.9)
    )
    return _on_one_parcel(sketches, float(length + rng.uniform(7, 10)), 26.0, (drive,))


def draw_l_shape(rng: np.random.Generator, style: Style) -> Blueprint:
    """A house with a wing behind one end."""
    length, width, setback = rng.uniform(12, 16), rng.uniform(7.5, 9), rng.uniform(3.5, 6)
    wing, reach = rng.uniform(5.8, 7.2), rng.uniform(5, 8)
    sign = float(rng.choice([-1, 1]))
    outer, inner = sign * length / 2, sign * (length / 2 - wing)
    back, end = setback + width, setback + width + reach
    shell = np.array([(-outer, setback), (outer, setback), (outer, end), (inner, end), (inner, back), (-outer, back)])
    wings = (
        (0.0, float(setback + width / 2), float(length), float(width), False),
        (float((outer + inner) / 2), float((setback + end) / 2), float(width + reach), float(wing), True),
    )
    look = (_pick(rng, style.pitched), "hip" if rng.random() < style.hip_share else "gable")
    sketch = Sketch("l-shape", shell, None, wings, *look, float(rng.uniform(4.0, 6.0)), style.pitch)
    drive = _rectangle(-sign * (length / 2 + 0.7), -0.3, -sign * (length / 2 + 3.6), setback + width)
    return _on_one_parcel([sketch], float(length + rng.uniform(7.5, 10)), 28.0, (drive,))


def draw_terrace(rng: np.random.Generator, style: Style) -> Blueprint:
    """Four to eight houses wall to wall; where a neighbour is less deep, its corner is a vertex of the common wall."""
    count, width, setback = int(rng.integers(4, 9)), float(rng.uniform(5.8, 7.4)), float(rng.uniform(2.5, 4.5))
    walls = (np.arange(count + 1) - count / 2) * width
    ends = setback + float(rng.uniform(8.8, 10.5)) + rng.choice([0.0, 0.0, 1.4, 2.6], count)
    eaves, common = float(rng.uniform(5.4, 6.8)), _pick(rng, style.pitched)
    sketches, around = [], np.concatenate([[np.inf], ends, [np.inf]])
    for k, end in enumerate(ends):
        left, right = walls[k], walls[k + 1]
        ring = [(left, setback), (right, setback)]
        ring += [(right, around[k + 2])] if around[k + 2] < end else []
        ring += [(right, end), (left, end)]
        ring += [(left, around[k])] if around[k] < end else []
        wing = (float((left + right) / 2), float((setback + end) / 2), width, float(end - setback), False)
        roof = common if rng.random() < 0.7 else _pick(rng, style.pitched)
        eave = eaves + float(rng.choice([0.0, 0.0, 0.5]))
        sketches.append(Sketch("terrace", np.array(ring), None, (wing,), roof, "gable", eave, style.pitch * 0.9))
    back = float(ends.max() + rng.uniform(8, 13))
    parcels = tuple(_rectangle(a, 0.0, b, back) for a, b in pairwise(walls.tolist()))
    return Blueprint("terrace", tuple(sketches), float(count * width + rng.uniform(3, 6)), parcels, ())


def draw_courtyard(rng: np.random.Generator, style: Style) -> Blueprint:
    """Four wings around a courtyard."""
    length, depth, setback = rng.uniform(24, 31), rng.uniform(21, 25), rng.uniform(1.8, 3.2)
    thick, half = float(rng.uniform(6.8, 7.8)), float(length / 2)
    front, back = float(setback), float(setback + depth)
    shell = _rectangle(-half, front, half, back)
    hole = _rectangle(-half + thick, front + thick, half - thick, back - thick)
    wings = (
        (0.0, front + thick / 2, 2 * half, thick, False),
        (0.0, back - thick / 2, 2 * half, thick, False),
        (-half + thick / 2, (front + back) / 2, back - front, thick, True),
        (half - thick / 2, (front + back) / 2, back - front, thick, True),
    )
    look = (_pick(rng, style.pitched), "gable", float(rng.uniform(7, 10)), style.pitch)
    sketch = Sketch("courtyard", shell, hole, wings, *look)
    gravel = (hole,) if rng.random() < 0.5 else ()
    return _on_one_parcel([sketch], float(length + rng.uniform(5, 8)), back + 3, gravel)


def draw_flats(rng: np.random.Generator, style: Style) -> Blueprint:
    """A block of flats under a flat roof, with a gravel yard behind."""
    length, depth, setback = float(rng.uniform(17, 29)), float(rng.uniform(11, 13.5)), float(rng.uniform(3.5, 6))
    look = (_pick(rng, style.flat), "flat", float(rng.uniform(8.5, 14)), 0.0)
    sketch = _box_sketch("flats", (length, depth), (0.0, setback), look)
    reach = setback + depth
    yard = _rectangle(
        -length / 2 + 1, reach + 2, float(length / 2 - rng.uniform(1, 6)), reach + float(rng.uniform(7, 10))
    )
    drive = _rectangle(length / 2 + 0.8, -0.3, length / 2 + 4.2, reach + 5)
    gravel = (yard, drive) if rng.random() < 0.7 else (drive,)
    return _on_one_parcel([sketch], length + float(rng.uniform(8, 11)), 27.0, gravel)


def draw_hall(rng: np.random.Generator, style: Style) -> Blueprint:
    """A shop or workshop under a wide flat or low roof, its forecourt of gravel."""
    length, depth, setback = float(rng.uniform(20, 30)), float(rng.uniform(14, 19)), float(rng.uniform(6, 9))
    look = (_pick(rng, style.flat), "flat", float(rng.uniform(5, 7.5)), 0.0)
    if rng.random() < 0.4:
        look = ("white" if rng.random() < 0.5 else "grey concrete", "gable", look[2], 0.2)
    sketch = _box_sketch("hall", (length, depth), (0.0, setback), look)
    court = _rectangle(-length / 2, -0.3, length / 2, setback)
    return _on_one_parcel([sketch], length + float(rng.uniform(5, 8)), 29.0, (court,))


DRAWERS: dict[str, Callable[[np.random.Generator, Style], Blueprint]] = {
    "house": draw_house,
    "l-shape": draw_l_shape,
    "terrace": draw_terrace,
    "courtyard": draw_courtyard,
    "flats": draw_flats,
    "hall": draw_hall,
}


def erect(sketch: Sketch, site: Site) -> Building:
    """The building that a sketch gives on a site."""
    holes = [] if sketch.hole is None else [site.place(sketch.hole)]
    wings = []
    for a, b, length, width, turned in sketch.wings:
        x, y = site.place(np.array([(a, b)]))[0]
        wings.append(Wing(float(x), float(y), length, width, site.angle + (RightTurn if turned else 0.0)))
    polygon = Polygon(site.place(sketch.shell), holes).normalize()
    return Building(polygon, sketch.kind, sketch.roof, sketch.form, tuple(wings), sketch.eaves_m, sketch.pitch)
