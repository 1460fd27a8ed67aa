"""Filters: what is written is what is read, and what it means (API.md §3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Mistake
from gateway.model.filters import (
    MAX_DEPTH,
    All,
    AnyOf,
    Compare,
    Filter,
    Ids,
    Not,
    conjunction,
    conjuncts,
    instant,
    leaves,
    matches,
    names,
    parse,
    to_json,
)

NAMES = st.sampled_from(["genre", "year", "at", "ids", "a.b"])
DATES = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.5Z"])
SCALARS = st.one_of(
    st.booleans(), st.integers(-2, 3), st.sampled_from([0.0, 1.5]), st.sampled_from(["War", "1", "true"]), DATES
)  # fmt: skip
ORDERED = st.integers(-2, 3) | st.sampled_from([0.5, 1.5]) | DATES
LEAVES = st.one_of(
    st.builds(Compare, NAMES, st.just("eq"), SCALARS),
    st.builds(Compare, NAMES, st.just("in"), st.lists(SCALARS, min_size=1, max_size=3).map(tuple)),
    st.builds(Compare, NAMES, st.sampled_from(["gt", "gte", "lt", "lte"]), ORDERED),
    st.builds(Ids, st.lists(st.sampled_from(["i1", "i2"]), min_size=1, max_size=2).map(tuple)),
)


def combined(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.builds(All, parts) | st.builds(AnyOf, parts) | st.builds(Not, inner)


def depth(tree: Filter) -> int:
    match tree:
        case All() | AnyOf():
            return 1 + max(depth(part) for part in tree.of)
        case Not():
            return 1 + depth(tree.of)
    return 0


TREES: st.SearchStrategy[Filter] = st.recursive(LEAVES, combined, max_leaves=8)
PROPERTIES = st.dictionaries(
    NAMES, SCALARS | st.none() | st.lists(SCALARS, max_size=3) | st.just({"odd": 1}), max_size=4
)
ITEMS = st.sampled_from(["i1", "i2", "i3"])


def read(value: object) -> Filter:
    mistakes: list[Mistake] = []
    tree = parse(value, "", mistakes)
    assert tree is not None, mistakes
    return tree


@given(tree=TREES.filter(lambda tree: depth(tree) <= MAX_DEPTH))
def test_what_is_written_is_read_back(tree: Filter) -> None:
    assert read(to_json(tree)) == tree


@given(tree=TREES)
def test_too_deep_a_tree_is_refused_and_no_other(tree: Filter) -> None:
    mistakes: list[Mistake] = []
    parsed = parse(to_json(tree), "/f", mistakes)
    assert (parsed is None) is (depth(tree) > MAX_DEPTH) is bool(mistakes)


@given(tree=TREES, item=ITEMS, properties=PROPERTIES)
def test_not_is_not(tree: Filter, item: str, properties: dict[str, Any]) -> None:
    assert matches(Not(tree), item, properties) is not matches(tree, item, properties)


@given(one=TREES, other=TREES, item=ITEMS, properties=PROPERTIES)
def test_all_and_any(one: Filter, other: Filter, item: str, properties: dict[str, Any]) -> None:
    left, right = matches(one, item, properties), matches(other, item, properties)
    assert matches(All((one, other)), item, properties) is (left and right)
    assert matches(AnyOf((one, other)), item, properties) is (left or right)


@given(tree=TREES, item=ITEMS, properties=PROPERTIES)
def test_parts_that_must_all_match(tree: Filter, item: str, properties: dict[str, Any]) -> None:
    parts = conjuncts(tree)
    assert not any(isinstance(part, All) for part in parts)
    assert all(matches(part, item, properties) for part in parts) is matches(tree, item, properties)
    joined = conjunction(parts)
    assert joined is not None
    assert conjuncts(joined) == parts


@given(tree=TREES, item=ITEMS, properties=PROPERTIES, other=SCALARS)
def test_only_the_properties_that_it_names_count(
    tree: Filter, item: str, properties: dict[str, Any], other: object
) -> None:
    named = names(tree)
    assert named == {leaf.property for leaf in leaves(tree) if isinstance(leaf, Compare)}
    elsewhere = {name: value for name, value in properties.items() if name in named} | {"unnamed": other}
    assert matches(tree, item, elsewhere) is matches(tree, item, properties)


@given(
    leaf=LEAVES.filter(lambda leaf: isinstance(leaf, Compare)), item=ITEMS, values=st.lists(SCALARS, max_size=4)
)
def test_of_an_array_one_element_suffices(leaf: Compare, item: str, values: list[Any]) -> None:
    one_by_one = [matches(leaf, item, {leaf.property: value}) for value in values]
    assert matches(leaf, item, {leaf.property: values}) is any(one_by_one)


@given(leaf=LEAVES.filter(lambda leaf: isinstance(leaf, Compare)), item=ITEMS)
def test_what_an_item_lacks_matches_nothing(leaf: Compare, item: str) -> None:
    lacking: list[dict[str, Any]] = [{}, {leaf.property: None}, {leaf.property: []}]
    for properties in lacking:
        assert matches(leaf, item, properties) is False
        assert matches(Not(leaf), item, properties) is True


@pytest.mark.parametrize(
    ("filter_", "value", "expected"),
    [
        ({"eq": 1}, 1, True), ({"eq": 1}, 1.0, True), ({"eq": 1}, True, False), ({"eq": True}, 1, False),
        ({"eq": 1}, "1", False), ({"eq": "1"}, 1, False), ({"eq": "true"}, True, False), ({"eq": False}, 0, False),
        ({"eq": "War"}, "war", False), ({"eq": "War"}, ["Old", "War"], True), ({"in": [1, "War"]}, "War", True),
        ({"in": [1]}, True, False), ({"in": ["a"]}, ["b", "a"], True), ({"in": ["a"]}, "ab", False),
        ({"gt": 1}, 1, False), ({"gte": 1}, 1, True), ({"lt": 1}, 0.5, True), ({"lte": 1}, 1.5, False),
        ({"gt": 1}, "2", False), ({"gt": 0}, True, False), ({"lt": 5}, [9, 3], True),
        ({"eq": "2026-01-01T00:00:00Z"}, "2026-01-01T01:00:00+01:00", True),
        ({"in": ["2026-01-01T00:00:00Z"]}, "2026-01-01T00:00:00.000Z", True),
        ({"gt": "2026-01-01T00:00:00Z"}, "2026-01-01T00:30:00+01:00", False),
        ({"gt": "2026-01-01T00:00:00Z"}, "2026-01-01T00:00:01Z", True),
        ({"gte": "2026-01-01T00:00:00Z"}, 1767225600, False),
        ({"lt": "2026-01-01T00:00:00Z"}, "2025", False), ({"lt": "2026-01-01T00:00:00Z"}, "2025-12-31", False),
    ],
)  # fmt: skip
def test_what_comparisons_mean(filter_: dict[str, Any], value: object, expected: bool) -> None:
    assert matches(read({"property": "p", **filter_}), "i", {"p": value}) is expected


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02 03:04:05.25+02:00", "2026-01-02T01:04:05.250000+00:00"),
        ("2026-01-02T03:04:05", None), ("2026-01-02", None), ("2026-13-02T03:04:05Z", None), ("", None), (3, None),
        ("tomorrow at noon, please", None), (None, None),
    ],
)  # fmt: skip
def test_moments(text: object, utc: str | None) -> None:
    moment = instant(text)
    assert (moment.isoformat() if moment else None) == utc


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_moments_outside_the_calendar(text: str) -> None:
    assert instant(text) is None


def test_ids_are_the_items_own() -> None:
    assert matches(Ids(("i1",)), "i1", {"id": "i2"})
    assert not matches(Ids(("i1",)), "i2", {"id": "i1"})


def test_no_filter() -> None:
    assert conjuncts(None) == ()
    assert conjunction([]) is None
    assert names(None) == frozenset()
