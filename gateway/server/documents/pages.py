"""The API for people: `/docs` from the OpenAPI document, `/problems/{slug}` from the catalogue."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from gateway.errors import PROBLEMS, GatewayError, InvalidRequest
from gateway.server.documents import catalogue
from gateway.server.documents.html import Html, block, code, inline, join, page, pretty, prose, tag
from gateway.server.documents.members import Member, members, own, rows
from gateway.server.documents.openapi import document
from gateway.server.documents.schemas import AT

Object = dict[str, Any]

DEMO: Final = "http://127.0.0.1:8080"
"""Where `gateway demo` listens."""


@cache
def docs_page() -> bytes:
    """The whole API on one page."""
    said: Object = msgspec.json.decode(document())
    operations = [
        (method.upper(), path, operation)
        for path, methods in said["paths"].items()
        for method, operation in methods.items()
    ]
    title = said["info"]["title"]
    return page(
        title,
        tag("header", tag("h1", title), tag("p", "Version ", said["info"]["version"], class_="quiet")),
        _contents(said, operations),
        tag(
            "main",
            tag("section", tag("h2", "Overview", id="overview"), prose(said["info"]["description"])),
            *(_group(one, said, operations) for one in said["tags"]),
            _headers(said),
            _types(said),
            _problems(),
        ),
        wide=True,
    )


Operations = list[tuple[str, str, Object]]


def _contents(said: Object, operations: Operations) -> Html:
    groups = [
        join([
            tag("p", one["name"].capitalize()),
            tag("ul", *(
                tag("li", tag("a", _method(method), path, href=f"#{operation['operationId']}"))
                for method, path, operation in operations if one["name"] in operation["tags"]
            )),
        ])
        for one in said["tags"]
    ]  # fmt: skip
    more = {"headers": "Headers", "types": "Types", "problems": "Problems"}
    return tag(
        "nav",
        tag("ul", tag("li", tag("a", "Overview", href="#overview"))),
        *groups,
        tag("p", "More"),
        tag("ul", *(tag("li", tag("a", name, href=f"#{at}")) for at, name in more.items())),
        tag("ul", tag("li", tag("a", "As OpenAPI 3.1", href="/openapi.json"))),
        aria_label="Contents",
    )


def _group(group: Object, said: Object, operations: Operations) -> Html:
    return tag(
        "section",
        tag("h2", group["name"].capitalize(), id=f"group-{group['name']}"),
        tag("p", inline(group["description"])) if "description" in group else None,
        *(_operation(*one, said) for one in operations if group["name"] in one[2]["tags"]),
    )


def _method(method: str) -> Html:
    return tag("span", method, class_=f"method {method.lower()}")


# --- one operation ----------------------------------------------------------------------------------------------


def _operation(method: str, path: str, operation: Object, said: Object) -> Html:
    return tag(
        "article",
        tag("h3", _method(method), code(path), id=operation["operationId"]),
        tag("p", inline(operation["summary"])),
        tag("p", *_needs(operation), class_="quiet"),
        *_takes(operation, said["components"]["schemas"]),
        tag("h4", "Try it"),
        block(curl(method, path, operation, _before(operation, said))),
        *_answers(operation),
        tag("h4", "Problems"),
        tag("p", *_links(operation)),
    )


def _needs(operation: Object) -> Iterator[str]:
    scopes = {scope for one in operation["security"] for roles in one.values() for scope in roles}
    if scopes:
        yield from ("Needs the scope ", *(code(scope) for scope in sorted(scopes)), ".")
    else:
        yield "Needs no credentials."
    if "servers" in operation:
        yield " On the admin listener alone."


def _takes(operation: Object, named: Object) -> Iterator[Html | None]:
    parameters = [one for one in operation["parameters"] if "name" in one]
    if parameters:
        yield tag("h4", "Parameters")
        yield rows(map(_parameter, parameters))
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        yield tag("h4", "Body")
        yield rows(members(schema, named), id=f"type-{schema['$ref'].removeprefix(AT)}")


def _parameter(parameter: Object) -> Member:
    schema = parameter["schema"] if "schema" in parameter else parameter["content"]["application/json"]["schema"]
    about = [parameter["description"]] if "description" in parameter else []
    if "content" in parameter:
        about.append("Written as JSON")
    if "explode" in parameter:
        about.append("Repeated for each" if parameter["explode"] else "With commas between them")
    said = "".join(one.rstrip(".") + ". " for one in about)
    return Member(parameter["name"], schema, parameter["required"], said.rstrip())


def curl(method: str, path: str, operation: Object, before: str = "") -> str:
    """A line for the shell that the demo answers. `before`: a line whose answer gives what the path takes."""
    server = operation["servers"][0]["url"] if "servers" in operation else DEMO
    query = []
    for parameter in operation["parameters"]:
        if "example" not in parameter:
            continue
        value = parameter["example"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(value, safe=""))
        else:
            query.append((parameter["name"], ",".join(value) if isinstance(value, list) else value))
    url = shlex.quote(server + path + ("?" + urlencode(query) if query else ""))
    if before:
        start, _, member = url.strip("'").partition("{")
        url = f'"{start}$({before} | sed \'s/.*"{member.rstrip("}")}":"//; s/".*//\')"'
    usual = "POST" if "requestBody" in operation else "GET"
    line = ["curl"] if method.upper() == usual else ["curl", "-X", method.upper()]
    line.append(url)
    if "requestBody" in operation:
        body = msgspec.json.encode(operation["requestBody"]["content"]["application/json"]["example"]).decode()
        line += ["\\\n  -H 'Content-Type: application/json'", f"\\\n  -d {shlex.quote(body)}"]
    return " ".join(line)


def _before(operation: Object, said: Object) -> str:
    """The line whose answer gives what this operation's path takes; none where no answer is linked to it."""
    for path, methods in said["paths"].items():
        for method, other in methods.items():
            links = (link for answer in other["responses"].values() for link in answer.get("links", {}).values())
            if any(link["operationId"] == operation["operationId"] for link in links):
                return curl(method, path, other).replace("curl ", "curl -s ", 1)
    return ""


def _answers(operation: Object) -> Iterator[Html]:
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            if media_type == "application/problem+json":
                continue
            name = content["schema"].get("$ref", "").removeprefix(AT)
            linked = tag("a", name, href=f"#type-{name}") if name else None
            yield tag("h4", f"Answer {status}")
            yield tag("p", code(media_type), ": " if name else None, linked, class_="quiet")
            if "example" in content and status in ("200", "202"):
                yield block(pretty(content["example"]))


def _links(operation: Object) -> Iterator[str]:
    between = ""
    for status, answer in operation["responses"].items():
        for named in answer.get("content", {}).get("application/problem+json", {}).get("examples", ()):
            slug = "invalid-request" if named == "not-json" else named
            yield between
            yield join([f"{status} ", tag("a", slug, href=f"/problems/{slug}")])
            between = " · "


# --- what operations share --------------------------------------------------------------------------------------


def _headers(said: Object) -> Html:
    parts = said["components"]
    asked = (Member(one["name"], one["schema"], about=one["description"]) for one in parts["parameters"].values())
    answered = (Member(name, one["schema"], about=one["description"]) for name, one in parts["headers"].items())
    return tag(
        "section",
        tag("h2", "Headers", id="headers"),
        tag("h3", "Of requests"),
        rows(asked),
        tag("h3", "Of answers"),
        rows(answered),
    )


def _types(said: Object) -> Html:
    named = said["components"]["schemas"]
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].removeprefix(AT)
        for methods in said["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
    }
    return tag(
        "section",
        tag("h2", "Types", id="types"),
        *(_type(name, schema, named) for name, schema in named.items() if name not in bodies),
    )


def _type(name: str, schema: Object, named: Object) -> Html:
    return tag(
        "article",
        tag("h3", name, id=f"type-{name}"),
        tag("p", inline(schema["description"])) if "description" in schema else None,
        rows(own(schema, named)),
    )


# --- problems ---------------------------------------------------------------------------------------------------


def _problems(beside: type[GatewayError] | None = None) -> Html:
    return tag(
        "section",
        tag("h2", "Problems" if beside is None else "The other problems", id="problems"),
        tag("dl", *(
            tag(
                "div",
                tag("dt", tag("a", error.slug, href=f"/problems/{error.slug}")),
                tag("dd", tag("p", _statuses(error), class_="quiet"), tag("p", catalogue.EXPLAINED[error].means)),
            )
            for error in PROBLEMS if error is not beside
        )),
    )  # fmt: skip


def _statuses(error: type[GatewayError]) -> str:
    return "400 or 422" if error is InvalidRequest else str(error.status)


@cache
def _problem_pages() -> dict[str, bytes]:
    return {error.slug: _problem_page(error) for error in PROBLEMS}


def problem_page(slug: str) -> bytes | None:
    """What a problem means, and what to do; None for a word that is none."""
    return _problem_pages().get(slug)


def _problem_page(error: type[GatewayError]) -> bytes:
    explained = catalogue.EXPLAINED[error]
    headers = "".join(f"{name}: {value}\n" for name, value in explained.example.headers.items())
    status = f"HTTP/1.1 {explained.example.http_status}\nContent-Type: application/problem+json\n{headers}\n"
    return page(
        f"{error.slug}: {error.title}",
        tag("header", tag("p", tag("a", "This API", href="/docs"), class_="quiet")),
        tag(
            "main",
            tag("h1", error.title),
            tag("p", code(error.slug), f" · status {_statuses(error)}", class_="quiet"),
            tag("p", inline(explained.means)),
            tag("h2", "When it comes"),
            tag("ul", *(tag("li", inline(one)) for one in explained.when)),
            tag("h2", "What to do in the calling program"),
            tag("p", inline(explained.callers)),
            tag("h2", "What to do where the gateway runs"),
            tag("p", inline(explained.ops)),
            tag("h2", "How it looks"),
            block(status + pretty(catalogue.example(error))),
            _problems(beside=error),
        ),
    )
