"""TIFF headers: the fields of one that GDAL wrote, and the head of a cloud-optimised file over blocks that exist already.

Sources: TIFF 6.0 (Adobe, 1992), BigTIFF (2007), and GDAL's description of its COG layout, "Cloud Optimized GeoTIFF driver":
all directories first, then the blocks from the smallest overview to the full raster, each between its size and a copy of
its last four bytes.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SUBFILE, WIDTH, LENGTH, TILE_OFFSETS, TILE_SIZES = 254, 256, 257, 324, 325
GEOGRAPHIC = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 42112})
"""Fields that only the full raster has: its place on the ground and GDAL's metadata."""
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
SHORT, LONG, LONG8 = 3, 4, 16
LEADER = 4
"""Bytes before and after each block."""
CLASSIC_LIMIT = 2**32 - 2**20
LAYOUT = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)


@dataclass(frozen=True)
class Field:
    """One entry of a directory: TIFF's number of its type, how many values, and their bytes in little-endian order."""

    type: int
    count: int
    content: bytes


@dataclass(frozen=True, eq=False)
class Level:
    """One image of a file: its size, and the bytes of each block and band, (blocks, bands); 0 for a block that is absent."""

    height: int
    width: int
    lengths: NDArray[np.uint32]

    @property
    def stored(self) -> int:
        """Bytes of all blocks with what stands around each."""
        present = self.lengths[self.lengths > 0]
        return int(present.sum(dtype=np.int64)) + 2 * LEADER * len(present)


def framed(block: bytes) -> bytes:
    """A compressed block as it stands in a cloud-optimised file: its size, itself, its last four bytes once more."""
    return struct.pack("<I", len(block)) + block + block[-LEADER:].rjust(LEADER, b"\0")


def read_fields(content: bytes) -> dict[int, Field]:
    """The fields of the first directory of a classic little-endian TIFF, by tag."""
    if content[:4] != b"II*\0":
        raise ValueError("not a classic little-endian TIFF")
    (place,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, place)
    fields = {}
    for entry in range(count):
        tag, kind, values, _ = struct.unpack_from("<HHII", content, place + 2 + 12 * entry)
        size, start = TYPE_BYTES[kind] * values, place + 2 + 12 * entry + 8
        if size > 4:
            (start,) = struct.unpack_from("<I", content, start)
        fields[tag] = Field(kind, values, content[start : start + size])
    return fields


def cog_head(fields: Mapping[int, Field], levels: Sequence[Level]) -> bytes:
    """Everything of a cloud-optimised TIFF before its blocks, which must follow at once.

    `fields` are those of the full raster, whose size and blocks are put in; `levels` go from the full raster to the
    smallest overview. After the head come the levels from the last to the first, the blocks of each row by row, the bands
    of a block one after the other, all `framed`. Files beyond four gigabytes become BigTIFF.
    """
    big = sum(level.stored for level in levels) > CLASSIC_LIMIT
    size = len(_head(fields, levels, 0, big))
    return _head(fields, levels, size, big)


def _head(fields: Mapping[int, Field], levels: Sequence[Level], start: int, big: bool) -> bytes:
    ghost = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(LAYOUT) + LAYOUT
    first = (16 if big else 8) + len(ghost)
    first += first % 2
    head = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, first) if big else struct.pack("<2sHI", b"II", 42, first))
    head += ghost
    starts = {}
    for number in reversed(range(len(levels))):
        starts[number] = start
        start += levels[number].stored
    for number, level in enumerate(levels):
        head += b"\0" * (len(head) % 2)
        mine = dict(fields) if number == 0 else {t: f for t, f in fields.items() if t not in GEOGRAPHIC}
        mine |= _block_fields(level, starts[number], big)
        mine |= {} if number == 0 else {SUBFILE: Field(LONG, 1, struct.pack("<I", 1))}
        head += _directory(mine, len(head), last=number == len(levels) - 1, big=big)
    return bytes(head)


def _block_fields(level: Level, start: int, big: bool) -> dict[int, Field]:
    lengths = level.lengths.astype(np.int64)
    ends = np.cumsum(np.where(lengths > 0, lengths + 2 * LEADER, 0)).reshape(lengths.shape)
    offsets = np.where(lengths > 0, start + ends - lengths - LEADER, 0)
    # With a plane a band, TIFF numbers the blocks of the first band, then those of the second.
    planes = offsets.T.astype("<u8" if big else "<u4").tobytes()
    return {
        WIDTH: Field(LONG, 1, struct.pack("<I", level.width)),
        LENGTH: Field(LONG, 1, struct.pack("<I", level.height)),
        TILE_OFFSETS: Field(LONG8 if big else LONG, lengths.size, planes),
        TILE_SIZES: Field(LONG, lengths.size, level.lengths.T.astype("<u4").tobytes()),
    }


def _directory(fields: Mapping[int, Field], place: int, *, last: bool, big: bool) -> bytes:
    """A directory at a place in the file, its longer values behind it; it points to what follows them."""
    inline, entry, pointer = (8, "<HHQ", "<Q") if big else (4, "<HHI", "<I")
    head = struct.pack("<Q" if big else "<H", len(fields))
    behind = place + len(head) + len(fields) * (struct.calcsize(entry) + inline) + inline
    entries, values = bytearray(head), bytearray()
    for tag in sorted(fields):
        field = fields[tag]
        entries += struct.pack(entry, tag, field.type, field.count)
        if len(field.content) <= inline:
            entries += field.content.ljust(inline, b"\0")
            continue
        entries += struct.pack(pointer, behind + len(values))
        values += field.content + b"\0" * (len(field.content) % 2)
    following = behind + len(values)
    entries += struct.pack(pointer, 0 if last else following + following % 2)
    return bytes(entries + values)
