"""JSON and TOML as plain values, whatever a text holds."""

import json
import tomllib
from typing import Any


def parse_json(text: str) -> Any:
    """The value of a JSON text; `ValueError` for one that is none, or nested beyond what any file of use is.

    >>> parse_json('{"a": [1]}')
    {'a': [1]}
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text; `ValueError` as `parse_json` has it.

    >>> parse_toml("[a]")
    {'a': {}}
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
