"""The OpenAPI document: valid, whole, and true of the gateway that runs."""

from __future__ import annotations

import json
import re
import types
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import jsonschema
import msgspec
import pytest
import pytest_asyncio
from openapi_spec_validator import validate

from gateway.errors import PROBLEMS, InvalidRequest
from gateway.server import front
from gateway.server.documents.catalogue import EXPLAINED
from gateway.server.documents.openapi import document
from gateway.server.documents.parameters import in_query
from gateway.server.documents.schemas import components, member_docs
from gateway.server.endpoints import ENDPOINTS, Endpoint
from gateway.server.query import REPEATED, SINGLE, from_query
from tests.served import KEY, ONLY_EVENTS, Served, served

Object = dict[str, Any]
DOCUMENT: Object = json.loads(document())
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("served")) as one:
        yield one


def operation(endpoint: Endpoint) -> Object:
    found: Object = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    return found


def check(value: Any, schema: Object) -> None:
    """Does the value fit a schema of the document?"""
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def resolved(node: Object) -> Object:
    found = DOCUMENT
    if "$ref" not in node:
        return node
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


every = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)


# --- the document alone


def test_it_is_valid() -> None:
    validate(DOCUMENT)


def test_the_validator_would_say_if_it_were_not() -> None:
    broken = json.loads(document())
    broken["paths"]["/v1/search"]["post"]["responses"]["200"].pop("description")
    with pytest.raises(Exception, match="description"):
        validate(broken)


@every
def test_every_operation_stands_there_with_every_status(endpoint: Endpoint) -> None:
    statuses = {*endpoint.statuses, *(error.status for error in endpoint.problems)}
    statuses |= {304} if endpoint.cached else set()
    statuses |= {400, 422} if InvalidRequest in endpoint.problems else set()
    responses = operation(endpoint)["responses"]
    assert {int(status) for status in responses} == statuses
    slugs = {name for one in responses.values() for name in _examples(one)} - {"not-json"}
    assert slugs == {error.slug for error in endpoint.problems}
    assert operation(endpoint)["operationId"] == endpoint.name


def _examples(response: Object) -> Object:
    found: Object = response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    return found


@every
def test_the_scope_is_said(endpoint: Endpoint) -> None:
    schemes = (
        ("bearer", "apiKey", *(("publishableKey",) if endpoint.key_in_query else ())) if endpoint.scope else ()
    )
    wanted = [{name: [endpoint.scope]} for name in schemes]
    assert operation(endpoint)["security"] == wanted
    assert ("servers" in operation(endpoint)) == endpoint.admin


def test_what_is_routed_is_what_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "Lane", lambda *_: None)  # the way past the routes, which has tests of its own
    routing = front.Front.__new__(front.Front)
    routing._dressing = None  # type: ignore[assignment]  # nothing is answered
    routing._runtime = types.SimpleNamespace(  # type: ignore[assignment]  # no request comes
        configuration=types.SimpleNamespace(server=types.SimpleNamespace(max_body=1)),
        metrics=types.SimpleNamespace(active=None),
    )
    for admin in (False, True):
        routes = {(r.method, r.resource.canonical) for r in routing.app(admin=admin).router.routes() if r.resource}
        told = {(e.method, e.path) for e in ENDPOINTS if admin or not e.admin}
        assert {(method, path) for method, path in routes if method != "HEAD"} == told


def test_every_member_is_described() -> None:
    lacking = [
        f"{name}.{member}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for member, said in schema["properties"].items()
        if not _described(said)
    ]
    assert lacking == []


def _described(said: Object) -> bool:
    return "description" in said or "$ref" in said or any("description" in one for one in said.get("anyOf", ()))


def test_bounds_defaults_and_docstrings_are_the_types() -> None:
    count = DOCUMENT["components"]["schemas"]["RecommendationRequest"]["properties"]["count"]
    assert count["description"] == "Default: the placement's, else 10."
    assert {"type": "integer", "minimum": 1, "maximum": 100} in count["anyOf"]
    assert DOCUMENT["components"]["schemas"]["SearchRequest"]["properties"]["placement"]["default"] == "search"
    assert DOCUMENT["components"]["schemas"]["User"]["title"] == "User"


def test_a_type_without_source_has_no_descriptions_and_still_its_schema() -> None:
    made = msgspec.defstruct("Made", [("one", int)])
    assert member_docs(made) == {}
    schemas, parts = components([made])
    assert schemas[made] == {"$ref": "#/components/schemas/Made"}
    assert parts["Made"]["properties"] == {"one": {"type": "integer"}}


# --- parameters


def test_the_parameters_of_the_url_form_are_those_that_are_read() -> None:
    parameters = {
        one["name"]: one
        for one in operation(BY_NAME["recommend_by_url"])["parameters"]
        if one.get("in") == "query"
    }
    assert set(parameters) == {*SINGLE, *REPEATED}
    assert parameters["count"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100}
    assert parameters["item"]["explode"] is True and parameters["include"]["explode"] is False
    assert parameters["filter"]["content"]["application/json"]["schema"]["type"] == "object"
    assert parameters["user"]["schema"] == {"type": "string", "minLength": 1, "maxLength": 256}


SAMPLES = {"string": "x", "integer": "3", "boolean": "true", "array": "snippet", "object": '{"ids": ["i1"]}'}


@pytest.mark.parametrize("name", [*SINGLE, *REPEATED])
def test_each_parameter_is_read_as_the_type_that_is_said(name: str) -> None:
    [parameter] = (one for one in operation(BY_NAME["recommend_by_url"])["parameters"] if one.get("name") == name)
    content = parameter.get("content", {}).get("application/json", parameter)
    schema = content["schema"]
    text = schema["enum"][0] if "enum" in schema else SAMPLES[schema["type"]]
    query = [(name, text)] + ([("facet_name", "genre")] if name == "facet_value" else [])
    from_query(query, BY_NAME["recommend_by_url"].in_query)
    if schema["type"] in ("integer", "boolean", "object"):
        with pytest.raises(InvalidRequest):
            from_query([(name, "no such")], BY_NAME["recommend_by_url"].in_query)


def test_other_types_lend_their_members_as_they_are() -> None:
    class Page(msgspec.Struct):
        user: str
        limit: int = 100
        types: tuple[str, ...] = ()

    _, parts = components([Page])
    user, limit, kinds = in_query(Page, parts)
    assert user["name"] == "user" and user["required"] is True
    assert limit["schema"] == {"type": "integer", "default": 100} and limit["required"] is False
    assert kinds["schema"] == {"type": "array", "items": {"type": "string"}}


# --- examples


@every
def test_the_example_of_a_request_fits_its_schema(endpoint: Endpoint) -> None:
    said = operation(endpoint)
    if endpoint.takes is not None:
        content = said["requestBody"]["content"]["application/json"]
        check(content["example"], content["schema"])
        assert msgspec.convert(content["example"], endpoint.takes)
    given = [one for one in map(resolved, said["parameters"]) if "example" in one]
    assert {one["name"] for one in given} >= set(endpoint.parameters)
    for parameter in given:
        check(parameter["example"], parameter["schema"])


@every
def test_the_examples_of_answers_fit_their_schemas(endpoint: Endpoint) -> None:
    for status, response in operation(endpoint)["responses"].items():
        for content in response.get("content", {}).values():
            shown = [content["example"]] if "example" in content else []
            problems = [resolved(one)["value"] for one in content.get("examples", {}).values()]
            for value in shown + problems:
                check(value, content["schema"])
            assert {one["status"] for one in problems} <= {int(status)}
    if endpoint.answers is not None and endpoint.name != "openapi":
        answer = operation(endpoint)["responses"][str(endpoint.statuses[0])]
        assert "example" in answer["content"]["application/json"]


def test_every_problem_is_explained_by_one_of_its_own() -> None:
    assert set(EXPLAINED) == set(PROBLEMS)
    assert all(type(explained.example) is error for error, explained in EXPLAINED.items())


def test_a_problem_with_a_wrong_member_would_not_fit() -> None:
    value = dict(DOCUMENT["components"]["examples"]["unavailable"]["value"])
    check(value, {"$ref": "#/components/schemas/Problem"})
    for wrong in ({"type": "/problems/unknown"}, {"attempts": ["vendor-a"]}, {"status": "503"}):
        with pytest.raises(jsonschema.ValidationError):
            check(value | wrong, {"$ref": "#/components/schemas/Problem"})


# --- what really goes over the wire


async def agrees(answer: aiohttp.ClientResponse, endpoint: Endpoint) -> Any:
    """The body of an answer that is as the document says: status, type, headers and members."""
    responses = operation(endpoint)["responses"]
    assert str(answer.status) in responses, await answer.text()
    said = responses[str(answer.status)]
    for name, referred in said["headers"].items():
        header = resolved(referred)
        assert name in answer.headers or not header["required"], f"{name} is missing"
        if name in answer.headers and header["schema"]["type"] == "integer":
            assert int(answer.headers[name]) >= header["schema"]["minimum"]
    if "content" not in said:
        assert await answer.read() == b""
        return None
    [(media_type, content)] = (pair for pair in said["content"].items() if pair[0] == answer.content_type)
    value = await answer.json(content_type=None) if media_type.endswith("json") else await answer.text()
    check(value, content["schema"])
    return value


async def example_of(gateway: Served, endpoint: Endpoint, **more: Any) -> aiohttp.ClientResponse:
    """The answer to the example."""
    base = gateway.admin_url if endpoint.admin else gateway.url
    path, given = endpoint.path, dict(endpoint.parameters)
    if endpoint.from_answer is not None:
        given |= await _answered_before(gateway, *endpoint.from_answer)
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{name}}}", quote(given.pop(name), safe=""))
    if endpoint.takes is not None:
        more = more if "data" in more else {"json": endpoint.example} | more
    more.setdefault("params", {k: ",".join(v) if isinstance(v, list) else v for k, v in given.items()})
    return await gateway.session.request(endpoint.method, base + path, **more)


async def _answered_before(gateway: Served, name: str, member: str) -> dict[str, str]:
    """What an earlier answer gives; nothing where it was refused."""
    async with await example_of(gateway, BY_NAME[name]) as answer:
        return {member: (await answer.json(content_type=None)).get(member, "none")}


DOWN = {"placement": "down", "kind": "for_you", "user": {"id": "u1"}}
on_sockets = pytest.mark.asyncio(loop_scope="module")


@on_sockets
@every
async def test_a_real_answer_is_as_described(gateway: Served, endpoint: Endpoint) -> None:
    async with await example_of(gateway, endpoint) as answer:
        assert answer.status == endpoint.statuses[0], await answer.text()
        value = await agrees(answer, endpoint)
    if endpoint.cached:
        assert value["items"] and value["items"][0]["properties"]


@on_sockets
async def test_the_document_is_served(gateway: Served) -> None:
    async with await example_of(gateway, BY_NAME["openapi"]) as answer:
        assert await answer.json() == DOCUMENT


@on_sockets
@pytest.mark.parametrize("name", [endpoint.name for endpoint in ENDPOINTS if endpoint.cached])
async def test_304_is_as_described(gateway: Served, name: str) -> None:
    async with await example_of(gateway, BY_NAME[name]) as first:
        tag = first.headers["ETag"]
    async with await example_of(gateway, BY_NAME[name], headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
        await agrees(answer, BY_NAME[name])


@on_sockets
async def test_an_explained_answer_and_facets_are_as_described(gateway: Served) -> None:
    recommend = BY_NAME["recommend"]
    async with await example_of(gateway, recommend, headers={"Gateway-Explain": "1"}) as answer:
        assert "explain" in await agrees(answer, recommend)
    asked = {"kind": "trending_facets", "facet": {"name": "genre"}}
    async with await example_of(gateway, recommend, json=asked) as answer:
        assert (await agrees(answer, recommend))["facets"]


@on_sockets
async def test_a_problem_within_a_batch_is_as_described(gateway: Served) -> None:
    batch = BY_NAME["recommend_batch"]
    asked = {"requests": [{"placement": "home"}, {"placement": "nowhere"}, {"count": 0}, 7, DOWN]}
    async with await example_of(gateway, batch, json=asked) as answer:
        results = (await agrees(answer, batch))["results"]
    statuses = [one.get("problem", {}).get("status") for one in results]
    assert statuses == [None, 404, 422, 422, 503]


PROVOKED: list[tuple[str, int, str, Object]] = [
    ("recommend", 400, "invalid-request", {"data": b"{", "headers": {"Content-Type": "application/json"}}),
    ("recommend", 400, "invalid-request", {"json": {}, "headers": {"Request-Timeout": "-1"}}),
    ("recommend_by_url", 400, "invalid-request", {"params": {}, "headers": {"Request-Timeout": "soon"}}),
    ("recommend", 401, "unauthorized", {"headers": {"X-Api-Key": "unknown"}}),
    ("recommend", 403, "forbidden", {"headers": {"X-Api-Key": ONLY_EVENTS}}),
    ("recommend", 404, "not-found", {"json": {"placement": "nowhere"}}),
    ("recommend", 413, "payload-too-large", {"json": {"items": ["x" * 200] * 20}}),
    ("recommend_batch", 413, "payload-too-large", {"json": {"requests": ["x" * 200] * 20}}),
    ("recommend", 415, "unsupported-media-type", {"data": {"a": "form"}}),
    ("recommend", 422, "invalid-request", {"json": {"count": 0, "unknown": 1}}),
    ("recommend_batch", 422, "invalid-request", {"json": {"requests": []}}),
    ("search", 422, "invalid-request", {"json": {}}),
    ("recommend", 501, "unsupported", {"json": {"kind": "looking_similar", "items": ["i1"]}}),
    ("recommend", 503, "unavailable", {"json": DOWN}),
    ("recommend", 504, "deadline-exceeded", {"json": DOWN, "headers": {"Request-Timeout": "0.000001"}}),
    ("search", 401, "unauthorized", {"headers": {"X-Api-Key": "unknown"}}),
    ("recommend_batch", 403, "forbidden", {"headers": {"X-Api-Key": ONLY_EVENTS}}),
]  # fmt: skip


@on_sockets
@pytest.mark.parametrize(("name", "status", "slug", "more"), PROVOKED)
async def test_a_real_problem_is_as_described(
    gateway: Served, name: str, status: int, slug: str, more: Object
) -> None:
    endpoint = BY_NAME[name]
    async with await example_of(gateway, endpoint, **more) as answer:
        value = await agrees(answer, endpoint)
    assert (answer.status, value["type"]) == (status, f"/problems/{slug}")
    shown = _examples(operation(endpoint)["responses"][str(status)])["not-json" if status == 400 else slug]
    assert set(value) == set(resolved(shown)["value"])


@on_sockets
async def test_a_fault_of_our_own_is_as_described(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bytes:
        raise RuntimeError("a secret")

    monkeypatch.setattr(front, "docs_page", broken)
    async with await example_of(gateway, BY_NAME["docs"]) as answer:
        value = await agrees(answer, BY_NAME["docs"])
    assert (answer.status, value["type"]) == (500, "/problems/internal") and "secret" not in json.dumps(value)


@on_sockets
async def test_405_is_as_described(gateway: Served) -> None:
    said = DOCUMENT["components"]["responses"]["MethodNotAllowed"]
    async with gateway.session.delete(f"{gateway.url}/v1/search") as answer:
        assert answer.status == 405 and all(name in answer.headers for name in said["headers"])
        check(await answer.json(content_type=None), said["content"]["application/problem+json"]["schema"])


@on_sockets
async def test_documents_need_no_credentials_and_the_rest_does(gateway: Served) -> None:
    async with aiohttp.ClientSession() as stranger:
        for endpoint in ENDPOINTS:
            known = Served(gateway.url, gateway.admin_url, stranger)
            async with await example_of(known, endpoint) as answer:
                assert answer.status == (401 if operation(endpoint)["security"] else 200), endpoint.name


@on_sockets
async def test_both_credentials_that_are_described_are_taken(gateway: Served) -> None:
    assert set(DOCUMENT["components"]["securitySchemes"]) == {"bearer", "apiKey", "publishableKey"}
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"X-Api-Key": KEY}):
        async with aiohttp.ClientSession(headers=headers) as session:
            answer = await example_of(Served(gateway.url, "", session), BY_NAME["search"])
            assert answer.status == 200
