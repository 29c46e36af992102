"""ONNX graphs whose weights stay in their file: mapped into memory while a graph is compiled, and let go of afterwards.

A compiled graph has the weights in an order of its own; what they were made from would be held beside it for nothing, 90 MB
with a ResNet-34. Mapped from the file these pages can be given back. Field numbers are those of onnx.proto, the encoding is
that of Protocol Buffers (https://protobuf.dev/programming-guides/encoding).
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEAST = 4096
"""Bytes from which weights stay in the file."""
GRAPH, INITIALIZER = 7, 5
"""Where the weights lie: of a model its graph, of that each initializer."""
RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 9, 13, 14
KEY, VALUE = 1, 2
EXTERNAL = 1
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Wire types."""
MAPS = Path("/proc/self/maps")


@dataclass(frozen=True)
class Field:
    """A field of a message: its number, where it starts, where its content starts, and where both end."""

    number: int
    start: int
    content: int
    stop: int


def lean_graph(path: Path) -> bytes:
    """The ONNX model of a file, whose larger weights are references to their places in that file, by its name.

    It is to be read from a file in the same folder. Raises `ValueError` for a file that is no such model.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _lean(content, (0, len(content)), (GRAPH, INITIALIZER), path.name)


def _lean(content: mmap.mmap, place: tuple[int, int], down: tuple[int, ...], name: str) -> bytes:
    """A message with the messages under the fields `down` made lean; with no way further down it is a tensor."""
    parts = []
    for field in _fields(content, *place):
        if down and field.number == down[0]:
            parts.append(_message(field.number, _lean(content, (field.content, field.stop), down[1:], name)))
        elif not down and field.number == RAW_DATA and field.stop - field.content >= LEAST:
            parts.append(_reference(field, name))
        else:
            parts.append(content[field.start : field.stop])
    return b"".join(parts)


def _fields(content: mmap.mmap, start: int, stop: int) -> Iterator[Field]:
    while start < stop:
        key, place = _varint(content, start, stop)
        kind = key & 7
        if kind == VARINT:
            end = _varint(content, place, stop)[1]
        elif kind == LENGTH:
            length, place = _varint(content, place, stop)
            end = place + length
        elif kind in (FOUR_BYTES, EIGHT_BYTES):
            end = place + (4 if kind == FOUR_BYTES else 8)
        else:
            raise ValueError(f"wire type {kind} at byte {start}")
        if end > stop:
            raise ValueError(f"a field at byte {start} ends at {end}, beyond {stop}")
        yield Field(key >> 3, start, place, end)
        start = end


def _varint(content: mmap.mmap, start: int, stop: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for place in range(start, min(stop, start + 10)):
        value |= (content[place] & 0x7F) << 7 * (place - start)
        if content[place] < 0x80:
            return value, place + 1
    raise ValueError(f"a number without an end at byte {start}")


def _reference(weights: Field, name: str) -> bytes:
    """The fields of a tensor that say where in a file its weights lie."""
    facts = {"location": name, "offset": str(weights.content), "length": str(weights.stop - weights.content)}
    entries = [_message(KEY, key.encode()) + _message(VALUE, value.encode()) for key, value in facts.items()]
    location = _number(DATA_LOCATION << 3 | VARINT) + _number(EXTERNAL)
    return b"".join(_message(EXTERNAL_DATA, entry) for entry in entries) + location


def _message(number: int, content: bytes) -> bytes:
    return _number(number << 3 | LENGTH) + _number(len(content)) + content


def _number(value: int) -> bytes:
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def forget_pages(path: Path) -> None:
    """Gives back the memory of a file that is mapped for reading; what is read of it again comes from the file.

    Only Linux tells what is mapped, elsewhere nothing happens.
    """
    if sys.platform != "linux" or not MAPS.exists():
        return
    advise = ctypes.CDLL(None).madvise
    name = str(path.resolve())
    for line in MAPS.read_text().splitlines():
        place, rights, *_ = line.split(maxsplit=2)
        # Pages that can be written to may hold what the file does not.
        if line.endswith(f" {name}") and "w" not in rights:
            first, last = (int(edge, 16) for edge in place.split("-"))
            advise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def release_heap() -> None:
    """Gives back freed memory that the allocator keeps, where the system's can be told so (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
