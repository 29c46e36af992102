"""What a report says: plain values, read and drawn before the page is written."""

from base64 import b64encode
from dataclasses import dataclass

from terraseg.core.classes import LandClass, Legend

Cell = str | float | int | None
"""A value in a table; None is shown as a dash."""


@dataclass(frozen=True)
class Picture:
    """An encoded image; `alt` says in words what it shows."""

    data: bytes
    mime: str
    width: int
    height: int
    alt: str

    @property
    def uri(self) -> str:
        """The image as a data URI."""
        return f"data:{self.mime};base64,{b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True)
class KeyEntry:
    """One colour of a picture's key and what it stands for."""

    label: str
    color: str


@dataclass(frozen=True)
class Agreement:
    """Where map and truth agree: the picture, its key, and the share of the pictured labelled pixels that agree.

    `has_gaps` tells that some pixels lack a label or a class.
    """

    picture: Picture
    key: tuple[KeyEntry, ...]
    share: float | None
    has_gaps: bool


@dataclass(frozen=True)
class ScaleBar:
    """A round length on the ground and the share of the picture's width that it takes."""

    length_m: float
    share: float


@dataclass(frozen=True)
class Comparison:
    """The labels of a scene and how the map compares with them."""

    truth: Picture
    agreement: Agreement


@dataclass(frozen=True)
class SceneView:
    """One mapped scene. `class_sizes` says by legend index how much of it was mapped as each class.

    Sizes are square metres of ground where `on_ground`, else pixels. `whole_size` is the size of all that was mapped where
    classes overlap; None where it is the sum of `class_sizes`. `overlay` is `class_map` with the background class
    clear, to lie over `image`; all three have one size. `north_deg` is the direction of north clockwise from up; it and
    the scale bar are None without a CRS.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    image: Picture
    overlay: Picture
    class_map: Picture
    class_sizes: tuple[float, ...]
    on_ground: bool = False
    scale_bar: ScaleBar | None = None
    north_deg: float | None = None
    comparison: Comparison | None = None
    whole_size: float | None = None

    @property
    def mapped_size(self) -> float:
        """The size of all that was mapped."""
        return sum(self.class_sizes) if self.whole_size is None else self.whole_size

    @property
    def area_m2(self) -> float | None:
        """The mapped ground; None without a CRS."""
        return self.mapped_size if self.on_ground else None


@dataclass(frozen=True)
class ClassLine:
    """One class in the per-class table: scores from 0 to 1, None where undefined, and its true and mapped pixels.

    `boundary_iou` and `object_f1`, at IoU 0.5, are None as well where outlines and objects were not scored.
    """

    land_class: LandClass
    iou: float | None
    f1: float | None
    precision: float | None
    recall: float | None
    support: int
    predicted: int
    boundary_iou: float | None = None
    object_f1: float | None = None


@dataclass(frozen=True)
class ScoreSheet:
    """Scores over some ground. `confusion[t][p]` counts pixels of true class t mapped as p, and is empty where classes
    overlap; `role` is a scene's part in training in words, empty for a total.
    """

    name: str
    accuracy: float | None
    mean_iou: float | None
    kappa: float | None
    pixels: int
    unpredicted: int
    classes: tuple[ClassLine, ...]
    confusion: tuple[tuple[int, ...], ...]
    role: str = ""


@dataclass(frozen=True)
class ObjectLine:
    """The objects of one class: how many, and how well they were found at IoU 0.5.

    `curve` are (IoU asked for, F1) where F1 is defined; `sizes` are (least area, true objects, found ones) by size class, each
    reaching to four times its least area. `split` are the mapped objects, precision, recall and F1 with those that touch
    parted; None for a class that is not split.
    """

    land_class: LandClass
    truth: int
    mapped: int
    precision: float | None
    recall: float | None
    f1: float | None
    curve: tuple[tuple[float, float], ...]
    sizes: tuple[tuple[float, int, int], ...] = ()
    split: tuple[int, float | None, float | None, float | None] | None = None


@dataclass(frozen=True)
class Reliability:
    """How far a map's confidence can be believed: (mean confidence, share of right pixels, pixels), and the gap `ece`."""

    points: tuple[tuple[float, float, int], ...]
    ece: float


@dataclass(frozen=True)
class WorstPlace:
    """A place with many wrong pixels: image, truth and map side by side, and what it is in words."""

    picture: Picture
    caption: str


@dataclass(frozen=True)
class Accuracy:
    """Scores in total and by scene; `part` names the pixels that counted, `baseline` holds a forest's scores on them.

    `certainty` are sentences on how sure the scores and the map's confidences are. `objects` have sizes in `size_unit`, "m2"
    or "px".
    """

    part: str
    total: ScoreSheet
    scenes: tuple[ScoreSheet, ...]
    baseline: ScoreSheet | None = None
    certainty: tuple[str, ...] = ()
    objects: tuple[ObjectLine, ...] = ()
    size_unit: str = "px"
    reliability: Reliability | None = None
    worst: tuple[WorstPlace, ...] = ()


@dataclass(frozen=True)
class ComparedScore:
    """A score of two models, what the second gains, and whether that is more than noise; None where it cannot be told."""

    name: str
    one: float | None
    two: float | None
    gain: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    is_real: bool


@dataclass(frozen=True)
class ModelComparison:
    """Two models over the pixels that both predict, and a sentence of what to make of it."""

    one: str
    two: str
    sentence: str
    rows: tuple[ComparedScore, ...]


@dataclass(frozen=True)
class ProgressRow:
    """One validation during training; None where the file has no number."""

    step: float
    seconds: float | None = None
    lr: float | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    accuracy: float | None = None
    mean_iou: float | None = None


@dataclass(frozen=True)
class PlanLine:
    """One setting of the plan and why it was chosen."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True)
class StatisticsTable:
    """Measured values by class. `columns` are the measures' names as in the file; each row has a class name, then values."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Distribution:
    """How many things of a kind have which size: `counts[i]` lie between `edges[i]` and `edges[i + 1]`.

    `unit` is "m2", "m" or "px"; `color` is None for things that are no class.
    """

    name: str
    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    median: float | None
    color: str | None = None


@dataclass(frozen=True)
class Range:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class EstimatedClass:
    """One class: its area as mapped and as estimated, its user's and producer's accuracy, and the points on it."""

    name: str
    points: int
    mapped: float
    area: Range
    share: Range
    users: Range | None
    producers: Range | None


@dataclass(frozen=True)
class EstimatedAreas:
    """Areas corrected for the map's errors; `unit` is "m2" or "px", `source` "points" or "blocks", of which there were
    `clusters`.
    """

    unit: str
    overall: Range
    source: str
    clusters: int
    classes: tuple[EstimatedClass, ...]


@dataclass(frozen=True)
class SceneMeasures:
    """What was measured of one scene beside its classes: figures of things, distributions, corrected areas, parts of it."""

    name: str
    figures: tuple[tuple[str, Cell], ...] = ()
    distributions: tuple[Distribution, ...] = ()
    estimated: EstimatedAreas | None = None
    zones: StatisticsTable | None = None
    zones_left_out: int = 0


@dataclass(frozen=True)
class FactGroup:
    """A heading with named facts."""

    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DataLine:
    """One scene of the data set, in words."""

    name: str
    imagery: str
    size: str
    gsd: str
    labels: str
    role: str


@dataclass(frozen=True)
class ReportContent:
    """All of a report; what is empty or None has no section."""

    title: str
    made: str
    legend: Legend
    scenes: tuple[SceneView, ...] = ()
    scenes_left_out: int = 0
    statistics: tuple[StatisticsTable, ...] = ()
    measures: tuple[SceneMeasures, ...] = ()
    accuracy: Accuracy | None = None
    comparison: ModelComparison | None = None
    progress: tuple[ProgressRow, ...] = ()
    plan: tuple[PlanLine, ...] = ()
    data: tuple[DataLine, ...] = ()
    provenance: tuple[FactGroup, ...] = ()
    split: Picture | None = None
