"""Who serves what (FACTS.md §6), over HTTP and against the emulated vendors: every cell, one provider at a time.

A cell that is served answers with items of the shop in the caller's ids; a cell that is not answers `unsupported`
alone and is passed over in a list.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import pytest
import pytest_asyncio

from gateway.errors import Mistake
from gateway.model.filters import matches, parse
from tests.world import CATALOGUE, IDS, LONG, ODD, ODD_USERS, RECOMMENDING, Reply, World, bought_by, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVED: Final[Mapping[str, frozenset[str]]] = {
    "for_you": frozenset(RECOMMENDING),
    "similar_items": frozenset({"recomendo", "algolia", "xayn", "local"}),
    "bought_together": frozenset({"recomendo", "algolia", "local"}),
    "looking_similar": frozenset({"algolia"}),
    "trending_items": frozenset({"recomendo", "algolia", "local"}),
    "trending_facets": frozenset({"algolia", "local"}),
    "search": frozenset({"xayn", "local"}),
}
"""The providers that serve a kind, copied from FACTS.md §6 by hand."""
ASKED: Final[Mapping[str, dict[str, Any]]] = {
    "for_you": {"user": {"id": "u0"}},
    "similar_items": {"items": ["d0"]},
    "bought_together": {"items": ["d0"]},
    "looking_similar": {"items": ["d0"]},
    "trending_items": {},
    "trending_facets": {"facet": {"name": "genre"}},
    "search": {"query": "robot future"},
}
CELLS: Final = [(kind, provider) for kind, providers in SERVED.items() for provider in sorted(providers)]
ITEM_CELLS: Final = [cell for cell in CELLS if cell[0] != "trending_facets"]
GAPS: Final = [(kind, one) for kind, able in SERVED.items() for one in RECOMMENDING if one not in able]
SEEDED: Final = [cell for cell in CELLS if cell[0] in ("similar_items", "bought_together", "looking_similar")]
MISSPELLED: Final = frozenset({".", "..", "g64-YSBi", "gh-x"})
LIST: Final = ("algolia", "xayn", "local")
"""Who is asked after the one that cannot."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {
        "server": {"deadline": "10s"},
        "placements": {
            **{f"{one}_first": {"providers": list(dict.fromkeys((one, *LIST)))} for one in RECOMMENDING},
            **{f"{one}_strict": {"providers": [one], "strict": True} for one in RECOMMENDING},
            "hides": {"providers": ["algolia"], "hide": ["d1", "d2"]},
            "demanding": {"providers": ["algolia"], "min_score": {"algolia": 100}},
        },
    }
    async with world(tmp_path_factory.mktemp("shop"), more) as shop:
        yield shop


async def ask(shop: World, kind: str, placement: str, **more: Any) -> Reply:
    body = {**ASKED[kind], **more}
    if kind == "search":
        return await shop.search(placement, **body)
    return await shop.ask(placement, kind=kind, **body)


def served_by(reply: Reply, provider: str) -> list[str]:
    """The ids of an answer by that provider, held to be in order."""
    assert reply.status == 200, reply.text
    assert reply.provider == provider, reply.text
    items = reply.json["items"]
    assert items, reply.text
    assert [item["rank"] for item in items] == list(range(1, len(items) + 1))
    ids = reply.ids
    assert len(set(ids)) == len(ids)
    assert set(ids) <= IDS
    return ids


def nobody(reply: Reply) -> None:
    """An empty answer: there was simply nothing."""
    assert reply.status == 200, reply.text
    assert reply.json["source"] == {
        "provider": None, "experiment": None, "arm": None, "fallback": True, "cold_start": True,
    }  # fmt: skip
    assert reply.json["items"] == []


def genres(ids: list[str]) -> list[str]:
    return [CATALOGUE[id_]["genre"][0] for id_ in ids]


# --- the cells ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "provider"), ITEM_CELLS)
async def test_a_cell_that_is_served(shop: World, kind: str, provider: str) -> None:
    reply = await ask(shop, kind, provider, count=3)
    ids = served_by(reply, provider)
    assert 1 <= len(ids) <= 3
    assert not set(ASKED[kind].get("items", ())) & set(ids)
    assert reply.json["kind"] == kind
    assert reply.json["source"]["fallback"] is False
    assert reply.json["placement"] == provider
    assert all(item.keys() == {"id", "rank", "score"} for item in reply.json["items"])


@pytest.mark.parametrize("provider", sorted(SERVED["trending_facets"]))
async def test_trending_facets(shop: World, provider: str) -> None:
    reply = await ask(shop, "trending_facets", provider, count=4)
    assert "items" not in reply.json
    facets = reply.json["facets"]
    assert len(facets) == 4
    assert [one["rank"] for one in facets] == [1, 2, 3, 4]
    assert {one["name"] for one in facets} == {"genre"}
    assert {one["value"] for one in facets} <= {genre for one in CATALOGUE.values() for genre in one["genre"]}
    war = await ask(shop, "trending_facets", "local", filter={"property": "genre", "eq": "War"})
    assert {one["value"] for one in war.json["facets"]} == {"War", "Old", "New"}
    nobody_has = await shop.ask(provider, kind="trending_facets", facet={"name": "colour"})
    assert nobody_has.json["facets"] == []
    assert nobody_has.provider is None


@pytest.mark.parametrize(("kind", "provider"), GAPS)
async def test_a_cell_that_is_not_served(shop: World, kind: str, provider: str) -> None:
    """Alone it is `unsupported` with its reason; in a list it is passed over."""
    alone = (await ask(shop, kind, provider)).problem("unsupported", 501)
    assert alone["providers"] == {provider: f"cannot serve {kind}"}
    reply = await ask(shop, kind, f"{provider}_first")
    assert reply.status == 200, reply.text
    assert reply.provider == next(one for one in LIST if one in SERVED[kind])


async def test_answers_mean_something(shop: World) -> None:
    """What people of one genre buy is recommended to them, and beside its items."""
    for provider in ("recomendo", "algolia", "xayn"):
        ids = served_by(await ask(shop, "similar_items", provider, items=["w3"], count=4), provider)
        assert genres(ids).count("War") >= 3, provider
    for provider in ("recomendo", "algolia"):
        ids = served_by(await ask(shop, "bought_together", provider, items=["c3"], count=4), provider)
        assert set(genres(ids)) == {"Comedy"}, provider
    for provider in ("recomendo", "discerner", "xayn"):
        ids = served_by(await ask(shop, "for_you", provider, user={"id": "u1"}, count=3), provider)
        assert set(genres(ids)) == {"Comedy"}, provider
    for provider in ("xayn", "local"):
        ids = served_by(await shop.search(provider, query="robot future", count=3), provider)
        assert genres(ids)[0] == "Sci-Fi", provider


# --- parts of a question ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "provider"), SEEDED)
async def test_several_seeds(shop: World, kind: str, provider: str) -> None:
    """Natively, or one question a seed, in one call where the vendor can batch, fused without scores."""
    seeds = [f"d{n}" for n in range(7)]
    before = shop.calls.copy()
    reply = await ask(shop, kind, provider, items=seeds)
    ids = served_by(reply, provider)
    assert not set(seeds) & set(ids)
    calls = sum((shop.calls - before).values())
    one_by_one = "only the last 5 of 7 items were used" in reply.warnings
    assert one_by_one is (provider in ("algolia", "xayn"))
    assert calls == {"recomendo": 1, "algolia": 1, "xayn": 5, "local": 0}[provider]
    if one_by_one:
        assert {item["score"] for item in reply.json["items"]} == {None}


async def test_items_beside_a_kind_that_takes_none(shop: World) -> None:
    """They are not recommended again, and a warning says that they meant nothing else."""
    for provider in ("recomendo", "algolia", "local"):
        plain = served_by(await ask(shop, "trending_items", provider, count=5), provider)
        reply = await ask(shop, "trending_items", provider, count=4, items=plain[:2])
        assert served_by(reply, provider)[:2] == plain[2:4]
        assert "items are not used for trending_items" in reply.warnings
    before = shop.calls.copy()
    reply = await ask(shop, "for_you", "xayn", items=["d0", "d1"])
    served_by(reply, "xayn")
    assert sum((shop.calls - before).values()) == 1
    assert "items are not used for for_you" in reply.warnings


@pytest.mark.parametrize("provider", ["recomendo", "algolia", "xayn", "local"])
async def test_a_history_in_place_of_an_id(shop: World, provider: str) -> None:
    history = [{"item": "s1"}, {"item": "s2", "time": "2026-01-02T03:04:05Z"}, {"item": "s3"}]
    ids = served_by(await ask(shop, "for_you", provider, user={"history": history}), provider)
    assert not {"s1", "s2", "s3"} & set(ids)
    if provider != "local":
        assert genres(ids)[0] == "Sci-Fi"


async def test_a_history_where_only_ids_are_known(shop: World) -> None:
    history = [{"item": "s1"}]
    alone = (await ask(shop, "for_you", "discerner", user={"history": history})).problem("unsupported", 501)
    assert "history" in alone["providers"]["discerner"]
    reply = await ask(shop, "for_you", "discerner_first", user={"history": history})
    served_by(reply, "algolia")
    assert reply.json["source"]["fallback"] is True
    both = await ask(shop, "for_you", "discerner", user={"id": "u0", "history": history})
    served_by(both, "discerner")
    assert "discerner takes no history: ignored" in both.warnings


FILTERS: Final[Mapping[str, dict[str, Any]]] = {
    "in": {"property": "genre", "in": ["Comedy", "War"]},
    "eq": {"property": "genre", "eq": "New"},
    "range": {"all": [{"property": "year", "gte": 1982}, {"property": "year", "lt": 1988}]},
    "number": {"property": "year", "eq": 1984},
    "not": {"not": {"property": "genre", "eq": "Old"}},
    "any": {"any": [{"property": "year", "lte": 1981}, {"property": "genre", "in": ["New"]}]},
    "deep": {"all": [{"any": [{"property": "genre", "eq": "Odd"}, {"not": {"property": "year", "gt": 1983}}]}]},
    "ids": {"ids": ["d4", "c4", "a b", LONG, "nowhere"]},
    "lacking": {"not": {"property": "colour", "eq": "red"}},
}
BY_THE_GATEWAY: Final = {"discerner": {"genre", "year", "ids", "colour"}, "recomendo": {"year", "ids"}}
"""Of single comparisons: what these two cannot say (FACTS.md §6)."""


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("kind", "provider"), ITEM_CELLS)
async def test_filters_hold(shop: World, kind: str, provider: str, name: str) -> None:
    """Whoever applies it, nothing else comes through; a vendor that cannot say it asks for more than it shows."""
    tree = parse(FILTERS[name], "", mistakes := list[Mistake]())
    assert tree is not None, mistakes
    fitting = {id_ for id_, properties in CATALOGUE.items() if matches(tree, id_, properties)}
    reply = await ask(shop, kind, provider, filter=FILTERS[name], count=20)
    assert reply.status == 200, reply.text
    assert set(reply.ids) <= fitting
    if reply.provider is None:
        return
    served_by(reply, provider)
    for property_ in BY_THE_GATEWAY.get(provider, ()) if name in ("in", "eq", "number", "ids", "lacking") else ():
        applied = f"filter on `{property_}` applied by the gateway" in reply.warnings
        assert applied is (property_ in str(FILTERS[name]))


@pytest.mark.parametrize("provider", ["recomendo", "algolia", "local"])
@pytest.mark.parametrize("name", FILTERS)
async def test_filters_leave_something(shop: World, provider: str, name: str) -> None:
    """Each filter fits items that are popular: an empty answer would hide that nothing was compared."""
    reply = await ask(shop, "trending_items", provider, filter=FILTERS[name], count=30)
    assert len(served_by(reply, provider)) >= 3, reply.text


async def test_a_property_that_a_vendor_does_not_index(shop: World) -> None:
    """Xayn refuses such a filter: the next one of the list takes it, and knows of no such item."""
    red = {"property": "colour", "eq": "red"}
    reply = await ask(shop, "similar_items", "xayn_first", filter={"any": [red, FILTERS["eq"]]})
    served_by(reply, "algolia")
    alone = await ask(shop, "similar_items", "xayn", filter=red)
    assert alone.status in (422, 503)


@pytest.mark.parametrize(("kind", "provider"), ITEM_CELLS)
async def test_exclude_items(shop: World, kind: str, provider: str) -> None:
    """What is excluded makes room for others."""
    before = served_by(await ask(shop, kind, provider, count=3), provider)
    everything = served_by(await ask(shop, kind, provider, count=30), provider)
    reply = await ask(shop, kind, provider, count=3, exclude_items=[*before[:2], "nowhere"])
    after = served_by(reply, provider)
    assert not set(before[:2]) & set(after)
    assert len(after) == min(3, len(everything) - len(before[:2]))


async def test_exclude_seen(shop: World) -> None:
    bought = set(bought_by("u2"))
    asked = {"user": {"id": "u2"}, "count": 30}
    by_habit = served_by(await ask(shop, "for_you", "xayn", **asked), "xayn")
    assert not bought & set(by_habit)
    assert bought & set(served_by(await ask(shop, "for_you", "xayn", exclude_seen=False, **asked), "xayn"))
    told = await ask(shop, "for_you", "xayn", exclude_seen=True, **asked)
    assert not bought & set(served_by(told, "xayn"))
    assert told.warnings == []
    cannot = await ask(shop, "for_you", "recomendo", exclude_seen=False, **asked)
    assert any("seen" in warning for warning in cannot.warnings)


@pytest.mark.parametrize(("kind", "provider"), ITEM_CELLS)
async def test_what_a_history_names_is_seen(shop: World, kind: str, provider: str) -> None:
    unseen = served_by(await ask(shop, kind, provider, count=4), provider)
    user = {"id": "u0", "history": [{"item": id_} for id_ in unseen[:2]]}
    reply = await ask(shop, kind, provider, user=user, exclude_seen=True, count=4)
    assert not set(unseen[:2]) & set(reply.ids)


@pytest.mark.parametrize(("kind", "provider"), ITEM_CELLS)
async def test_include(shop: World, kind: str, provider: str) -> None:
    """Properties from the vendor, else from the gateway's record; snippets where there are any."""
    reply = await ask(shop, kind, provider, include=["properties", "snippet"], count=4)
    served_by(reply, provider)
    for item in reply.json["items"]:
        if item["id"] in MISSPELLED and provider in ("recomendo", "discerner"):
            continue
        for name in ("title", "year", "genre"):
            assert item["properties"][name] == CATALOGUE[item["id"]][name]
        assert item.get("snippet") == (CATALOGUE[item["id"]]["title"] if provider == "xayn" else None)


async def test_records_are_kept_under_the_callers_ids(shop: World) -> None:
    reply = await ask(
        shop, "trending_items", "recomendo", include=["properties"], filter={"ids": list(MISSPELLED)}
    )
    items = {item["id"]: item["properties"] for item in reply.json["items"]}
    assert set(items) == MISSPELLED
    assert all(items.values())


@pytest.mark.parametrize(("kind", "provider"), [c for c in ITEM_CELLS if c[0] != "search"])
async def test_contexts(shop: World, kind: str, provider: str) -> None:
    reply = await ask(shop, kind, provider, context=["mobile"])
    served_by(reply, provider)
    assert (f"{provider} has no contexts: ignored" in reply.warnings) is (provider != "algolia")
    strict = await ask(shop, kind, f"{provider}_strict", context=["mobile"])
    if provider == "algolia":
        served_by(strict, provider)
    else:
        assert "contexts" in strict.problem("unsupported", 501)["providers"][provider]


async def test_hybrid(shop: World) -> None:
    assert (await shop.search("xayn", query="robot", hybrid=True)).warnings == []
    reply = await shop.search("local", query="robot", hybrid=True)
    assert reply.warnings == ["local has no hybrid search: ignored"]
    assert (await shop.search("local", query="robot")).warnings == []
    strict = (await shop.search("local_strict", query="robot", hybrid=True)).problem("unsupported", 501)
    assert "hybrid" in strict["providers"]["local"]
    assert (await shop.search("local_strict", query="robot")).status == 200


@pytest.mark.parametrize(("kind", "provider"), ITEM_CELLS)
async def test_more_than_a_vendor_gives(shop: World, kind: str, provider: str) -> None:
    reply = await ask(shop, kind, provider, count=100)
    ids = served_by(reply, provider)
    assert ("algolia gives at most 30 items" in reply.warnings) is (provider == "algolia")
    assert len(ids) <= (30 if provider == "algolia" else 100)


async def test_options(shop: World) -> None:
    given = {"algolia": {"queryParameters": {"getRankingInfo": True}}, "recomendo": {"userBias": 2}}
    for provider in ("algolia", "recomendo"):
        served_by(await ask(shop, "for_you", provider, options=given), provider)
    refused = await ask(
        shop,
        "for_you",
        "algolia",
        options={
            "algolia": {"queryParameters": {"filters": "a:b"}},
            "recomendo": {"num": 3, "fields": []},
            "xayn": {"count": 3},
            "nobody": {"a": 1},
        },
    )
    refused.problem("invalid-request", 422)
    assert refused.pointers == {
        "/options/algolia", "/options/recomendo/num", "/options/xayn/count", "/options/nobody",
    }  # fmt: skip


async def test_an_option_reaches_the_vendor(shop: World) -> None:
    """Recomendo boosts what its `fields` say: proof that an option is passed on."""
    fields = [{"name": "genre", "values": ["War"], "bias": -1}]
    reply = await ask(shop, "trending_items", "recomendo", options={"recomendo": {"fields": fields}})
    assert set(genres(served_by(reply, "recomendo"))) == {"War"}


@pytest.mark.parametrize("provider", sorted(SERVED["trending_items"]))
async def test_trending_within_a_facet(shop: World, provider: str) -> None:
    reply = await ask(shop, "trending_items", provider, facet={"name": "genre", "value": "Thriller"})
    assert set(genres(served_by(reply, provider))) == {"Thriller"}


async def test_what_a_placement_hides_and_demands(shop: World) -> None:
    assert not {"d1", "d2"} & set(served_by(await shop.ask("hides", items=["d0"], count=30), "algolia"))
    assert {"d1", "d2"} & set(served_by(await shop.ask("algolia", items=["d0"], count=30), "algolia"))
    reply = await shop.ask("demanding", kind="trending_items", count=30)
    assert {item["score"] for item in reply.json["items"]} == {100}


# --- no answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["recomendo", "algolia", "local"])
async def test_for_you_of_nobody_is_trending(shop: World, provider: str) -> None:
    reply = await shop.ask(provider, kind="for_you")
    served_by(reply, provider)
    assert reply.json["kind"] == "trending_items"
    assert reply.json["source"]["cold_start"] is True


async def test_what_is_asked_follows_from_what_is_given(shop: World) -> None:
    given: list[tuple[dict[str, Any], str]] = [
        ({"items": ["d0"]}, "similar_items"),
        ({"items": ["d0"], "user": {"id": "u0"}}, "similar_items"),
        ({"user": {"id": "u0"}}, "for_you"),
        ({"facet": {"name": "genre"}}, "trending_facets"),
        ({"facet": {"name": "genre", "value": "War"}}, "trending_items"),
        ({}, "trending_items"),
    ]
    for body, kind in given:
        assert (await shop.ask("algolia", **body)).json["kind"] == kind


@pytest.mark.parametrize("provider", RECOMMENDING)
async def test_an_unknown_user(shop: World, provider: str) -> None:
    """Asking creates nothing at a vendor; who has nothing for a stranger leaves it to the next."""
    before = shop.calls.copy()
    reply = await ask(shop, "for_you", provider, user={"id": "stranger"})
    assert (shop.calls - before)["discerner", "/users"] == 0
    if provider in ("discerner", "xayn"):
        nobody(reply)
        served_by(await ask(shop, "for_you", f"{provider}_first", user={"id": "stranger"}), "algolia")
    else:
        served_by(reply, provider)
        assert reply.json["source"]["cold_start"] is True


@pytest.mark.parametrize(("kind", "provider"), SEEDED)
async def test_an_unknown_seed(shop: World, kind: str, provider: str) -> None:
    reply = await ask(shop, kind, provider, items=["nowhere"])
    if (kind, provider) == ("similar_items", "recomendo"):
        served_by(reply, provider)
        assert reply.json["source"]["cold_start"] is True
    else:
        nobody(reply)


async def test_a_search_without_hits(shop: World) -> None:
    nobody(await shop.search("local", query="zzz"))
    nobody(await shop.search("xayn", item="nowhere"))
    nobody(await shop.search("search", item="nowhere"))


async def test_searches(shop: World) -> None:
    """By an item, personalized, filtered, without some: at the one vendor that has a search."""
    by_item = served_by(await shop.search("xayn", item="s1", count=4), "xayn")
    assert "s1" not in by_item
    assert genres(by_item)[0] == "Sci-Fi"
    only = {"property": "genre", "eq": "War"}
    filtered = await shop.search("xayn", query="robot", filter=only, user={"id": "u0"}, count=5)
    assert set(genres(served_by(filtered, "xayn"))) == {"War"}
    first = served_by(await shop.search("xayn", query="robot future"), "xayn")[0]
    assert first not in (await shop.search("xayn", query="robot future", exclude_items=[first])).ids
    wide = (await shop.search("xayn", query="x" * 513)).problem("unsupported", 501)
    assert "512" in wide["providers"]["xayn"]


async def test_the_answer_that_seeds_came_from(shop: World) -> None:
    """Xayn is told which snippet was shown; whatever is no id of ours is ignored with a warning."""
    shown = await ask(shop, "similar_items", "xayn")
    made_from = shown.json["recommendation_id"]
    reply = await ask(shop, "similar_items", "xayn", items=[shown.ids[0]], recommendation_id=made_from)
    served_by(reply, "xayn")
    assert reply.warnings == []
    forged = await ask(shop, "similar_items", "xayn", items=[shown.ids[0]], recommendation_id=made_from[:-4])
    served_by(forged, "xayn")
    assert any("recommendation_id" in warning for warning in forged.warnings)


# --- ids of unusual spelling --------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["recomendo", "algolia", "xayn"])
@pytest.mark.parametrize("seed", ODD, ids=[str(n) for n in range(len(ODD))])
async def test_an_odd_id_is_fed_asked_for_and_recommended(shop: World, provider: str, seed: str) -> None:
    reply = await shop.ask(provider, items=[seed], count=5)
    ids = served_by(reply, provider)
    assert set(ids) & set(ODD)
    assert seed not in ids
    other = ids[0]
    back = await shop.ask(provider, items=[other], count=30)
    assert seed in served_by(back, provider)
    without = await shop.ask(provider, items=[other], count=30, exclude_items=[seed])
    assert seed not in served_by(without, provider)


@pytest.mark.parametrize("provider", ["recomendo", "discerner", "xayn"])
@pytest.mark.parametrize("user", ODD_USERS, ids=[str(n) for n in range(len(ODD_USERS))])
async def test_an_odd_user_is_known(shop: World, provider: str, user: str) -> None:
    reply = await shop.ask(provider, user={"id": user}, count=5)
    ids = served_by(reply, provider)
    assert reply.json["source"]["cold_start"] is False
    assert set(genres(ids)) == {"Odd"}
    assert not set(bought_by(user)) & set(ids)


async def test_odd_ids_in_a_url(shop: World) -> None:
    """The GET form takes them percent-encoded."""
    query = "placement=algolia&item=a%2Fb&exclude=%C3%BC%E2%80%93%E6%97%A5%E6%9C%AC&count=30"
    reply = await shop.request("GET", f"/v1/recommendations?{query}")
    assert "a b" in served_by(reply, "algolia")
    assert not {"a/b", "ü–日本"} & set(reply.ids)


async def test_ids_need_no_properties_to_be_filtered(shop: World) -> None:
    """An id list is held by the gateway even where nothing is on record of an item."""
    user = next(one for one in ODD_USERS if not {".", ".."} & set(bought_by(one)))
    reply = await shop.ask("discerner", user={"id": user}, filter={"ids": [".", ".."]}, count=30)
    assert set(served_by(reply, "discerner")) <= {".", ".."}
