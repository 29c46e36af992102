"""A sweep's lattice, and what of it fits into memory."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption
from terraseg.predict.budget import SLACK, SweepPlan, batch_size, plan_lattice, plan_sweep, sweep_needs
from terraseg.predict.memory import MEGABYTE
from terraseg.predict.options import PredictOptions, parse_bytes


def make_grid(height: int, width: int) -> Grid:
    return Grid(None, (1, 0, 0, 0, 1, 0), height, width)


def many_classes(count: int) -> ModelSpec:
    legend = Legend(tuple(LandClass(n, f"c{n}", "#000000") for n in range(count)))
    return ModelSpec("x", legend, ("r", "g", "b"), "uint8", (0.0,) * 3, (1.0,) * 3, None, 512, 64, 32)


def make_plan(grid: Grid, spec: ModelSpec, options: PredictOptions, settled: float = 100.0) -> SweepPlan:
    lattice = plan_lattice(grid, spec, options)
    needs = sweep_needs(lattice, spec, options, 512, 2)
    return plan_sweep(lattice, spec, options, needs, settled_mb=settled)


@pytest.mark.parametrize(("height", "width"), [(300_000, 2_000), (2_000, 300_000), (60_000, 60_000), (100, 100)])
@pytest.mark.parametrize("classes", [2, 6, 64])
def test_the_plan_keeps_the_budget_at_any_size(height: int, width: int, classes: int) -> None:
    spec, options = many_classes(classes), PredictOptions(max_ram="2G", probabilities="float16")
    plan = make_plan(make_grid(height, width), spec, options)
    needs = sweep_needs(plan.lattice, spec, options, 512, 2)
    arrays = needs.fixed + needs.per_column * plan.panel_columns
    assert 100 * MEGABYTE + SLACK + arrays + plan.cache_bytes <= 2 * 1024 * MEGABYTE
    assert plan.panel_columns >= 1


@settings(deadline=None)
@given(st.integers(100, 3000), st.integers(1, 64))
def test_more_memory_never_makes_narrower_panels(budget: int, classes: int) -> None:
    grid, spec = make_grid(5000, 40_000), many_classes(classes)
    try:
        less = make_plan(grid, spec, PredictOptions(max_ram=f"{budget}M"))
    except BadOption:
        return
    assert make_plan(grid, spec, PredictOptions(max_ram=f"{budget + 100}M")).panel_columns >= less.panel_columns


@pytest.mark.parametrize("classes", [2, 64])
def test_a_budget_too_small_names_the_smallest_that_would_do(classes: int) -> None:
    grid, spec = make_grid(5000, 5000), many_classes(classes)
    with pytest.raises(BadOption, match="max_ram = 50M is too little: the model and its engine take 100 MB") as caught:
        make_plan(grid, spec, PredictOptions(max_ram="50M"))
    least = int(str(caught.value).split("pass at least ")[1].split("M,")[0])
    assert make_plan(grid, spec, PredictOptions(max_ram=f"{least}M")).panel_columns >= 1
    with pytest.raises(BadOption):
        make_plan(grid, spec, PredictOptions(max_ram=f"{least - 1}M"))


@pytest.mark.parametrize("classes", [1, 64])
def test_without_a_budget_any_number_of_classes_can_be_predicted(classes: int) -> None:
    assert make_plan(make_grid(5000, 5000), many_classes(classes), PredictOptions()).panel_columns >= 1


@pytest.mark.parametrize("classes", [2, 6, 64])
def test_without_a_budget_panels_have_a_bounded_width_and_few_tiles_at_borders(classes: int) -> None:
    plan = make_plan(make_grid(60_000, 60_000), many_classes(classes), PredictOptions())
    needs = sweep_needs(plan.lattice, many_classes(classes), PredictOptions(), 512, 2)
    assert plan.panel_columns * 512 >= 16 * plan.lattice.cols.step
    taken = plan.panel_columns * needs.per_column
    assert taken <= 28 * MEGABYTE or plan.panel_columns * 512 <= 24 * plan.lattice.cols.step


def test_tiles_fit_the_raster_and_stand_on_the_stride() -> None:
    lattice = plan_lattice(make_grid(6000, 700), many_classes(6), PredictOptions())
    assert (lattice.tile, lattice.rows.count, lattice.cols.count) == ((896, 704), 7, 1)
    assert 7 * 896 * 704 < 1.06 * 6000 * 700
    many = plan_lattice(make_grid(6000, 6000), many_classes(64), PredictOptions())
    assert many.tile_pixels <= 512**2, "the scores of many classes take much memory"


def test_an_engine_with_room_gets_larger_tiles_and_fewer_seams() -> None:
    grid, spec = make_grid(6000, 6000), many_classes(6)
    usual, larger = (plan_lattice(grid, spec, PredictOptions(), room=room) for room in (1.0, 1.4))
    assert usual.tile_pixels <= 896**2 < larger.tile_pixels <= 1.4 * 896**2
    assert larger.region.count < usual.region.count


def test_a_network_on_a_coarser_grid_sees_larger_tiles_that_overlap_as_its_model_says() -> None:
    fine = replace(many_classes(2), tile=512, overlap=64)
    coarse = replace(fine, tile=1024, overlap=256, stride=128, reduction=4)
    near, far = (plan_lattice(make_grid(7168, 2048), spec, PredictOptions()) for spec in (fine, coarse))
    assert near.rows.overlap == 32
    assert far.rows.overlap == 256
    assert far.cols.count == 1, "a width of 512 of the network's pixels is one tile"
    assert near.cols.tile < far.cols.tile


def test_options_override_the_models_tile_and_overlap(make_spec: Any) -> None:
    grid = make_grid(200, 300)
    lattice = plan_lattice(grid, make_spec(tile=32, overlap=8), PredictOptions(tile=64, overlap=10))
    assert (lattice.tile, lattice.rows.overlap) == ((64, 64), 10)
    smaller = plan_lattice(grid, make_spec(tile=128, overlap=32), PredictOptions(tile=16))
    assert (smaller.tile, smaller.cols.overlap) == ((16, 16), 4), "the model's overlap gives way to a small tile"
    with pytest.raises(BadOption, match="overlap"):
        plan_lattice(grid, make_spec(), PredictOptions(tile=32, overlap=32))


def test_an_exact_lattice_has_the_halo_on_either_side(make_spec: Any) -> None:
    grid, spec = make_grid(500, 500), make_spec(tile=32, overlap=8)
    lattice = plan_lattice(grid, spec, PredictOptions(exact=True), halo=12)
    assert (lattice.tile, lattice.rows.overlap, lattice.cols.align) == ((48, 48), 24, 4)
    assert batch_size(lattice, PredictOptions(batch=8)) == 1
    with pytest.raises(BadOption, match="too small for an exact map: pass at least 28"):
        plan_lattice(grid, spec, PredictOptions(exact=True, tile=24), halo=12)
    with pytest.raises(BadOption, match="leave it out"):
        plan_lattice(grid, spec, PredictOptions(exact=True, overlap=4), halo=12)


def test_a_small_raster_is_not_scored_in_batches_larger_than_it_has_tiles(make_spec: Any) -> None:
    assert make_plan(make_grid(20, 20), make_spec(), PredictOptions(batch=8)).batch == 1


@pytest.mark.parametrize("table", [{"tile": 4}, {"overlap": -1}, {"batch": 0}, {"threads": 0}, {"max_ram": "0G"}])
def test_options_out_of_range_are_refused(table: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=next(iter(table))):
        PredictOptions(**table)


@pytest.mark.parametrize("text", ["2", "G", "2 apples", "-1G", ""])
def test_memory_needs_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(BadOption, match="unit, 2G or 600M"):
        parse_bytes(text)
