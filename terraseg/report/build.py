"""Building the report of a run: read what the run folder holds, draw it, write one page."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from terraseg.core.classes import Legend
from terraseg.core.dataset import Dataset
from terraseg.errors import BadOption, EmptyDataset, UnknownClass
from terraseg.report.content import ReportContent, SceneMeasures, SceneView, StatisticsTable
from terraseg.report.measures import read_measures
from terraseg.report.options import ReportOptions
from terraseg.report.page import render_page
from terraseg.report.scenes import MappedScene, SceneArrays, draw_scene, read_scene
from terraseg.report.scorefile import read_accuracy, read_comparison
from terraseg.report.sources import (
    data_lines,
    observed,
    read_plan,
    read_progress,
    read_provenance,
    read_statistics,
    total_statistics,
)
from terraseg.report.splitmap import split_picture
from terraseg.store.rundir import RunFolder, write_text

__all__ = ["MappedScene", "build_report"]

MEGABYTE = 1_000_000
TEXT_SHARE = 0.12
"""Share of the file kept for everything but pictures of scenes."""
SPLIT_SHARE = 0.06
"""Share of the file that the picture of the split may take before it is coded as text."""


def build_report(
    run: RunFolder,
    dataset: Dataset | None,
    scenes: Sequence[MappedScene],
    *,
    options: ReportOptions | None = None,
) -> Path:
    """Writes the report page of a run and gives its path.

    What the run folder lacks has no section. `dataset` reads the truth of scenes with labels and lists the data; None
    leaves both out. Memory holds the pictures of one scene at a time, and the finished page. Raises `EmptyDataset` when
    there is neither a scene nor a data set to take the classes from, `BadOption` when the page cannot be made as small
    as `max_mb`, `UnknownClass` when the maps have different classes.
    """
    chosen = options or ReportOptions()
    content = gather(run, dataset, scenes, chosen)
    page = render_page(content)
    size = len(page.encode())
    if size > chosen.max_mb * MEGABYTE:
        raise BadOption(
            f"the report takes {size / MEGABYTE:.1f} MB, and max_mb is {chosen.max_mb:g}: raise max_mb, or lower "
            f"max_scenes = {chosen.max_scenes}"
        )
    write_text(run.report, page)
    return run.report


def gather(
    run: RunFolder, dataset: Dataset | None, scenes: Sequence[MappedScene], options: ReportOptions
) -> ReportContent:
    """All that the report says, read from the run folder and drawn from the scenes."""
    shown = list(scenes)[: options.max_scenes]
    legend, views = _views(shown, dataset, options)
    if legend is None:
        raise EmptyDataset(f"{run.root} has neither a mapped scene nor a data set to report: map a scene first")
    return ReportContent(
        title=options.title or run.root.resolve().name,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        legend=legend,
        scenes=views,
        scenes_left_out=len(scenes) - len(views),
        statistics=_statistics(scenes),
        measures=_measures(shown, legend),
        accuracy=read_accuracy(run.scores, dataset),
        comparison=read_comparison(run.root / "comparison.json"),
        progress=read_progress(run.progress),
        plan=read_plan(run.plan),
        data=data_lines(dataset),
        provenance=read_provenance(run.model),
        split=split_picture(run.figures / "split.png", SPLIT_SHARE * options.max_mb * MEGABYTE),
    )


def _views(
    scenes: Sequence[MappedScene], dataset: Dataset | None, options: ReportOptions
) -> tuple[Legend | None, tuple[SceneView, ...]]:
    """The legend of the maps and the drawn scenes, which share the file's size evenly."""
    legend = None if dataset is None else dataset.legend
    # Base64 writes three bytes as four.
    budget = options.max_mb * MEGABYTE * (1 - TEXT_SHARE) * 0.75 / max(1, len(scenes))
    views = []
    for number, scene in enumerate(scenes):
        arrays: SceneArrays = read_scene(scene, dataset, options.max_side)
        if number and arrays.legend != legend:
            raise UnknownClass(
                f"the maps {scenes[0].map_path} and {scene.map_path} have different classes: report them apart"
            )
        legend = arrays.legend
        table = read_statistics(scene.map_path.with_suffix(".json"), scene.name)
        views.append(_measured(draw_scene(arrays, budget), table, arrays.legend))
    return legend, tuple(views)


def _measured(view: SceneView, table: StatisticsTable | None, legend: Legend) -> SceneView:
    """The scene with the areas of its statistics, which weigh every pixel with its own ground, where they are complete."""
    if table is None or "area_m2" not in table.columns or not view.on_ground:
        return view
    where = table.columns.index("area_m2")
    areas = {name: values[where] for name, values in table.rows}
    sizes = [areas.get(name) for name in legend.names]
    known = [float(size) for size in sizes if isinstance(size, int | float)]
    if len(known) != len(sizes):
        return view
    whole = None if view.whole_size is None else observed(table, "area_m2")
    return replace(view, class_sizes=tuple(known), whole_size=whole)


def _statistics(scenes: Sequence[MappedScene]) -> tuple[StatisticsTable, ...]:
    """The table over all scenes where there are several, then one for each scene that was measured."""
    found = (read_statistics(scene.map_path.with_suffix(".json"), scene.name) for scene in scenes)
    tables = tuple(table for table in found if table is not None)
    total = total_statistics(tables)
    return tables if total is None else (total, *tables)


def _measures(scenes: Sequence[MappedScene], legend: Legend) -> tuple[SceneMeasures, ...]:
    """What was measured of each shown scene beside its classes."""
    found = (read_measures(scene.map_path.with_suffix(".json"), scene.name, legend) for scene in scenes)
    return tuple(each for each in found if each is not None)
