"""What the cases of Xayn cannot show: what it takes, which filters fit, its bounds, its options.

The bounds are those of the vendor's document and of vendors/FACTS.md §5.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.adapter import Done, Flow, Request, Response
from gateway.adapters.algolia_personalization import AlgoliaPersonalization
from gateway.adapters.xayn import Xayn
from gateway.errors import Mistake
from gateway.model import filters
from gateway.model.activity import Change, Event, EventItem
from gateway.model.filters import Filter

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
URL = "https://tenant.example/default"
XAYN = Xayn(url=URL, token=SecretStr("t"), back_office_token=SecretStr("b"))
SPLIT = Xayn(url=URL, token=SecretStr("t"), split_documents=True)


def event(id_: str, type_: str = "view", user: str = "u1", items: int = 1, value: float | None = None) -> Event:
    return Event(
        id=id_, type=type_, user=user, items=tuple(EventItem(f"i{n}") for n in range(items)), value=value, time=NOW
    )


def driven(flow: Flow[Any]) -> list[Any]:
    """The effects of a flow whose requests all succeed without a body."""
    effects: list[Any] = []
    answer = None
    try:
        while True:
            effect = flow.send(answer)
            effects.append(effect)
            answer = Response(204, {}, b"") if isinstance(effect, Request) else None
    except StopIteration:
        return effects


def tree(value: object) -> Filter:
    mistakes: list[Mistake] = []
    parsed = filters.parse(value, "", mistakes)
    assert parsed is not None, mistakes
    return parsed


def fits(*parts: object, adapter: Xayn = XAYN) -> list[bool]:
    return list(adapter.expressible([tree(part) for part in parts]))


def compare(op: str, value: object, name: str = "p") -> dict[str, object]:
    return {"property": name, op: value}


@pytest.mark.parametrize("type_", ["view", "click", "add_to_cart", "purchase", "like"])
def test_takes_what_says_yes(type_: str) -> None:
    assert XAYN.takes(event("e", type_)) is None


@pytest.mark.parametrize("type_", ["dislike", "search", "wishlist"])
def test_takes_nothing_else(type_: str) -> None:
    assert XAYN.takes(event("e", type_)) == f"has no word for {type_}"


@pytest.mark.parametrize(("value", "taken"), [(0.0, False), (2.5, False), (2.6, True), (5.0, True)])
def test_takes_ratings_of_the_upper_half(value: float, taken: bool) -> None:
    assert (XAYN.takes(event("e", "rating", value=value)) is None) == taken


def test_takes_no_event_without_an_item() -> None:
    assert XAYN.takes(event("e", "like", items=0)) == "an interaction needs an item"


def test_at_most_1000_interactions_a_call_and_whole_events() -> None:
    effects = driven(XAYN.track([event("e1", items=600), event("e2", items=400), event("e3", items=1)]))
    sizes = [len(one.json["documents"]) if isinstance(one, Request) else one.ids for one in effects]
    assert sizes == [1000, ("e1", "e2"), 1, ("e3",)]


def test_an_event_larger_than_a_call_is_done_after_its_last_call() -> None:
    effects = driven(XAYN.track([event("e1"), event("e2", items=2001)]))
    sizes = [len(one.json["documents"]) if isinstance(one, Request) else one.ids for one in effects]
    assert sizes == [1, ("e1",), 1000, 1000, 1, ("e2",)]


def test_at_most_100_documents_a_call() -> None:
    effects = driven(XAYN.put_items([Change(f"i{n}", {"title": "T"}) for n in range(101)]))
    assert [len(one.json["documents"]) for one in effects if isinstance(one, Request)] == [100, 1]
    assert [len(one.ids) for one in effects if isinstance(one, Done)] == [100, 1]


@pytest.mark.parametrize(
    "part",
    [
        compare("eq", "text"), compare("eq", True), compare("eq", 1.5), compare("in", ["a"] * 500),
        compare("eq", "x" * 2048), compare("in", list(range(10))), compare("in", [True, False]),
        compare("gte", "2020-01-01T00:00:00.000+02:00"), {"ids": ["i"] * 500},
        {"any": [compare("eq", str(n)) for n in range(10)]},
        {"any": [compare("eq", n) for n in range(10)]},
    ],
)  # fmt: skip
def test_expressible(part: object) -> None:
    assert fits(part) == [True]


@pytest.mark.parametrize(
    "part",
    [
        {"not": compare("eq", True)}, compare("eq", ""), compare("eq", "x" * 2049), compare("eq", "a\0b"),
        compare("in", ["a", 1]), compare("in", ["a", "x" * 2049]), compare("in", list(range(11))),
        compare("in", ["2020-01-01T00:00:00Z", "a"]), compare("eq", 2**53 + 1), compare("eq", "a", "a.b"),
        compare("eq", "a", "$or"), compare("gte", "2020-01-01T00:00:00.5Z"), {"ids": ["i"] * 501},
        {"any": [compare("eq", str(n)) for n in range(11)]},
        {"any": [{"all": [{"any": [compare("eq", "a"), compare("lt", 2)]}, compare("lt", 3)]}, compare("lt", 4)]},
    ],
)  # fmt: skip
def test_not_expressible(part: object) -> None:
    assert fits(part) == [False]


def test_ids_only_where_documents_are_whole() -> None:
    assert fits({"ids": ["i"]}, adapter=SPLIT) == [False]


def test_the_joining_and_is_a_level() -> None:
    deep = {"any": [{"all": [compare("eq", "a"), compare("eq", "b")]}, compare("eq", "c")]}
    assert fits(deep) == [True]
    assert fits(deep, compare("eq", "d")) == [False, True]


def test_at_most_ten_parts_and_a_number_is_two() -> None:
    assert fits(*[compare("eq", "a")] * 11) == [True] * 10 + [False]
    # nine strings leave one place; a number's equality, which is two comparisons, would need two
    assert fits(*[compare("eq", "a")] * 8, compare("eq", 1), compare("gt", 1)) == [True] * 8 + [False, True]


def test_what_is_expressible_together_is_said_together() -> None:
    parts = [
        compare("in", [1, 2]), compare("eq", 5), compare("gt", 1), {"any": [compare("eq", "a"), compare("lt", 3)]}
    ]  # fmt: skip
    trees = [tree(part) for part in parts]
    chosen = [part for part, fit in zip(trees, XAYN.expressible(trees), strict=True) if fit]
    assert len(chosen) == 3
    whole = filters.conjunction(chosen)
    assert whole is not None
    assert XAYN.expressible(filters.conjuncts(whole)) == [True] * 3


@pytest.mark.parametrize("field", ["url", "back_office_url"])
def test_a_token_does_not_travel_in_the_clear(field: str) -> None:
    options = {"url": URL, "token": "SECRET-token", field: "http://tenant.example"}
    with pytest.raises(ValidationError, match="insecure") as failure:
        Xayn.model_validate(options)
    assert "SECRET" not in str(failure.value)
    Xayn.model_validate({**options, "insecure": True})
    Xayn.model_validate({**options, field: "http://127.0.0.1:9105"})


def test_personalization_needs_a_region() -> None:
    options = {"application_id": "APP", "api_key": "SECRET-key"}
    with pytest.raises(ValidationError, match="region") as failure:
        AlgoliaPersonalization.model_validate(options)
    assert "SECRET" not in str(failure.value)
