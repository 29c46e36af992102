"""Spectral indices of pixels: what an expression over bands comes to, pixel by pixel."""

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.spectral import SpectralIndices, bands_of, parse_expression

Values = NDArray[np.float32]

_OPERATORS: dict[type[ast.operator], Callable[[Values, Values], Values]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_FOLDED: dict[str, Callable[[Values, Values], Values]] = {"min": np.minimum, "max": np.maximum}
_SINGLE: dict[str, Callable[[Values], Values]] = {"abs": np.abs, "sqrt": np.sqrt}


def with_indices(pixels: NDArray[Any], bands: Sequence[str], indices: SpectralIndices) -> Values:
    """The pixels (bands, height, width) and their indices after them, (bands + indices, height, width) of float32.

    Each pixel by itself, in operations that every processor rounds alike: a window gives the bytes that the whole gives.
    An index that is not a finite number, as where all its bands are 0, becomes 0.

    >>> found = with_indices(np.array([[[10, 0]], [[30, 0]]]), ("red", "nir"), SpectralIndices((("v", "nir / red"),), "int64"))
    >>> found[2].tolist()
    [[3.0, 0.0]]
    """
    out = np.empty((len(bands) + len(indices.names), *pixels.shape[1:]), dtype=np.float32)
    with np.errstate(all="ignore"):
        out[: len(bands)] = pixels
        for place, (_, expression) in enumerate(indices.expressions, start=len(bands)):
            named = {name: _seen(out[bands.index(name)], indices) for name in bands_of(expression)}
            value = np.broadcast_to(_value(parse_expression(expression), named), out.shape[1:])
            out[place] = np.where(np.isfinite(value), value, np.float32(0))
    return out


def _seen(band: Values, indices: SpectralIndices) -> Values:
    """A band as expressions see it: its values, or the reflectance they stand for."""
    if indices.scale is None:
        return band
    reflectance: Values = band * np.float32(indices.scale) + np.float32(indices.offset)
    return np.maximum(reflectance, np.float32(0))


def _value(node: ast.expr, named: Mapping[str, Values]) -> Values:
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int | float)
        return np.asarray(node.value, dtype=np.float32)
    if isinstance(node, ast.Name):
        return named[node.id]
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, named)
        return np.negative(inner) if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        assert isinstance(node.right, ast.Constant)
        return _power(_value(node.left, named), float(str(node.right.value)))
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, named), _value(node.right, named))
    # `parse_expression` lets nothing else through.
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    arguments = [_value(argument, named) for argument in node.args]
    if node.func.id in _SINGLE:
        return _SINGLE[node.func.id](arguments[0])
    return reduce(_FOLDED[node.func.id], arguments)


def _power(base: Values, exponent: float) -> Values:
    """By multiplication: a library's power differs from one processor to the next in the last bit."""
    if exponent == 0.5:
        return np.sqrt(base)
    return reduce(np.multiply, [base] * int(exponent))
