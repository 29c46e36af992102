"""The cleaned maps of a project and of single files."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from terraseg.clean.clean import Beside, CleanSummary, clean_map
from terraseg.clean.options import CleanOptions
from terraseg.core.watch import Watch
from terraseg.errors import BadOption
from terraseg.export.qgis import qml_for_map, write_style
from terraseg.pipeline.ledger import Ledger, file_states, key_for
from terraseg.pipeline.project import Project
from terraseg.predict.options import PredictOptions
from terraseg.store.classmap import open_confidence, read_class_map
from terraseg.store.maplayers import CONFIDENCE, LEGEND_TAG, PROBABILITIES, layer_path
from terraseg.store.probabilities import open_probabilities

RAW = "raw"
"""The folder under `maps/` of the maps as predicted, where there are cleaned ones."""


def clean_file(class_map: Path, out: Path, options: CleanOptions) -> CleanSummary:
    """Writes the cleaned map of a class map, with the probabilities that lie beside it; see `clean.clean.clean_map`."""
    if out.exists() and out.samefile(class_map):
        raise BadOption(f"the cleaned map would overwrite {class_map}: pass another --out")
    with ExitStack() as stack:
        raster = stack.enter_context(read_class_map(class_map))
        confidence, probabilities = (layer_path(class_map, name) for name in (CONFIDENCE, PROBABILITIES))
        tags = {k: v for k, v in raster.tags.items() if k.startswith("TERRASEG_") and k != LEGEND_TAG}
        beside = Beside(
            confidence=stack.enter_context(open_confidence(confidence)) if confidence.exists() else None,
            probabilities=stack.enter_context(open_probabilities(probabilities)) if probabilities.exists() else None,
            tags=tags,
        )
        summary = clean_map(raster, out, options=options, beside=beside)
        style = write_style(out, qml_for_map(raster.legend))
    return replace(summary, files=(*summary.files, style))


def clean(project: Project, maps: Iterable[Path], watch: Watch) -> list[Path]:
    """The cleaned map of each predicted one under `maps/`; the maps themselves where [clean] changes nothing."""
    if project.clean.is_off:
        return list(maps)
    ledger = Ledger(project.run)
    watch.step("clean")
    cleaned = []
    for path in maps:
        out = project.run.maps / path.name
        cleaned.append(out)
        key = key_for(asdict(project.clean), file_states([path]))
        if ledger.is_fresh(f"clean {path.stem}", key):
            continue
        summary = clean_file(path, out, project.clean)
        ledger.finish(f"clean {path.stem}", key, summary.files)
        watch.say(f"wrote {out} ({summary.changed / max(1, summary.observed):.1%} of the pixels changed)")
    return cleaned


def predicted_path(project: Project, name: str) -> Path:
    """Where the map of a scene is predicted: under `maps/raw/` where it is cleaned afterwards."""
    folder = project.run.maps
    return (folder if project.clean.is_off else folder / RAW) / f"{name}.tif"


def predict_options(project: Project) -> PredictOptions:
    """The settings of [predict], with the confidence that a threshold under [clean] or a split under [vectorize] goes by."""
    needed = project.clean.has_threshold or project.vectorize.needs_confidence
    return replace(project.predict, confidence=project.predict.confidence or needed)


def move_predicted(ledger: Ledger, step: str, out: Path) -> None:
    """Moves what a step predicted to where it belongs now: [clean] may have been switched on or off since."""
    files = ledger.outputs_of(step)
    if not files or all(path.parent == out.parent for path in files) or not all(path.exists() for path in files):
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    moved = []
    for path in _with_sidecars(files):
        target = out.parent / path.name
        path.replace(target)
        moved += [target] if path in files else []
    ledger.finish(step, ledger.key_of(step), moved)


def _with_sidecars(files: Sequence[Path]) -> list[Path]:
    sidecars = (path.with_name(f"{path.name}.aux.xml") for path in files)
    return [*files, *(path for path in sidecars if path.exists())]
