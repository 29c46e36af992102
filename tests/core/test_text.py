"""Texts of any kind are values or a `ValueError`."""

import pytest

from terraseg.core.text import parse_json, parse_toml

DEEP = 200_000


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, "nonsense", ""])
def test_json_that_is_none_or_too_deep(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested too deeply|Expecting value"):
        parse_json(text)


@pytest.mark.parametrize("text", [f"a = {'[' * DEEP}", f"a = {'{b=' * DEEP}", "a = ", "[a"])
def test_toml_that_is_none_or_too_deep(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested too deeply|line|document"):
        parse_toml(text)
