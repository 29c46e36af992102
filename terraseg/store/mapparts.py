"""The finished blocks of a map in the making, in one file or in several that shards wrote, found by level and number."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terraseg.pixels.pyramid import Pyramid
from terraseg.store.blockfile import BLOCK, NOTE, BlockFile, Record, key_of, read_records

PLACE = np.dtype([("file", "u2"), ("offset", "i8"), ("size", "i8")])


class MapParts:
    """Blocks of all layers under one key; those of this process's own file and those found in files beside it.

    A block is there when all its layers are. `other_key` tells that the own file held blocks of another key, now gone;
    `strangers` are files beside it with blocks of other keys, which do not count.
    """

    def __init__(self, own: Path, key: str, pyramid: Pyramid, layers: int) -> None:
        self._key = key
        levels = range(len(pyramid.sizes))
        self._places = [[np.zeros(pyramid.count(level), dtype=PLACE) for level in levels] for _ in range(layers)]
        self._open = ExitStack()
        self._own = BlockFile(own, key)
        self._open.callback(self._own.close)
        self._files = [self._own.path]
        self._readers = [self._own.path.open("rb")]
        self._open.callback(self._readers[0].close)
        self._notes: dict[Path, list[bytes]] = {self._own.path: []}
        self.other_key = self._own.other_key
        self.strangers: tuple[Path, ...] = ()
        self._take(self._own.records, 0)
        self.look_around()

    def look_around(self) -> None:
        """Takes in what other processes have finished by now."""
        others = [path for path in sorted(self._own.path.parent.glob("*.blocks")) if path != self._own.path]
        self.strangers = tuple(path for path in others if key_of(path) not in (None, self._key))
        for path in others:
            if path not in self._files:
                self._files.append(path)
                self._readers.append(path.open("rb"))
                self._open.callback(self._readers[-1].close)
            number = self._files.index(path)
            self._notes[path] = []
            self._take(list(read_records(path, self._key)), number)

    def _take(self, records: list[Record], number: int) -> None:
        for record in records:
            if record.kind == BLOCK and record.layer < len(self._places):
                place = self._places[record.layer][record.level]
                place[record.index] = (number, record.offset, record.size)
            elif record.kind == NOTE:
                self._notes[self._files[number]].append(self._content(number, record.offset, record.size))

    def stand(self) -> bool:
        """True as long as the own file is where it was opened."""
        return self._own.path.exists()

    @property
    def is_empty(self) -> bool:
        """True when no layer of any block is there."""
        return not any(level["offset"].any() for layer in self._places for level in layer)

    @property
    def notes(self) -> list[bytes]:
        """All notes, the own first."""
        return [note for notes in self._notes.values() for note in notes]

    def there(self, level: int) -> NDArray[np.bool_]:
        """Which blocks of a level are there, (blocks,)."""
        return np.asarray(np.logical_and.reduce([layer[level]["offset"] > 0 for layer in self._places]))

    def has(self, level: int, index: int) -> bool:
        """True when a block is there."""
        return all(layer[level]["offset"][index] > 0 for layer in self._places)

    def add(self, layer: int, level: int, index: int, content: bytes) -> None:
        """Keeps one layer of a block."""
        record = self._own.append(BLOCK, content, layer=layer, level=level, index=index)
        self._places[layer][level][index] = (0, record.offset, record.size)

    def add_note(self, content: bytes) -> None:
        """Keeps a note."""
        self._own.append(NOTE, content)
        self._notes[self._own.path].append(content)

    def get(self, layer: int, level: int, index: int, *, first: int | None = None) -> bytes:
        """One layer of a block that is there, or its `first` bytes."""
        number, offset, size = self._places[layer][level][index].tolist()
        return self._content(number, offset, size if first is None else first)

    def _content(self, number: int, offset: int, size: int) -> bytes:
        reader = self._readers[number]
        reader.seek(offset)
        return reader.read(size)

    def close(self) -> None:
        """Lets go of the files."""
        self._open.close()
