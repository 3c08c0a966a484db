"""Is a mail valid HTML, and do the mail programs of most people show what it uses?

The syntax is checked by the rules of the HTML standard; what mail programs support is data of caniemail.com.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from justhtml import JustHTML

CLIPPED_AT = 102 * 1024
"""Gmail hides what follows after so many bytes."""
NARROW = 360
DATA = Path(__file__).with_name("caniemail.json")

TOLERATED = {
    "css-at-media": "Outlook on Windows ignores it: the mail has its wide form there",
    "css-at-media-prefers-color-scheme": "where it is ignored the mail is light, or the program inverts it",
    "html-meta-color-scheme": "where it is ignored the mail is light, or the program inverts it",
    "css-border-radius": "corners are square in Outlook on Windows",
    "css-white-space": "a number may break over two lines in Outlook on Windows",
    "html-body": "Outlook on macOS drops its styles: the first table carries the background, too",
}
"""What some program does not support, and what it shows instead."""

ELEMENTS = frozenset(
    {"html", "head", "meta", "title", "style", "body", "div", "p", "h1", "h2", "h3", "span", "a", "img", "br"}
    | {"table", "thead", "tbody", "tr", "th", "td", "caption", "ul", "ol", "li", "strong", "em", "b", "code"}
)
"""What a mail is made of. No script, form, frame, link or picture from elsewhere."""
ATTRIBUTES = frozenset(
    {"alt", "charset", "class", "colspan", "content", "dir", "href", "http-equiv", "id", "lang", "name", "role"}
    | {"rowspan", "scope", "src", "style", "title", "aria-hidden", "aria-label", "width", "height"}
)
_SIZED = frozenset({"img"})
"""Elsewhere `width` and `height` are obsolete attributes."""
_PROPERTIES = {
    "css-border": r"border(-(top|right|bottom|left))?(-(width|style|color))?",
    "css-margin": r"margin-(top|right|bottom|left)",
    "css-padding": r"padding-(top|right|bottom|left)",
    "css-font": r"font-(family|style|variant|variant-numeric)",
    "css-rgb": r"color",
}
"""Properties whose support caniemail tells under another name; a plain colour is known everywhere."""
_ELEMENT_FEATURES = {"h1": "html-h1-h6", "h2": "html-h1-h6", "h3": "html-h1-h6", "ul": "html-lists", "ol": "html-lists"}
_EMBEDDED = re.compile(r"(?<=src=\")data:image/[^\"]*")
"""A picture in a file that was written for a browser: the mail attaches it."""
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_MEDIA = re.compile(r"@media([^{]*)\{")


def problems(html: str) -> list[str]:
    """Return what is wrong with a mail's HTML, a line each; nothing where it is right."""
    document = JustHTML(html, collect_errors=True, sanitize=False)
    syntax = [f"line {error.line}, column {error.column}: {error.code}" for error in document.errors]
    nodes = list(_walk(document.root))
    return [*syntax, *_structure(html, nodes), *_unsupported(nodes)]


def _walk(node: Any) -> Iterator[Any]:
    for child in node.children or ():
        if not child.name.startswith(("#", "!")):
            yield child
            yield from _walk(child)


def _structure(html: str, nodes: list[Any]) -> Iterator[str]:
    if (size := len(_EMBEDDED.sub("", html).encode())) > CLIPPED_AT:
        yield f"{size:,} bytes: Gmail clips a mail at {CLIPPED_AT:,}"
    by_name = Counter(node.name for node in nodes)
    if not any(node.name == "html" and node.attrs.get("lang") for node in nodes):
        yield "html has no lang"
    if not any(node.name == "title" and node.to_text().strip() for node in nodes):
        yield "no title"
    if by_name["h1"] != 1 and by_name["h2"] == 0:
        yield "no heading"
    for id, count in Counter(node.attrs["id"] for node in nodes if "id" in node.attrs).items():
        if count > 1:
            yield f"the id {id} is there {count} times"
    for node in nodes:
        yield from _wrong_node(node)
    body = next((node for node in nodes if node.name == "body"), None)
    first = next(_walk(body), None) if body is not None else None
    if first is None or "display: none" not in first.attrs.get("style", "") or not first.to_text().strip():
        yield "no preheader: the first element of the body is a hidden text for the list of mails"


def _wrong_node(node: Any) -> Iterator[str]:
    if node.name not in ELEMENTS:
        yield f"<{node.name}> is not for mails"
    for name in node.attrs:
        if name not in ATTRIBUTES or (name in ("width", "height") and node.name not in _SIZED):
            yield f"<{node.name}> has the attribute {name}"
    if node.name == "img" and not str(node.attrs.get("src", "")).startswith(("cid:", "data:image/")):
        yield f"a picture from elsewhere: {node.attrs.get('src', '')}"
    if node.name == "img" and not node.attrs.get("alt"):
        yield "a picture without words (alt)"
    if node.name == "a" and not str(node.attrs.get("href", "")).startswith(("https://", "mailto:", "#")):
        yield f"a link that is not https: {node.attrs.get('href', '')}"
    is_data = node.name == "table" and node.attrs.get("role") != "presentation"
    if is_data and not any(inner.name == "th" for inner in _walk(node)):
        yield "a table without headings that is not role=presentation"
    for pixels in re.findall(r"(?<![-\w])(?:min-)?width:\s*(\d+)px", str(node.attrs.get("style", ""))):
        if int(pixels) > NARROW:
            yield f"<{node.name}> is {pixels} px wide: more than a small telephone"


def _unsupported(nodes: list[Any]) -> Iterator[str]:
    support = _support()
    for feature in sorted({feature for node in nodes for feature in _features(node)} - set(TOLERATED)):
        lacking = support.get(feature, ["any program, as far as caniemail.com knows"])
        if lacking:
            yield f"{feature} is not supported by {', '.join(lacking)}"


@cache
def _support() -> dict[str, list[str]]:
    """By feature, the mail programs that do not support it."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return {
        feature: [client for client, level in zip(data["clients"], levels, strict=True) if level in "nu"]
        for feature, levels in data["features"].items()
    }


def _features(node: Any) -> Iterator[str]:
    """Yield what an element uses, by the names of caniemail."""
    element = _ELEMENT_FEATURES.get(node.name, f"html-{node.name}")
    if element in _support():
        yield element
    for name in node.attrs:
        if f"html-{name}" in _support() and name != "style":
            yield f"html-{name}"
    if node.attrs.get("name") in ("color-scheme", "supported-color-schemes"):
        yield "html-meta-color-scheme"
    if node.name == "style":
        yield from _of_sheet(_COMMENT.sub("", node.to_text(strip=False) or _raw(node)))
    if style := node.attrs.get("style"):
        yield from _of_declarations(str(style))


def _raw(node: Any) -> str:
    return "".join(child.data or "" for child in node.children or ())


def _of_sheet(css: str) -> Iterator[str]:
    for query in _MEDIA.findall(css):
        yield "css-at-media"
        for kind in re.findall(r"\(([a-z-]+)", query):
            if f"css-at-media-{kind}" in _support():
                yield f"css-at-media-{kind}"
    for rule in re.findall(r"@([a-z-]+)", css):
        if rule != "media":
            yield f"css-at-{rule}"
    for selectors, declarations in _RULE.findall(_MEDIA.sub("", css)):
        yield from _of_selectors(selectors)
        yield from _of_declarations(declarations)


def _of_selectors(selectors: str) -> Iterator[str]:
    for pseudo in re.findall(r"(?<!:):([a-z-]+)", selectors):
        yield f"css-pseudo-class-{pseudo}"
    for sign, name in {"[": "attribute", ">": "child", "+": "adjacent-sibling", "~": "general-sibling"}.items():
        if sign in selectors:
            yield f"css-selector-{name}"


def _of_declarations(declarations: str) -> Iterator[str]:
    for declaration in declarations.split(";"):
        name, colon, value = (part.strip() for part in declaration.partition(":"))
        if not colon:
            continue
        yield _property(name)
        if name == "display" and value.split()[0] != "block":
            yield f"css-display-{value.split()[0].removeprefix('inline-')}"
        for unit in re.findall(r"\d(em|rem|vh|vw|pt|ch|ex)\b", value):
            yield f"css-unit-{unit}"
        for function in re.findall(r"\b(calc|clamp|min|max|rgba|light-dark)\(", value):
            yield {"calc": "css-unit-calc", "rgba": "css-rgba"}.get(function, f"css-function-{function}")
        if "var(" in value or name.startswith("--"):
            yield "css-variables"
        if "gradient(" in value:
            yield f"css-{value.split('(')[0].strip()}"


def _property(name: str) -> str:
    found = next((feature for feature, names in _PROPERTIES.items() if re.fullmatch(names, name)), None)
    return found or f"css-{name}"
