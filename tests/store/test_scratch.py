"""Arrays on disk that are gone afterwards."""

from pathlib import Path

import numpy as np
import pytest

from terraseg.errors import UnwritableFile
from terraseg.store.scratch import scratch_array


def test_an_array_starts_empty_keeps_what_is_written_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_array((30, 20), np.int32) as array:
        assert not array.any()
        array[3:5] = 7
        assert array.sum() == 280
        assert any(tmp_path.iterdir())
    assert not any(tmp_path.iterdir())


def test_a_disk_without_room_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "memmap", full)
    with pytest.raises(UnwritableFile, match="set TMPDIR"), scratch_array((3, 3), np.uint8):
        pass
