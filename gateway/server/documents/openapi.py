"""The endpoints as an OpenAPI 3.1 document: generated once, from the same tables and types that serve requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from gateway.errors import PROBLEMS, GatewayError, InvalidRequest, MethodNotAllowed
from gateway.model.activity_wire import EventRequest, ItemRequest, LoggedEvent, RecordAnswer
from gateway.model.control_wire import ListedEvent, ListedObject
from gateway.server.documents import catalogue, headers, overview
from gateway.server.documents.catalogue import PartProblem, Problem
from gateway.server.documents.examples import ANSWERS
from gateway.server.documents.headers import TEXT, Header
from gateway.server.documents.parameters import in_path, in_query
from gateway.server.documents.schemas import components, ref
from gateway.server.endpoints import ENDPOINTS, Endpoint
from gateway.server.problems import MEDIA_TYPE

Object = dict[str, Any]

NOT_JSON: Final = "not-json"
"""The example of `invalid-request` with status 400."""
ADMIN: Final = {"url": "http://127.0.0.1:9090", "description": "The admin listener, `server.admin_listen`."}
CREDENTIALS: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key, or a JWT where one is configured."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "A key."},
}
IN_QUERY: Final = {
    "publishableKey": {
        "type": "apiKey", "in": "query", "name": "key",
        "description": "A key that is `publishable`: it may stand in pages, and here in a URL, because a "
        "browser's `sendBeacon` can set no header.",
    },
}  # fmt: skip


REFERRED: Final = (
    Problem,
    PartProblem,
    EventRequest,
    ItemRequest,
    LoggedEvent,
    ListedEvent,
    RecordAnswer,
    ListedObject,
)
"""Components that only `schemas.BESIDE` names."""


@cache
def document() -> bytes:
    """The document as it is served."""
    return msgspec.json.encode(described(ENDPOINTS))


def described(endpoints: Sequence[Endpoint]) -> Object:
    """These operations as one document."""
    types = [one for e in endpoints for one in (e.takes, e.in_query, e.answers) if one is not None]
    schemas, named = components([*types, *REFERRED])
    paths: Object = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schemas, named)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
        for other in endpoints:
            if other.from_answer is not None and other.from_answer[0] == endpoint.name:
                operation["responses"][str(endpoint.statuses[0])]["links"] = _links(other, other.from_answer[1])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": overview.TITLE,
            "version": version("recommendation-gateway"),
            "summary": "One normalized API in front of recommendation vendors.",
            "description": overview.ABOUT,
        },
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "tags": [_tag(name) for name in dict.fromkeys(map(tag, endpoints))],
        "paths": paths,
        "components": {
            "schemas": named,
            "securitySchemes": CREDENTIALS | IN_QUERY,
            "headers": {name: _header(one) for name, one in headers.IN_ANSWERS.items()},
            "parameters": {name: _parameter(name, one) for name, one in headers.IN_REQUESTS.items()},
            "examples": _examples(),
            "responses": {"MethodNotAllowed": _problem(405, [MethodNotAllowed])},
        },
    }


def _links(endpoint: Endpoint, member: str) -> Object:
    """That the answer has what another operation's path takes."""
    (parameter,) = in_path(endpoint.path)
    called = {"operationId": endpoint.name, "parameters": {parameter["name"]: f"$response.body#/{member}"}}
    return {endpoint.name: called | {"description": endpoint.about}}


def tag(endpoint: Endpoint) -> str:
    """The group that an operation stands in."""
    if endpoint.admin or endpoint.scope == "ops":
        return "admin" if endpoint.admin else "ops"
    return "documents" if endpoint.scope is None else endpoint.path.split("/")[2]


def _tag(name: str) -> Object:
    about = overview.TAGS.get(name)
    return {"name": name, "description": about} if about else {"name": name}


def _operation(endpoint: Endpoint, schemas: dict[Any, Object], named: Object) -> Object:
    operation: Object = {
        "operationId": endpoint.name,
        "tags": [tag(endpoint)],
        "summary": endpoint.about,
        "parameters": [*_parameters(endpoint, named)],
        "security": [{name: [endpoint.scope]} for name in _credentials(endpoint)],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.takes is not None:
        content = {"schema": schemas[endpoint.takes], "example": endpoint.example}
        types = ("application/json", *endpoint.also_takes)
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(types, content)}
    if endpoint.admin:
        operation["servers"] = [ADMIN]
    return operation


def _credentials(endpoint: Endpoint) -> tuple[str, ...]:
    if endpoint.scope is None:
        return ()
    return (*CREDENTIALS, *IN_QUERY) if endpoint.key_in_query else (*CREDENTIALS,)


def _parameters(endpoint: Endpoint, named: Object) -> Iterable[Object]:
    given = endpoint.parameters
    own = [*in_path(endpoint.path)]
    if endpoint.in_query is not None:
        own += in_query(endpoint.in_query, named)
    for parameter in own:
        name = parameter["name"]
        yield parameter | {"example": given[name]} if name in given else parameter
    yield from ({"$ref": f"#/components/parameters/{name}"} for name in headers.of_request(endpoint))


# --- answers ----------------------------------------------------------------------------------------------------


def _responses(endpoint: Endpoint, schemas: dict[Any, Object]) -> Object:
    responses = {status: _answer(endpoint, schemas) for status in endpoint.statuses}
    if endpoint.cached:
        about = "What `If-None-Match` names is still what would be answered."
        responses[304] = {"description": about, "headers": _headers(headers.of_answer(endpoint))}
    by_status: dict[int, list[type[GatewayError]]] = {}
    for error in endpoint.problems:
        for status in (400, 422) if error is InvalidRequest else (error.status,):
            by_status.setdefault(status, []).append(error)
    responses |= {status: _problem(status, errors) for status, errors in by_status.items()}
    return {str(status): responses[status] for status in sorted(responses)}


def _answer(endpoint: Endpoint, schemas: dict[Any, Object]) -> Object:
    content: Object = {"schema": {"type": "string"} if endpoint.answers is None else schemas[endpoint.answers]}
    if endpoint.name in ANSWERS:
        content["example"] = ANSWERS[endpoint.name]
    return {
        "description": "The answer.",
        "headers": _headers(headers.of_answer(endpoint)),
        "content": {endpoint.media_type: content} | {one: {"schema": TEXT} for one in endpoint.also_answers},
    }


def _problem(status: int, errors: Sequence[type[GatewayError]]) -> Object:
    examples = [NOT_JSON if status == 400 and error is InvalidRequest else error.slug for error in errors]
    return {
        "description": "; or: ".join(dict.fromkeys(f"`{error.slug}`: {error.title}" for error in errors)),
        "headers": _headers(headers.of_problem(status)),
        "content": {
            MEDIA_TYPE: {
                "schema": ref("Problem"),
                "examples": {name: {"$ref": f"#/components/examples/{name}"} for name in examples},
            }
        },
    }


def _examples() -> Object:
    bodies = {error.slug: catalogue.example(error) for error in PROBLEMS}
    bodies[NOT_JSON] = catalogue.example_not_json()
    return {name: {"summary": body["title"], "value": body} for name, body in bodies.items()}


# --- headers ----------------------------------------------------------------------------------------------------


def _headers(names: Iterable[str]) -> Object:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(header: Header) -> Object:
    return {
        "description": header.about,
        "required": header.always,
        "schema": header.schema,
        "example": header.example,
    }


def _parameter(name: str, header: Header) -> Object:
    return {"name": name, "in": "header"} | _header(header) | {"required": False}
