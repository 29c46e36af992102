"""Single files and whole projects: the commands of the command line as functions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from terraseg.api.notebook import watcher
from terraseg.core.watch import Watch
from terraseg.measure.options import MeasureOptions
from terraseg.pipeline import map as mapping
from terraseg.pipeline.measuring import statistics_files
from terraseg.pipeline.products import polygons_file
from terraseg.pipeline.project import Project, read_project
from terraseg.pipeline.rasters import predict_files
from terraseg.vectorize.options import VectorizeOptions


def map_project(project: str | Path | Project, *, watch: Watch | None = None, fresh: bool = False) -> mapping.MapResult:
    """A project file to model, maps, polygons, statistics, scores and report; redoes only what is stale.

    `fresh` starts over. See `terraseg.pipeline.map.map_project`.
    """
    opened = project if isinstance(project, Project) else read_project(Path(project))
    return mapping.map_project(opened, watch=watcher(watch), fresh=fresh)


def predict(
    raster: str | Path,
    out: str | Path,
    *,
    model: str | Path | Sequence[str | Path],
    engine: str = "auto",
    watch: Watch | None = None,
    **settings: Any,
) -> list[Path]:
    """The class map of a raster, and the files written; of several models their mean is mapped.

    `settings` are those of the tables [predict], [input] and [engine]: `precision="fast"`, `tta="d4"` say. `raster` may be
    a folder, a pattern or a STAC file for several, with `out` the folder of their maps; then `RastersFailed` names those
    that failed when the others are done.
    """
    models = [Path(model)] if isinstance(model, (str, Path)) else [Path(each) for each in model]
    chosen = {"engine": engine, **settings}
    done = predict_files([str(raster)], models, Path(out), chosen, watch=watcher(watch))
    done.check()
    return list(done.files)


def vectorize(class_map: str | Path, out: str | Path, **settings: Any) -> Path:
    """The polygons of a class map, as GeoPackage, GeoJSON or GeoParquet; `settings` are those of [vectorize]."""
    polygons_file(Path(class_map), Path(out), VectorizeOptions(**settings))
    return Path(out)


def measure(product: str | Path, **settings: Any) -> list[dict[str, Any]]:
    """Statistics of a class map or of its polygons, one row a class; also written beside it as CSV and JSON.

    A map brings its polygons when they lie beside it; polygons bring their map.
    """
    path = Path(product)
    outputs = [path.with_suffix(".csv"), path.with_suffix(".json")]
    return statistics_files(path, outputs, MeasureOptions(**settings))
