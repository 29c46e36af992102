"""The report as one HTML page: style, script, pictures and charts inside, nothing loaded from anywhere."""

from importlib.resources import files

from terraseg.report.accuracy import accuracy_section
from terraseg.report.areas import areas_section
from terraseg.report.charts import share_bar, training_charts
from terraseg.report.content import Accuracy, FactGroup, KeyEntry, ReportContent
from terraseg.report.gallery import class_shares, color_key, scene_article
from terraseg.report.markup import Html, element, join
from terraseg.report.method import method_facts
from terraseg.report.tables import data_table, plan_table, progress_table
from terraseg.report.wording import area, count, duration, listed, percent, plural, score

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Content security: a browser refuses whatever would come from outside the file."""


def render_page(content: ReportContent) -> str:
    """The whole page. Text from outside is escaped; sections without content are left out."""
    sections = [
        ("maps", "Maps", _maps(content)),
        ("areas", "Areas and objects", areas_section(content)),
        ("accuracy", "Accuracy", accuracy_section(content)),
        ("training", "Training", _training(content)),
        ("split", "Split", _split(content)),
        ("plan", "Plan", _plan(content)),
        ("provenance", "Method and provenance", _provenance(content)),
    ]
    shown = [(name, title, body) for name, title, body in sections if body is not None]
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in shown]
    body = join(
        element("a", "Skip to the content", href="#content", class_="skip"),
        element(
            "div",
            _header(content),
            element("nav", element("ul", *links), aria_label="Sections"),
            element("main", *[_section(*section) for section in shown], id="content"),
            element("footer", f"Written by terraseg on {content.made}. This file is complete: it loads nothing."),
            class_="page",
        ),
        element("script", _resource("page.js")),
    )
    return "<!DOCTYPE html>\n" + element("html", _head(content.title), element("body", body), lang="en") + "\n"


def _resource(name: str) -> Html:
    return Html(files("terraseg.report").joinpath(name).read_text(encoding="utf-8"))


def _head(title: str) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", _resource("page.css")),
    )


def _section(name: str, title: str, body: Html) -> Html:
    return element("section", element("h2", title, id=f"{name}-title"), body, id=name, aria_labelledby=f"{name}-title")


def _header(content: ReportContent) -> Html:
    shares = _shares(content)
    bar = None
    if shares:
        drawn = None if _overlapping(content) else share_bar(shares)
        bar = element("div", drawn, color_key(shares), class_="shares")
    return element(
        "header",
        element("p", f"Segmentation report, {content.made}", class_="kicker"),
        element("h1", content.title),
        _lede(content),
        _figures(content),
        bar,
    )


def _shares(content: ReportContent) -> list[tuple[KeyEntry, float]]:
    """How much was mapped as each class over all scenes.

    Pixels and ground do not add up: a scene without a CRS counts for nothing beside scenes on the ground.
    """
    if not content.scenes:
        return []
    on_ground = any(scene.on_ground for scene in content.scenes)
    counted = [scene for scene in content.scenes if scene.on_ground == on_ground]
    sizes = [sum(each) for each in zip(*(scene.class_sizes for scene in counted), strict=True)]
    return class_shares(sizes, content.legend, sum(scene.mapped_size for scene in counted))


def _overlapping(content: ReportContent) -> bool:
    """Whether the maps are of classes that overlap, whose shares are no parts of one bar."""
    return any(scene.whole_size is not None for scene in content.scenes)


def _area_m2(content: ReportContent) -> float | None:
    areas = [scene.area_m2 for scene in content.scenes if scene.area_m2 is not None]
    return sum(areas) if areas else None


def _lede(content: ReportContent) -> Html:
    sentences = []
    if content.scenes:
        total = _area_m2(content)
        where = plural(len(content.scenes), "scene")
        if content.scenes_left_out:
            every = len(content.scenes) + content.scenes_left_out
            where = f"The {where} shown here (of {every})"
        what = f"{where} covering {area(total)} of ground" if total is not None else where
        present = sorted((pair for pair in _shares(content) if pair[1] > 0), key=lambda pair: -pair[1])
        named = listed([f"{entry.label} ({percent(share)})" for entry, share in present[:3]])
        mostly = "mostly " if len(present) > 3 else ""
        verb = "was" if len(content.scenes) == 1 else "were"
        sentences.append(f"{what} {verb} mapped" + (f": {mostly}{named}." if named else ", all of it without data."))
    if content.accuracy is not None and content.accuracy.total.accuracy is not None:
        total_scores = content.accuracy.total
        sentences.append(
            f"Held against {count(total_scores.pixels)} labelled pixels, the map is right on "
            f"{percent(total_scores.accuracy)} of them; its mean IoU is {score(total_scores.mean_iou)}."
        )
        sentences += _seen_before(content.accuracy)
    elif content.scenes:
        sentences.append("No scores: the map has not been held against labels.")
    return element("p", " ".join(sentences), class_="lede") if sentences else join()


def _seen_before(accuracy: Accuracy) -> list[str]:
    """The warning that scores over ground seen in training flatter the map."""
    seen = sum("trained on" in sheet.role for sheet in accuracy.scenes)
    if not seen or accuracy.part in ("validation", "test"):
        return []
    verb = "was" if seen == 1 else "were"
    which = "It" if len(accuracy.scenes) == 1 else f"{seen} of the {len(accuracy.scenes)} scored scenes"
    return [f"{which} {verb} seen in training, so expect less on new ground."]


def _figures(content: ReportContent) -> Html | None:
    pairs = []
    if content.accuracy is not None:
        total = content.accuracy.total
        pairs += [("Mean IoU", score(total.mean_iou)), ("Overall accuracy", percent(total.accuracy))]
        pairs += [("Cohen’s kappa", score(total.kappa))] if total.confusion else []
    ground = _area_m2(content)
    if ground is not None:
        pairs.append(("Mapped ground", area(ground)))
    if content.scenes:
        shown = len(content.scenes) + content.scenes_left_out
        pairs.append(("Scene" if shown == 1 else "Scenes", count(shown)))
    if content.progress and content.progress[-1].seconds is not None:
        pairs.append(("Training time", duration(content.progress[-1].seconds)))
    if not pairs:
        return None
    return element("dl", *[element("div", element("dt", n), element("dd", v)) for n, v in pairs], class_="figures")


def _maps(content: ReportContent) -> Html | None:
    if not content.scenes:
        return None
    hint = "Drag the divider over the picture, or use the slider below it, to compare the image with the map. "
    hint += "Zoom by wheel, by two fingers, by the buttons, or by the keys + and −; drag a zoomed picture to move it."
    clear = content.legend.background_index
    if clear is not None:
        hint += f" The class {content.legend.names[clear]} is left clear over the image."
    left_out = None
    if content.scenes_left_out:
        left_out = element("p", f"{plural(content.scenes_left_out, 'more scene')} left out to keep the file small.")
    articles = [scene_article(scene, content.legend, number) for number, scene in enumerate(content.scenes, 1)]
    return join(element("p", hint, class_="note hint"), *articles, left_out)


def _training(content: ReportContent) -> Html | None:
    charts = training_charts(content.progress)
    if charts is None:
        return None
    numbers = element("details", element("summary", "The numbers behind the curves"), progress_table(content.progress))
    best = max(
        (row for row in content.progress if row.mean_iou is not None), key=lambda r: r.mean_iou or 0, default=None
    )
    said = None
    if best is not None:
        said = f"Best mean IoU on validation data: {score(best.mean_iou)} at step {count(best.step)}."
    return join(element("p", said, class_="note") if said else None, charts, numbers)


def _split(content: ReportContent) -> Html | None:
    shown = content.split
    if shown is None:
        return None
    note = "What was trained on and what judged the training, to scale, with the classes on each side."
    picture = element("img", src=shown.uri, alt=shown.alt, width=shown.width, height=shown.height, class_="figure")
    return join(element("p", note, class_="note"), picture)


def _plan(content: ReportContent) -> Html | None:
    if not content.plan:
        return None
    note = "What was chosen for this data and this machine, and why."
    return join(element("p", note, class_="note"), plan_table(content.plan))


def _provenance(content: ReportContent) -> Html | None:
    method, groups = method_facts(content), [_facts(group) for group in content.provenance]
    if not groups and not content.data and method is None:
        return None
    return join(
        element("div", _facts(method), class_="provenance wide") if method is not None else None,
        element("div", *groups, class_="provenance") if groups else None,
        join(element("h3", "Data"), data_table(content.data)) if content.data else None,
    )


def _facts(group: FactGroup) -> Html:
    facts = [element("div", element("dt", name), element("dd", value)) for name, value in group.facts]
    return element("div", element("h3", group.title), element("dl", *facts))
