"""Spectral indices: channels computed from the bands of imagery, by expressions that are read and never run as code."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from terraseg.errors import BadOption, nearest

INDICES = {
    "ndvi": "(nir - red) / (nir + red)",
    "gndvi": "(nir - green) / (nir + green)",
    "ndre": "(nir - rededge) / (nir + rededge)",
    "ndwi": "(green - nir) / (green + nir)",
    "mndwi": "(green - swir16) / (green + swir16)",
    "ndmi": "(nir - swir16) / (nir + swir16)",
    "ndbi": "(swir16 - nir) / (swir16 + nir)",
    "nbr": "(nir - swir22) / (nir + swir22)",
    "ndsi": "(green - swir16) / (green + swir16)",
}
"""Indices that need no expression: all are differences over sums, so that light and gain fall out of them.

NDVI: Rouse et al. (1974); GNDVI: Gitelson et al. (1996); NDRE: Barnes et al. (2000); NDWI: McFeeters (1996); MNDWI: Xu (2006);
NDMI: Gao (1996); NDBI: Zha et al. (2003); NBR: Key and Benson (2006); NDSI: Hall et al. (1995).
"""

FUNCTIONS = {"abs": (1, 1), "sqrt": (1, 1), "min": (2, 8), "max": (2, 8)}
"""What an expression may call, with the fewest and the most arguments."""
POWERS = (0.5, 1, 2, 3, 4)
"""What a value may be raised to: powers whose results are the same on every processor."""
LONGEST, DEEPEST, MOST = 400, 40, 16
"""Characters of an expression, levels of brackets in it, and indices of a project."""

LARGEST = 1e30
"""Bound on the numbers in an expression."""

DTYPE = "float32"
"""The pixel type of imagery with indices."""

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div)
_SIGNS = (ast.UAdd, ast.USub)


@dataclass(frozen=True)
class SpectralIndices:
    """Channels that follow a raster's own bands: for each its name and the expression it is computed by.

    `dtype` is the bands' own pixel type. In an expression a band's name stands for its raw value; where `scale` is given for
    its reflectance, scale * value + offset and never below 0. A value that is not finite, as after a division by zero, is 0.
    Raises `BadOption` for an expression that cannot be read, for a name given twice and for too many of them.
    """

    expressions: tuple[tuple[str, str], ...]
    dtype: str
    scale: float | None = None
    offset: float = 0.0

    def __post_init__(self) -> None:
        if len(self.expressions) > MOST:
            raise BadOption(f"{len(self.expressions)} spectral indices under [data]: at most {MOST} are computed")
        for name, expression in self.expressions:
            if not name.isidentifier():
                raise BadOption(f"the index name {name!r} under [data] is no word: use letters, digits and underscores")
            bands_of(expression)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the channels, in order."""
        return tuple(name for name, _ in self.expressions)

    def check_bands(self, bands: Sequence[str]) -> None:
        """Raises `BadOption` for an index called like a band, and for an expression of a band that is not there."""
        for name, expression in self.expressions:
            if name in bands:
                raise BadOption(
                    f"the index {name!r} under [data] is called like a band of the imagery: rename the index"
                )
            for band in bands_of(expression):
                if band not in bands:
                    raise BadOption(
                        f"the index {name} = {expression!r} under [data] reads the band {band!r}, which the imagery lacks: "
                        f"{nearest(band, bands)}; say the names of the bands in order with bands under [data]"
                    )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        pairs = [list(pair) for pair in self.expressions]
        return {"expressions": pairs, "dtype": self.dtype, "scale": self.scale, "offset": self.offset}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "SpectralIndices":
        """The inverse of `to_json`."""
        pairs = tuple((str(name), str(expression)) for name, expression in value["expressions"])
        return SpectralIndices(pairs, value["dtype"], value["scale"], value["offset"])


def expressions_of(given: dict[str, str] | Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Name and expression of each index of a setting: a table of expressions, or a list of names from `INDICES`.

    >>> expressions_of(["ndvi"])
    (('ndvi', '(nir - red) / (nir + red)'),)
    """
    if isinstance(given, dict):
        return tuple(given.items())
    for name in given:
        if name not in INDICES:
            raise BadOption(
                f"indices under [data] names {name!r}, which is not known: {nearest(name, INDICES)}; give any other by its "
                f'expression, indices = {{{name} = "(nir - red) / (nir + red)"}} say'
            )
    return tuple((name, INDICES[name]) for name in given)


def bands_of(expression: str) -> tuple[str, ...]:
    """The names of the bands that an expression reads, sorted; `BadOption` when it cannot be read.

    >>> bands_of("(nir - red) / (nir + red)")
    ('nir', 'red')
    """
    parsed = parse_expression(expression)
    called = {id(node.func) for node in ast.walk(parsed) if isinstance(node, ast.Call)}
    names = {node.id for node in ast.walk(parsed) if isinstance(node, ast.Name) and id(node) not in called}
    if not names:
        raise BadOption(
            f"the index expression {expression!r} reads no band: an index is computed from bands, by their names"
        )
    return tuple(sorted(names))


@lru_cache(maxsize=256)
def parse_expression(expression: str) -> ast.expr:
    """The tree of an expression, of which nothing is left but numbers, names, + - * / and the `FUNCTIONS` and `POWERS`.

    Only the tree is used: the text is never compiled or run. Raises `BadOption` for all else that Python could say.
    """
    if len(expression) > LONGEST:
        raise BadOption(f"an index expression of {len(expression)} characters: at most {LONGEST} are read")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadOption(
            f"the index expression {expression!r} cannot be read: write arithmetic over band names, "
            "(nir - red) / (nir + red) say"
        ) from error
    for node, depth in _levels(tree):
        if depth > DEEPEST:
            raise BadOption(
                f"the index expression {expression!r} is nested more than {DEEPEST} levels deep: simplify it"
            )
        if not _is_allowed(node):
            raise BadOption(
                f"the index expression {expression!r} holds {_source(node)!r}, which is no arithmetic: use numbers, band names, "
                f"+ - * / ** and brackets, and the functions {', '.join(FUNCTIONS)}; powers are {', '.join(map(str, POWERS))}"
            )
    return tree


def _levels(tree: ast.expr) -> Iterator[tuple[ast.AST, int]]:
    """The nodes that hold values, with their depth; operators and the names of functions are judged with their owners."""
    waiting: list[tuple[ast.AST, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        if isinstance(node, ast.BinOp):
            inner: list[ast.expr] = [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            inner = [node.operand]
        else:
            inner = list(node.args) if isinstance(node, ast.Call) else []
        waiting += [(child, depth + 1) for child in inner]


def _is_allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        value = node.value
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    if isinstance(node, ast.Name):
        return True
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, _SIGNS)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, _OPERATORS) or (isinstance(node.op, ast.Pow) and _is_power(node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        fewest, most = FUNCTIONS.get(node.func.id, (1, 0))
        return fewest <= len(node.args) <= most
    return False


def _is_power(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value in POWERS


def _source(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else f"{text[:39]}…"
