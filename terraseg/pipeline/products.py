"""Single files from single files: what the commands do when they are given a raster or a map instead of a project."""

import hashlib
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from terraseg import __version__
from terraseg.core.dataset import Imagery
from terraseg.core.polygons import PolygonTable
from terraseg.core.scorer import Scorer
from terraseg.core.watch import Watch
from terraseg.core.window import Window
from terraseg.engines.choose import open_scorers
from terraseg.engines.options import EngineOptions
from terraseg.errors import BadOption
from terraseg.export.qgis import qml_for_map, qml_for_polygons, write_style
from terraseg.pipeline.advance import tile_progress
from terraseg.pipeline.ledger import key_for
from terraseg.predict.options import InputOptions, PredictOptions
from terraseg.predict.ready import made_ready
from terraseg.predict.sweep import MapJob, PredictionSummary, predict_raster
from terraseg.store.bundle import bundle_hash
from terraseg.store.classmap import ByteReader, open_confidence, read_class_map
from terraseg.store.layermap import is_layer_map, read_layer_map
from terraseg.store.maplayers import CONFIDENCE, layer_path
from terraseg.store.marks import raster_marks

if TYPE_CHECKING:
    from terraseg.vectorize.options import VectorizeOptions


@dataclass(frozen=True)
class Model:
    """A model ready to run, and the hash that its maps carry.

    `tags` say in a map how the model was run, where that was not exactly and in one view; `sentence` what runs it, and why.
    """

    scorer: Scorer
    hash: str
    tags: dict[str, str]
    sentence: str


def open_model(folders: Sequence[Path], options: EngineOptions | None = None) -> Model:
    """The model of a folder, or the mean of several, as the options want it; raises as `engines.choose.open_scorers`."""
    options = options or EngineOptions()
    opened = open_scorers(folders, options)
    hashes = [bundle_hash(folder) for folder in folders]
    joint = hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]
    tags: dict[str, str] = {} if options.tta == "none" else {"TERRASEG_TTA": options.tta}
    if options.precision != "exact":
        # Counting exactly, engines differ in the last bits only.
        tags["TERRASEG_PRECISION"] = f"{options.precision} on {opened.engines}"
    return Model(opened.scorer, joint, tags, f"predicting with {opened.scorer.device} ({opened.reason})")


@dataclass(frozen=True)
class Job:
    """What every raster of a prediction has in common; `fresh` drops what an earlier run had finished."""

    model: Model
    options: PredictOptions
    inputs: InputOptions
    fresh: bool = False


def predict_scene(
    name: str, imagery: Imagery, out: Path, *, job: Job, watch: Watch, part: tuple[str, Window] | None = None
) -> PredictionSummary:
    """The class map of one scene at `out`, with what there is to say about it said.

    A `part`, a shard's name and its share of the raster, becomes a map with the last of its kind.
    """
    if any(out.exists() and Path(path).exists() and out.samefile(path) for path in imagery.paths):
        raise BadOption(f"the map would overwrite its own image {out}: pass another --out")
    tags = {"TERRASEG_MODEL": job.model.hash, "TERRASEG_VERSION": __version__, **job.model.tags}
    with made_ready(imagery, job.model.scorer, job.inputs) as ready:
        for note in ready.notes:
            watch.say(f"{name}: {note}")
        made = MapJob(tags | ready.tags, _inputs_key(imagery, job.model), job.fresh, part)
        progress = tile_progress(name, ready.source.grid, watch)
        summary = predict_raster(ready.source, ready.scorer, out, options=job.options, job=made, progress=progress)
    for note in summary.notes:
        watch.say(f"{name}: {note}")
    if summary.was_made:
        watch.say(f"{out} is up to date: --fresh makes it anew")
        return summary
    if summary.found:
        watch.say(f"{name}: an earlier run had done {summary.found} of {summary.found + summary.tiles} tiles")
    figures = f"{summary.megapixels_per_s:.1f} megapixels/s, peak {summary.peak_memory_mb:.0f} MB"
    if not summary.is_whole:
        watch.say(f"finished {summary.files[0]} ({figures}): the map is made once all parts lie in that folder")
        return summary
    watch.say(f"wrote {out} ({figures})")
    spec = job.model.scorer.spec
    # QGIS shows one band of a map of overlapping classes, and a palette would name it wrongly.
    style = () if spec.overlapping else (write_style(out, qml_for_map(spec.legend)),)
    return replace(summary, files=(*summary.files, *style))


def _inputs_key(imagery: Imagery, model: Model) -> str:
    """What a map depends on besides its tags: the state of the raster's files, and what the model runs on."""
    engine = re.sub(r", \d+ threads?", "", model.scorer.device)
    return key_for(raster_marks(imagery.paths), engine)


def polygons_file(class_map: Path, out: Path, options: "VectorizeOptions") -> int:
    """Writes the polygons of a class map, with their confidence where its raster lies beside it; gives their number.

    Centre lines, where they are asked for, become a layer beside them.
    """
    # They load scipy, and a table library where one is installed: a second, and 90 MB, that no prediction needs.
    from terraseg.store.vector import write_polygons
    from terraseg.vectorize.centerlines import center_lines_of
    from terraseg.vectorize.layers import polygons_of_layers
    from terraseg.vectorize.polygons import polygon_batches

    beside = layer_path(class_map, CONFIDENCE)
    overlapping = is_layer_map(class_map)
    with ExitStack() as stack:
        confidence = stack.enter_context(open_confidence(beside)) if beside.exists() else None
        if overlapping:
            layers = stack.enter_context(read_layer_map(class_map))
            legend, lines = layers.legend, None
            tables = iter([polygons_of_layers(layers, confidence=confidence, options=options)])
        else:
            raster = stack.enter_context(read_class_map(class_map))
            legend, lines = raster.legend, center_lines_of(raster, options) if options.centerlines else None
            tables = polygon_batches(raster, confidence=confidence, options=options)
        count = write_polygons(tables, out, style=qml_for_polygons(legend), lines=lines)
    if out.suffix.lower() != ".gpkg":
        # Beside the map the two share one style file.
        write_style(out, (qml_for_polygons if overlapping else qml_for_map)(legend))
    return count


def map_polygons(class_map: Path, confidence: ByteReader | None, options: "VectorizeOptions") -> PolygonTable:
    """The polygons of a class map, or of a map of overlapping classes."""
    from terraseg.vectorize.layers import polygons_of_layers
    from terraseg.vectorize.polygons import polygons_of

    if is_layer_map(class_map):
        with read_layer_map(class_map) as layers:
            return polygons_of_layers(layers, confidence=confidence, options=options)
    with read_class_map(class_map) as raster:
        return polygons_of(raster, confidence=confidence, options=options)
