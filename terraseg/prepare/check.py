"""What a folder of imagery and labels is, and the first project file for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from terraseg.core.dataset import OUTSIDE
from terraseg.errors import TerrasegError
from terraseg.prepare.dataset import read_dataset, stored_remedy
from terraseg.prepare.discover import Discovery, discover, patterns
from terraseg.prepare.options import DataOptions
from terraseg.prepare.pair import pair, words
from terraseg.prepare.palette import ClassProposal, propose_classes
from terraseg.prepare.survey import count_classes
from terraseg.store.header import RasterFacts, read_facts
from terraseg.store.labelscan import listed_classes, scan_labels
from terraseg.store.placing import ground_grid

OUTSIDE_SHARE = 0.001
"""Less ground than this outside every polygon is slivers, not a class."""
NOTED = 3
"""Scenes whose change on reading is told one by one."""


@dataclass(frozen=True)
class SceneRow:
    """One image as `check` lists it; `label` is its label file or empty."""

    name: str
    facts: RasterFacts
    label: str


@dataclass(frozen=True)
class CheckResult:
    """What was found: the [data] table, a row an image, notes on every decision, and problems that stop training."""

    data: DataOptions
    rows: tuple[SceneRow, ...]
    layout: str
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def check_sources(
    sources: Sequence[Path], label_sources: Sequence[Path], root: Path, *, assume_crs: str | None = None
) -> CheckResult:
    """Looks through files and folders and proposes the [data] table of a project file in `root`.

    `assume_crs` stands for the CRS of polygons and of imagery whose files name none. Nothing is written. Unreadable images are
    reported as problems, not skipped in silence. Raises `EmptyDataset` when there is no imagery, and what `propose_classes`
    and `scan_labels` raise.
    """
    found = _choose_products(discover(sources, label_sources, root))
    rows, problems = _read_headers(found)
    notes = [f"{path} is left out: {why}" for path, why in found.left_out]
    labels = [PurePosixPath(label) for label in found.labels]
    paired = pair([PurePosixPath(scene) for scene in found.scenes], labels)
    rows = [replace(row, label=str(paired.get(PurePosixPath(row.name), ""))) for row in rows]
    unused = [str(label) for label in labels if label not in set(paired.values())]
    notes += [f"{label} fits no image by its name and is not used" for label in unused]
    proposal = None
    if paired:
        used = sorted({str(label) for label in paired.values()})
        scan = scan_labels([root / label for label in used])
        proposal = propose_classes(scan, used, listed_classes((root / used[0]).parent))
        notes += proposal.notes
    problems += _problems(rows, proposal, bool(labels), assume_crs)
    notes += _scene_notes(rows)
    data = _data_options(found, rows, proposal, sorted({str(label) for label in paired.values()}))
    data = replace(data, extent=_extent_pattern(found), assume_crs=assume_crs)
    if found.extent:
        inside = f"labels are taken as complete inside {data.extent}, and as unknown outside"
        several = (
            f"{', '.join(found.extent)} may bound the labelled ground: name them by one pattern as extent under [data]"
        )
        notes.append(inside if data.extent else several)
    if proposal is not None and proposal.field and not problems:
        data, dropped = _without_empty_background(data, root)
        notes += dropped
    return CheckResult(data, tuple(rows), layout_of(found, root), tuple(notes), tuple(problems))


def _without_empty_background(data: DataOptions, root: Path) -> tuple[DataOptions, list[str]]:
    """The table without the class for the ground outside polygons where the polygons leave no ground out."""
    dataset = read_dataset(data, root)
    outside = dataset.rule.code_of().get(OUTSIDE)
    total = sum(counts.sum(axis=(0, 1)) for counts in count_classes(dataset).values())
    if outside is None or total[outside] > OUTSIDE_SHARE * total.sum():
        return data, []
    kept = tuple(c for c in data.classes if OUTSIDE not in c.labels)
    renumbered = tuple(replace(c, id=index) for index, c in enumerate(kept))
    return replace(data, classes=renumbered), ["the polygons cover the ground, so there is no background class"]


def _read_headers(found: Discovery) -> tuple[list[SceneRow], list[str]]:
    rows, problems = [], []
    for scene in found.scenes:
        try:
            rows.append(SceneRow(scene, read_facts(found.root / found.files_of(scene)[0]), ""))
        except TerrasegError as error:
            problems.append(str(error))
    return rows, problems


PRODUCT_WORDS = ("rgbir", "rgb", "irrg")


def _choose_products(found: Discovery) -> Discovery:
    """One product a scene where a set ships several of the same place (Potsdam's RGB, RGBIR and IRRG): RGBIR, RGB, IRRG."""
    present = [w for w in PRODUCT_WORDS if any(w in words(PurePosixPath(s).stem) for s in found.scenes)]
    if len(present) < 2:
        return found
    kept = tuple(s for s in found.scenes if present[0] in words(PurePosixPath(s).stem))
    dropped = tuple((s, f"the {present[0].upper()} product of the set is used") for s in found.scenes if s not in kept)
    return replace(found, scenes=kept, left_out=found.left_out + dropped)


def layout_of(found: Discovery, root: Path) -> str:
    """The published data set layout that the files have, or "folder" for any other."""
    first = PurePosixPath(found.scenes[0])
    if "{band}" in found.scenes[0] and "patch" in words(first.name):
        return "38-Cloud"
    if "potsdam" in words(first.stem):
        return "ISPRS Potsdam"
    if any((root / folder / "esri_model_definition.emd").exists() for folder in list(first.parents)[:3]):
        return "ArcGIS training data"
    if first.parent.name == "images" and any(PurePosixPath(label).parent.name == "gt" for label in found.labels):
        return "Inria"
    return "folder"


def _problems(
    rows: Sequence[SceneRow], proposal: ClassProposal | None, has_labels: bool, assume_crs: str | None
) -> list[str]:
    """What would make training wrong, a sentence each with the way out."""
    problems = []
    counts = {len(row.facts.bands) for row in rows}
    if len(counts) > 1:
        few = min(rows, key=lambda row: len(row.facts.bands))
        many = max(rows, key=lambda row: len(row.facts.bands))
        problems.append(
            f"{few.name} has {len(few.facts.bands)} bands and {many.name} {len(many.facts.bands)}: a model takes one band list, "
            f"so pass the scenes of one sensor only, or set bands = {list(few.facts.bands)} if the names fit both"
        )
    dtypes = {row.facts.dtype: row.name for row in rows}
    if len(dtypes) > 1:
        both = " and ".join(f"{name} is {dtype}" for dtype, name in sorted(dtypes.items())[:2])
        remedy = stored_remedy([row.facts for row in rows])
        problems.append(
            f"{both}: a model takes one pixel type; convert them to the same scaling, or make two projects{remedy}"
        )
    if proposal is not None and proposal.kind == "polygons":
        problems += [
            f"{row.name} has no CRS, so the polygons of {row.label} cannot be placed on it: set the CRS (gdal_edit -a_srs "
            "EPSG:n), or pass --assume-crs EPSG:n where the file lacks only its name"
            for row in rows
            if row.label and ground_grid(row.facts.grid, assume_crs).crs is None
        ]
    if proposal is None:
        have = "none of the label files fits an image by its name" if has_labels else "no labels were found"
        problems.append(f"{have}: there is nothing to train on; pass them with --labels, named like their images")
    return problems


def _scene_notes(rows: Sequence[SceneRow]) -> list[str]:
    said = [note for row in rows for note in row.facts.notes]
    notes = said[:NOTED]
    if len(said) > NOTED:
        notes.append(f"{len(said) - NOTED} more scenes are changed in such ways as they are read")
    crss = {row.facts.grid.crs or "none" for row in rows}
    if len(crss) > 1:
        notes.append(f"the scenes have {len(crss)} coordinate reference systems: each is handled in its own")
    alpha = [row.name for row in rows if row.facts.has_alpha]
    if alpha:
        notes.append(f"{len(alpha)} of {len(rows)} scenes have an alpha band: it marks valid pixels and is no channel")
    missing = [row.name for row in rows if not row.label]
    if missing and len(missing) < len(rows):
        notes.append(f"{len(missing)} scenes have no labels ({missing[0]}, ...): they are mapped, not trained on")
    return notes


def _extent_pattern(found: Discovery) -> str:
    """The one pattern of the files that bound the labelled ground; empty where there is none."""
    given = patterns(found.extent, [], found.root) if found.extent else []
    return given[0] if len(given) == 1 else ""


def _data_options(
    found: Discovery, rows: Sequence[SceneRow], proposal: ClassProposal | None, labels: list[str]
) -> DataOptions:
    images = patterns(found.scenes, found.labels, found.root)
    label_patterns = patterns(labels, [], found.root) if labels else []
    bands = found.bands or (rows[0].facts.bands if rows else ())
    if proposal is None:
        return DataOptions(tuple(images), tuple(label_patterns), bands=bands)
    return DataOptions(
        tuple(images),
        tuple(label_patterns),
        label_kind=proposal.kind,
        label_field=proposal.field,
        classes=proposal.classes,
        ignore=proposal.ignore,
        bands=bands,
    )
