"""Rules of Algolia's lose nothing on their way through our words, and ours none on their way through Algolia's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.adapters.algolia_recommend import rules
from gateway.errors import Unsupported
from gateway.model.control import Condition, FacetMatch, Period, Promotion, Rule
from gateway.model.filters import All, AnyOf, Compare, Filter, Ids, Not
from tests.more import examples

Json = dict[str, Any]


def same(one: object, other: object) -> bool:
    """The same JSON, to the type of each number."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def sparse(required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]) -> Any:
    return st.fixed_dictionaries(required, optional=optional)


# --- rules as Algolia may hold them, the odd ones too -----------------------------------------------------------

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
ids = st.sampled_from(["i1", "i2", "a b", 'q"', "NOT", "7"])
filter_texts = st.sampled_from(
    [
        "genre:Drama",
        "genre:Drama OR genre:War",
        "(genre:Drama OR genre:War) AND year >= 1990",
        'brand:"Acme Inc" AND NOT onSale:true',
        "size:42",
        "year = 1990 OR year = 1991.5",
        "objectID:i1 OR objectID:i2",
        "categories.lvl0:Shoes AND price < 10",
        # none of these has a tree of ours that prints alike
        'brand:"Acme"',
        "price<10",
        "price != 10",
        "price:1 TO 5",
        "genre:Drama<score=3>",
        "(genre:Drama)",
        "_tags:new",
        "new",
        "a:b OR c:d AND e:f",
        "a:b AND OR",
        "(((",
        "",
    ]
)
filter_lists = st.sampled_from(["brand:Acme", ["brand:Acme", ["color:red", "color:-blue"]], []])
condition = sparse(
    {}, {"context": st.sampled_from(["mobile", "", "a"]), "filters": filter_texts, "pattern": st.just("x")}
)
promotion = sparse(
    {"position": st.integers(-1, 3)}, {"objectID": ids, "objectIDs": st.lists(ids, max_size=2), "note": anything}
)
hidden = sparse({"objectID": ids}, {"why": anything})
facet = st.sampled_from(["brand", "color<score=5>", "color<score=05>", "-x", "a<b"]) | sparse(
    {"facet": st.sampled_from(["brand", "color"])},
    {
        "score": st.integers(0, 5) | st.none(),
        "disjunctive": st.booleans(),
        "negative": st.booleans(),
        "z": anything,
    },
)
facets = st.lists(facet, max_size=3) | st.just({"facet": "brand"}) | st.none()
period = sparse(
    {"from": st.integers(0, 2**33), "until": st.integers(0, 2**60) | st.floats(0, 9)}, {"tz": anything}
)
promoted = st.lists(promotion, max_size=3) | anything
hides = st.lists(hidden, max_size=2) | anything
params = sparse(
    {},
    {
        "filters": filter_texts | anything,
        "automaticFacetFilters": facets,
        "automaticOptionalFacetFilters": facets,
        "promote": promoted,
        "hide": hides,
        "optionalFilters": filter_lists,
        "numericFilters": filter_lists,
        "tagFilters": filter_lists,
        "facetFilters": filter_lists,
        "sumOrFiltersScores": st.booleans(),
    },
)
consequence = sparse(
    {},
    {
        "params": params | anything,
        "promote": promoted,
        "hide": hides,
        "userData": st.dictionaries(st.text(max_size=3), anything, max_size=2) | anything,
        "more": anything,
    },
)
wire_rules = sparse(
    {"objectID": st.sampled_from(["r1", "r-2", "r_3"])},
    {
        "enabled": st.booleans() | anything,
        "description": st.text(max_size=4) | anything,
        "condition": condition | anything,
        "conditions": st.lists(condition, max_size=3) | anything,
        "consequence": consequence | anything,
        "validity": st.lists(period, max_size=2) | anything,
        "tags": anything,
    },
)


@settings(max_examples=examples(200, 600), deadline=None)
@given(wire_rules)
@example({"objectID": "r", "consequence": {"params": {"promote": [{"objectID": "i1", "position": 0}]}}})
@example(
    {"objectID": "r", "consequence": {"promote": None, "params": {"promote": [{"objectID": "i", "position": 0}]}}}
)
@example({"objectID": "r", "consequence": {"params": {}, "hide": [{"objectID": "i"}]}})
@example({"objectID": "r", "condition": {}, "conditions": []})
@example({"objectID": "r", "consequence": {"promote": [{"objectIDs": ["a"], "position": True}]}})
def test_what_algolia_has_comes_back(wire: Json) -> None:
    before = msgspec.json.encode(wire)
    rule = rules.read(wire)
    assert same(rules.write(rule), wire)
    assert msgspec.json.encode(wire) == before, "reading must not change what was read"


@settings(max_examples=examples(150, 300), deadline=None)
@given(wire_rules)
def test_reading_again_gives_the_same_rule(wire: Json) -> None:
    rule = rules.read(wire)
    assert rules.read(rules.write(rule)) == rule


def test_what_only_algolia_writes_is_dropped() -> None:
    rule = rules.read({"objectID": "r", "enabled": True, "_metadata": {"lastUpdate": 0}, "_highlightResult": {}})
    assert rule == Rule(id="r")


# --- rules in our words -----------------------------------------------------------------------------------------

values = st.sampled_from(["Drama", "War", "two words", "true", "42", "OR", "-x", "ünï"])
numbers = st.integers(-5, 5) | st.sampled_from([0.5, -2.25])
equal = st.builds(Compare, st.just("genre"), st.just("eq"), values | st.booleans())
one_of = st.builds(
    lambda these: Compare("genre", "in", tuple(these)), st.lists(values, min_size=2, max_size=3, unique=True)
)
ordered = st.builds(Compare, st.just("year"), st.sampled_from(["eq", "gt", "gte", "lt", "lte"]), numbers)
these = st.builds(
    lambda some: Ids(tuple(some)), st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)
)
either = st.tuples(equal, st.builds(Compare, st.just("brand"), st.just("eq"), values)).map(AnyOf)
plain = equal | one_of | ordered | these | either
opposite = st.builds(Not, equal | ordered)


def all_of(parts: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    return parts | st.lists(parts, min_size=2, max_size=3).map(lambda some: All(tuple(some)))


moments = st.integers(0, 2**32).map(lambda n: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=n))
periods = (
    st.tuples(moments, moments).filter(lambda ends: ends[0] != ends[1]).map(lambda ends: Period(*sorted(ends)))
)
matches = st.lists(
    st.builds(
        FacetMatch,
        st.sampled_from(["brand", "color"]),
        st.none() | st.booleans(),
        st.none() | st.booleans(),
        st.none() | st.integers(0, 9),
    ),
    max_size=2,
).map(tuple)
our_rules = st.builds(
    Rule,
    id=st.sampled_from(["r1", "r-2"]),
    enabled=st.booleans(),
    description=st.none() | st.text(max_size=3),
    conditions=st.lists(
        st.builds(Condition, st.sampled_from(["mobile", "web"]), st.none() | all_of(plain))
        | st.builds(Condition, st.none(), all_of(plain)),
        max_size=3,
    ).map(tuple),
    promote=st.lists(
        st.builds(Promotion, st.lists(ids, min_size=1, max_size=3).map(tuple), st.integers(0, 9)), max_size=3
    ).map(tuple),
    hide=st.lists(ids, max_size=3).map(tuple),
    filter=st.none() | all_of(plain | opposite),
    match=matches,
    boost=matches,
    valid=st.lists(periods, max_size=2).map(tuple),
    data=st.none() | st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2),
)


@settings(max_examples=examples(200, 600), deadline=None)
@given(our_rules)
def test_what_we_have_comes_back(rule: Rule) -> None:
    assert rules.read(rules.write(rule)) == rule


def test_words_are_put_over_what_the_vendor_had() -> None:
    wire: Json = {
        "objectID": "r",
        "conditions": [{"context": "mobile"}],
        "consequence": {"params": {"filters": "price:1 TO 5", "optionalFilters": ["brand:Acme"]}},
    }
    rule = rules.read(wire)
    assert rule.vendor["consequence"]["params"]["filters"] == "price:1 TO 5"
    edited = msgspec.structs.replace(
        rule, filter=Compare("price", "gt", 1), conditions=(Condition("mobile"), Condition("web"))
    )
    assert rules.write(edited) == {
        "objectID": "r",
        "conditions": [{"context": "mobile"}, {"context": "web"}],
        "consequence": {"params": {"filters": "price > 1", "optionalFilters": ["brand:Acme"]}},
    }


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rule(id="r", filter=AnyOf((Compare("year", "gt", 1), Compare("genre", "eq", "x")))), "OR of numbers"),
        (Rule(id="r", conditions=(Condition(None, Not(Compare("genre", "eq", "x"))),)), "no `not`"),
    ],
)
def test_what_algolia_cannot_say_is_not_sent(rule: Rule, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        rules.write(rule)
