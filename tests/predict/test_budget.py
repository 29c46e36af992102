"""A sweep's cut into panels."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption
from terraseg.pixels.tiling import tile_order
from terraseg.predict.budget import MEGABYTE, plan_sweep, sweep_bytes
from terraseg.predict.options import PredictOptions


def make_grid(height: int, width: int) -> Grid:
    return Grid(None, (1, 0, 0, 0, 1, 0), height, width)


def many_classes(count: int) -> ModelSpec:
    legend = Legend(tuple(LandClass(n, f"c{n}", "#000000") for n in range(count)))
    return ModelSpec("x", legend, ("r", "g", "b"), "uint8", (0.0,) * 3, (1.0,) * 3, None, 512, 64, 32)


@pytest.mark.parametrize(("height", "width"), [(300_000, 2_000), (2_000, 300_000), (60_000, 60_000), (100, 100)])
@pytest.mark.parametrize("classes", [2, 6, 64])
def test_the_plan_keeps_the_budget_at_any_size(height: int, width: int, classes: int) -> None:
    spec, options = many_classes(classes), PredictOptions(max_ram_mb=1024)
    plan = plan_sweep(make_grid(height, width), spec, options)
    fixed, per_column = sweep_bytes(plan.lattice, spec, plan.batch, options)
    assert fixed + per_column * max(len(panel.cols) for panel in plan.panels) <= 1024 * MEGABYTE
    assert [c for panel in plan.panels for c in panel.cols] == list(plan.lattice.region.cols)


@given(st.integers(1, 200), st.integers(1, 64))
def test_more_memory_never_makes_more_panels(budget: int, classes: int) -> None:
    grid, spec = make_grid(5000, 40_000), many_classes(classes)
    try:
        less = plan_sweep(grid, spec, PredictOptions(max_ram_mb=budget * 8))
    except BadOption:
        return
    more = plan_sweep(grid, spec, PredictOptions(max_ram_mb=budget * 8 + 100))
    assert len(more.panels) <= len(less.panels)


def test_a_budget_too_small_names_the_smallest_that_would_do() -> None:
    grid, spec = make_grid(5000, 5000), many_classes(6)
    with pytest.raises(BadOption, match="max_ram_mb = 5 is too little") as caught:
        plan_sweep(grid, spec, PredictOptions(max_ram_mb=5))
    least = int(str(caught.value).split("pass at least ")[1].split(",")[0])
    assert plan_sweep(grid, spec, PredictOptions(max_ram_mb=least)).panels
    with pytest.raises(BadOption):
        plan_sweep(grid, spec, PredictOptions(max_ram_mb=least - 1))


def test_tiles_are_counted_as_they_are_worked(make_spec: Any) -> None:
    plan = plan_sweep(make_grid(200, 300), make_spec(), PredictOptions(max_ram_mb=1))
    assert plan.tiles == sum(len(list(tile_order(plan.lattice.needed(panel)))) for panel in plan.panels)


def test_options_override_the_models_tile_and_overlap(make_spec: Any) -> None:
    grid = make_grid(200, 300)
    plan = plan_sweep(grid, make_spec(tile=32, overlap=8), PredictOptions(tile=64, overlap=10))
    assert (plan.lattice.tile, plan.lattice.overlap) == (64, 10)
    smaller = plan_sweep(grid, make_spec(tile=128, overlap=32), PredictOptions(tile=16))
    assert (smaller.lattice.tile, smaller.lattice.overlap) == (16, 4), "the model's overlap gives way to a small tile"
    with pytest.raises(BadOption, match="overlap"):
        plan_sweep(grid, make_spec(), PredictOptions(tile=32, overlap=32))


def test_a_small_raster_is_not_scored_in_batches_larger_than_it_has_tiles(make_spec: Any) -> None:
    assert plan_sweep(make_grid(20, 20), make_spec(), PredictOptions(batch=8)).batch == 1


@pytest.mark.parametrize("table", [{"tile": 4}, {"overlap": -1}, {"batch": 0}, {"threads": 0}, {"max_ram_mb": 0}])
def test_options_out_of_range_are_refused(table: dict[str, int]) -> None:
    with pytest.raises(BadOption, match=next(iter(table))):
        PredictOptions(**table)  # type: ignore[arg-type]  # every field here is a number
