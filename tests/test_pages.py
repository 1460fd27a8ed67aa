"""The pages for people: well-formed, whole, escaped, and with nothing from another host."""

from __future__ import annotations

import html
import json
import re
import shlex
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from gateway.errors import PROBLEMS
from gateway.server.documents.html import VOID, Html, inline, page, pretty, prose, tag
from gateway.server.documents.members import kind, members, rows
from gateway.server.documents.openapi import document
from gateway.server.documents.pages import curl, docs_page, problem_page
from gateway.server.endpoints import ENDPOINTS
from gateway.server.front import HTML

DOCUMENT = json.loads(document())
SLUGS = [error.slug for error in PROBLEMS]
PAGES = {"docs": docs_page(), **{slug: problem_page(slug) or b"" for slug in SLUGS}}


class Read(HTMLParser):
    """Reads a page; complains of what is not closed, or closed and not opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.blocks: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "pre":
            self.blocks.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if "pre" in self.open:
            self.blocks[-1] += data


def read(content: bytes) -> Read:
    return Read(content.decode())


every_page = pytest.mark.parametrize("name", PAGES)


@every_page
def test_it_is_well_formed(name: str) -> None:
    found = read(PAGES[name])
    assert PAGES[name].startswith(b'<!doctype html>\n<html lang="en">')
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [element for element, _ in found.elements].count("h1") == 1


@every_page
def test_nothing_comes_from_another_host(name: str) -> None:
    found = read(PAGES[name])
    loading = {"script", "img", "iframe", "link", "object", "embed", "form", "base", "svg", "video", "audio"}
    assert not loading & {element for element, _ in found.elements}
    for _, attributes in found.elements:
        assert not {key for key in attributes if key in ("src", "srcset", "style") or key.startswith("on")}
        assert re.fullmatch(r"[#/][\w/.#-]*", attributes.get("href", "/")) and "//" not in attributes.get(
            "href", ""
        )
    [style] = re.findall(rb"<style>(.*?)</style>", PAGES[name], re.DOTALL)
    assert b"url(" not in style and b"@import" not in style and b"</" not in style
    said = dict(HTML)["Content-Security-Policy"]
    assert said.startswith("default-src 'none'; style-src 'unsafe-inline';") and "frame-ancestors 'none'" in said


@every_page
def test_every_link_leads_somewhere(name: str) -> None:
    found = read(PAGES[name])
    ids = {attributes.get("id") for _, attributes in found.elements}
    for _, attributes in found.elements:
        href = attributes.get("href", "/docs")
        if href.startswith("#"):
            assert href[1:] in ids, href
        elif href.startswith("/problems/"):
            assert problem_page(href.removeprefix("/problems/"))
        else:
            assert href in {endpoint.path for endpoint in ENDPOINTS}


# --- /docs


def test_every_operation_stands_there_with_its_members_and_problems() -> None:
    text = PAGES["docs"].decode()
    for endpoint in ENDPOINTS:
        start = text.index(f'<h3 id="{endpoint.name}">')
        part = text[start : text.index("</article>", start)]
        assert f">{endpoint.method}</span><code>{endpoint.path}</code>" in part
        assert html.escape(endpoint.about) in part
        for error in endpoint.problems:
            assert f'href="/problems/{error.slug}"' in part
        if endpoint.takes is not None:
            for name in endpoint.takes.__struct_fields__:
                assert f"<dt><code>{name}</code>" in part


def test_bounds_defaults_and_nesting_are_said() -> None:
    text = PAGES["docs"].decode()
    start = text.index('id="recommend"')
    part = text[start : text.index("</article>", start)]
    assert "whole number, 1..100" in part
    assert "default <code>&quot;default&quot;</code>" in part
    assert '<code>user.history[].item</code><span class="tag">required</span>' in part
    assert "list, at most 50 entries: text, 1..256 characters" in part


def test_its_curl_lines_are_shell_and_carry_the_examples() -> None:
    for endpoint in ENDPOINTS:
        line = _curl_of(endpoint.name)
        words = shlex.split(line.replace("\\\n", " "))
        if endpoint.from_answer is not None:
            assert "$(curl -s " in line and f's/.*"{endpoint.from_answer[1]}":"//' in line
            continue
        if endpoint.method != ("GET" if endpoint.takes is None else "POST"):
            assert words[1:3] == ["-X", endpoint.method]
            del words[1:3]
        assert words[1].startswith(f"http://127.0.0.1:{9090 if endpoint.admin else 8080}/")
        if endpoint.takes is not None:
            assert words[2:4] == ["-H", "Content-Type: application/json"]
            assert json.loads(words[words.index("-d") + 1]) == endpoint.example
        query = {name: value for name, value in endpoint.parameters.items() if f"{{{name}}}" not in endpoint.path}
        if query:
            query = {k: ",".join(v) if isinstance(v, list) else v for k, v in query.items()}
            assert words[1].endswith("?" + urlencode(query))


def _curl_of(name: str) -> str:
    """The line to try of one operation."""
    text = PAGES["docs"].decode()
    part = text[text.index(f'<h3 id="{name}">') :]
    [line] = [one for one in read(part[: part.index("</article>")].encode()).blocks if one.startswith("curl ")]
    return line


def test_a_curl_line_quotes_what_shells_read() -> None:
    body = {"query": "it's $HOME `here`"}
    operation = {"parameters": [], "requestBody": {"content": {"application/json": {"example": body}}}}
    words = shlex.split(curl("POST", "/v1/search", operation).replace("\\\n", " "))
    assert json.loads(words[-1]) == body
    odd = {"parameters": [{"name": "id", "in": "path", "example": "a/b c"}]}
    assert shlex.split(curl("GET", "/v1/items/{id}", odd))[1].endswith("/v1/items/a%2Fb%20c")


def test_every_type_of_the_document_has_its_place() -> None:
    ids = {attributes.get("id") for _, attributes in read(PAGES["docs"]).elements}
    assert {f"type-{name}" for name in DOCUMENT["components"]["schemas"]} <= ids


def test_one_object_within_itself_is_not_opened_for_ever() -> None:
    named = {"Tree": {"properties": {"leaf": {"$ref": "#/components/schemas/Tree"}, "name": {"type": "string"}}}}
    assert [one.name for one in members({"$ref": "#/components/schemas/Tree"}, named)] == ["leaf", "name"]


# --- /problems


@pytest.mark.parametrize("error", PROBLEMS, ids=lambda error: error.slug)
def test_every_problem_has_a_page_that_says_what_to_do(error: type) -> None:
    content = problem_page(error.slug)  # type: ignore[attr-defined]  # one of the catalogue
    assert content is not None
    found = read(content)
    text = " ".join("".join(found.text).split())
    for part in (error.title, "When it comes", "calling program", "where the gateway runs"):  # type: ignore[attr-defined]  # as above
        assert part in text
    head, _, body = found.blocks[0].partition("\n\n")
    shown = json.loads(body)
    assert shown == DOCUMENT["components"]["examples"][error.slug]["value"]  # type: ignore[attr-defined]  # as above
    assert head.startswith(f"HTTP/1.1 {shown['status']}\nContent-Type: application/problem+json")


@pytest.mark.parametrize("slug", ["", "unknown", "Internal", "internal/", "../docs", "<script>"])
def test_other_slugs_have_none(slug: str) -> None:
    assert problem_page(slug) is None


# --- escaping


HOSTILE = "<script>alert('1')</script> & \"quoted\" </style></pre>"


def test_texts_are_escaped_wherever_they_stand() -> None:
    for made in (
        tag("p", HOSTILE),
        tag("a", "x", href=HOSTILE),
        inline(f"`{HOSTILE}` **{HOSTILE}** {HOSTILE}"),
        prose(f"* {HOSTILE}\n* {HOSTILE}\n\n{HOSTILE}"),
        kind({"enum": [HOSTILE]}),
        kind({"type": "string", "pattern": HOSTILE}),
        rows(members({"properties": {HOSTILE: {"description": HOSTILE, "default": HOSTILE}}}, {})) or "",
    ):
        assert "<script" not in made and "</style" not in made and "</pre" not in made
        Read(made)
    assert read(page(HOSTILE, tag("p", HOSTILE))).text.count(HOSTILE) == 2


def test_a_text_is_read_back_as_it_was() -> None:
    assert Read(tag("p", HOSTILE)).text == [HOSTILE]
    assert tag("p", Html("<b>1</b>"), None, "<2>") == "<p><b>1</b>&lt;2&gt;</p>"


def test_words_and_lists_of_prose() -> None:
    said = prose("One `two`\n**three**.\n\n* four\n  five\n* six")
    assert said == "<p>One <code>two</code> <strong>three</strong>.</p><ul><li>four five</li><li>six</li></ul>"


@pytest.mark.parametrize(
    "value", [{}, [], None, {"a": [1, {"b": "ü" * 120}], "c": []}, [["x" * 99] * 3], "\u2028<"]
)
def test_json_for_people_is_json(value: object) -> None:
    assert json.loads(pretty(value)) == value
    assert max(map(len, pretty({"a": 1, "b": ["x" * 30] * 9}).splitlines())) <= 100
