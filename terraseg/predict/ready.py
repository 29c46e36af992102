"""A raster and a model made ready for each other: fit, type, resolution and area, with what there is to say about it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from terraseg.core.dataset import Imagery
from terraseg.core.modelspec import ModelSpec
from terraseg.core.scale import Scale, reach_of
from terraseg.core.scorer import Scorer
from terraseg.errors import NoOverlap
from terraseg.predict.fit import judge_raster, settle
from terraseg.predict.options import InputOptions
from terraseg.predict.resampling import plan_scale, rescaled, scale_note
from terraseg.predict.sample import sample_raster
from terraseg.predict.tiles import FittedSource
from terraseg.store.raster import RasterReader, open_raster

if TYPE_CHECKING:
    from terraseg.predict.area import Area

INPUT_TAG = "TERRASEG_INPUT"
"""Tag of a map that says how its raster was read, where it was not simply as it is."""


@dataclass(frozen=True, eq=False)
class Ready:
    """What `predict_raster` takes: a source and a scorer that fit each other.

    `notes` are sentences for the user, `tags` say in the map what was done to the raster: two maps with the same tags, of
    the same raster and model, are the same.
    """

    source: FittedSource
    scorer: Scorer
    notes: tuple[str, ...]
    tags: dict[str, str]


@contextmanager
def made_ready(imagery: Imagery, scorer: Scorer, options: InputOptions | None = None) -> Iterator[Ready]:
    """A raster whose bands are chosen, open and ready for a model.

    Raises `BandMismatch` for a pixel type or for values that do not fit, `GridMismatch` for pixels too far from the model's
    size, `NoOverlap` for an area that lies elsewhere, and what opening raster and area raises.
    """
    options = options or InputOptions()
    if options.values:
        imagery = replace(imagery, stored=options.values == "stored")
    # A model brings its own indices: what the imagery says of any is not asked.
    with open_raster(replace(imagery, indices=scorer.spec.indices)) as reader:
        scale = plan_scale(scorer.spec, reader.grid) if options.resample == "auto" else None
        notes = (*reader.notes, *_fit_notes(scorer.spec, reader, options))
        area = _area(reader, options)
        reach = 0 if scale is None else reach_of(scale.times(scorer.spec.reduction))
        source = FittedSource(reader, scorer.spec.dtype, area, reach)
        tags = _tags(imagery, scale, area)
        if scale is None:
            yield Ready(source, scorer, notes, tags)
            return
        fitted = rescaled(scorer, scale, reader.grid.gsd_m)
        yield Ready(source, fitted, (*notes, scale_note(scorer.spec, reader.grid, scale)), tags)


def _fit_notes(model: ModelSpec, reader: RasterReader, options: InputOptions) -> tuple[str, ...]:
    """The look at the bands as they are on disk: a ratio of bands hides that all are on another scale."""
    spec, imagery = model.sensed, reader.imagery
    with nullcontext(reader) if imagery.indices is None else open_raster(replace(imagery, indices=None)) as bare:
        looked = options.fit != "off" and spec.imagery is not None and np.dtype(bare.dtype).kind in "iuf"
        sample = sample_raster(bare, spec.bands) if looked else None
        findings = judge_raster(spec, sample, dtype=bare.dtype, nodata=bare.nodata)
    return settle(findings, refuse=options.fit == "strict")


def _area(reader: RasterReader, options: InputOptions) -> "Area | None":
    if not options.aoi:
        return None
    # What reads polygons loads a table library where one is installed: a second, and 80 MB, that few rasters need.
    from terraseg.predict.area import read_area

    area = read_area(Path(options.aoi), reader.grid)
    if area.is_empty:
        raise NoOverlap(f"{reader.imagery.paths[0]} lies outside the area {options.aoi}: there is nothing to map")
    return area


def _tags(imagery: Imagery, scale: Scale | None, area: "Area | None") -> dict[str, str]:
    facts: dict[str, Any] = {}
    if imagery.channels != tuple(range(1, len(imagery.channels) + 1)):
        facts["channels"] = list(imagery.channels)
    if imagery.nodata is not None:
        facts["nodata"] = imagery.nodata
    if imagery.stored:
        facts["values"] = "stored"
    if scale is not None:
        facts["resampled"] = [str(scale.rows), str(scale.cols)]
    if area is not None:
        shapes = b"".join(shapely.to_wkb(area.geometries).tolist())
        facts["area"] = hashlib.sha256(shapes).hexdigest()[:16]
    return {INPUT_TAG: json.dumps(facts)} if facts else {}
