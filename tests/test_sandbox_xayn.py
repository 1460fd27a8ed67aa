"""The emulated Xayn over real sockets: the documented errors and limits, and a model that really learns."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.sandbox.credentials import XAYN_BACK_OFFICE_TOKEN, XAYN_TOKEN
from gateway.sandbox.xayn import build

DAY = 86400.0
CATALOGUE = [
    ("robots", "Robots of the future build other robots", ["Sci-Fi"]),
    ("androids", "An android and a robot travel to the future", ["Sci-Fi"]),
    ("starship", "A starship lost between distant galaxies", ["Sci-Fi"]),
    ("bakery", "A bakery where bread and cakes are made", ["Food"]),
    ("pasta", "Fresh pasta from a small kitchen", ["Food"]),
    ("soup", "Bread and soup for a cold evening", ["Food"]),
    ("football", "The football final went to penalties", ["Sport"]),
    ("tennis", "A tennis final of five sets", ["Sport"]),
]


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Answer:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body

    @property
    def kind(self) -> tuple[int, str]:
        """Status and kind of an error, which must have the vendor's three members and no others."""
        assert set(self.body) == {"kind", "request_id", "details"}
        uuid.UUID(self.body["request_id"])
        return self.status, self.body["kind"]

    @property
    def ids(self) -> list[str]:
        assert self.status == 200, self.body
        return [document["snippet_id"]["document_id"] for document in self.body["documents"]]


class Xayn:
    """Both offices of one running vendor."""

    def __init__(self, client: TestClient[web.Request, web.Application], clock: Clock) -> None:
        self.client = client
        self.clock = clock

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        token = XAYN_BACK_OFFICE_TOKEN if path.startswith("/documents") else XAYN_TOKEN
        options.setdefault("headers", {"authorizationToken": token})
        if body is not None:
            options["json"] = body
        async with self.client.request(method, path, **options) as response:
            raw = await response.read()
            return Answer(response.status, json.loads(raw) if raw else None)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("POST", path, body, **options)

    async def ingest(self, *documents: dict[str, Any]) -> Answer:
        return await self.post("/documents", {"documents": list(documents)})

    async def interact(self, user: str, *references: Any) -> None:
        documents = [{"id": reference} for reference in references]
        answer = await self.call("PATCH", f"/users/{user}/interactions", {"documents": documents})
        assert (answer.status, answer.body) == (204, None)

    async def recommend(self, user: str, **body: Any) -> Answer:
        return await self.post(f"/users/{user}/recommendations", body)

    async def search(self, document: dict[str, Any], **body: Any) -> Answer:
        return await self.post("/semantic_search", {"document": document, **body})


Start = Callable[..., Awaitable[Xayn]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    clients = []

    async def start(**options: Any) -> Xayn:
        clock = Clock()
        client = TestClient(TestServer(build(clock=clock, **options)))
        await client.start_server()
        clients.append(client)
        return Xayn(client, clock)

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
async def xayn(start: Start) -> Xayn:
    """With eight documents about three things; `genre` and the other indexed properties can be filtered."""
    vendor = await start()
    types = {"genre": "keyword[]", "title": "keyword", "year": "number", "classic": "boolean"}
    schema = {"properties": {name: {"type": of} for name, of in types.items()}}
    assert (await vendor.post("/documents/_indexed_properties", schema)).status == 202
    answer = await vendor.ingest(
        *(
            {
                "id": name,
                "snippet": text,
                "properties": {
                    "genre": genre,
                    "title": name,
                    "year": 1990 + number,
                    "classic": number < 2,
                    "publication_date": f"20{10 + number}-01-01T00:00:00Z",
                },
            }
            for number, (name, text, genre) in enumerate(CATALOGUE)
        )
    )
    assert (answer.status, answer.body) == (201, None)
    return vendor


# ---------------------------------------------------------------- the API gateway and the framework


@pytest.mark.parametrize("path", ["/recommendations", "/documents", "/documents/_candidates"])
async def test_tokens(xayn: Xayn, path: str) -> None:
    other = XAYN_TOKEN if path.startswith("/documents") else XAYN_BACK_OFFICE_TOKEN
    right = XAYN_BACK_OFFICE_TOKEN if path.startswith("/documents") else XAYN_TOKEN
    missing = await xayn.post(path, {}, headers={})
    assert (missing.status, set(missing.body)) == (401, {"message"})
    bearer = await xayn.post(path, {}, headers={"Authorization": f"Bearer {right}"})
    assert bearer.status == 401
    for wrong in ("nonsense", f"Bearer {right}", other, ""):
        answer = await xayn.post(path, {}, headers={"authorizationToken": wrong})
        assert (answer.status, set(answer.body)) == (403, {"message"})


async def test_own_tokens(start: Start) -> None:
    xayn = await start(token="a", back_office_token="b")
    assert (await xayn.call("GET", "/documents/_candidates")).status == 403
    assert (await xayn.call("GET", "/documents/_candidates", headers={"authorizationToken": "b"})).status == 200
    answer = await xayn.post("/users/u/recommendations", headers={"authorizationToken": "a"})
    assert answer.status == 409


async def test_framework_errors_have_the_status_as_kind(xayn: Xayn) -> None:
    assert (await xayn.call("GET", "/nowhere")).kind == (404, "404")
    assert (await xayn.call("GET", "/documents/nowhere/at/all")).kind == (404, "404")
    assert (await xayn.call("GET", "/recommendations")).kind == (405, "405")
    assert (await xayn.post("/users/u/interactions", {"documents": []})).kind == (405, "405")
    json_type = {"authorizationToken": XAYN_TOKEN, "Content-Type": "application/json"}
    broken = await xayn.post("/recommendations", data=b'{"personalize":', headers=json_type)
    assert broken.kind == (400, "400")
    text = await xayn.post("/semantic_search", data=b"{}", headers={**json_type, "Content-Type": "text/plain"})
    assert text.kind == (400, "400")
    too_long = await xayn.post("/recommendations", data=b" " * (11 << 20), headers=json_type)
    assert (too_long.status, too_long.body) == (413, {"message": "Request Too Long"})


async def test_request_ids_differ(xayn: Xayn) -> None:
    first, second = await xayn.search({"id": "no"}), await xayn.search({"id": "no"})
    assert first.kind == second.kind == (400, "DocumentNotFound")
    assert first.body["request_id"] != second.body["request_id"]


async def test_throttle(start: Start) -> None:
    xayn = await start(throttle=True)
    statuses = [(await xayn.recommend("u")).status for _ in range(101)]
    assert statuses == [409] * 100 + [429]
    refused = await xayn.recommend("u")
    assert refused.body == {"message": "Too Many Requests"}
    assert (await xayn.call("GET", "/documents/_candidates")).status == 200  # each office has its own
    xayn.clock.now += 0.2
    assert [(await xayn.recommend("u")).status for _ in range(6)] == [409] * 5 + [429]


async def test_no_throttle_unless_asked(xayn: Xayn) -> None:
    assert {(await xayn.recommend("u")).status for _ in range(120)} == {409}


async def test_overload(start: Start) -> None:
    xayn = await start(room=1)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        reached.set()
        await go_on.wait()
        yield b"}"

    headers = {"authorizationToken": XAYN_TOKEN, "Content-Type": "application/json"}
    first = asyncio.create_task(xayn.post("/users/u/recommendations", data=slow(), headers=headers))
    await reached.wait()
    second = await _until(lambda: xayn.recommend("u"), 503)
    assert second.kind == (503, "ServiceOverloaded")
    go_on.set()
    assert (await first).status == 409
    assert (await xayn.recommend("u")).status == 409


async def _until(ask: Callable[[], Awaitable[Answer]], status: int) -> Answer:
    """The slow request's head may arrive after the next one: ask again until the vendor is busy with it."""
    for _ in range(200):
        if (answer := await ask()).status == status:
            return answer
        await asyncio.sleep(0.005)
    raise AssertionError(f"never {status}")


async def test_a_bug_is_an_internal_server_error(xayn: Xayn) -> None:
    await xayn.interact("u", "robots")
    xayn.clock.now = None  # type: ignore[assignment]  # what no clock would say
    assert (await xayn.recommend("u")).kind == (500, "InternalServerError")


async def test_no_room_for_documents(start: Start) -> None:
    xayn = await start(capacity=1)
    one, two = {"id": "d1", "snippet": "one"}, {"id": "d2", "snippet": "two"}
    bad = {"id": "no good", "snippet": "x"}
    answer = await xayn.ingest(one, two, bad)
    assert answer.kind == (500, "FailedToIngestDocuments")
    assert [document["id"] for document in answer.body["details"]["documents"]] == ["d2", "no good"]
    assert answer.body["details"]["documents"][0]["kind"] == "InternalServerError"
    assert (await xayn.ingest({**one, "snippet": "again"})).status == 201
    assert (await xayn.call("GET", "/documents/_candidates")).body == {"documents": ["d1"]}


# ---------------------------------------------------------------- ids, counts, timestamps, keys

BAD_IDS = ["_a", "a b", "ä", "a/b", "a" * 257, "a%2Bb"]


@pytest.mark.parametrize("bad", BAD_IDS)
async def test_bad_ids(xayn: Xayn, bad: str) -> None:
    path = f"/users/{quote(bad, safe='')}"
    assert (await xayn.post(f"{path}/recommendations", {})).kind == (400, "InvalidUserId")
    interaction = {"documents": [{"id": "robots"}]}
    assert (await xayn.call("PATCH", f"{path}/interactions", interaction)).kind == (400, "InvalidUserId")
    for reference in (bad, {"document_id": bad, "sub_id": 0}):
        body = {"documents": [{"id": reference}]}
        answer = await xayn.call("PATCH", "/users/u/interactions", body)
        assert answer.kind == (400, "InvalidDocumentId")
        assert (await xayn.search({"id": reference})).kind == (400, "InvalidDocumentId")
        history = {"personalize": {"user": {"history": [{"id": reference}]}}}
        assert (await xayn.post("/recommendations", history)).kind == (400, "InvalidDocumentId")
    user = {"personalize": {"user": {"id": bad}}}
    assert (await xayn.post("/recommendations", user)).kind == (400, "InvalidUserId")


@pytest.mark.parametrize("good", ["a" * 256, "-a", ":a", "@a", ".a", "a_", "0", "u-1:2@3.4_5"])
async def test_good_ids(xayn: Xayn, good: str) -> None:
    await xayn.interact(good, "robots")
    assert (await xayn.recommend(good)).status == 200
    assert (await xayn.ingest({"id": good, "snippet": "x"})).status == 201


async def test_count(xayn: Xayn) -> None:
    await xayn.interact("u", "robots")
    for count in (0, 101):
        personalize = {"personalize": {"user": {"id": "u"}}}
        for answer in (
            await xayn.recommend("u", count=count),
            await xayn.post("/recommendations", {**personalize, "count": count}),
            await xayn.search({"query": "x"}, count=count),
            await xayn.call("GET", f"/users/u/personalized_documents?count={count}"),
        ):
            assert answer.kind == (400, "InvalidDocumentCount")
            assert answer.body["details"] == {"count": count, "min": 1, "max": 100}
    for broken in (-1, "5", 2.5, True, [1]):
        assert (await xayn.recommend("u", count=broken)).kind == (400, "400")
    assert len((await xayn.recommend("u", count=1)).ids) == 1
    assert len((await xayn.recommend("u", count=100)).ids) == 7
    await xayn.ingest(*({"id": f"more{n}", "snippet": "more"} for n in range(100)))
    assert len((await xayn.recommend("u")).ids) == 10
    assert len((await xayn.recommend("u", count=100)).ids) == 100
    assert len((await xayn.search({"query": "x"})).ids) == 10


async def test_unknown_keys(xayn: Xayn) -> None:
    await xayn.interact("u", "robots")
    user = {"user": {"id": "u"}}
    for path, body in [
        ("/users/u/recommendations", {"limit": 3}),
        ("/users/u/recommendations", {"personalize": user}),
        ("/recommendations", {"personalize": user, "limit": 3}),
        ("/recommendations", {"personalize": {**user, "seen": True}}),
        ("/recommendations", {"personalize": {"user": {"id": "u", "name": "x"}}}),
        ("/recommendations", {"personalize": {"user": {"history": [{"id": "soup", "type": "view"}]}}}),
        ("/recommendations", {}),
        ("/semantic_search", {}),
        ("/semantic_search", {"document": {"query": "x"}, "hybrid": True}),
        ("/semantic_search", {"document": {"query": "x", "text": "y"}}),
        ("/semantic_search", {"document": {"id": {"document_id": "soup"}}}),
        ("/semantic_search", {"document": {"id": {"document_id": "soup", "sub_id": -1}}}),
        ("/semantic_search", {"document": {"id": {"document_id": "soup", "sub_id": 0, "x": 1}}}),
        ("/semantic_search", {"document": {"query": "x"}, "include_snippet": None}),
        ("/documents", {"documents": [{"id": "a", "snippet": "b", "title": "c"}]}),
        ("/documents", {"documents": [{"id": "a"}]}),
        ("/documents/_indexed_properties", {"properties": {"x": {"type": "text"}}}),
    ]:
        assert (await xayn.post(path, body)).kind == (400, "400"), (path, body)
    body = {"documents": [{"id": "soup", "type": "view"}]}
    assert (await xayn.call("PATCH", "/users/u/interactions", body)).kind == (400, "400")


async def test_numbers_of_interactions(xayn: Xayn) -> None:
    for documents, expected in ((0, 400), (1, 204), (1000, 204), (1001, 400)):
        body = {"documents": [{"id": "robots"}] * documents}
        answer = await xayn.call("PATCH", "/users/u/interactions", body)
        assert answer.status == expected
        if expected == 400:
            assert answer.kind == (400, "BadRequest")


async def test_history_limits(xayn: Xayn) -> None:
    async def ask(entries: list[dict[str, Any]]) -> Answer:
        return await xayn.post("/recommendations", {"personalize": {"user": {"history": entries}}})

    assert (await ask([])).kind == (400, "HistoryTooSmall")
    assert (await ask([{"id": "robots"}] * 101)).kind == (400, "BadRequest")
    assert (await ask([{"id": "robots"}] * 100)).status == 200
    for text in ("2019-08-24", "yesterday", "2019-08-24T14:15:22", "2019-13-24T14:15:22Z", "1", "", 5):
        assert (await ask([{"id": "robots", "timestamp": text}])).kind == (400, "400"), text
    longest = f"2019-08-24T14:15:22.{'0' * 14}+00:00"
    assert len(longest) == 40
    for text in ("2019-08-24T14:15:22Z", "2019-08-24t14:15:22.5+02:00", "2999-01-01T00:00:00Z", longest):
        assert (await ask([{"id": "robots", "timestamp": text}])).status == 200, text
    too_long = longest.replace("+", "0+")
    assert (await ask([{"id": "robots", "timestamp": too_long}])).kind == (400, "400")


async def test_user_is_an_id_or_a_history(xayn: Xayn) -> None:
    await xayn.interact("u", "robots")
    history = [{"id": "robots"}]
    for user in ({}, {"id": "u", "history": history}):
        assert (await xayn.post("/recommendations", {"personalize": {"user": user}})).kind == (400, "BadRequest")
        answer = await xayn.search({"query": "x"}, personalize={"user": user, "exclude_seen": True})
        assert answer.kind == (400, "BadRequest")
    assert (await xayn.search({"query": "x"}, personalize={"exclude_seen": True})).kind == (400, "400")


async def test_what_a_search_starts_from(xayn: Xayn) -> None:
    for document in ({}, {"id": "robots", "query": "x"}):
        assert (await xayn.search(document)).kind == (400, "BadRequest")
    for query in ("", "a" * 513, "ä" * 257, "a\0b"):
        assert (await xayn.search({"query": query})).kind == (400, "InvalidDocumentQuery")
    for query in ("a", "a" * 512, "ä" * 256):
        assert (await xayn.search({"query": query})).status == 200
    for reference in ("nothing", {"document_id": "robots", "sub_id": 7}):
        assert (await xayn.search({"id": reference})).kind == (400, "DocumentNotFound")


# ---------------------------------------------------------------- not enough interactions


async def test_not_enough_interactions(xayn: Xayn) -> None:
    conflict = (409, {"kind": "NotEnoughInteractions"})
    nobody = await xayn.recommend("nobody")
    assert (nobody.status, nobody.body) == conflict
    await xayn.interact("stranger", "unknown-one", {"document_id": "robots", "sub_id": 3})
    stranger = await xayn.recommend("stranger")
    assert (stranger.status, stranger.body) == conflict
    for user in ({"id": "nobody"}, {"history": [{"id": "unknown-one"}]}):
        answer = await xayn.post("/recommendations", {"personalize": {"user": user}})
        assert (answer.status, answer.body) == conflict
    for method in ("GET", "POST"):
        answer = await xayn.call(method, "/users/nobody/personalized_documents")
        assert (answer.status, answer.body) == conflict
    searched = await xayn.search({"query": "bread"}, personalize={"user": {"id": "nobody"}})
    assert searched.ids == (await xayn.search({"query": "bread"})).ids  # a search needs none


async def test_deleted_documents_teach_nothing(xayn: Xayn) -> None:
    await xayn.interact("u", "robots")
    assert (await xayn.recommend("u")).status == 200
    await xayn.call("DELETE", "/documents/robots")
    assert (await xayn.recommend("u")).status == 409
    await xayn.ingest({"id": "robots", "snippet": "back again"})
    assert (await xayn.recommend("u")).status == 409  # its interactions went with it


# ---------------------------------------------------------------- the model


async def test_related_documents_come_up(xayn: Xayn) -> None:
    await xayn.interact("u", "robots")
    await xayn.interact("cook", "pasta")
    assert set((await xayn.recommend("u", count=2)).ids) == {"androids", "starship"}
    assert (await xayn.recommend("u")).ids[0] == "androids"  # shares words too, not only the genre
    assert set((await xayn.recommend("cook", count=2)).ids) == {"bakery", "soup"}


async def test_seen_documents_are_left_out(xayn: Xayn) -> None:
    await xayn.interact("u", "robots", "androids")
    everything = {name for name, _, _ in CATALOGUE}
    assert set((await xayn.recommend("u")).ids) == everything - {"robots", "androids"}
    personalize = {"user": {"id": "u"}, "exclude_seen": False}
    seen_too = await xayn.post("/recommendations", {"personalize": personalize})
    assert set(seen_too.ids) == everything
    assert set(seen_too.ids[:2]) == {"robots", "androids"}
    default = await xayn.post("/recommendations", {"personalize": {"user": {"id": "u"}}})
    assert default.ids == (await xayn.recommend("u")).ids


async def test_interests_are_several(xayn: Xayn) -> None:
    """Centres, not an average: someone with two interests gets the best of both, before a bit of each."""
    half = {"id": "half", "snippet": "Neither fish nor fowl", "properties": {"genre": ["Sci-Fi", "Food"]}}
    await xayn.ingest(half)
    await xayn.interact("u", "robots", "pasta")
    answer = await xayn.recommend("u", count=5)
    assert set(answer.ids[:4]) == {"androids", "starship", "bakery", "soup"}
    assert answer.ids[4] == "half"
    scores = [document["score"] for document in answer.body["documents"]]
    assert scores == sorted(scores, reverse=True)


async def test_recent_interests_count_more(xayn: Xayn) -> None:
    await xayn.interact("u", "tennis")
    xayn.clock.now += 90 * DAY
    await xayn.interact("u", "starship")
    assert set((await xayn.recommend("u", count=2)).ids) == {"robots", "androids"}
    xayn.clock.now += 90 * DAY
    await xayn.interact("u", "tennis")
    assert (await xayn.recommend("u")).ids[0] == "football"


async def test_a_history_is_as_good_as_an_id_and_is_not_kept(xayn: Xayn) -> None:
    await xayn.interact("u", "robots", "bakery")
    by_id = await xayn.recommend("u")
    history = {"personalize": {"user": {"history": [{"id": "robots"}, {"id": "bakery"}]}}}
    by_history = await xayn.post("/recommendations", history)
    assert by_history.body == by_id.body
    assert by_history.body == (await xayn.post("/recommendations", history)).body


async def test_timestamps_of_a_history_count(xayn: Xayn) -> None:
    async def first(newer: str, older: str) -> str:
        entries = [{"id": older, "timestamp": "2023-06-01T00:00:00Z"}, {"id": newer}]
        answer = await xayn.post("/recommendations", {"personalize": {"user": {"history": entries}}})
        return answer.ids[0]

    assert await first(newer="football", older="starship") == "tennis"
    assert await first(newer="starship", older="football") in {"robots", "androids"}


async def test_only_the_newest_of_a_history_make_the_interests_but_all_are_seen(xayn: Xayn) -> None:
    entries = [{"id": "football"}] + [{"id": "robots"}] * 20
    answer = await xayn.post("/recommendations", {"personalize": {"user": {"history": entries}}})
    assert "football" not in answer.ids
    tennis = next(document for document in answer.body["documents"] if document["id"] == "tennis")
    assert tennis["score"] == 0


async def test_search_by_document(xayn: Xayn) -> None:
    answer = await xayn.search({"id": "bakery"})
    assert answer.ids[:2] == ["soup", "pasta"]
    assert "bakery" not in answer.ids
    scores = [document["score"] for document in answer.body["documents"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1] > 0
    assert (await xayn.search({"id": {"document_id": "bakery", "sub_id": 0}})).body == answer.body


async def test_search_by_query(xayn: Xayn) -> None:
    assert (await xayn.search({"query": "Bread!"})).ids[0] in {"bakery", "soup"}
    assert (await xayn.search({"query": "galaxy"})).ids[0] == "starship"  # one galaxy, many galaxies
    assert (await xayn.search({"query": "cake"})).ids[0] == "bakery"
    assert (await xayn.search({"query": "set"})).ids[0] == "tennis"
    assert (await xayn.search({"query": "SPORT"}, count=2)).ids in (["football", "tennis"], ["tennis", "football"])
    nothing = await xayn.search({"query": "zeppelin"}, count=3)
    assert [document["score"] for document in nothing.body["documents"]] == [0, 0, 0]


async def test_hybrid_search_prefers_the_very_words(start: Start) -> None:
    xayn = await start()
    await xayn.ingest(
        {"id": "short", "snippet": "galaxy"},
        {"id": "exact", "snippet": "galaxies far away, where people live in peace and trade spices and silk"},
        {"id": "other", "snippet": "spices"},
    )
    query = {"query": "galaxies"}
    semantic = await xayn.search(query)
    hybrid = await xayn.search(query, enable_hybrid_search=True)
    assert semantic.ids[:2] == ["short", "exact"]
    assert hybrid.ids[:2] == ["exact", "short"]
    assert hybrid.ids[2] == "other"
    by_document = await xayn.search({"id": "short"}, enable_hybrid_search=True)
    assert by_document.body == (await xayn.search({"id": "short"})).body


async def test_personalized_search_ranks_by_interests(xayn: Xayn) -> None:
    query = {"query": "final"}
    await xayn.ingest(
        {
            "id": "finale",
            "snippet": "The final frontier: galaxies, humans, planets, comets and moons",
            "properties": {"genre": ["Sci-Fi"]},
        }
    )
    plain = await xayn.search(query, count=3)
    assert plain.ids[-1] == "finale"
    await xayn.interact("u", "robots")
    by_id = await xayn.search(query, count=3, personalize={"user": {"id": "u"}})
    history = {"user": {"history": [{"id": "robots"}]}}
    by_history = await xayn.search(query, count=3, personalize=history)
    assert by_id.ids[0] == "finale"
    assert set(by_id.ids) == set(plain.ids)
    assert by_history.body == by_id.body


async def test_personalized_search_leaves_out_what_was_seen(xayn: Xayn) -> None:
    await xayn.interact("u", "soup")
    query = {"query": "bread"}
    assert "soup" not in (await xayn.search(query, personalize={"user": {"id": "u"}})).ids
    kept = await xayn.search(query, personalize={"user": {"id": "u"}, "exclude_seen": False})
    assert "soup" in kept.ids
    history = {"user": {"history": [{"id": {"document_id": "soup", "sub_id": 0}}]}}
    assert "soup" not in (await xayn.search(query, personalize=history)).ids


async def test_only_candidates_are_answered(xayn: Xayn) -> None:
    await xayn.interact("u", "robots")
    wanted = {"documents": [{"id": "soup"}, {"id": "starship"}]}
    assert (await xayn.call("PUT", "/documents/_candidates", wanted)).status == 204
    assert (await xayn.recommend("u")).ids == ["starship", "soup"]
    assert (await xayn.search({"id": "robots"})).ids == ["starship", "soup"]  # may be asked about
    await xayn.interact("v", "bakery")  # and interacted with
    assert (await xayn.recommend("v")).ids[0] == "soup"


async def test_answers(xayn: Xayn) -> None:
    await xayn.ingest({"id": "bare", "snippet": "robots, robots"})
    by_default = (await xayn.search({"query": "robots"}, count=2)).body["documents"]
    assert by_default[0] == {
        "id": "bare",
        "snippet_id": {"document_id": "bare", "sub_id": 0},
        "score": by_default[0]["score"],
    }
    assert set(by_default[1]) == {"id", "snippet_id", "score", "properties"}
    assert by_default[1]["properties"]["title"] == "robots"
    options = {"include_properties": False, "include_snippet": True}
    with_snippet = (await xayn.search({"query": "robots"}, count=2, **options)).body["documents"]
    assert [set(document) for document in with_snippet] == [{"id", "snippet_id", "score", "snippet"}] * 2
    assert with_snippet[0]["snippet"] == "robots, robots"


async def test_deprecated_forms(xayn: Xayn) -> None:
    await xayn.interact("u", "robots")
    path = "/users/u/personalized_documents"
    asked = {"count": 3, "include_properties": False, "include_snippet": True}
    asked_filter = {"genre": {"$in": ["Food", "Sport"]}}
    posted = await xayn.post(path, {**asked, "filter": asked_filter})
    assert posted.body == (await xayn.recommend("u", **asked, filter=asked_filter)).body
    params = {
        "count": "3",
        "include_properties": "false",
        "include_snippet": "true",
        "filter": json.dumps(asked_filter),
    }
    assert (await xayn.call("GET", path, params=params)).body == posted.body
    assert len(posted.ids) == 3
    assert (await xayn.post(path)).body == (await xayn.call("GET", path)).body == (await xayn.recommend("u")).body
    for bad in ({"limit": "3"}, {"count": "x"}, {"filter": "{"}, {"include_snippet": "maybe"}):
        assert (await xayn.call("GET", path, params=bad)).kind == (400, "400"), bad


async def test_the_same_questions_get_the_same_answers(start: Start) -> None:
    async def played() -> list[Any]:
        xayn = await start()
        await xayn.ingest(*({"id": name, "snippet": text, "tags": tags} for name, text, tags in CATALOGUE))
        await xayn.interact("u", "robots", "soup", "football")
        answers = [
            await xayn.recommend("u"),
            await xayn.search({"query": "final bread"}),
            await xayn.recommend("v"),
        ]
        return [answer.body for answer in answers] + [(await xayn.search({"id": "x"})).body]

    assert await played() == await played()


# ---------------------------------------------------------------- filters

FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"title": {"$eq": "soup"}}, {"soup"}),
    ({"classic": {"$eq": True}}, {"robots", "androids"}),
    ({"title": {"$in": ["soup", "tennis", "?"]}}, {"soup", "tennis"}),
    ({"title": {"$in": []}}, set()),
    ({"genre": {"$in": ["Food"]}}, {"bakery", "pasta", "soup"}),
    ({"year": {"$gt": 1996}}, {"tennis"}),
    ({"year": {"$gte": 1996}}, {"football", "tennis"}),
    ({"year": {"$lt": 1991}}, {"robots"}),
    ({"year": {"$lte": 1991.0}}, {"robots", "androids"}),
    ({"publication_date": {"$gte": "2017-01-01T00:00:00Z"}}, {"tennis"}),
    ({"publication_date": {"$gte": "2017-01-01T01:00:00+01:00"}}, {"tennis"}),
    ({"publication_date": {"$lt": "2011-01-01T00:00:00Z"}}, {"robots"}),
    ({"publication_date": {"$eq": "2010-01-01T00:00:00+00:00"}}, {"robots"}),
    ({"$ids": ["soup", "unknown"]}, {"soup"}),
    ({"$and": [{"genre": {"$in": ["Food"]}}, {"year": {"$lt": 1995}}]}, {"bakery", "pasta"}),
    (
        {"$or": [{"$ids": ["soup"]}, {"$and": [{"year": {"$gt": 1995}}, {"year": {"$lt": 1997}}]}]},
        {"soup", "football"},
    ),
    ({"$and": []}, {name for name, _, _ in CATALOGUE}),
]


@pytest.mark.parametrize(("expression", "expected"), FILTERS, ids=[json.dumps(one) for one, _ in FILTERS])
async def test_filters(xayn: Xayn, expression: dict[str, Any], expected: set[str]) -> None:
    assert set((await xayn.search({"query": "robots"}, filter=expression)).ids) == expected
    await xayn.interact("u", "robots")
    assert set((await xayn.recommend("u", filter=expression)).ids) == expected - {"robots"}
    history = {"user": {"history": [{"id": "robots"}]}, "exclude_seen": False}
    answer = await xayn.post("/recommendations", {"personalize": history, "filter": expression})
    assert set(answer.ids) == expected


ALWAYS = {"title": {"$eq": "x"}}
MALFORMED: list[Any] = [
    {},
    [],
    "title",
    {"title": "x"},
    {"title": {}},
    {"title": {"$eq": "x"}, "year": {"$gt": 1}},
    {"year": {"$gt": 1, "$lt": 2}},
    {"title": {"$ne": "x"}},
    {"title": {"$eq": 1}},
    {"title": {"$eq": None}},
    {"title": {"$eq": ["x"]}},
    {"title": {"$in": "x"}},
    {"title": {"$in": [1]}},
    {"title": {"$in": ["x"] * 501}},
    {"year": {"$gt": "many"}},
    {"year": {"$gt": True}},
    {"year": {"$lt": "2019-08-24"}},
    {"$not": [ALWAYS]},
    {"$and": ALWAYS},
    {"$and": [ALWAYS] * 11},
    {"$or": [ALWAYS] * 11},
    {"$and": [{"$or": [{"$and": [ALWAYS]}]}]},
    {"$and": [{"$or": [{"$and": []}]}]},
    {"$ids": "soup"},
    {"$ids": ["soup"] * 501},
    {"$ids": ["a b"]},
    {"$ids": [1]},
]
WRONG_PROPERTY: list[tuple[dict[str, Any], Any]] = [
    ({"colour": {"$eq": "red"}}, "UnindexedId"),
    ({"colour": {"$in": ["red"]}}, "UnindexedId"),
    ({"colour": {"$gt": 1}}, "UnindexedId"),
    ({"$or": [ALWAYS, {"$and": [{"colour": {"$eq": "red"}}]}]}, "UnindexedId"),
    ({"title": {"$eq": True}}, {"IncompatibleType": {"expected": "keyword"}}),
    ({"classic": {"$eq": "yes"}}, {"IncompatibleType": {"expected": "boolean"}}),
    ({"genre": {"$eq": "Food"}}, {"IncompatibleType": {"expected": "keyword[]"}}),
    ({"year": {"$in": ["1990"]}}, {"IncompatibleType": {"expected": "number"}}),
    ({"year": {"$gt": "2019-08-24T14:15:22Z"}}, {"IncompatibleType": {"expected": "number"}}),
    ({"publication_date": {"$gt": 5}}, {"IncompatibleType": {"expected": "date"}}),
    ({"publication_date": {"$eq": "2019"}}, "MalformedDateTimeString"),
    ({"title": {"$eq": "a" * 2049}}, "InvalidString"),
    ({"title": {"$in": ["ä" * 1025]}}, "InvalidString"),
]


@pytest.mark.parametrize("expression", MALFORMED, ids=lambda one: json.dumps(one)[:60])
async def test_malformed_filters(xayn: Xayn, expression: Any) -> None:
    assert (await xayn.search({"query": "x"}, filter=expression)).kind == (400, "400")
    answer = await xayn.call("GET", "/users/u/personalized_documents", params={"filter": json.dumps(expression)})
    assert answer.kind == (400, "400")


@pytest.mark.parametrize(("expression", "reason"), WRONG_PROPERTY, ids=lambda one: json.dumps(one)[:60])
async def test_filters_on_properties_that_cannot_be(xayn: Xayn, expression: dict[str, Any], reason: Any) -> None:
    for answer in (
        await xayn.search({"query": "x"}, filter=expression),
        await xayn.recommend("u", filter=expression),
    ):
        assert answer.kind == (400, "InvalidDocumentProperty")
        assert answer.body["details"]["invalid_reason"] == reason


async def test_largest_filters(xayn: Xayn) -> None:
    for expression in (
        {"title": {"$in": ["a" * 2048] * 500}},
        {"$ids": ["soup"] * 500},
        {"$or": [{"$and": [ALWAYS] * 10}] * 10},
    ):
        assert (await xayn.search({"query": "x"}, filter=expression)).status == 200


async def test_published_after(xayn: Xayn) -> None:
    await xayn.ingest({"id": "undated", "snippet": "robots"})
    after = "2016-06-01T00:00:00Z"
    assert (await xayn.search({"query": "robots"}, published_after=after)).ids == ["tennis"]
    food = {"genre": {"$in": ["Food"]}}
    both = await xayn.search({"query": "robots"}, published_after="2014-06-01T00:00:00Z", filter=food)
    assert both.ids == ["soup"]
    params = {"published_after": after}
    await xayn.interact("u", "robots")
    assert (await xayn.call("GET", "/users/u/personalized_documents", params=params)).ids == ["tennis"]
    for bad in ("2016-06-01", "soon", "2016-06-01T00:00:00." + "0" * 30 + "Z"):
        assert (await xayn.search({"query": "robots"}, published_after=bad)).kind == (400, "400")


# ---------------------------------------------------------------- back office


async def test_bad_documents_are_named_and_the_good_are_stored(xayn: Xayn) -> None:
    kinds: list[tuple[dict[str, Any], str]] = [
        ({"id": "_x"}, "InvalidDocumentId"),
        ({"id": "x1", "snippet": ""}, "InvalidDocumentSnippet"),
        ({"id": "x2", "snippet": " \n "}, "InvalidDocumentSnippet"),
        ({"id": "x3", "snippet": "ä" * 1025}, "InvalidDocumentSnippet"),
        ({"id": "x4", "snippet": "a\0b"}, "InvalidDocumentSnippet"),
        ({"id": "x5", "properties": {"_p": 1}}, "InvalidDocumentPropertyId"),
        ({"id": "x6", "properties": {"a.b": 1}}, "InvalidDocumentPropertyId"),
        ({"id": "x7", "properties": {"p": {"q": 1}}}, "InvalidDocumentProperty"),
        ({"id": "x8", "properties": {"p": [1]}}, "InvalidDocumentProperty"),
        ({"id": "x9", "properties": {"p": ["a"] * 101}}, "InvalidDocumentProperty"),
        ({"id": "x10", "properties": {"p": "a" * 2049}}, "InvalidDocumentProperty"),
        ({"id": "x11", "properties": {"p": "a" * 2000, "q": "a" * 600}}, "InvalidDocumentProperties"),
        ({"id": "x12", "properties": {"publication_date": "2019-08-24"}}, "InvalidDocumentProperty"),
        ({"id": "x13", "properties": {"year": "1990"}}, "InvalidDocumentProperty"),
        ({"id": "x14", "tags": ["t"] * 11}, "InvalidDocumentTags"),
        ({"id": "x15", "tags": [""]}, "InvalidDocumentTag"),
        ({"id": "x16", "tags": ["t" * 257]}, "InvalidDocumentTag"),
        ({"id": "x17", "is_candidate": True, "default_is_candidate": True}, "BadRequest"),
        ({"id": "x18", "split": True, "summarize": True}, "BadRequest"),
        ({"id": "x19", "split": True, "snippet": "a" * 102_401}, "InvalidDocumentSnippet"),
    ]
    good = {"id": "good", "snippet": "a" * 2048, "properties": {"p": None, "q": ["a"] * 100, "r": "a" * 2000}}
    answer = await xayn.ingest(good, *({"snippet": "fine", **document} for document, _ in kinds))
    assert answer.kind == (400, "FailedToValidateDocuments")
    listed = [(document["id"], document["kind"]) for document in answer.body["details"]["documents"]]
    assert listed == [(document["id"], kind) for document, kind in kinds]
    candidates = (await xayn.call("GET", "/documents/_candidates")).body["documents"]
    assert candidates == [name for name, _, _ in CATALOGUE] + ["good"]


async def test_numbers_of_documents(xayn: Xayn) -> None:
    one = {"id": "a", "snippet": "b"}
    assert (await xayn.ingest()).kind == (400, "BadRequest")
    assert (await xayn.ingest(*[one] * 101)).kind == (400, "BadRequest")
    assert (await xayn.ingest(*[one] * 99, {**one, "snippet": "the last counts"})).status == 201
    found = await xayn.search({"query": "last"}, count=1, include_snippet=True)
    assert found.body["documents"][0]["snippet"] == "the last counts"


async def test_deletion(xayn: Xayn) -> None:
    assert (await xayn.call("DELETE", "/documents/soup")).status == 204
    assert (await xayn.call("DELETE", "/documents", {"documents": ["pasta", "tennis"]})).status == 204
    left = (await xayn.call("GET", "/documents/_candidates")).body["documents"]
    assert left == ["robots", "androids", "starship", "bakery", "football"]
    assert (await xayn.search({"id": "soup"})).kind == (400, "DocumentNotFound")
    assert "soup" not in (await xayn.search({"query": "bread"})).ids
    again = await xayn.call("DELETE", "/documents", {"documents": ["bakery", "soup"]})
    assert again.kind == (400, "FailedToDeleteSomeDocuments")
    assert again.body["details"] == {"errors": [{"id": "soup"}]}
    assert "bakery" not in (await xayn.search({"query": "bread"})).ids
    assert (await xayn.call("DELETE", "/documents/soup")).kind == (400, "FailedToDeleteSomeDocuments")
    assert (await xayn.call("DELETE", "/documents/_soup")).kind == (400, "InvalidDocumentId")
    for documents in ([], ["robots"] * 1001):
        answer = await xayn.call("DELETE", "/documents", {"documents": documents})
        assert answer.kind == (400, "BadRequest")


async def test_candidates(xayn: Xayn) -> None:
    async def candidates() -> list[str]:
        documents: list[str] = (await xayn.call("GET", "/documents/_candidates")).body["documents"]
        return documents

    async def put(*documents: str) -> Answer:
        body = {"documents": [{"id": document} for document in documents]}
        return await xayn.call("PUT", "/documents/_candidates", body)

    assert len(await candidates()) == 8
    assert (await put("soup", "robots")).status == 204
    assert await candidates() == ["robots", "soup"]
    answer = await put("soup", "nothing")
    assert answer.kind == (400, "FailedToSetSomeDocumentCandidates")
    assert answer.body["details"] == {"documents": [{"id": "nothing"}]}
    assert await candidates() == ["soup"]
    assert (await put("_x")).kind == (400, "InvalidDocumentId")
    assert (await put()).status == 204
    assert await candidates() == []


async def test_candidates_at_ingestion(xayn: Xayn) -> None:
    """`default_is_candidate` leaves a known document as it was; saying nothing makes it a candidate."""

    def document(name: str, **more: bool) -> dict[str, Any]:
        return {"id": name, "snippet": f"text of {name}", **more}

    await xayn.call("PUT", "/documents/_candidates", {"documents": []})
    off, on = {"is_candidate": False}, {"is_candidate": True}
    await xayn.ingest(document("a"), document("b"), document("c", **off), document("d", **off))
    await xayn.ingest(
        document("a", default_is_candidate=False),
        document("b", **off),
        document("c", default_is_candidate=True),
        document("d", **on),
        document("e", default_is_candidate=False),
        document("f", default_is_candidate=True),
    )
    assert (await xayn.call("GET", "/documents/_candidates")).body == {"documents": ["a", "d", "f"]}
    await xayn.ingest(document("c"))
    assert "c" in (await xayn.call("GET", "/documents/_candidates")).body["documents"]


async def test_properties(xayn: Xayn) -> None:
    path = "/documents/soup/properties"
    assert (await xayn.call("GET", f"{path}/year")).body == {"property": 1995}
    assert (await xayn.call("PUT", f"{path}/year", {"property": 2005})).status == 204
    assert (await xayn.search({"query": "x"}, filter={"year": {"$gt": 2000}})).ids == ["soup"]
    assert (await xayn.call("PUT", f"{path}/year", {"property": "x"})).kind == (400, "InvalidDocumentProperty")
    assert (await xayn.call("DELETE", f"{path}/year")).status == 204
    for method in ("GET", "DELETE"):
        assert (await xayn.call(method, f"{path}/year")).kind == (400, "DocumentPropertyNotFound")
        assert (await xayn.call(method, f"{path}/_year")).kind == (400, "InvalidDocumentPropertyId")
    assert set((await xayn.call("GET", path)).body["properties"]) == {
        "genre",
        "title",
        "classic",
        "publication_date",
    }
    assert (await xayn.call("PUT", path, {"properties": {"colour": "red"}})).status == 204
    assert (await xayn.call("GET", path)).body == {"properties": {"colour": "red"}}
    much = {"properties": {"a": "a" * 2000, "b": "b" * 2000}}
    assert (await xayn.call("PUT", path, much)).kind == (400, "InvalidDocumentProperties")
    assert (await xayn.call("DELETE", path)).status == 204
    assert (await xayn.call("GET", path)).body == {"properties": {}}
    for call in (
        xayn.call("GET", "/documents/no/properties"),
        xayn.call("PUT", "/documents/no/properties", {"properties": {}}),
        xayn.call("DELETE", "/documents/no/properties"),
        xayn.call("GET", "/documents/no/properties/year"),
        xayn.call("PUT", "/documents/no/properties/year", {"property": 1}),
        xayn.call("DELETE", "/documents/no/properties/year"),
    ):
        assert (await call).kind == (400, "DocumentNotFound")


async def test_properties_are_part_of_what_a_document_is_about(xayn: Xayn) -> None:
    async def score() -> float:
        found = await xayn.search({"id": "football"}, filter={"$ids": ["pasta"]})
        return float(found.body["documents"][0]["score"])

    assert await score() == 0
    await xayn.call("PUT", "/documents/pasta/properties", {"properties": {"genre": ["Sport", "Football"]}})
    assert await score() > 0.2


async def test_indexed_properties(start: Start) -> None:
    xayn = await start()
    path = "/documents/_indexed_properties"
    built_in = {"publication_date": {"type": "date"}}
    assert (await xayn.call("GET", path)).body == {"properties": built_in}
    added = await xayn.post(path, {"properties": {"genre": {"type": "keyword[]"}}})
    expected = {"properties": {**built_in, "genre": {"type": "keyword[]"}}}
    assert (added.status, added.body) == (202, expected)
    again = await xayn.post(path, {"properties": {"new": {"type": "date"}, "genre": {"type": "keyword[]"}}})
    assert again.kind == (400, "IncompatibleUpdate")
    bad = await xayn.post(path, {"properties": {"a.b": {"type": "date"}}})
    assert bad.kind == (400, "InvalidDocumentPropertyId")
    ten = {"properties": {f"p{number}": {"type": "number"} for number in range(10)}}
    assert (await xayn.post(path, ten)).kind == (400, "IncompatibleUpdate")
    assert (await xayn.call("GET", path)).body == expected
    del ten["properties"]["p0"]
    assert (await xayn.post(path, ten)).status == 202


async def test_split_documents_have_several_snippets(xayn: Xayn) -> None:
    text = " ".join(
        f"{subject} is what sentence {number} of this long text is about."
        for subject in ("Volcano", "Harbour", "Orchestra")
        for number in range(12)
    )
    assert (await xayn.ingest({"id": "long", "snippet": text})).status == 201
    assert len([name for name in (await xayn.search({"query": "volcano"})).ids if name == "long"]) == 1
    assert (await xayn.ingest({"id": "long", "snippet": text, "split": True})).status == 201
    found = (await xayn.search({"query": "volcano harbour orchestra"}, include_snippet=True)).body["documents"]
    parts = [document for document in found if document["id"] == "long"]
    assert len(parts) > 2
    assert all(len(part["snippet"].encode()) <= 512 for part in parts)
    parts.sort(key=lambda part: part["snippet_id"]["sub_id"])
    assert " ".join(part["snippet"] for part in parts) == text
    assert [part["snippet_id"] for part in parts] == [
        {"document_id": "long", "sub_id": number} for number in range(len(parts))
    ]
    best = (await xayn.search({"query": "orchestra"}, count=1)).body["documents"][0]["snippet_id"]
    assert best["sub_id"] > 0
    # A snippet leaves out itself alone, a document all of its snippets.
    assert "long" in (await xayn.search({"id": best})).ids
    assert "long" not in (await xayn.search({"id": "long"})).ids
    # What was seen by a known user is the whole document; of a history it is what the history names.
    await xayn.interact("u", best)
    assert "long" not in (await xayn.recommend("u")).ids
    history = {"personalize": {"user": {"history": [{"id": best}]}}}
    answer = await xayn.post("/recommendations", history)
    assert answer.ids[0] == "long"
    assert best not in [document["snippet_id"] for document in answer.body["documents"]]


async def test_long_words_are_split_too(xayn: Xayn) -> None:
    text = "ß" * 3000
    assert (await xayn.ingest({"id": "long", "snippet": text, "split": True})).status == 201
    found = await xayn.search({"query": "x"}, include_snippet=True, filter={"$ids": ["long"]}, count=100)
    snippets = [document["snippet"] for document in found.body["documents"]]
    assert "".join(snippets).replace(" ", "") == text
    assert max(len(snippet.encode()) for snippet in snippets) <= 512


async def test_summarized_documents_have_one_short_snippet(xayn: Xayn) -> None:
    filler = " ".join(
        f"Filler{number} a{number} b{number} c{number} d{number} e{number}." for number in range(200)
    )
    text = f"{filler} Volcano near volcano makes volcano."
    assert (await xayn.ingest({"id": "long", "snippet": text, "summarize": True})).status == 201
    found = await xayn.search({"query": "volcano"}, count=1, include_snippet=True)
    (document,) = found.body["documents"]
    assert document["snippet_id"] == {"document_id": "long", "sub_id": 0}
    assert "Volcano near volcano" in document["snippet"]
    assert len(document["snippet"].encode()) <= 512


async def test_a_document_can_be_replaced(xayn: Xayn) -> None:
    await xayn.interact("u", "soup")
    before = (await xayn.recommend("u")).ids[0]
    assert before == "bakery"
    assert (await xayn.ingest({"id": "soup", "snippet": "A football final"})).status == 201
    assert (await xayn.search({"query": "soup"})).body["documents"][0]["score"] == 0
    assert (await xayn.recommend("u")).ids[0] == "football"  # interests follow what the document is now
    assert (await xayn.search({"query": "final"}, filter={"$ids": ["soup"]})).ids == ["soup"]


async def test_single_changes_of_a_large_catalogue(start: Start) -> None:
    """Here only the changed vectors are renewed: what was must not stay, what is new must be found."""
    xayn = await start()
    documents = [{"id": f"d{number}", "snippet": f"thing number{number}"} for number in range(200)]
    for at in (0, 100):
        await xayn.ingest(*documents[at : at + 100])

    async def best(query: str) -> tuple[str, float]:
        found = (await xayn.search({"query": query}, count=1)).body["documents"][0]
        return found["id"], found["score"]

    assert (await best("number7"))[0] == "d7"
    await xayn.ingest({"id": "d7", "snippet": "volcano"})
    assert (await best("volcano"))[0] == "d7"
    assert (await best("number7"))[1] == 0
    await xayn.call("PUT", "/documents/d8/properties", {"properties": {"genre": "harbour"}})
    assert (await best("harbour"))[0] == "d8"
    assert (await best("number8"))[0] == "d8"
    await xayn.call("DELETE", "/documents/d9")
    assert (await best("number9"))[1] == 0
    await xayn.interact("u", "d7")
    await xayn.ingest({"id": "new", "snippet": "a volcano"})
    assert (await xayn.recommend("u", count=1)).ids == ["new"]
    assert len((await xayn.recommend("u", count=100)).ids) == 100


async def test_odd_json(xayn: Xayn) -> None:
    headers = {"authorizationToken": XAYN_TOKEN, "Content-Type": "application/json"}
    for text in (
        '{"document":{"query":"\\ud800"}}',
        '{"document":{"query":"x"},"filter":{"year":{"$gt":1' + "0" * 400 + "}}}",
        '{"document":{"query":"x"},"filter":{"year":{"$gt":1e999}}}',
        '{"document":{"query":"x"},"count":NaN}',
        '{"document":{"query":"x"},"count":99999999999999999999999}',
        "[]",
        "null",
    ):
        answer = await xayn.post("/semantic_search", data=text.encode(), headers=headers)
        assert answer.status in {200, 400}, (text[:60], answer.body)
