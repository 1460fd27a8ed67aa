"""The pipeline by itself, under generated requests: nobody gets another's answer, and nothing is a fault of ours.

The vendor here says in its answer what it was asked, so that an answer to another question shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.adapter import Adapter, Flow, How, Part
from gateway.adapters.local import Local
from gateway.answering.delivery import Call
from gateway.config import load
from gateway.errors import GatewayError, Internal
from gateway.model.activity import Change
from gateway.model.filters import Filter
from gateway.model.query import KINDS, Item, Kind, Recommend, Recommendations, Search
from gateway.pipeline import Pipeline
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from tests.keeping import put_items
from tests.more import examples

HEADERS: Final = CIMultiDict({"Host": "localhost", "X-Device": "d1"})


class Echo(Adapter):
    """Recommends one item, whose id is a digest of the question, and another named after who asked."""

    name: str = "a"

    kinds: ClassVar[Mapping[Kind, How]] = dict.fromkeys(KINDS, "native")
    says: ClassVar[frozenset[Part]] = frozenset(
        {"exclude_items", "exclude_seen", "include_seen", "contexts", "hybrid", "history"}
    )
    seeds: ClassVar[Mapping[Kind, int]] = dict.fromkeys(KINDS, 50)
    caller_options: ClassVar[frozenset[str]] = frozenset({"mood"})
    carries_properties: ClassVar[bool] = True
    over_http: ClassVar[bool] = False

    def expressible(self, parts: Sequence[Filter]) -> Sequence[bool]:
        return [True] * len(parts)

    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        yield from ()
        return self._said(query)

    def search(self, query: Search) -> Flow[Recommendations]:
        yield from ()
        return self._said(query)

    def _said(self, query: Recommend | Search) -> Recommendations:
        digest = sha256(self.name.encode() + msgspec.json.encode(query)).hexdigest()
        who = query.user.id if query.user and query.user.id is not None else "nobody"
        return Recommendations((Item(digest), Item(f"for {who}")))


def configured(cache: Mapping[str, str] | None) -> dict[str, Any]:
    """Placements of every sort, all with this cache."""
    arms = {"one": {"weight": 1, "providers": ["a"]}, "two": {"weight": 1, "providers": ["b"]}}
    plain: dict[str, Any] = {
        "default": {"providers": ["a"]},
        "split": {"experiment": {"key": "e", "arms": arms}},
        "device": {"experiment": {"key": "d", "unit": "X-Device", "arms": arms}},
        "search": {"kind": "search", "providers": ["b"]},
    }
    caching = {} if cache is None else {"cache": dict(cache)}
    return {
        "providers": {"a": {"adapter": "echo"}, "b": {"adapter": "echo", "options": {"name": "b"}}},
        "placements": {name: {**one, **caching} for name, one in plain.items()},
    }


class Stage:
    """An event loop with a gateway in it that outlives the examples of a property."""

    def __init__(self, directory: Path, written: Mapping[str, Any]) -> None:
        self.runner = asyncio.Runner()
        file = directory / "gateway.yaml"
        file.write_text(yaml.safe_dump(dict(written)))
        loaded = load(file, {}, installed={"echo": lambda: Echo, "local": lambda: Local})
        self.store = self.runner.run(SqliteStore.open(":memory:"))
        self.runtime = self.runner.run(Runtime.start(loaded, self.store))

    @property
    def pipeline(self) -> Pipeline:
        return self.runtime.pipeline

    def close(self) -> None:
        self.runner.run(self.runtime.close())
        self.runner.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("plain"), configured(None))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("cached"), configured({"ttl": "1h"}))
    yield stage
    stage.close()


async def asked(pipeline: Pipeline, body: Mapping[str, Any], *, placement: str) -> Any:
    """The items of an answer, or the problem's slug."""
    operation = "search" if placement.startswith("search") else "recommend"
    call = Call(operation, HEADERS, body=msgspec.json.encode({**body, "placement": placement}))
    try:
        delivery = await pipeline.answer(call)
    except GatewayError as error:
        return error.slug
    answer = msgspec.json.decode(delivery.body)
    return answer["kind"], answer["source"]["arm"], [item["id"] for item in answer.get("items", ())]


IDS: Final = st.sampled_from(["u", "u1", "u\u200b1", "U1", "1", "u1|", "nobody", "ü"])
USERS: Final = st.fixed_dictionaries(
    {}, optional={"id": IDS, "history": st.lists(st.fixed_dictionaries({"item": IDS}), min_size=1, max_size=3)}
).filter(bool)
PERSONAL: Final = st.fixed_dictionaries(
    {},
    optional={
        "user": USERS,
        "items": st.lists(IDS, min_size=1, max_size=3),
        "count": st.integers(1, 3),
        "exclude_items": st.lists(IDS, max_size=2),
        "exclude_seen": st.booleans(),
        "filter": st.sampled_from(
            [{"property": "a", "eq": value} for value in (1, 1.5, True, "1", "true")] + [{"ids": ["u1"]}]
        ),
        "context": st.lists(st.sampled_from(["a", "b", "ab"]), max_size=2),
        "include": st.lists(st.sampled_from(["properties", "snippet"]), max_size=2),
        "options": st.sampled_from([{}, {"a": {"mood": 1}}, {"a": {"mood": "1"}}, {"b": {"mood": 1}}]),
    },
)
SEARCHES: Final = st.fixed_dictionaries(
    {"query": st.sampled_from(["a", "b"])},
    optional={"user": USERS, "count": st.integers(1, 3), "hybrid": st.booleans(), "exclude_seen": st.booleans()},
)
QUESTIONS: Final = st.lists(
    st.tuples(st.sampled_from(["default", "split", "device"]), PERSONAL) | st.tuples(st.just("search"), SEARCHES),
    min_size=2,
    max_size=12,
)


@given(questions=QUESTIONS)
@settings(max_examples=examples(100, 200), deadline=None)
def test_nobody_gets_another_ones_answer(
    plain: Stage, cached: Stage, questions: list[tuple[str, dict[str, Any]]]
) -> None:
    """Whatever was asked before or is asked at the same moment: what the cache says is what the vendor says."""

    async def all_of(pipeline: Pipeline) -> list[Any]:
        return await asyncio.gather(*(asked(pipeline, body, placement=name) for name, body in questions))

    told = plain.runner.run(all_of(plain.pipeline))
    cached.pipeline.cache.drop()
    for _ in range(2):
        assert cached.runner.run(all_of(cached.pipeline)) == told
    for (_, body), said in zip(questions, told, strict=True):
        user = body.get("user", {}).get("id")
        if user is not None and not isinstance(said, str) and body.get("count", 10) > 1:
            assert f"for {user}" in said[2]


def test_answers_are_kept_at_all(cached: Stage) -> None:
    """Else the property above would hold of anything."""
    call = Call("recommend", HEADERS, body=b'{"user": {"id": "u"}}')
    first = cached.runner.run(cached.pipeline.answer(call))
    assert cached.pipeline.at_once(call) is not None
    assert cached.runner.run(cached.pipeline.answer(call)).body == first.body


# --- whatever is sent --------------------------------------------------------------------------------------

TEXTS: Final = st.sampled_from(
    ["", "a", "genre", "War", ".", "g64-", "2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "\x00", "x" * 300]
) | st.text(max_size=5)  # fmt: skip
SCALARS: Final = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
JSON: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)
DATES: Final = st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.sampled_from(
    ["2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "2026-W01-1T00:00:00Z", "20260101T00:00:00,5+00:00"]
)
"""But for the ends of the calendar: below."""
LEAVES: Final = st.builds(
    lambda name, op, value: {"property": name, op: value},
    TEXTS,
    st.sampled_from(["eq", "in", "gt", "gte", "lt", "lte", "ne"]),
    SCALARS | st.lists(SCALARS, max_size=4) | DATES,
) | st.fixed_dictionaries({"ids": st.lists(TEXTS, max_size=3)})
FILTERS: Final = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda word, parts: {word: parts},
        st.sampled_from(["all", "any", "not"]),
        st.lists(inner, max_size=3) | inner,
    ),
    max_leaves=6,
)
MEMBERS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "kind": st.sampled_from(KINDS),
    "user": USERS | st.fixed_dictionaries({"id": TEXTS}),
    "items": st.lists(TEXTS, max_size=3),
    "facet": st.fixed_dictionaries({"name": TEXTS}, optional={"value": TEXTS}),
    "count": st.integers(1, 100),
    "filter": FILTERS,
    "exclude_items": st.lists(TEXTS, max_size=3),
    "exclude_seen": st.booleans(),
    "include": st.lists(st.sampled_from(["properties", "snippet"]), max_size=2),
    "context": st.lists(TEXTS, max_size=2),
    "recommendation_id": TEXTS,
    "options": st.dictionaries(st.sampled_from(["a", "local", "x"]), st.dictionaries(TEXTS, JSON)),
    "query": TEXTS,
    "item": TEXTS,
    "hybrid": st.booleans(),
}
BODIES: Final = (
    st.fixed_dictionaries({}, optional=dict(MEMBERS))
    | st.fixed_dictionaries({"filter": FILTERS}, optional={"query": st.just("War")})
    | st.one_of([st.fixed_dictionaries({name: member | JSON}) for name, member in MEMBERS.items()])
    | JSON
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Records whose properties are of every kind, some of them absurd."""
    values = [
        "War", ["War", "Old"], 1, 1.5, True, None, [], [1, "War"], "2026-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z", {"nested": 1}, 2**70,
    ]  # fmt: skip
    written = {
        "providers": {"local": {"adapter": "local"}, "a": {"adapter": "echo"}},
        "placements": {"default": {"providers": ["local"]}, "search": {"providers": ["local"]}},
    }
    stage = Stage(tmp_path_factory.mktemp("odd"), written)
    changes = [Change(f"i{n}", {"genre": value, "a": value, "": 1}) for n, value in enumerate(values)]
    stage.runner.run(put_items(stage.store, changes))
    yield stage
    stage.close()


def hold(stage: Stage, body: object) -> None:
    """This body ends in an answer or in a problem that is the caller's."""
    for operation in ("recommend", "search"):
        call = Call(operation, HEADERS, body=msgspec.json.encode(body))
        try:
            delivery = stage.runner.run(stage.pipeline.answer(call))
        except GatewayError as error:
            assert not isinstance(error, Internal)
            assert error.http_status in (400, 403, 404, 422, 501)
        else:
            assert delivery.status == 200
            assert msgspec.json.decode(delivery.body)["source"]


@given(body=BODIES)
@settings(max_examples=examples(400, 1000), deadline=None)
def test_nothing_that_is_sent_is_a_fault_of_ours(odd: Stage, body: object) -> None:
    hold(odd, body)


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_dates_at_the_ends_of_the_calendar(odd: Stage, date: str) -> None:
    for op in ("gt", "eq"):
        hold(odd, {"filter": {"property": "a", op: date}, "query": "War"})
