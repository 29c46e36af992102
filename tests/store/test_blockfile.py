"""The file of blocks: whatever happens to its end, what stands before it is kept."""

import resource
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terraseg.store.blockfile import BLOCK, HEAD, NOTE, BlockFile, read_records

CONTENTS = [b"first" * 20, b"", b"third" * 7, b"x" * 300]


def write(path: Path, key: str = "key") -> BlockFile:
    file = BlockFile(path, key)
    for index, content in enumerate(CONTENTS):
        file.append(BLOCK, content, layer=1, level=2, index=index)
    return file


def contents(file: BlockFile) -> list[bytes]:
    """What a file held when it was opened; closes it."""
    found = [file.read(record) for record in file.records]
    file.close()
    return found


def test_records_come_back_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.blocks")
    first.append(NOTE, b"note")
    first.close()
    again = BlockFile(tmp_path / "a.blocks", "key")
    assert contents(again) == [*CONTENTS, b"note"]
    assert [(r.kind, r.layer, r.level, r.index) for r in again.records[:4]] == [(BLOCK, 1, 2, i) for i in range(4)]
    assert again.records[4].kind == NOTE


@given(cut=st.integers(0, 10_000), flip=st.none() | st.integers(0, 10_000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_or_damaged_end_costs_only_what_it_hit(tmp_path: Path, cut: int, flip: int | None) -> None:
    path = tmp_path / "a.blocks"
    path.unlink(missing_ok=True)
    write(path).close()
    whole = bytearray(path.read_bytes())
    ends = [HEAD.size + len("key")]
    for content in CONTENTS:
        ends.append(ends[-1] + HEAD.size + len(content))
    cut = min(cut, len(whole))
    place = None if flip is None else flip % len(whole)
    if place is not None:
        whole[place] ^= 0x55
    path.write_bytes(whole[:cut])
    good = sum(end <= cut and (place is None or end <= place) for end in ends)
    again = BlockFile(path, "key")
    assert [again.read(record) for record in again.records] == CONTENTS[: max(0, good - 1)]
    again.append(BLOCK, b"goes on", index=9)
    again.close()
    assert contents(BlockFile(path, "key")) == [*CONTENTS[: max(0, good - 1)], b"goes on"]


def test_blocks_of_another_key_are_dropped_and_it_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a.blocks").close()
    other = BlockFile(tmp_path / "a.blocks", "other")
    assert other.other_key
    assert other.records == []
    other.close()
    again = BlockFile(tmp_path / "a.blocks", "other")
    assert not again.other_key
    again.close()


def test_a_reader_sees_blocks_of_its_key_alone_while_they_are_written(tmp_path: Path) -> None:
    file = write(tmp_path / "a.blocks")
    assert len(list(read_records(tmp_path / "a.blocks", "key"))) == len(CONTENTS)
    assert list(read_records(tmp_path / "a.blocks", "other")) == []
    file.close()


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A limit on file size stands for the disk."""
    file = write(tmp_path / "a.blocks")
    size = (tmp_path / "a.blocks").stat().st_size
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.append(BLOCK, b"y" * 5000, index=7)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "a.blocks").stat().st_size == size
    file.append(BLOCK, b"small", index=8)
    file.close()
    assert contents(BlockFile(tmp_path / "a.blocks", "key")) == [*CONTENTS, b"small"]
