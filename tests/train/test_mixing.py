"""Rectangles cut out and rare classes pasted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from terraseg.train.augment import Augmentation
from terraseg.train.mixing import CUT_SIDES, MIX_SIDES, Pasting, cut_out, donors, mix, paste, rare_classes


def mixing(*names: str, batch: int = 8, classes: tuple[int, ...] = (2,)) -> Augmentation:
    bands = ("red", "green", "blue")
    return Augmentation(
        names, seed=1, bands=bands, mean=[100.0] * 3, std=[40.0] * 3, pasting=Pasting(classes, batch)
    )  # fmt: skip


def test_a_cut_is_one_rectangle_of_the_mean_with_void_labels() -> None:
    images, labels = torch.ones(200, 2, 40, 40), torch.ones(200, 40, 40, dtype=torch.uint8)
    cut_out(images, labels, seed=0, step=0, indices=range(200))
    void = labels == 255
    assert torch.equal((images == 0).all(1), void)
    assert torch.equal((images == 0).any(1), void)
    sizes = void.sum((1, 2))
    assert 60 < int((sizes > 0).sum()) < 140
    for number in torch.nonzero(sizes).flatten().tolist():
        rows, cols = void[number].any(1).sum().item(), void[number].any(0).sum().item()
        assert rows * cols == sizes[number]
        assert all(round(CUT_SIDES[0] * 40) <= side <= round(CUT_SIDES[1] * 40) for side in (rows, cols))


def test_a_cut_changes_no_label_that_was_handed_over() -> None:
    raw, labels = torch.zeros(8, 3, 16, 16, dtype=torch.uint8), torch.ones(8, 16, 16, dtype=torch.uint8)
    mixing("cutout")(raw, labels, step=0, indices=range(8), crop=16)
    assert (labels == 1).all()


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=7))
def test_rare_classes_have_pixels_and_fewer_than_all_others(pixels: list[int]) -> None:
    rare = rare_classes(pixels)
    present = [index for index, count in enumerate(pixels) if count]
    assert bool(rare) == (len(present) > 1)
    assert set(rare) <= set(present)
    if rare:
        assert len(rare) < len(present)
        assert max(pixels[k] for k in rare) <= min((pixels[k] for k in present if k not in rare), default=0)


def test_donors_are_other_samples_of_the_batch() -> None:
    for step in range(50):
        given_by = donors(3, step, range(6), 6)
        assert all(0 <= g < 6 and g != n for n, g in enumerate(given_by.tolist()) if g >= 0)
        assert donors(3, step, [4], 6)[0] == given_by[4]
    assert (donors(3, 0, range(1), 1) == -1).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_pasting_copies_the_classes_with_their_pixels_and_nothing_onto_void(dtype: torch.dtype) -> None:
    random = np.random.default_rng(0)
    labels = torch.from_numpy(random.choice([0, 1, 2, 255], (3, 12, 12)).astype(np.uint8))
    images = torch.from_numpy(random.integers(0, 200, (3, 2, 12, 12))).to(dtype)
    changed, truth = paste(images.clone(), labels.clone(), [2, -1], [1, 2])
    copied = ((labels[2] == 1) | (labels[2] == 2)) & (labels[0] != 255)
    assert len(changed) == len(truth) == 2
    assert torch.equal(truth[0], torch.where(copied, labels[2], labels[0]))
    wanted = torch.where(copied, images[2].to(torch.float32), images[0].to(torch.float32))
    assert torch.equal(changed[0].to(torch.float32), wanted)
    assert torch.equal(truth[1], labels[1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_a_mixed_sample_holds_one_rectangle_of_its_donor(dtype: torch.dtype) -> None:
    labels = torch.arange(8, dtype=torch.uint8)[:, None, None].repeat(1, 32, 32)
    images = labels[:, None].to(dtype).repeat(1, 2, 1, 1)
    given = [3, -1, 5]
    mixed, truth = mix((images[:3], labels[:3]), (images, labels), given, seed=4, where=(9, range(3)))
    assert mixed.dtype == dtype
    assert torch.equal(mixed.to(torch.int64), truth[:, None].to(torch.int64).repeat(1, 2, 1, 1))
    assert torch.equal(labels[1], truth[1])
    for number in (0, 2):
        rows, cols = np.nonzero((truth[number] == given[number]).numpy())
        height, width = np.ptp(rows) + 1, np.ptp(cols) + 1
        assert len(rows) == height * width
        assert all(MIX_SIDES[0] * 32 - 1 <= side <= MIX_SIDES[1] * 32 + 1 for side in (height, width))
        assert (truth[number] == number).sum() == 32 * 32 - len(rows)


@pytest.mark.parametrize("mixer", [("copy-paste",), ("cutmix",), ("copy-paste", "cutmix")])
def test_a_mixed_sample_is_the_same_whichever_others_are_computed_with_it(mixer: tuple[str, ...]) -> None:
    """Two processes, each with half of the batch and the donors of its samples, come to the batch of one."""
    how = mixing("d4", "scale", *mixer, "photometric", "cutout")
    side = how.read_size(16)
    raw = torch.randint(0, 255, (8, 3, side, side), dtype=torch.uint8)
    labels = raw[:, 0] % 3
    for step in range(4):
        images, truth = how(raw.clone(), labels.clone(), step=step, indices=range(8), crop=16)
        for share in (range(4), range(4, 8)):
            cut = how.sources(step, share)
            assert cut[:4] == list(share)
            part, part_truth = how(raw[cut], labels[cut], step=step, indices=share, crop=16)
            assert torch.equal(part_truth, truth[share.start : share.stop])
            assert torch.allclose(part, images[share.start : share.stop], atol=1e-5)


def test_pasting_makes_a_rare_class_less_rare() -> None:
    labels = torch.zeros(64, 32, 32, dtype=torch.uint8)
    labels[::4, 8:20, 8:20] = 2
    raw = labels[:, None].repeat(1, 3, 1, 1) * 50
    how = mixing("d4", "copy-paste", batch=64)
    _, truth = how(raw, labels, step=0, indices=range(64), crop=32)
    assert (truth == 2).sum() > 1.2 * (labels == 2).sum()
