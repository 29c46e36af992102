"""Single files from single files: what the commands do when they are given a raster or a map instead of a project."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terraseg import __version__
from terraseg.core.dataset import Imagery
from terraseg.core.options import read_options
from terraseg.core.scorer import Scorer
from terraseg.core.watch import SILENT, Watch
from terraseg.engines.choose import open_scorer
from terraseg.errors import BadOption, EmptyDataset
from terraseg.export.qgis import qml_for_polygons
from terraseg.measure.options import MeasureOptions
from terraseg.measure.stats import measure
from terraseg.predict.options import PredictOptions
from terraseg.predict.sweep import PredictionSummary, predict_raster
from terraseg.prepare.dataset import scene_names
from terraseg.prepare.discover import expand
from terraseg.store.bundle import bundle_hash
from terraseg.store.classmap import open_confidence, read_class_map
from terraseg.store.raster import open_raster
from terraseg.store.rundir import write_csv, write_json
from terraseg.store.vector import read_polygon_table, write_polygons
from terraseg.vectorize.options import VectorizeOptions
from terraseg.vectorize.polygons import polygons_of

POLYGON_ENDINGS = frozenset({".gpkg", ".geojson", ".parquet"})


def predict_files(
    rasters: Sequence[str],
    model: Path | None,
    out: Path | None,
    settings: dict[str, Any],
    *,
    watch: Watch = SILENT,
    engine: str = "auto",
) -> list[Path]:
    """The class maps of rasters: at `out` for one, in the folder `out` for several, else beside where the command runs.

    A raster may be a pattern; {band} in it stands for the model's bands where each has a file. `settings` are those of
    the [predict] table. Raises `BadOption` without a model.
    """
    if model is None:
        raise BadOption("no model was named: pass --model with a model's folder, such as runs/first/model")
    options = read_options(PredictOptions, settings, "the command line")
    opened = open_model(model, engine)
    watch.step("predict")
    watch.say(f"predicting with {opened.scorer.device}")
    scenes = _scenes(rasters, opened.scorer.spec.bands)
    folder = out if out is not None and (len(scenes) > 1 or out.is_dir() or not out.suffix) else None
    written: list[Path] = []
    for name, imagery in scenes.items():
        target = out if out is not None and folder is None else (folder or Path()) / f"{name}_map.tif"
        summary = predict_scene(name, imagery, target, model=opened, options=options, watch=watch)
        written += summary.files
    return written


@dataclass(frozen=True)
class Model:
    """A model ready to run, and the hash that its maps carry."""

    scorer: Scorer
    hash: str


def open_model(folder: Path, engine: str) -> Model:
    """The model of a folder on an engine; see `engines.choose.open_scorer`."""
    return Model(open_scorer(folder, engine=engine), bundle_hash(folder))


def predict_scene(
    name: str, imagery: Imagery, out: Path, *, model: Model, options: PredictOptions, watch: Watch
) -> PredictionSummary:
    """The class map of one scene at `out`, with what there is to say about it said."""

    def progress(done: int, total: int, _: int) -> None:
        watch.progress(done, total, f"tiles of {name}")

    if any(out.exists() and Path(path).exists() and out.samefile(path) for path in imagery.paths):
        raise BadOption(f"the map would overwrite its own image {out}: pass another --out")
    tags = {"TERRASEG_MODEL": model.hash, "TERRASEG_VERSION": __version__}
    with open_raster(imagery) as source:
        summary = predict_raster(source, model.scorer, out, options=options, provenance=tags, progress=progress)
    for note in summary.notes:
        watch.say(f"{name}: {note}")
    watch.say(f"wrote {out} ({summary.megapixels_per_s:.1f} megapixels/s, peak {summary.peak_memory_mb:.0f} MB)")
    return summary


def _scenes(rasters: Sequence[str], bands: tuple[str, ...]) -> dict[str, Imagery]:
    found: list[str] = []
    for raster in rasters:
        matches = expand([raster], Path(), bands=bands) if any(sign in raster for sign in "*?[{") else [raster]
        if not matches:
            raise EmptyDataset(f"no file is named by {raster!r}: check the pattern")
        found += matches
    names = scene_names(found)
    return {
        names[image]: Imagery(
            tuple(image.replace("{band}", band) for band in bands) if "{band}" in image else (image,), bands
        )
        for image in found
    }


def polygons_file(class_map: Path, out: Path, options: VectorizeOptions) -> int:
    """Writes the polygons of a class map, with their confidence where its raster lies beside it; gives their number."""
    beside = class_map.with_name(f"{class_map.stem}_confidence.tif")
    with read_class_map(class_map) as raster:
        if beside.exists():
            with open_confidence(beside) as confidence:
                table = polygons_of(raster, confidence=confidence, options=options)
        else:
            table = polygons_of(raster, confidence=None, options=options)
    write_polygons(table, out, style=qml_for_polygons(table.legend))
    return len(table)


def statistics_files(product: Path, outputs: Sequence[Path], options: MeasureOptions) -> list[dict[str, Any]]:
    """Writes the statistics of a class map or its polygons as CSV and JSON; gives the rows, one a class.

    A map is measured with the polygons beside it (NAME.gpkg), which are traced for the purpose where there are none;
    polygons are measured with the map beside them (NAME.tif), and without one by themselves.
    """
    is_polygons = product.suffix.lower() in POLYGON_ENDINGS
    class_map, polygons = product.with_suffix(".tif"), product if is_polygons else product.with_suffix(".gpkg")
    class_map = class_map if is_polygons else product
    if is_polygons and not class_map.exists():
        statistics = measure(table=read_polygon_table(polygons), options=options)
    else:
        with read_class_map(class_map) as raster:
            found = polygons.exists()
            table = read_polygon_table(polygons) if found else polygons_of(raster, options=VectorizeOptions())
            statistics = measure(raster=raster, table=table, options=options)
    csv_path, json_path = outputs
    rows = statistics.rows()
    write_csv(csv_path, rows)
    write_json(json_path, {"unit": statistics.unit, "observed": statistics.observed, "classes": rows})
    return rows
