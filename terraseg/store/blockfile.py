"""Finished blocks of a map in an append-only file: what survives a kill, a full disk and a crash of the machine.

A record is a head of 24 bytes and its content, under one checksum. A record that was cut off while it was written, or whose
bytes did not reach the disk, ends the file: it and what follows is dropped, all before it counts. The first record is the key
of the work that the blocks belong to.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD = struct.Struct("<4sBBHIQI")
MAGIC = b"tsb1"
KEY, BLOCK, NOTE = 0, 1, 2
SLOT = struct.Struct("<4sBBHIQ")


@dataclass(frozen=True)
class Record:
    """What the head of a record says: its kind, the layer, level and number of a block, and where the content lies."""

    kind: int
    layer: int
    level: int
    index: int
    offset: int
    size: int


class BlockFile:
    """A file of records, opened to go on with; made by `open_blocks`. One process writes it, any may read it."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.records: list[Record] = []
        """What was found whole when the file was opened."""
        self.other_key = False
        """True when the file held another key's blocks, which are gone."""
        self._file = path.open("a+b", buffering=0)
        self._end = 0
        try:
            self._take_up(key)
        except BaseException:
            self._file.close()
            raise

    def append(self, kind: int, content: bytes, *, layer: int = 0, level: int = 0, index: int = 0) -> Record:
        """Writes a record behind the last; after an `OSError` the file is as it was before."""
        start = self._end
        head = SLOT.pack(MAGIC, kind, layer, level, index, len(content))
        whole = memoryview(head + struct.pack("<I", zlib.crc32(content, zlib.crc32(head))) + content)
        try:
            done = 0
            while done < len(whole):
                done += self._file.write(whole[done:]) or 0
        except OSError:
            self._file.truncate(start)
            raise
        self._end = start + len(whole)
        return Record(kind, layer, level, index, start + HEAD.size, len(content))

    def read(self, record: Record) -> bytes:
        """The content of a record."""
        return os.pread(self._file.fileno(), record.size, record.offset)

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _take_up(self, key: str) -> None:
        found = list(read_records(self.path))
        kept = bool(found) and os.pread(self._file.fileno(), found[0].size, found[0].offset) == key.encode()
        self.other_key = bool(found) and not kept
        self.records = found[1:] if kept else []
        self._end = found[-1].offset + found[-1].size if kept else 0
        self._file.truncate(self._end)
        if not kept:
            self.append(KEY, key.encode())


def key_of(path: Path) -> str | None:
    """The key of a file of blocks; None for one that has none yet."""
    first = next(read_records(path), None)
    if first is None:
        return None
    with path.open("rb") as file:
        file.seek(first.offset)
        return file.read(first.size).decode()


def read_records(path: Path, key: str | None = None) -> Iterator[Record]:
    """The whole records of a file, up to the first that is torn; with a `key` only the blocks and notes of that key."""
    with path.open("rb") as file:
        place, first = 0, True
        while len(head := file.read(HEAD.size)) == HEAD.size:
            magic, kind, layer, level, index, size, checksum = HEAD.unpack(head)
            if magic != MAGIC or place + HEAD.size + size > os.fstat(file.fileno()).st_size:
                return
            content = file.read(size)
            if zlib.crc32(content, zlib.crc32(head[: SLOT.size])) != checksum or first != (kind == KEY):
                return
            if first and key is not None and content != key.encode():
                return
            if not (first and key is not None):
                yield Record(kind, layer, level, index, place + HEAD.size, size)
            place, first = place + HEAD.size + size, False
