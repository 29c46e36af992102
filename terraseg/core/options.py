"""From a table of a TOML file, or flags, to a checked frozen dataclass."""

from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from terraseg.errors import BadOption, nearest

T = TypeVar("T")


def read_options(kind: type[T], table: dict[str, Any], where: str) -> T:
    """The options dataclass `kind` filled from a table of plain values; what the table leaves out keeps its default.

    `where` names the table in messages, "[train] in terraseg.toml" say. Raises `BadOption` for an unknown key (with the
    nearest known one) and for a value of the wrong type or range.
    """
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]  # every options class is a dataclass
    for key in table:
        if key not in known:
            raise BadOption(f"{where} has the key {key!r}, which means nothing there: {nearest(key, known)}")
    try:
        checked: T = TypeAdapter(kind).validate_python(table)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        found = repr(first["input"])
        raise BadOption(f"{where}: {place} = {found} cannot be used: {first['msg'].lower()}") from error
    return checked
