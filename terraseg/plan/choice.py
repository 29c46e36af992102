"""A setting with its reason: what every rule gives."""

from dataclasses import dataclass
from typing import Any

SETTLED = "set in the project file or on the command line"


@dataclass(frozen=True)
class Choice:
    """A value with its reason in one line."""

    value: Any
    reason: str


def settled(value: Any) -> Choice:
    """A value that the user has set."""
    return Choice(value, SETTLED)
