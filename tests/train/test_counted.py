"""Counted random numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from terraseg.train.counted import AUGMENT, SAMPLE, integer_seed, uniforms


@given(st.integers(0, 2**40), st.integers(0, 10**7), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_a_row_depends_on_its_own_index_alone(seed: int, step: int, indices: list[int]) -> None:
    together = uniforms(seed, SAMPLE, step, indices, 5)
    for index, row in zip(indices, together, strict=True):
        assert np.array_equal(uniforms(seed, SAMPLE, step, [index], 5)[0], row)
        assert np.array_equal(uniforms(seed, SAMPLE, step, [index], 3)[0], row[:3])


def test_seed_use_step_and_index_each_give_other_numbers() -> None:
    rows = [
        uniforms(seed, use, step, [index], 1)[0, 0]
        for seed in range(5)
        for use in (SAMPLE, AUGMENT)
        for step in range(20)
        for index in range(20)
    ]
    assert len(set(rows)) == len(rows)


def test_numbers_fill_the_unit_interval_evenly_and_are_uncorrelated() -> None:
    for numbers in (  # the samples of one step, and of many
        uniforms(0, SAMPLE, 0, np.arange(40_000), 2),
        np.concatenate([uniforms(0, SAMPLE, step, np.arange(4), 2) for step in range(10_000)]),
    ):
        assert numbers.min() >= 0
        assert numbers.max() < 1
        counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
        assert np.abs(counts / np.mean(counts) - 1).max() < 0.1
        assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1]).item(0, 1)) < 0.02
        assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0]).item(0, 1)) < 0.02


def test_an_integer_seed_is_reproducible() -> None:
    assert integer_seed(1, SAMPLE, 2) == integer_seed(1, SAMPLE, 2) != integer_seed(1, SAMPLE, 3)
