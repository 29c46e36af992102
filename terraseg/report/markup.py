"""HTML in which text is escaped unless it was made here."""

from html import escape

VOID_ELEMENTS = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Text that is HTML already; any other string is escaped where it is put into an element."""

    __slots__ = ()


Child = str | int | float | None
Attribute = str | int | float | bool | None


def join(*children: Child) -> Html:
    """The children one after the other; None is left out.

    >>> join("a < b", Html("<br>"), None)
    'a &lt; b<br>'
    """
    return Html(
        "".join(child if isinstance(child, Html) else escape(str(child)) for child in children if child is not None)
    )


def element(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element with escaped children and attributes.

    A trailing underscore in an attribute's name is dropped and others become hyphens; True gives a bare attribute, None
    and False none.

    >>> element("td", "a < b", class_="number", data_row=1, hidden=False)
    '<td class="number" data-row="1">a &lt; b</td>'
    >>> element("img", src="data:,", alt='say "x"')
    '<img src="data:," alt="say &quot;x&quot;">'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID_ELEMENTS:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value), quote=True)}"'
