"""Spelling of ids, names and dates at each vendor: injective, reversible, and within what the vendor takes."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import json

from gateway.adapter import ANY_TEXT, Alphabet, Response, load, quoted
from gateway.adapters.xayn import Xayn
from gateway.deadline import Deadline
from gateway.memory import Memory
from gateway.model import filters
from gateway.model.activity import Change, Event, EventItem
from gateway.model.filters import Compare
from gateway.model.ids import id_complaint
from gateway.model.query import Facet, Item, Recommend, Recommendations, Seen, Snippet, User
from gateway.provider.account import Provider
from gateway.provider.dialect import ENCODED, HASHED, Dialect, PropertyName, Spelling, is_hashed
from gateway.provider.settings import ProviderSettings
from gateway.state.sqlite import SqliteStore
from gateway.transport import Outgoing

KEY: Final = b"k" * 32
NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALPHABETS: Final = {
    f"{name} {entity}": alphabet
    for name, adapter in load().items()
    for entity, alphabet in (("users", adapter.user_ids), ("items", adapter.item_ids))
}
TEXTS: Final = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=80)
PLAIN: Final = st.text("abc-._:@/ =+g64h", min_size=1, max_size=12)
LONG: Final = st.text("é x", min_size=60, max_size=128)
NAMED: Final = st.sampled_from([".", "..", "g64-", "gh-", "g64-YSBi", "gh-x", "g64", "%2E", "a b", "…"])
IDS: Final = (TEXTS | PLAIN | LONG | NAMED).filter(lambda id_: id_complaint(id_) is None)


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
@given(id_=IDS)
def test_a_spelling_is_what_the_vendor_takes_and_leads_back(alphabet: Alphabet, id_: str) -> None:
    spelling = Spelling(alphabet, KEY)
    for once in (id_, spelling.spell(id_)):  # an id that looks like one of our spellings is an id like any other
        if len(once.encode()) > 256:
            continue
        spelled = spelling.spell(once)
        assert re.fullmatch(alphabet.pattern or "(?s:.*)", spelled)
        assert len(spelled.encode()) <= alphabet.max_bytes
        assert spelled not in (".", "..")
        assert spelling.read(spelled) == (spelled if is_hashed(spelled) else once)


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
@given(one=IDS, other=IDS)
def test_two_ids_have_two_spellings(alphabet: Alphabet, one: str, other: str) -> None:
    spelling = Spelling(alphabet, KEY)
    for this, that in ((one, other), (one, spelling.spell(one)), (one, spelling.spell(other))):
        if this != that:
            assert spelling.spell(this) != spelling.spell(that)


@given(id_=IDS)
def test_an_id_stays_one_segment_of_a_path(id_: str) -> None:
    segment = quoted(id_)
    assert unquote(segment) == id_
    assert not set(segment) & set("/?#\\ ")
    assert segment not in (".", "..")


def test_what_stays_as_it_is() -> None:
    spelling = Spelling(ANY_TEXT, KEY)
    assert [spelling.spell(id_) for id_ in ("a b/c", "ü", "%2F", "...")] == ["a b/c", "ü", "%2F", "..."]
    assert spelling.spell(".") == "g64-Lg"
    assert spelling.spell("g64-Lg").startswith(ENCODED)
    assert spelling.spell("gh-Lg").startswith(ENCODED)


@pytest.mark.parametrize("foreign", ["g64-", "g64-!", "g64-Lg==", "g64-_w", "g64-YQ", "gh-x", "ü", "g64-ü"])
def test_what_no_spelling_of_ours_made_is_read_as_it_is(foreign: str) -> None:
    """`g64-YQ` would be `a`, which is never spelled so."""
    assert Spelling(ANY_TEXT, KEY).read(foreign) == foreign


def test_too_long_an_id_is_a_keyed_hash() -> None:
    xayn = Spelling(Xayn.item_ids, KEY)
    long = "a b" * 80
    assert xayn.spell(long).startswith(HASHED)
    assert xayn.spell(long) != Spelling(Xayn.item_ids, b"other").spell(long)
    assert Dialect(ANY_TEXT, Xayn.item_ids, KEY).hashed("item", (long, "short")) == {xayn.spell(long): long}


class Vendor:
    """Answers every search with the documents that it was told of, and notes what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.documents: list[str] = []

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        self.sent.append(outgoing)
        if outgoing.method == "PATCH":
            body = json.decode(outgoing.body or b"")
            self.documents += [document["id"] for document in body["documents"]]
            return Response(204, {}, b"")
        documents = [{"snippet_id": {"document_id": id_, "sub_id": 0}, "score": 0.5} for id_ in self.documents]
        return Response(200, {}, json.encode({"documents": documents}))

    async def open(self, url: str) -> None:
        pass

    async def close(self) -> None:
        pass


async def test_the_id_map_knows_the_way_back_from_a_hash() -> None:
    """Also after a restart, for it is the store that remembers."""
    store = await SqliteStore.open(":memory:")
    vendor = Vendor()
    long = "a b" * 80

    def opened() -> Provider:
        options = Xayn.model_validate({"url": "http://127.0.0.1:1", "token": "t"})
        settings = ProviderSettings()
        memory = Memory(store, time.monotonic)
        return Provider("xayn", options, settings, store, key=KEY, memory=memory, transport=vendor)

    deadline = Deadline.within(time.monotonic, 5)
    event = Event(id="e", type="view", user=long, items=(EventItem(long), EventItem("a b")), time=NOW)
    receipt = await opened().call("track", [event], deadline=deadline)
    assert receipt.done == ("e",)
    assert all(id_.startswith((HASHED, ENCODED)) for id_ in vendor.documents)
    assert long not in vendor.sent[0].url
    query = Recommend(kind="similar_items", count=5, items=("other",))
    answer: Recommendations = await opened().call("recommend", query, deadline=deadline)
    assert [item.id for item in answer.items] == [long, "a b"]
    await store.close()


# --- pseudonyms, names, dates ------------------------------------------------------------------------------


@given(id_=IDS, other=IDS)
def test_pseudonyms_say_nothing_of_the_user(id_: str, other: str) -> None:
    assume(id_ != other)
    dialect = Dialect(ANY_TEXT, ANY_TEXT, KEY, pseudonymize=True)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", dialect.user(id_))
    assert dialect.user(id_) == dialect.user(id_) != dialect.user(other)
    assert dialect.user(id_) != Dialect(ANY_TEXT, ANY_TEXT, b"other", pseudonymize=True).user(id_)
    assert dialect.item(id_) != dialect.user(id_)
    assert dialect.read_user(dialect.user(id_), {}) is None


def test_every_user_of_a_question_is_a_pseudonym() -> None:
    dialect = Dialect(ANY_TEXT, ANY_TEXT, KEY, pseudonymize=True)
    said = dialect.question(Recommend(kind="for_you", count=1, user=User("ann", (Seen("i"),))))
    assert said.user == User(dialect.user("ann"), (Seen("i"),))
    event = Event(id="e", type="view", user="ann", time=NOW)
    assert dialect.event(event).user == dialect.user("ann")
    assert dialect.change("user", Change("ann")).id == dialect.user("ann")


NAMES: Final = {
    "genre": PropertyName("category"),
    "at": PropertyName("at_s", "unix_s"),
    "at_ms": PropertyName("ms", "unix_ms"),
    "day": PropertyName("publication_date", "date"),
}
NAMED_DIALECT: Final = Dialect(ANY_TEXT, Xayn.item_ids, KEY, properties=NAMES)


def test_properties_have_the_vendors_names_and_dates() -> None:
    record = {
        "genre": ["War"], "at": "2026-01-02T03:04:05Z", "at_ms": ["2026-01-02T03:04:05.250Z"],
        "day": "2026-01-02T03:04:05Z", "other": 1,
    }  # fmt: skip
    said = NAMED_DIALECT.properties(record)
    assert said == {
        "category": ["War"], "at_s": 1767323045, "ms": [1767323045250],
        "publication_date": "2026-01-02T03:04:05Z", "other": 1,
    }  # fmt: skip
    back = NAMED_DIALECT.read_properties({**said, "ms": 1767323045250})
    assert back == {**record, "at_ms": "2026-01-02T03:04:05.250000Z"}


def test_filters_questions_and_answers_are_said_in_the_vendors_words() -> None:
    tree = filters.conjunction(
        [
            Compare("genre", "in", ("War",)),
            filters.AnyOf((Compare("at", "gt", "2026-01-02T03:04:05Z"), filters.Not(filters.Ids(("a b", "i"))))),
        ]
    )
    assert tree is not None
    said = NAMED_DIALECT.filter(tree)
    assert filters.to_json(said) == {
        "all": [
            {"property": "category", "in": ["War"]},
            {"any": [{"property": "at_s", "gt": 1767323045}, {"not": {"ids": ["g64-YSBi", "i"]}}]},
        ]
    }
    assert NAMED_DIALECT.read_filter(said) == tree
    query = Recommend(
        kind="trending_items", count=1, items=("a b",), exclude_items=("a b",), recent=("a b",),
        facet=Facet("genre", "War"), snippets=(Snippet("a b", 3),),
    )  # fmt: skip
    question = NAMED_DIALECT.question(query)
    assert question.facet == Facet("category", "War")
    assert (question.items, question.exclude_items, question.recent) == (("g64-YSBi",),) * 3
    assert question.snippets == (Snippet("g64-YSBi", 3),)
    (item,) = NAMED_DIALECT.answer(Recommendations((Item("g64-YSBi", 1.0, {"category": "War"}),)), {}).items
    assert (item.id, item.properties) == ("a b", {"genre": "War"})
