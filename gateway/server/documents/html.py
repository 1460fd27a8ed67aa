"""HTML by construction: what is not made by `tag` is text, and is escaped. No script, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any, Final

from gateway.server.documents.style import STYLE

LINE: Final = 100
"""Characters of JSON on one line."""
VOID: Final = frozenset({"meta", "link", "br"})
_MARKED: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


class Html(str):
    """Markup that is escaped already."""

    __slots__ = ()


def tag(name: str, /, *parts: str | None, **attributes: str) -> Html:
    """One element. Texts among its parts are escaped, None is left out; `class_` is the attribute `class`."""
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{join(parts)}</{name}>")


def join(parts: Iterable[str | None]) -> Html:
    """One after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts if part is not None))


def code(text: str) -> Html:
    """A word of the API."""
    return tag("code", text)


def block(text: str) -> Html:
    """Lines as they stand; too long ones scroll."""
    return tag("pre", tag("code", text), tabindex="0")


def pretty(value: Any, indent: str = "") -> str:
    """JSON for people: what fits stands on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or len(indent + line) <= LINE:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: {pretty(one, inner)}" for key, one in value.items()
        ]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + pretty(one, inner) for one in value) + f"\n{indent}]"


def inline(text: str) -> Html:
    """A text with `words of the API` and **terms**."""
    parts: list[str] = []
    end = 0
    for found in _MARKED.finditer(text):
        parts += [text[end : found.start()], code(found[1]) if found[1] else tag("strong", found[2])]
        end = found.end()
    return join([*parts, text[end:]])


def prose(text: str) -> Html:
    """Paragraphs, and lists whose entries begin with a star: as much of Markdown as the overview needs."""
    return join(_paragraph(paragraph) for paragraph in text.strip().split("\n\n"))


def _paragraph(text: str) -> Html:
    if text.startswith("* "):
        entries = f"\n{text}".split("\n* ")[1:]
        return tag("ul", *(tag("li", inline(" ".join(entry.split()))) for entry in entries))
    return tag("p", inline(" ".join(text.split())))


def page(title: str, *parts: str, wide: bool = False) -> bytes:
    """A whole document. `wide`: with its contents beside it, where there is room."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    body = tag("body", *parts, class_="wide" if wide else "narrow")
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n".encode()
