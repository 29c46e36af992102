import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.errors import BadOption
from terraseg.prepare.folds import fold_splits, spread
from terraseg.prepare.split import measured_reach, usable_scenes
from terraseg.prepare.survey import LATTICE
from tests.prepare.conftest import Lay, Plot, laid


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(40, 700), st.integers(40, 700)), min_size=1, max_size=6),
    folds=st.integers(2, 5),
    reach=st.sampled_from([0.0, 20.0]),
    seed=st.integers(0, 50),
)
def test_every_labelled_pixel_judges_once_and_keeps_its_distance(
    sizes: list[tuple[int, int]], folds: int, reach: float, seed: int
) -> None:
    plots = [Plot(f"g{n}", row=9000 * n, height=h, width=w) for n, (h, w) in enumerate(sizes)]
    dataset, survey = laid(plots, range_px=reach, seed=seed)
    try:
        splits = fold_splits(dataset, survey, folds)
    except BadOption:
        assert sum(max(size) >= 64 * folds for size in sizes) == 0
        return
    assert len(splits) == folds
    limit = measured_reach(usable_scenes(dataset, survey), survey)
    for n, scene in enumerate(dataset.scenes):
        seen = np.zeros((scene.grid.height, scene.grid.width), int)
        for split in splits:
            own = split.scenes[n]
            near = np.zeros(seen.shape, bool)
            gap = limit.gap_of(scene)
            for w in own.validation:
                seen[w.slices] += 1
                near[max(0, w.row - gap) : w.row_stop + gap, max(0, w.col - gap) : w.col_stop + gap] = True
            assert not any(near[w.slices].any() for w in own.train)
        assert (seen == 1).all()
    assert all(list(split.labelled("validation")) for split in splits)
    assert fold_splits(dataset, survey, folds) == splits


def test_groups_that_share_ground_judge_together(lay: Lay) -> None:
    plots = [Plot(f"flight {n}", row=5000 * (n // 2), col=30 * (n % 2)) for n in range(10)]
    splits = fold_splits(*lay(plots), 5)
    for split in splits:
        judged = [n for n, s in enumerate(split.scenes) if s.validation]
        assert judged[0] // 2 == judged[1] // 2
        assert len(judged) == 2


def test_classes_are_spread_over_the_folds(lay: Lay) -> None:
    """Of ten groups two hold the rare class: they do not judge together."""
    counts = {f"s{n}": np.full((LATTICE, LATTICE, 2), (100, 0 if n > 1 else 20)) for n in range(10)}
    dataset, survey = lay([Plot(f"g{n}", row=900 * n) for n in range(10)], counts=counts)
    splits = fold_splits(dataset, survey, 5)
    rare = [sum(bool(s.validation) for s in split.scenes[:2]) for split in splits]
    assert sorted(rare) == [0, 0, 0, 1, 1]
    assert all(sum(bool(s.validation) for s in split.scenes) == 2 for split in splits)


def test_units_bound_together_go_to_different_folds() -> None:
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 100, (20, 3)).astype(float)
    bound = [list(range(k, k + 5)) for k in range(0, 20, 5)]
    of = spread(sizes, bound, 5)
    assert all(len({int(of[n]) for n in units}) == 5 for units in bound)
    shares = np.array([sizes[of == fold].sum(axis=0) for fold in range(5)]) / sizes.sum(axis=0)
    assert shares.max() < 0.32


@pytest.mark.parametrize(("plots", "folds"), [([Plot("a")], 1), ([Plot("a", height=40, width=50)], 3)])
def test_more_folds_than_places_are_refused(lay: Lay, plots: list[Plot], folds: int) -> None:
    with pytest.raises(BadOption, match="fold"):
        fold_splits(*lay(plots), folds)
