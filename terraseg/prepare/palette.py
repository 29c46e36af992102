"""From the values that occur in labels to classes with names and colours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from terraseg.core.classes import PALETTE
from terraseg.core.dataset import ANY, OUTSIDE, LabelKind
from terraseg.errors import EmptyDataset
from terraseg.prepare.options import ClassOption
from terraseg.prepare.pair import words
from terraseg.store.labelscan import LabelScan

# Colours of published label sets by their makers' documentation; a set is recognised when its colours occur.
KNOWN_PALETTES: dict[str, dict[str, str]] = {
    "ISPRS Potsdam and Vaihingen": {
        "#FFFFFF": "impervious surface",
        "#0000FF": "building",
        "#00FFFF": "low vegetation",
        "#00FF00": "tree",
        "#FFFF00": "car",
        "#FF0000": "clutter",
    },
    "Semantic segmentation of aerial imagery (Dubai)": {
        "#3C1098": "building",
        "#8429F6": "land",
        "#6EC1E4": "road",
        "#FEDD3A": "vegetation",
        "#E2A929": "water",
        "#9B9B9B": "unlabeled",
    },
    "LandCover.ai / DeepGlobe": {
        "#00FFFF": "urban land",
        "#FFFF00": "agriculture land",
        "#FF00FF": "rangeland",
        "#00FF00": "forest land",
        "#0000FF": "water",
        "#FFFFFF": "barren land",
        "#000000": "unknown",
    },
}
VOID_NAMES = frozenset("unlabeled unlabelled void unknown ignore undefined nodata".split())
RARE_SHARE = 0.02
STRAY_SHARE = 0.0002
SUBJECTS = "building road cloud water tree vegetation field crop roof solar ship car forest flood burn".split()


@dataclass(frozen=True)
class ClassProposal:
    """Classes found in labels, the values to ignore, and a note on each decision that a user may want to change."""

    kind: LabelKind
    classes: tuple[ClassOption, ...]
    ignore: tuple[str, ...]
    field: str
    notes: tuple[str, ...]


def propose_classes(scan: LabelScan, label_names: list[str], listed: Mapping[str, str]) -> ClassProposal:
    """Classes for what the labels hold.

    `label_names` are the label files' paths, from which a single class is named. `listed` are colours and titles that a
    file beside the data claims; they are believed only where the colours occur.
    """
    if scan.kind == "polygons":
        return _from_polygons(scan, label_names)
    if not scan.counts:
        raise EmptyDataset("the label files hold no pixel: check that they are the labels of this imagery")
    void = _declared_void(scan)
    counts = {value: count for value, count in scan.counts.items() if value not in void}
    proposal = _from_values(replace(scan, counts=counts), label_names, listed)
    notes = [_void_note(value, scan, taken=value in void) for value in scan.nodata]
    return replace(proposal, ignore=(*proposal.ignore, *void), notes=(*notes, *proposal.notes))


def _from_values(scan: LabelScan, label_names: list[str], listed: Mapping[str, str]) -> ClassProposal:
    return _from_colors(scan, listed) if scan.kind == "colors" else _from_ids(scan, label_names)


def _declared_void(scan: LabelScan) -> tuple[str, ...]:
    """The values declared as nodata that mean "not labelled": those beside which there are two classes at least.

    A mask of 0 and 1 often declares 0, its background, to be shown clear over a picture.
    """
    return scan.nodata if len(scan.counts) - len(scan.nodata) >= 2 else ()


def _void_note(value: str, scan: LabelScan, *, taken: bool) -> str:
    share = f"{value} ({scan.counts[value] / sum(scan.counts.values()):.1%} of the pixels) is declared as nodata"
    if taken:
        return f"{share} and taken as not labelled; if it is a class, give it one under [data]"
    return f"{share} and taken as a class, since only one other is there; if it means not labelled, put it under ignore"


def _from_colors(scan: LabelScan, listed: Mapping[str, str]) -> ClassProposal:
    total = sum(scan.counts.values())
    share = {color: count / total for color, count in scan.counts.items()}
    known_name, known = _known_palette(share)
    notes = [f"the colours are those of {known_name}"] if known else []
    if listed:
        true = [color for color in listed if color in share]
        if len(true) < len(listed):
            notes.append(
                f"a list of classes beside the data has {len(listed)} colours, of which {len(true)} occur: not used"
            )
    names = {**({} if known else listed), **known}
    classes, ignore = [], []
    for color in sorted(share, key=lambda c: (c not in names, -share[c])):
        name = names.get(color, "")
        if set(words(name)) & VOID_NAMES or (color == "#000000" and share[color] < RARE_SHARE):
            ignore.append(color)
            notes.append(f"{color} ({share[color]:.1%} of the pixels, {name or 'black'}) is taken as not labelled")
        elif not name and share[color] < STRAY_SHARE:
            ignore.append(color)
            notes.append(f"{color} ({scan.counts[color]} pixels) is too rare to be a class and is ignored")
        else:
            default = "background" if color == "#000000" else f"class {color[1:]}"
            classes.append(ClassOption(name or default, (color,), color=_visible(color)))
    order = list(known)
    classes.sort(key=lambda c: order.index(c.labels[0]) if c.labels[0] in order else len(order))
    numbered = tuple(replace(c, id=index) for index, c in enumerate(classes))
    return ClassProposal("colors", numbered, tuple(ignore), "", tuple(notes))


def _visible(color: str) -> str:
    return "#303030" if color == "#000000" else color


def _known_palette(share: Mapping[str, float]) -> tuple[str, dict[str, str]]:
    """The published palette that names most of the labelled pixels, when it names nearly all of them."""
    best = max(KNOWN_PALETTES, key=lambda name: sum(share.get(color, 0) for color in KNOWN_PALETTES[name]))
    covered = sum(share.get(color, 0) for color in KNOWN_PALETTES[best])
    found = sum(color in share for color in KNOWN_PALETTES[best])
    return (best, KNOWN_PALETTES[best]) if covered > 0.95 and found >= 3 else ("", {})


def _from_ids(scan: LabelScan, label_names: list[str]) -> ClassProposal:
    values = sorted(scan.counts, key=float)
    notes = []
    ignore = [v for v in values if v == "255" and len(values) > 2]
    if ignore:
        notes.append(
            f"255 ({scan.counts['255'] / sum(scan.counts.values()):.1%} of the pixels) is taken as not labelled"
        )
    kept = [v for v in values if v not in ignore]
    if len(kept) == 2 and kept[0] == "0":
        subject = scan.names.get(kept[1]) or _subject(label_names)
        names = [scan.names.get("0") or "background", subject]
        ids = [0, 1]
    else:
        names = [scan.names.get(v) or f"class {v}" for v in kept]
        ids = [int(float(v)) for v in kept] if all(0 <= float(v) < 255 for v in kept) else list(range(len(kept)))
    colors = _colors(names)
    classes = tuple(ClassOption(n, (v,), i, c) for n, v, i, c in zip(names, kept, ids, colors, strict=True))
    return ClassProposal("ids", classes, tuple(ignore), "", tuple(notes))


def _from_polygons(scan: LabelScan, label_names: list[str]) -> ClassProposal:
    if scan.polygons == 0:
        raise EmptyDataset(f"there is no polygon in {', '.join(label_names)}: check that these are the labels")
    field = _class_field(scan)
    if field is None:
        names = ["background", _subject(label_names)]
        back, front = _colors(names)
        pair = (ClassOption(names[0], (OUTSIDE,), 0, back), ClassOption(names[1], (ANY,), 1, front))
        return ClassProposal("polygons", pair, (), "", ("the ground outside every polygon is taken as background",))
    values = sorted((v for v in scan.fields[field] if v), key=lambda v: -scan.fields[field][v])
    names = ["background", *values]
    labels = [OUTSIDE, *values]
    colors = _colors(names)
    classes = tuple(ClassOption(n, (v,), i, c) for i, (n, v, c) in enumerate(zip(names, labels, colors, strict=True)))
    unnamed = scan.fields[field].get("", 0)
    notes = [f"the attribute {field!r} names the class of a polygon"]
    if unnamed:
        notes.append(f"{unnamed} polygons have no {field!r}: they are ignored")
    return ClassProposal("polygons", classes, ("",) if unnamed else (), field, tuple(notes))


def _class_field(scan: LabelScan) -> str | None:
    """The attribute that names classes: one called so, with few values, at least two of them."""
    named = ("class_name", "class", "landcover", "land_cover", "label", "category", "type", "kind", "class_id")
    lower = {field.lower(): field for field in scan.fields}
    for name in named:
        if name in lower and len([v for v in scan.fields[lower[name]] if v]) >= 2:
            return lower[name]
    return None


def _subject(label_names: list[str]) -> str:
    """What labels of one class show, by a word in their paths; "object" when none says so.

    >>> _subject(["labels/zanzibar_buildings.geojson"])
    'building'
    """
    text = " ".join(label_names).lower()
    return next((subject for subject in SUBJECTS if subject in text), "object")


# Colours that maps commonly give to common classes, by a word of the name.
USUAL_COLORS = {
    "background": "#808080", "water": "#2F7FC1", "tree": "#1B7837", "forest": "#1B7837", "wood": "#1B7837",
    "building": "#D7301F", "house": "#D7301F", "roof": "#D7301F", "road": "#6A5ACD", "street": "#6A5ACD",
    "grass": "#A6D96A", "vegetation": "#7FBF5B", "soil": "#C8A165", "land": "#D9B97E", "field": "#E3C54A",
    "cloud": "#F2F2F2", "shadow": "#404040", "car": "#F0E442", "snow": "#DDF1FF",
}  # fmt: skip


def _colors(names: list[str]) -> list[str]:
    """A colour a class: the usual one for its name where it is free, else the next of the palette."""
    chosen: list[str] = []
    for name in names:
        usual = [USUAL_COLORS[word] for word in words(name) if word in USUAL_COLORS]
        free = [color for color in (*usual, *PALETTE) if color not in chosen]
        chosen.append(free[0] if free else PALETTE[len(chosen) % len(PALETTE)])
    return chosen
