"""The pictures of the report: each scene's image under its map, and the map beside the truth."""

from collections.abc import Iterable, Sequence

from terraseg.core.classes import Legend
from terraseg.report.content import Comparison, KeyEntry, Picture, ScaleBar, SceneView
from terraseg.report.markup import Html, element
from terraseg.report.tables import swatch
from terraseg.report.wording import area, length, percent

SMALL = 700
"""Pictures below this width in pixels are drawn with sharp pixels, since the page enlarges them."""


def image(picture: Picture, class_: str | None = None) -> Html:
    """A picture with its alternative text, inside the page."""
    return element(
        "img",
        src=picture.uri,
        alt=picture.alt,
        width=picture.width,
        height=picture.height,
        class_=class_,
    )


def color_key(entries: Iterable[tuple[KeyEntry, float | None]], *, nodata: bool = False) -> Html:
    """What colours stand for, with a share each where it is known."""
    items = [
        element(
            "li",
            swatch(entry.color),
            entry.label,
            None if share is None else element("span", f" {percent(share)}", class_="amount"),
        )
        for entry, share in entries
    ]
    if nodata:
        items.append(element("li", element("span", class_="swatch none", aria_hidden="true"), "No data"))
    return element("ul", *items, class_="key")


def class_shares(sizes: Sequence[float], legend: Legend, whole: float) -> list[tuple[KeyEntry, float]]:
    """The share of each class in the whole, in the legend's order; all 0 where nothing was mapped."""
    total = whole or 1
    entries = (KeyEntry(c.name, c.color) for c in legend.classes)
    return [(entry, amount / total) for entry, amount in zip(entries, sizes, strict=True)]


def scene_article(scene: SceneView, legend: Legend, number: int) -> Html:
    """All that is shown of one scene."""
    facts = [element("div", element("dt", name), element("dd", value)) for name, value in _facts(scene)]
    heading = element("h3", scene.name, id=f"scene-{number}")
    panels = None if scene.comparison is None else _panels(scene, scene.comparison)
    return element(
        "article",
        heading,
        element("dl", *facts, class_="facts"),
        _viewer(scene, legend),
        panels,
        class_="scene",
        aria_labelledby=f"scene-{number}",
    )


def _facts(scene: SceneView) -> tuple[tuple[str, str], ...]:
    return scene.facts if scene.area_m2 is None else (*scene.facts, ("Mapped", area(scene.area_m2)))


def _viewer(scene: SceneView, legend: Legend) -> Html:
    ratio = scene.image.width / scene.image.height
    stage = element(
        "div",
        element("div", image(scene.image), class_="layer"),
        element("div", image(scene.overlay, "over"), class_="layer above"),
        element("div", class_="divider", aria_hidden="true"),
        scale_bar_sign(scene.scale_bar),
        north_sign(scene.north_deg),
        _zoom_buttons(),
        class_="stage",
        role="group",
        aria_label=f"{scene.name}: image under its map. Plus and minus zoom, arrow keys move, 0 shows all.",
    )
    controls = element(
        "div", _slider("Swipe", "swipe", 50), _slider("Map opacity", "opacity", 75), class_="controls", hidden=True
    )
    caption = element("figcaption", color_key(class_shares(scene.class_sizes, legend, scene.mapped_size)))
    small = " small" if scene.image.width < SMALL else ""
    return element("figure", stage, controls, caption, class_=f"viewer{small}", style=f"--ratio:{ratio:.5f}")


def _zoom_buttons() -> Html:
    """Buttons that zoom; the script shows them."""
    buttons = [
        element("button", sign, type="button", name=name, aria_label=said, title=said)
        for sign, name, said in (("+", "in", "Zoom in"), ("−", "out", "Zoom out"), ("All", "all", "Show all"))
    ]
    return element("div", *buttons, element("output"), class_="zoom", hidden=True)


def _slider(label: str, name: str, value: int) -> Html:
    control = element("input", type="range", name=name, min=0, max=100, value=value, autocomplete="off")
    return element("label", element("span", label), control)


def scale_bar_sign(bar: ScaleBar | None) -> Html | None:
    """A bar as wide as its length on the ground, for the corner of a picture."""
    if bar is None:
        return None
    width, across = f"width:{100 * bar.share:.3f}%", bar.length_m / bar.share
    return element("div", length(bar.length_m), class_="map-sign scale-bar", style=width, data_across=f"{across:.9g}")


def north_sign(angle_deg: float | None) -> Html | None:
    """An arrow to the north, turned clockwise by an angle in degrees."""
    if angle_deg is None:
        return None
    turn = f"rotate({angle_deg:.1f} 20 28)"
    arrow = element("path", d="M20 4 L30 34 L20 28 L10 34 Z", fill="currentColor")
    letter = element("text", "N", x=20, y=52, text_anchor="middle", fill="currentColor", font_size=16, font_weight=700)
    drawing = element("g", arrow, letter, transform=turn)
    label = "North is up" if abs(angle_deg) < 1 else f"North is {angle_deg:.0f} degrees clockwise from up"
    return element("svg", drawing, viewBox="0 0 40 56", class_="map-sign north", role="img", aria_label=label)


def _panels(scene: SceneView, comparison: Comparison) -> Html:
    agreement = comparison.agreement
    said = f"{percent(agreement.share)} of the labelled pixels shown"
    key = color_key(((entry, None) for entry in agreement.key), nodata=agreement.has_gaps)
    figures = (
        _panel("Labels", "what people drew", comparison.truth),
        _panel("Map", "what the model found", scene.class_map),
        _panel("Agreement", said, agreement.picture, key),
    )
    small = " small" if scene.image.width < SMALL // 2 else ""
    return element("div", *figures, class_=f"panels{small}")


def _panel(title: str, text: str, picture: Picture, key: Html | None = None) -> Html:
    return element("figure", image(picture), element("figcaption", element("strong", title), f", {text}", key))
