"""Index expressions: what they may hold, what they refuse, and that nothing in them is ever run."""

import ast
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.spectral import INDICES, SpectralIndices, bands_of, expressions_of, parse_expression
from terraseg.errors import BadOption


@pytest.mark.parametrize("expression", INDICES.values())
def test_every_known_index_can_be_read(expression: str) -> None:
    assert len(bands_of(expression)) == 2


@pytest.mark.parametrize(
    ("expression", "bands"),
    [
        (" 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1) ", ("blue", "nir", "red")),
        ("-red ** 2 + sqrt(abs(max(nir, red, 0.1)))", ("nir", "red")),
        ("min(min, max(abs, 1))", ("abs", "min")),
    ],
)
def test_arithmetic_over_band_names_is_read(expression: str, bands: tuple[str, ...]) -> None:
    assert bands_of(expression) == bands


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__[0].__subclasses__()",
        "open('/etc/passwd')",
        "eval('nir')",
        "nir.real",
        "nir[0]",
        "[nir for nir in red]",
        "(lambda: nir)()",
        "nir if red else 0",
        "nir and red",
        "nir < red",
        "nir // red",
        "nir @ red",
        "nir % red",
        "nir << 9",
        "~nir",
        "not nir",
        "(nir := 1)",
        "f'{nir}'",
        "'nir'",
        "nir + True",
        "nir + 1j",
        "nir + ...",
        "nir ** red",
        "nir ** 1000000",
        "9 ** 9 ** 9 * nir",
        "nir + 1e999",
        "nir + " + "9" * 300,
        "sqrt(nir, red)",
        "max(nir)",
        "max(*nir, red)",
        "max(nir, default=0)",
        "nir; red",
        "nir = 1",
        "nir\nred",
        "nir +",
        "",
        "1 + 2",
        "nir\0",
        "await nir",
        "(yield nir)",
    ],
)
def test_whatever_else_python_can_say_is_refused(expression: str) -> None:
    with pytest.raises(BadOption, match="index expression"):
        SpectralIndices((("x", expression),), "uint16")


@pytest.mark.parametrize("expression", ["(" * 190 + "nir" + ")" * 190, "-" * 300 + "nir", "nir" + "+nir" * 2000])
def test_expressions_that_would_exhaust_the_machine_are_refused_or_harmless(expression: str) -> None:
    try:
        SpectralIndices((("x", expression),), "uint16")
    except BadOption as error:
        assert len(str(error)) < 1000  # noqa: PT017  # either outcome is right
    else:
        assert expression.startswith("((")


@given(st.text(alphabet=string.printable, max_size=60) | st.from_regex(r"[a-z0-9+*/()., \-]{0,40}", fullmatch=True))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        tree = parse_expression(text)
    except BadOption:
        return
    allowed = (ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Call, ast.operator, ast.unaryop, ast.expr_context)
    assert all(isinstance(node, allowed) for node in ast.walk(tree))


def test_an_unknown_band_gets_the_nearest_one() -> None:
    indices = SpectralIndices(expressions_of(["ndvi"]), "uint8")
    indices.check_bands(["red", "green", "nir"])
    with pytest.raises(BadOption, match=r"reads the band 'nir', which the imagery lacks: did you mean 'nir08'"):
        indices.check_bands(["red", "nir08"])
    with pytest.raises(BadOption, match="called like a band"):
        indices.check_bands(["red", "nir", "ndvi"])


def test_unknown_names_and_too_many_indices_are_refused() -> None:
    with pytest.raises(BadOption, match=r"names 'gndvii', which is not known: did you mean 'gndvi'"):
        expressions_of(["gndvii"])
    with pytest.raises(BadOption, match="at most 16"):
        SpectralIndices(tuple((f"i{n}", "nir") for n in range(17)), "uint8")
    with pytest.raises(BadOption, match="is no word"):
        SpectralIndices((("my index", "nir"),), "uint8")


def test_indices_survive_json() -> None:
    indices = SpectralIndices((("a", "nir / red"), ("b", "sqrt(nir)")), "uint16", 1e-4, -0.1)
    assert SpectralIndices.from_json(indices.to_json()) == indices
