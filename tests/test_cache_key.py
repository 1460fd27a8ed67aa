"""The cache's keys: different whenever anything differs, the same however it was written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.model.filters import All, AnyOf, Compare, Ids, Not
from gateway.model.query import Facet, Recommend, Search, Seen, User
from gateway.policies.key import cache_key

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
scalars: st.SearchStrategy[Any] = st.one_of(
    text, st.booleans(), st.integers(), st.integers(-3, 3), st.floats(allow_nan=False), st.none()
)
json_values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(text, v, max_size=3), max_leaves=6
)
values = st.one_of(text, st.booleans(), st.integers(), st.floats(allow_nan=False))
leaf_filters = st.one_of(
    st.builds(Compare, text, st.sampled_from(["eq", "gt", "lt"]), values),
    st.builds(Compare, text, st.just("in"), st.lists(values, min_size=1, max_size=2).map(tuple)),
    st.builds(Ids, st.lists(text, max_size=2).map(tuple)),
)
filters = st.recursive(
    leaf_filters,
    lambda part: st.one_of(
        st.builds(All, st.lists(part, max_size=2).map(tuple)),
        st.builds(AnyOf, st.lists(part, max_size=2).map(tuple)),
        st.builds(Not, part),
    ),
    max_leaves=3,
)
moments = st.datetimes(timezones=st.just(UTC))
users = st.builds(
    User,
    st.none() | text,
    st.lists(st.builds(Seen, text, st.none() | moments), max_size=2).map(tuple),
)
ids = st.lists(text, max_size=2).map(tuple)
recommends = st.builds(
    Recommend,
    kind=st.sampled_from(["for_you", "similar_items", "trending_items"]),
    count=st.integers(1, 3),
    user=st.none() | users,
    items=ids,
    facet=st.none() | st.builds(Facet, text, st.none() | text),
    filter=st.none() | filters,
    exclude_items=ids,
    exclude_seen=st.none() | st.booleans(),
    properties=st.booleans(),
    snippet=st.booleans(),
    contexts=ids,
    options=st.dictionaries(text, json_values, max_size=2),
)
searches = st.builds(Search, count=st.integers(1, 3), query=st.none() | text, item=st.none() | text)
requests = st.one_of(recommends, searches)
parts = st.tuples(text, text, requests, st.binary(max_size=4))


def exact(value: Any) -> Any:
    """A value in which 1, 1.0 and True are not equal, nor 0.0 and −0.0, nor structs of different classes."""
    if isinstance(value, msgspec.Struct):
        return type(value).__name__, [exact(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, dict):
        return "dict", sorted((key, repr(exact(v))) for key, v in value.items())
    if isinstance(value, list | tuple):
        return "list", [exact(v) for v in value]
    return type(value).__name__, repr(value)


@given(parts, parts)
@example(("p", "", Recommend(kind="for_you", count=1), b""), ("", "p", Recommend(kind="for_you", count=1), b""))
@example(("p", "a", Search(count=1), b""), ("p", "a", Recommend(kind="for_you", count=1), b""))
def test_different_requests_have_different_keys(here: Any, there: Any) -> None:
    same = exact(here) == exact(there)
    assert (cache_key(*here) == cache_key(*there)) == same


@given(recommends, st.data())
def test_a_change_in_any_one_member_changes_the_key(request: Recommend, data: st.DataObject) -> None:
    other = data.draw(recommends)
    key = cache_key("home", "a", request, b"u")
    for member in Recommend.__struct_fields__:
        changed = msgspec.structs.replace(request, **{member: getattr(other, member)})
        if exact(changed) != exact(request):
            assert cache_key("home", "a", changed, b"u") != key


@given(st.dictionaries(text, json_values, max_size=4))
def test_the_order_of_members_does_not_matter(options: dict[str, Any]) -> None:
    turned = dict(reversed(options.items()))
    one = Recommend(kind="for_you", count=1, options={"x": options})
    other = Recommend(kind="for_you", count=1, options={"x": turned})
    assert cache_key("home", "", one, b"") == cache_key("home", "", other, b"")


def test_values_that_python_calls_equal_stay_apart() -> None:
    ways = [1, 1.0, True, "1", 10**30, 1e30, str(10**30), None, "None", b"1"]
    keys = {cache_key("", "", Recommend(kind="for_you", count=1, options={"x": way}), b"") for way in ways}
    assert len(keys) == len(ways)


def test_is_the_same_in_every_process_and_version() -> None:
    """Processes share a cache by these keys: a change costs every deployment its cache once."""
    request = Recommend(
        kind="similar_items",
        count=10,
        user=User("u1", (Seen("i9", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),)),
        items=("i1",),
        filter=All((Compare("genre", "in", ("Drama", "War")), Not(Ids(("i7",))))),
        options={"b": 1, "a": {"d": None, "c": [True]}},
    )
    assert cache_key("home", "control", request, b"subject").hex() == "2d2660a6b277d6f0762923f19e02a891"
