"""What is said to Algolia in its `filters` means there what the filter means here.

The judge is the emulated Algolia's own parser and evaluation, which were written from the vendor's documents.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from gateway.adapters.algolia_recommend import AlgoliaRecommend
from gateway.adapters.algolia_recommend.filters import clauses, expressible, printed, without
from gateway.adapters.algolia_recommend.grammar import clauses_of, conjoined, tree_of
from gateway.model.filters import All, AnyOf, Compare, Filter, Ids, Not, conjunction, matches
from gateway.sandbox.algolia.filters import FilterError
from gateway.sandbox.algolia.filters import parse as parse_as_algolia
from tests.more import examples

# --- against the emulated vendor --------------------------------------------------------------------------------

NAMES = st.sampled_from(["genre", "year", "on_sale", "a-b", "x y", "_tags", "objectID", "OR"])
TEXTS = st.sampled_from(
    ["drama", "war", "two words", "or", "AND", "1990", "true", "-5", "a:b", 'qu"ote', "(p)", "", "é", "a<b", " x"]
)
NUMBERS = st.integers(-3, 3) | st.sampled_from([1990, 1990.5, -0.25, 1e-7, 1e22, 2**53 + 1])
VALUES = TEXTS | NUMBERS | st.booleans() | st.just("2026-01-02T03:04:05Z")
ITEM_IDS = st.sampled_from(["i1", "i2", "1990", "a b", 'q"'])

leaf: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, NAMES, st.just("eq"), VALUES),
    st.builds(
        lambda name, some: Compare(name, "in", tuple(some)), NAMES, st.lists(VALUES, min_size=1, max_size=3)
    ),
    st.builds(
        Compare, NAMES, st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS | st.just("2026-01-02T03:04:05Z")
    ),
    st.builds(lambda some: Ids(tuple(some)), st.lists(ITEM_IDS, min_size=1, max_size=3)),
)
trees: st.SearchStrategy[Filter] = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda some: All(tuple(some))),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: AnyOf(tuple(some))),
        inner.map(Not),
    ),
    max_leaves=5,
)

# Of texts only those that Algolia's facets can tell from numbers and truth, and in one case of letters.
STORED = st.sampled_from(["drama", "war", "two words", "or", "AND", "a:b", "é", "a<b"]) | NUMBERS | st.booleans()
records = st.dictionaries(
    st.sampled_from(["genre", "year", "on_sale", "a-b"]), STORED | st.lists(STORED, max_size=3), max_size=4
)


@settings(max_examples=examples(300, 1000), deadline=None)
@given(trees, ITEM_IDS, records)
def test_what_is_expressible_means_the_same_there(tree: Filter, item: str, record: dict[str, Any]) -> None:
    assume(expressible(tree))
    text = printed(clauses(tree))
    event("several clauses" if " AND " in text else "one clause")
    there = parse_as_algolia(text).matches({**record, "objectID": item})
    assert there == matches(tree, item, record), text


@settings(max_examples=examples(200, 500), deadline=None)
@given(st.lists(trees, min_size=2, max_size=3), ITEM_IDS, records)
def test_expressible_parts_can_be_said_together(parts: list[Filter], item: str, record: dict[str, Any]) -> None:
    said = AlgoliaRecommend.model_validate({"application_id": "A", "api_key": "k", "index": "i"})
    whole = conjunction([part for part, can in zip(parts, said.expressible(parts), strict=True) if can])
    assume(whole is not None)
    assert whole is not None
    there = parse_as_algolia(printed(clauses(whole))).matches({**record, "objectID": item})
    assert there == matches(whole, item, record)


@settings(max_examples=examples(200, 500), deadline=None)
@given(trees)
def test_what_is_printed_is_read_back_to_the_same_letters(tree: Filter) -> None:
    assume(expressible(tree))
    text = printed(clauses(tree))
    back = tree_of(text)
    assert back is not None
    assert printed(clauses(back)) == text


@given(st.text(alphabet='ab:<>=!() "ANDORTO1.', max_size=30))
def test_no_text_confuses_the_parser(text: str) -> None:
    tree = tree_of(text)
    if tree is not None:
        assert printed(clauses(tree)) == text


@settings(max_examples=examples(200, 500), deadline=None)
@given(st.text(alphabet="ab:()ORND ", max_size=24))
def test_what_is_refused_there_is_refused_here(text: str) -> None:
    """`fallback.filters` of the configuration is taken apart: what cannot be joined must not pass the check."""
    try:
        taken = clauses_of(text)
    except ValueError:
        return
    try:
        parse_as_algolia(text)
    except FilterError:
        return  # single terms are not looked into
    assert len(parse_as_algolia(text).clauses) == len(taken)


# --- examples ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (Compare("genre", "eq", "Drama"), "genre:Drama"),
        (Compare("genre", "eq", "Sci Fi"), 'genre:"Sci Fi"'),
        (Compare("genre", "in", ("Drama", "War")), "genre:Drama OR genre:War"),
        (Compare("on_sale", "eq", True), "on_sale:true"),
        (Compare("year", "eq", 3), "year = 3"),
        (Compare("price", "lt", 9.5), "price < 9.5"),
        (Not(Compare("year", "gte", 1990)), "NOT year >= 1990"),
        (Not(Compare("genre", "in", ("Drama", "War"))), "NOT genre:Drama AND NOT genre:War"),
        (Ids(("i1", "i 2")), 'objectID:i1 OR objectID:"i 2"'),
        (
            All((AnyOf((Compare("a", "eq", "x"), Not(Compare("b", "eq", "y")))), Compare("n", "gt", 1))),
            "(a:x OR NOT b:y) AND n > 1",
        ),
        (Not(All((Compare("a", "eq", "x"), Compare("b", "eq", "y")))), "NOT a:x OR NOT b:y"),
    ],
)
def test_printed(tree: Filter, text: str) -> None:
    assert expressible(tree)
    assert printed(clauses(tree)) == text


@pytest.mark.parametrize(
    "tree",
    [
        Compare("genre", "eq", 'a "b"'),
        Compare("genre", "eq", "back\\slash"),
        Compare("size", "eq", "42"),
        Compare("size", "eq", "True"),
        Compare("two words", "eq", "x"),
        Compare("published_at", "gt", "2026-01-01T00:00:00Z"),
        Compare("published_at", "eq", "2026-01-01T00:00:00Z"),
        Compare("x", "in", ("text", 3)),
        AnyOf((All((Compare("a", "eq", "x"), Compare("b", "eq", "y"))), Compare("c", "eq", "z"))),
        Compare("n", "gt", 2**53 + 1),
    ],
)
def test_not_expressible(tree: Filter) -> None:
    assert not expressible(tree)


def test_items_whose_ids_cannot_be_quoted_are_left_out() -> None:
    assert printed(without(["i1", 'q"', "a b"])) == 'NOT objectID:i1 AND NOT objectID:"a b"'


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("", "x:y"),
        ("a:b", "a:b AND x:y"),
        ("a:b OR c:d", "(a:b OR c:d) AND x:y"),
        ("a:b AND c:d OR e:f", "a:b AND (c:d OR e:f) AND x:y"),
        ("price<3 AND NOT _tags:'a AND b'", "price<3 AND NOT _tags:'a AND b' AND x:y"),
    ],
)
def test_conjoined(text: str, joined: str) -> None:
    assert conjoined(text, [["x:y"]]) == joined


@pytest.mark.parametrize("text", ["(a:b AND c:d) OR e:f", "((a:b))", "a:b AND", "NOT (a:b OR c:d)", "a:b)", "OR"])
def test_not_of_the_form_of_an_and_of_ors(text: str) -> None:
    with pytest.raises(ValueError, match="filters:"):
        clauses_of(text)
