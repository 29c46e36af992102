"""A picture of training patches beside their masks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.errors import EmptyDataset
from terraseg.store.rundir import RunFolder
from terraseg.train.pictures import GREY, STRIPE
from terraseg.train.showbatch import PAIRS, SMALLEST, batch_picture, write_picture
from terraseg.train.trained import Task

Easy = tuple[Dataset, Fingerprint]


def test_patches_stand_beside_their_masks_as_the_network_gets_them(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    """Bright pixels are roofs in the made scene, so each mask must be red where its patch is bright."""
    run, out = RunFolder(tmp_path / "run"), tmp_path / "figures" / "batch.png"
    shown = replace(plan, augment=("d4", "cutout"))
    assert write_picture(batch_picture(Task(*easy, shown, run), rows=3), out) == out
    picture = np.asarray(Image.open(out)).astype(int)
    assert [path.name for path in run.root.iterdir()] == ["cache"]
    cell = 2 * SMALLEST + 10
    for row in range(3):
        for col in range(PAIRS):
            top, left = 8 + row * (SMALLEST + 8), 8 + col * cell
            patch = picture[top : top + SMALLEST, left : left + SMALLEST]
            mask = picture[top : top + SMALLEST, left + SMALLEST + 2 : left + 2 * SMALLEST + 2]
            roof, field = (mask == (255, 0, 0)).all(-1), (mask == (0x99, 0x88, 0x77)).all(-1)
            void = (mask == GREY).all(-1) | (mask == STRIPE).all(-1)
            assert (roof | field | void).all()
            if roof.any() and field.any():
                assert patch[roof].mean() > patch[field].mean() + 60
    assert len(np.unique(picture[-30:].reshape(-1, 3), axis=0)) > 5  # the legend


def test_a_data_set_without_training_windows_is_said(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    bare = replace(easy[0], scenes=tuple(replace(scene, train=()) for scene in easy[0].scenes))
    with pytest.raises(EmptyDataset):
        batch_picture(Task(bare, easy[1], plan, RunFolder(tmp_path / "run")))
