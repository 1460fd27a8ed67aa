"""Merchandising rules over HTTP (API.md §7), before an emulated vendor that keeps them and acts on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import ruling
from gateway.model.control import Rule
from gateway.sandbox.algolia.refusal import Refused
from gateway.sandbox.algolia.rules import read_rule
from gateway.sandbox.credentials import ALGOLIA_ADMIN_API_KEY, ALGOLIA_APPLICATION_ID
from gateway.tasks import Task, task_id, task_of
from tests.test_algolia_rules import facet, filter_lists, filter_texts, our_rules, same, sparse
from tests.world import CATALOGUE, Reply, World, feed_one, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = dict[str, Any]
RULES: Final = "/v1/rules/similar_items"
KEYS: Final = {"X-Algolia-Application-Id": ALGOLIA_APPLICATION_ID, "X-Algolia-API-Key": ALGOLIA_ADMIN_API_KEY}
AT_THE_VENDOR: Final = "/1/indexes/products/related-products/recommend/rules"
RENAMED: Final = {
    "category": {"name": "genre"},
    "genre": {"name": "color"},
    "made": {"name": "year", "as": "unix_s"},
}
"""Under this provider callers know the vendor's `genre` as `category`, and mean its `color` by `genre`."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {"providers": {"renamed": {"like": "algolia", "properties": RENAMED}}}
    async with world(tmp_path_factory.mktemp("rules"), more, fed=False) as shop:
        await feed_one(shop, "algolia")
        yield shop


async def write(shop: World, *rules: Json, query: str = "") -> Reply:
    """POST a batch that must be taken."""
    reply = await shop.request("POST", f"{RULES}/batch{query}", json={"rules": rules})
    assert reply.status == 202, reply.text
    return reply


async def at_the_vendor(shop: World, method: str, path: str, body: Any = None) -> Any:
    """The vendor's own rules, as its dashboard would read and write them."""
    url = shop.vendors["algolia"] + AT_THE_VENDOR + path
    async with shop.session.request(method, url, json=body, headers=KEYS) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


# --- both ways ---------------------------------------------------------------------------------------------------

ITEMS: Final = st.sampled_from(["d0", "a b", ".", "g64-YQ", "gh-x", "x" * 300])
"""Some that the gateway itself would spell otherwise, and one that it cannot carry."""
CONTEXTS: Final = st.sampled_from(["mobile", "a-b_1"])
SPANS: Final = st.tuples(st.integers(0, 2**33), st.integers(0, 2**31)).map(
    lambda span: {"from": span[0], "until": span[0] + span[1]}
)
PROMOTED: Final = st.lists(
    st.builds(lambda item, at: {"objectID": item, "position": at}, ITEMS, st.integers(0, 9))
    | st.builds(
        lambda items, at: {"objectIDs": items, "position": at},
        st.lists(ITEMS, min_size=1, max_size=3),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=3,
)
HIDDEN: Final = st.lists(ITEMS.map(lambda item: {"objectID": item}), min_size=1, max_size=3)
FACETS: Final = st.lists(facet, min_size=1, max_size=3)
PARAMS: Final = sparse(
    {},
    {
        "filters": filter_texts,
        "automaticFacetFilters": FACETS,
        "automaticOptionalFacetFilters": FACETS,
        "optionalFilters": filter_lists,
        "facetFilters": filter_lists,
        "sumOrFiltersScores": st.booleans(),
        "promote": PROMOTED,
        "hide": HIDDEN,
    },
)
CONSEQUENCE: Final = sparse(
    {},
    {
        "params": PARAMS,
        "promote": PROMOTED,
        "hide": HIDDEN,
        "userData": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
    },
)
CONDITION: Final = sparse({}, {"context": CONTEXTS, "filters": filter_texts})


def _accepted(rule: Json) -> bool:
    try:
        read_rule(rule, 0.0)
    except Refused:
        return False
    return True


DASHBOARD_RULES: Final = sparse(
    {"objectID": st.text("abc-_19", min_size=1, max_size=6), "consequence": CONSEQUENCE},
    {
        "enabled": st.booleans(),
        "description": st.text(max_size=4),
        "condition": CONDITION,
        "conditions": st.lists(CONDITION, max_size=3),
        "validity": st.lists(SPANS, min_size=1, max_size=2),
    },
).filter(_accepted)
over_http = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@over_http
@given(rules=st.lists(DASHBOARD_RULES, min_size=5, max_size=15, unique_by=lambda rule: rule["objectID"]))
@pytest.mark.parametrize("provider", ["algolia", "renamed"])
async def test_what_a_dashboard_made_is_read_and_written_back_unchanged(
    shop: World, provider: str, rules: list[Json]
) -> None:
    await at_the_vendor(shop, "POST", "/batch?clearExistingRules=true", rules)
    read = [await shop.request("GET", f"{RULES}/{rule['objectID']}?provider={provider}") for rule in rules]
    assert [reply.status for reply in read] == [200] * len(rules)
    said = [reply.json for reply in read]
    found = await shop.request("POST", f"{RULES}/search?provider={provider}", json={"count": 1000})
    by_id = {rule["id"]: rule for rule in found.json["rules"]}
    for rule in said:
        searched = _without_absences(by_id[rule["id"]])
        assert same(searched, _without_absences(rule)), "a search finds what reading finds"
    await write(shop, *said, query=f"?replace=true&provider={provider}")
    for rule in rules:
        assert same(await at_the_vendor(shop, "GET", f"/{rule['objectID']}"), rule)


def _without_absences(rule: Json) -> Json:
    """The vendor's search says `enabled` of every rule, also where the rule itself does not."""
    vendor = dict(rule.get("vendor", {}))
    spelling = {name: value for name, value in vendor.pop("_spelling", {}).items() if name != "enabled"}
    return {**rule, "vendor": vendor | ({"_spelling": spelling} if spelling else {})}


async def test_the_generated_rules_use_every_word_and_the_vendors_own() -> None:
    """So that the test above says something."""
    seen: set[str] = set()

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(rule=DASHBOARD_RULES)
    def look(rule: Json) -> None:
        from gateway.adapters.algolia_recommend import rules  # noqa: PLC0415  # what reads them

        seen.update(ruling.said(rules.read(rule)))

    look()
    words = {"id", "enabled", "description", "conditions", "promote", "hide", "filter", "match", "boost", "valid"}
    assert seen == words | {"data", "vendor"}


def _sayable(rule: Rule) -> bool:
    """Within the limits of API.md §7, with a consequence that the vendor takes for one."""
    return any(getattr(rule, name) for name in ruling.CONSEQUENCES) and rule.data != {}


@over_http
@given(rules=st.lists(our_rules.filter(_sayable), min_size=1, max_size=8, unique_by=lambda rule: rule.id))
async def test_what_is_written_is_read_back(shop: World, rules: list[Rule]) -> None:
    said = [ruling.said(rule) for rule in rules]
    await write(shop, *said, query="?replace=true")
    for rule in said:
        reply = await shop.request("GET", f"{RULES}/{rule['id']}")
        assert same(reply.json, rule)


# --- what rules do -----------------------------------------------------------------------------------------------


async def similar(shop: World, *contexts: str) -> Reply:
    """What is like d0, asked through the gateway."""
    reply = await shop.ask("algolia", kind="similar_items", items=["d0"], count=8, context=list(contexts))
    assert reply.status == 200, reply.text
    return reply


async def test_a_rule_takes_effect_where_its_conditions_hold(shop: World) -> None:
    await write(
        shop,
        {
            "id": "campaign",
            "conditions": [{"context": "campaign", "filter": {"property": "genre", "eq": "Drama"}}],
            "promote": [{"items": ["w3", "w4"], "position": 1}],
            "hide": ["d1"],
            "data": {"banner": "Drama week"},
        },
        query="?replace=true",
    )
    plain, ruled = await similar(shop), await similar(shop, "campaign")
    assert "d1" in plain.ids and "data" not in plain.json
    assert ruled.ids[1:3] == ["w3", "w4"] and "d1" not in ruled.ids
    assert ruled.json["data"] == [{"banner": "Drama week"}]
    other = await shop.ask("algolia", kind="similar_items", items=["c0"], context=["campaign"])
    assert "data" not in other.json, "the source item is no Drama"


async def test_a_rule_filters_matches_and_boosts(shop: World) -> None:
    rule: Json = {"id": "r", "conditions": [{"context": "x"}]}
    await write(shop, rule | {"filter": {"property": "year", "gte": 1985}}, query="?replace=true")
    ids = (await similar(shop, "x")).ids
    assert ids and all(CATALOGUE[id_]["year"] >= 1985 for id_ in ids)
    await write(shop, rule | {"match": [{"facet": "genre", "disjunctive": False}]}, query="?replace=true")
    ids = (await similar(shop, "x")).ids
    assert ids and all(CATALOGUE[id_]["genre"] == ["Drama", "Old"] for id_ in ids)
    await write(shop, rule | {"boost": [{"facet": "year", "negative": True}]}, query="?replace=true")
    assert (await similar(shop, "x")).ids


async def test_a_rule_acts_only_while_it_is_valid_and_enabled(shop: World) -> None:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)

    async def acts(**more: Any) -> bool:
        rule = {"id": "r", "data": {"seen": True}, **more}
        await write(shop, rule, query="?replace=true")
        return "data" in (await similar(shop)).json

    assert await acts()
    assert not await acts(enabled=False)
    assert await acts(valid=[{"from": (now - hour).isoformat(), "until": (now + hour).isoformat()}])
    assert not await acts(valid=[{"from": (now - 2 * hour).isoformat(), "until": (now - hour).isoformat()}])
    assert not await acts(valid=[{"from": (now + hour).isoformat(), "until": (now + 2 * hour).isoformat()}])


# --- operations --------------------------------------------------------------------------------------------------


async def test_replace_drops_the_others_and_may_drop_all(shop: World) -> None:
    await write(shop, {"id": "a", "hide": ["d1"]}, {"id": "b", "hide": ["d2"]}, query="?replace=true")
    await write(shop, {"id": "c", "hide": ["d3"]})
    assert await _ids(shop, {}) == ["a", "b", "c"]
    await write(shop, {"id": "b", "hide": ["d4"]}, query="?replace=true")
    assert await _ids(shop, {}) == ["b"]
    assert (await shop.request("GET", f"{RULES}/b")).json["hide"] == ["d4"]
    await write(shop, query="?replace=true")
    assert await _ids(shop, {}) == []


async def _ids(shop: World, search: Json) -> list[str]:
    reply = await shop.request("POST", f"{RULES}/search", json=search)
    assert reply.status == 200, reply.text
    return [rule["id"] for rule in reply.json["rules"]]


async def test_rules_are_searched_and_paged(shop: World) -> None:
    rules: list[Json] = [{"id": f"r{n}", "hide": ["d1"], "description": f"shoes {n}"} for n in range(5)]
    rules.append({"id": "hats", "conditions": [{"context": "mobile"}], "hide": ["d1"], "enabled": False})
    await write(shop, *rules, query="?replace=true")
    assert await _ids(shop, {"query": "shoes"}) == ["r0", "r1", "r2", "r3", "r4"]
    assert await _ids(shop, {"context": "mobile"}) == ["hats"]
    assert await _ids(shop, {"enabled": False}) == ["hats"]
    page = (await shop.request("POST", f"{RULES}/search", json={"query": "shoes", "page": 1, "count": 2})).json
    assert ([rule["id"] for rule in page["rules"]], page["total"], page["page"], page["pages"]) == (
        ["r2", "r3"], 5, 1, 3
    )  # fmt: skip
    for wrong in ({"count": 0}, {"count": 1001}, {"page": -1}, {"context": "a b"}, {"enabled": "yes"}, {"x": 1}):
        reply = await shop.request("POST", f"{RULES}/search", json=wrong)
        assert reply.pointers == {f"/{name}" for name in wrong}


async def test_a_deleted_rule_is_gone(shop: World) -> None:
    await write(shop, {"id": "gone", "hide": ["d1"]})
    deleted = await shop.request("DELETE", f"{RULES}/gone")
    assert deleted.status == 202 and {"task_id", "updated_at"} == deleted.json.keys()
    for method in ("GET", "DELETE"):
        (await shop.request(method, f"{RULES}/gone")).problem("not-found", 404)
        (await shop.request(method, f"{RULES}/no%20id")).problem("not-found", 404)


async def test_a_rule_may_be_called_like_an_operation(shop: World) -> None:
    await write(shop, {"id": "batch", "hide": ["d1"]}, {"id": "search", "hide": ["d1"]})
    for id_ in ("batch", "search"):
        assert (await shop.request("GET", f"{RULES}/{id_}")).json["id"] == id_


async def test_a_task_is_pending_and_then_done(shop: World) -> None:
    id_ = (await write(shop, {"id": "t", "hide": ["d1"]})).json["task_id"]
    assert id_.replace("-", "").replace("_", "").isalnum(), "it stands in a path as it is"
    seen = set()
    async with asyncio.timeout(60):
        while "done" not in seen:
            reply = await shop.request("GET", f"/v1/tasks/{id_}")
            assert reply.status == 200, reply.text
            seen.add(reply.json["status"])
            await asyncio.sleep(0.02)
    assert seen <= {"pending", "done"}
    assert (await shop.request("GET", f"/v1/tasks/{id_}?provider=algolia")).status == 200
    (await shop.request("GET", f"/v1/tasks/{id_}?provider=renamed")).problem("not-found", 404)
    assert (await shop.request("GET", f"/v1/tasks/{id_}?provider=nobody")).pointers == {"?provider"}


async def test_a_forged_task_is_not_found_and_nobody_is_asked(shop: World) -> None:
    id_ = (await write(shop, {"id": "t", "hide": ["d1"]})).json["task_id"]
    key = shop.runtime.task_key
    genuine = task_of(id_, key)
    assert genuine is not None and genuine.provider == "algolia"
    before = shop.calls.total()
    forged = [
        "x", "none", "%00", "%C3%BC", id_[:-2], id_ + "AA", "A" * 5000, id_.swapcase(),
        task_id(genuine, b"another key"), task_id(Task("nobody", "similar_items", "products/1"), key),
    ]  # fmt: skip
    for wrong in forged:
        (await shop.request("GET", f"/v1/tasks/{wrong}")).problem("not-found", 404)
    assert shop.calls.total() == before
    unknown = task_id(Task("algolia", "similar_items", "products/999999999"), key)
    (await shop.request("GET", f"/v1/tasks/{unknown}")).problem("not-found", 404)


# --- who is asked ------------------------------------------------------------------------------------------------


async def test_a_kind_or_a_provider_without_rules_is_unsupported(shop: World) -> None:
    body = {"rules": [{"id": "r", "hide": ["d1"]}]}
    for kind in ("for_you", "looking_similar"):
        reply = await shop.request("POST", f"/v1/rules/{kind}/batch", json=body)
        assert "no rules" in reply.problem("unsupported", 501)["providers"]["algolia"]
    reply = await shop.request("GET", f"{RULES}/r?provider=xayn")
    assert reply.problem("unsupported", 501)["providers"] == {"xayn": "has no rules"}
    (await shop.request("GET", "/v1/rules/shoes/r")).problem("not-found", 404)
    assert (await shop.request("GET", f"{RULES}/r?provider=nobody&x=1")).pointers == {"?provider", "?x"}
    facets = await shop.request("POST", "/v1/rules/trending_facets/search", json={})
    assert facets.status == 200 and facets.json["rules"] == []


async def test_a_filter_that_the_vendor_cannot_say_is_unsupported(shop: World) -> None:
    mixed = {"any": [{"property": "year", "gt": 1990}, {"property": "genre", "eq": "War"}]}
    reply = await shop.request("POST", f"{RULES}/batch", json={"rules": [{"id": "r", "filter": mixed}]})
    assert "OR of numbers" in reply.problem("unsupported", 501)["providers"]["algolia"]


async def test_what_the_vendor_refuses_is_rejected_in_its_words(shop: World) -> None:
    rule = {"id": "r", "vendor": {"consequence": {"params": {"nonsense": 1}}}}
    reply = await shop.request("POST", f"{RULES}/batch", json={"rules": [rule]})
    assert "nonsense" in reply.problem("rejected", 422)["vendor_message"]
    tampered = {"id": "r", "hide": ["d1"], "vendor": {"_as_they_are": {"hide": "all"}}}
    reply = await shop.request("POST", f"{RULES}/batch", json={"rules": [tampered]})
    reply.problem("rejected", 422)


async def test_a_vendor_that_fails_is_a_problem_with_its_attempt(shop: World) -> None:
    quick, soon = {"Request-Timeout": "0.4"}, {"Request-Timeout": "10"}
    async with shop.broken("algolia", status=503):
        body = (await shop.request("GET", f"{RULES}/r", headers=soon)).problem("unavailable", 503)
        assert [one["provider"] for one in body["attempts"]] == ["algolia"]
    async with shop.broken("algolia", status=429):
        reply = await shop.request("GET", f"{RULES}/r", headers=quick)
        reply.problem("unavailable", 503)
        assert int(reply.headers["Retry-After"]) >= 1
    shop.forget_failures()
    async with shop.broken("algolia", delay="2s"):
        (await shop.request("GET", f"{RULES}/r", headers=quick)).problem("deadline-exceeded", 504)
    async with shop.broken("algolia", status=403):
        body = (await shop.request("GET", f"{RULES}/r", headers=soon)).problem("unavailable", 503)
        assert "settings" in body["attempts"][0]["detail"], "ops must learn which right the key lacks"
    (await shop.request("GET", f"{RULES}/r", headers={"Request-Timeout": "soon"})).problem("invalid-request", 400)


# --- mistakes ----------------------------------------------------------------------------------------------------

NOT: Final = {"not": {"property": "genre", "eq": "War"}}
MOMENT: Final = "2026-01-01T00:00:00Z"
WRONG: Final[list[tuple[Json, set[str]]]] = [
    ({"id": "a b", "hide": ["d1"]}, {"/rules/0/id"}),
    ({"hide": ["d1"]}, {"/rules/0/id"}),
    ({"id": "r"}, {"/rules/0"}),
    ({"id": "r", "data": {}}, {"/rules/0"}),
    ({"id": "r", "hide": ["d1"], "enabled": "yes"}, {"/rules/0/enabled"}),
    ({"id": "r", "hide": ["d1"], "color": 1}, {"/rules/0/color"}),
    ({"id": "r", "hide": ["x"] * 51}, {"/rules/0/hide"}),
    ({"id": "r", "hide": ["", "a\u0007", "ü" * 200]}, {"/rules/0/hide/0", "/rules/0/hide/1", "/rules/0/hide/2"}),
    ({"id": "r", "hide": ["d1"], "conditions": [{"context": "c"}] * 11}, {"/rules/0/conditions"}),
    ({"id": "r", "hide": ["d1"], "conditions": [{}]}, {"/rules/0/conditions/0"}),
    ({"id": "r", "hide": ["d1"], "conditions": [{"context": "a b"}]}, {"/rules/0/conditions/0/context"}),
    ({"id": "r", "hide": ["d1"], "conditions": [{"filter": NOT}]}, {"/rules/0/conditions/0/filter"}),
    ({"id": "r", "hide": ["d1"], "conditions": [{"filter": {"all": [NOT]}}]}, {"/rules/0/conditions/0/filter"}),
    ({"id": "r", "filter": {"property": "x"}}, {"/rules/0/filter"}),
    ({"id": "r", "promote": [{"items": ["x"], "position": -1}]}, {"/rules/0/promote/0/position"}),
    ({"id": "r", "promote": [{"items": [], "position": 0}]}, {"/rules/0/promote/0/items"}),
    ({"id": "r", "promote": [{"items": ["x"] * 20, "position": 0}] * 2}, {"/rules/0/promote"}),
    ({"id": "r", "match": [{"facet": ""}]}, {"/rules/0/match/0/facet"}),
    ({"id": "r", "boost": [{"score": 1}]}, {"/rules/0/boost/0/facet"}),
    ({"id": "r", "hide": ["d1"], "valid": []}, {"/rules/0/valid"}),
    ({"id": "r", "hide": ["d1"], "valid": [{"from": MOMENT, "until": MOMENT}]}, {"/rules/0/valid/0/until"}),
    ({"id": "r", "hide": ["d1"], "valid": [{"from": MOMENT, "until": "2026"}]}, {"/rules/0/valid/0/until"}),
    ({"id": "r", "data": {"a": "x" * 1020}}, {"/rules/0/data"}),
    ({"id": "r", "hide": ["d1"], "vendor": []}, {"/rules/0/vendor"}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "pointers"), WRONG, ids=lambda value: ",".join(sorted(value))[:60])
async def test_a_mistake_is_named(shop: World, rule: Json, pointers: set[str]) -> None:
    before = shop.calls.total()
    reply = await shop.request("POST", f"{RULES}/batch", json={"rules": [rule]})
    assert reply.pointers == pointers, reply.text
    assert shop.calls.total() == before, "the vendor is not bothered with it"


async def test_all_mistakes_are_named_at_once(shop: World) -> None:
    rules = [rule for rule, _ in WRONG if "id" in rule]
    for n, rule in enumerate(rules):
        if rule["id"] == "r":
            rules[n] = rule | {"id": f"r{n}"}
    reply = await shop.request(
        "POST", f"{RULES}/batch?replace=perhaps&provider=nobody&shoes=1", json={"rules": rules, "more": 1}
    )
    wanted = {"?replace", "?provider", "?shoes", "/more"}
    for (_, pointers), n in zip([one for one in WRONG if "id" in one[0]], range(len(rules)), strict=True):
        wanted |= {pointer.replace("/rules/0", f"/rules/{n}") for pointer in pointers}
    assert reply.pointers == wanted


async def test_limits_are_reached_without_a_mistake(shop: World) -> None:
    full = {
        "id": "f" * 64,
        "conditions": [{"context": f"c{n}"} for n in range(10)],
        "promote": [{"items": [f"p{n}" for n in range(30)], "position": 0}],
        "hide": [f"h{n}" for n in range(50)],
        "data": {"a": "x" * (1024 - len('{"a":""}'))},
    }
    await write(shop, full)
    assert same((await shop.request("GET", f"{RULES}/{full['id']}")).json, {**full, "enabled": True})


async def test_an_empty_batch_and_two_of_one_id_are_mistakes(shop: World) -> None:
    assert (await shop.request("POST", f"{RULES}/batch", json={"rules": []})).pointers == {"/rules"}
    assert (await shop.request("POST", f"{RULES}/batch", json={})).pointers == {"/rules"}
    twice = [{"id": "r", "hide": ["d1"]}] * 2
    assert (await shop.request("POST", f"{RULES}/batch", json={"rules": twice})).pointers == {"/rules/1/id"}
    for body in (b"{", b"", b"\xff", b"[" * 5000):
        reply = await shop.request(
            "POST", f"{RULES}/batch", data=body, headers={"Content-Type": "application/json"}
        )
        reply.problem("invalid-request", 400)
    values: list[Any] = [[], 7, {"rules": 7}, {"rules": [7]}, {"rules": [{"id": 7, "promote": 7, "valid": [7]}]}]
    for value in values:
        (await shop.request("POST", f"{RULES}/batch", json=value)).problem("invalid-request", 422)
    (await shop.request("POST", f"{RULES}/batch", data={"a": "form"})).problem("unsupported-media-type", 415)


async def test_a_task_id_says_nothing_to_who_reads_it(shop: World) -> None:
    id_ = (await write(shop, {"id": "t", "hide": ["d1"]})).json["task_id"]
    task = task_of(id_, shop.runtime.task_key)
    assert task is not None and task.task.startswith("products/") and task.kind == "similar_items"
    assert msgspec.to_builtins(task)[0] == "algolia"
