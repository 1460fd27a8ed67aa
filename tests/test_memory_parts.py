"""What `local` learns by, each part alone: popularity that fades, what goes together, what is alike, words."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.memory import catalogue, popularity, together
from gateway.memory.catalogue import Catalogue, words
from gateway.memory.deeds import worth
from gateway.memory.popularity import HALF_LIFE, LANDMARK, Popularity
from gateway.memory.together import SHRINK, Together

NOW = LANDMARK + 500 * 86400.0
DAY = 86400.0


# --- what a deed is worth


def test_the_more_it_costs_the_more_it_is_worth() -> None:
    rising = ["dislike", "view", "click", "add_to_cart", "like", "purchase"]
    assert [worth(type_, None) for type_ in rising] == sorted(worth(type_, None) for type_ in rising)
    assert worth("search", None) == 0


def test_a_rating_is_worth_its_upper_half() -> None:
    assert [worth("rating", value) for value in (None, 0, 2.5, 3, 5)] == [0, 0, 0, 3, 5]


# --- popularity


def popular(*deeds: tuple[str, float, float]) -> Popularity:
    """Item, worth, and the days before now."""
    found = Popularity()
    for item, value, days in deeds:
        found.add(item, value, NOW - days * DAY)
    found.settle()
    return found


def ranked(found: Popularity) -> list[str]:
    return [item for item, _ in found.ranked()]


def test_half_is_left_after_a_half_life() -> None:
    found = popular(("new", 1, 0), ("old", 1, HALF_LIFE / DAY), ("older", 1, 2 * HALF_LIFE / DAY))
    assert dict(found.ranked()) == pytest.approx({"new": 1, "old": 0.5, "older": 0.25})


def test_what_was_wanted_lately_outranks_what_was_wanted_more() -> None:
    assert ranked(popular(("old", 5, 30), ("new", 1, 0))) == ["new", "old"]
    assert ranked(popular(("old", 5, 1), ("new", 1, 0))) == ["old", "new"]


def test_what_nobody_wanted_comes_last_and_ties_stand_by_id() -> None:
    found = popular(("b", 1, 0), ("a", 1, 0))
    found.know("0")
    found.know("a")
    found.settle()
    assert ranked(found) == ["a", "b", "0"]


def test_a_time_beyond_all_measure_is_no_overflow() -> None:
    found = popular(("far", 1, -1e7), ("then", 1, 1e5))
    assert ranked(found)[0] == "far"


DEEDS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from([1.0, 2.0, 5.0]), st.integers(0, 60)), max_size=60
)


@settings(max_examples=60, deadline=None)
@given(deeds=DEEDS, cuts=st.sets(st.integers(0, 60), max_size=6))
def test_the_order_is_the_same_however_it_was_learned(deeds: list[tuple[str, float, int]], cuts: set[int]) -> None:
    """All at once, sorted anew; or by and by, moving what changed."""
    at_once = popular(*deeds)
    by_and_by = Popularity()
    for item in "abcdefghijklmnopqrstuvwxyz" * 4:  # so many that single changes are moves
        by_and_by.know(item)
        at_once.know(item)
    at_once.settle()
    by_and_by.settle()
    for index, (item, value, days) in enumerate(deeds):
        by_and_by.add(item, value, NOW - days * DAY)
        if index in cuts or index % 7 == 0:
            by_and_by.settle()
            assert by_and_by.order == sorted(by_and_by.order)
    by_and_by.settle()
    assert by_and_by.order == at_once.order


def test_only_so_many_items_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popularity, "ITEMS", 100)
    found = Popularity()
    for n in range(1000):
        found.add(f"i{n:03}", 1 + n / 1000, NOW)
        found.settle()
    assert len(found.order) <= 110
    assert ranked(found)[0] == "i999" and "i000" not in ranked(found)


# --- together


def bought(*baskets: str) -> Together:
    """What people bought, one letter an item, one person a basket."""
    found = Together()
    for user, basket in enumerate(baskets):
        for item in basket:
            found.add(f"u{user}", item, 1.0)
    return found


def test_it_is_the_shrunk_cosine() -> None:
    found = bought("ab", "ab", "a", "bc")
    assert found.alike("a") == pytest.approx({"b": 2 / (sqrt(3 * 3) + SHRINK)})
    assert found.alike("c") == pytest.approx({"b": 1 / (sqrt(1 * 3) + SHRINK)})
    assert found.alike("z") == {}


def test_what_everybody_wants_proves_less_than_what_few_want_together() -> None:
    """`p` was bought by all, so also with `a`; `b` was bought with `a` and by nobody else."""
    found = bought(*["abp"] * 10, *["p"] * 200)
    alike = found.alike("a")
    assert alike["b"] > 2 * alike["p"]


def test_one_persons_word_is_not_proof() -> None:
    found = bought("ax", *["yb"] * 20)
    assert found.alike("y")["b"] > 5 * found.alike("a")["x"]


def test_a_purchase_after_a_view_counts_as_the_purchase_alone() -> None:
    """However it came about."""
    slowly, at_once = Together(), Together()
    for item, want in (("a", 0.2), ("b", 0.2), ("a", 1.0), ("b", 0.4), ("b", 1.0), ("a", 0.2)):
        slowly.add("u", item, want)
    for item in "ab":
        at_once.add("u", item, 1.0)
    assert slowly.alike("a") == pytest.approx(at_once.alike("a"))
    views = Together()
    for item in "ab":
        views.add("u", item, 0.2)
    assert views.alike("a")["b"] < at_once.alike("a")["b"] / 10


def test_what_is_not_wanted_is_remembered_and_pairs_with_nothing() -> None:
    found = Together()
    found.add("u", "a", 1.0)
    found.add("u", "bad", 0.0)
    found.add("u", "b", 1.0)
    assert list(found.recent("u")) == ["a", "bad", "b"]
    assert found.alike("bad") == {} and set(found.alike("a")) == {"b"}


def test_the_last_items_are_kept_newest_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "RECENT", 3)
    found = bought("abcab")
    assert list(found.recent("u0")) == ["c", "a", "b"]
    found.add("u0", "d", 1.0)
    assert list(found.recent("u0")) == ["a", "b", "d"]


def test_who_did_nothing_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "USERS", 2)
    found = bought("a", "b")
    assert not found.forgot_users
    found.add("u0", "c", 1.0)
    found.add("u9", "a", 1.0)
    assert (found.knows("u0"), found.knows("u1"), found.knows("u9")) == (True, False, True)
    assert found.forgot_users


def test_an_erased_user_leaves_no_items_behind() -> None:
    found = bought("ab")
    found.forget_user("u0")
    assert not found.knows("u0") and found.recent("u0") == {}


WANTS = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcdefghij"), st.sampled_from([0.0, 0.2, 1.0])),
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(wants=WANTS, most=st.integers(2, 40))
def test_pairs_stay_within_their_bound_and_are_the_same_both_ways(
    wants: list[tuple[str, str, float]], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "PAIRS", most)
        bounded, again, whole = Together(), Together(), Together()
        for user, item, want in wants:
            bounded.add(user, item, want)
            again.add(user, item, want)
        kept = sum(len(bounded.alike(item)) for item in "abcdefghij")
        assert kept <= most and kept == bounded._pairs
        assert all(bounded.alike(item) == again.alike(item) for item in "abcdefghij")
        patch.setattr(together, "PAIRS", 10_000)
        for user, item, want in wants:
            whole.add(user, item, want)
        for item in "abcdefghij":
            for other, alike in whole.alike(item).items():
                assert whole.alike(other)[item] == pytest.approx(alike)
                assert 0 < alike < 1


def test_one_item_has_only_so_many_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "PARTNERS", 10)
    found = Together()
    for n in range(100):
        for _ in range(2 if n % 10 == 0 else 1):
            found.add(f"u{n}", "hub", 1.0)
            found.add(f"u{n}", f"i{n}", 1.0)
    assert len(found.alike("hub")) <= 10


# --- the catalogue


FILMS: dict[str, dict[str, object]] = {
    "wed": {"title": "Four Weddings and a Funeral", "genre": ["Comedy", "Romance"], "year": 1994},
    "wed2": {"title": "A Wedding", "genre": ["Comedy"], "year": 1978},
    "war": {"title": "The Battle", "genre": ["War"], "year": 1994, "plot": "A wedding ends. " + "Guns. " * 40},
    "café": {"title": "Café Müller", "genre": ["Romance"], "cult": True},
}


def films(**more: Mapping[str, object]) -> Catalogue:
    found = Catalogue()
    for item, properties in {**FILMS, **more}.items():
        found.put(item, properties)
    return found


def best(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda item: (-scores[item], item))


def test_words_are_folded() -> None:
    assert words("Die ÜBER-Größe, café 42!") == ["die", "uber", "grosse", "cafe", "42"]


def test_found_by_words_rare_ones_and_short_texts_first() -> None:
    found = films()
    assert best(found.found("wedding")) == ["wed2", "war"]
    assert best(found.found("CAFE muller")) == ["café"]
    assert best(found.found("a battle")) == ["war", "wed2", "wed"]
    assert found.found("zebra") == {} and found.found("!?") == {}


def test_alike_by_what_is_shared_and_numbers_are_no_categories() -> None:
    found = films()
    alike = found.alike("wed", [])
    assert set(alike) == {"wed2", "café"} and alike["wed2"] == alike["café"]
    assert found.alike("war", []) == {}
    assert found.alike("unknown", []) == {}


def test_all_that_is_shared_is_all_alike() -> None:
    found = films(twin=FILMS["wed"])
    assert found.alike("wed", [])["twin"] == pytest.approx(1.0)
    assert "wed" not in found.alike("wed", [])


def test_of_what_is_common_only_the_popular(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "TYPICAL", 5)
    found = films(**{f"c{n}": {"genre": "Comedy"} for n in range(20)})
    assert set(found.alike("c0", ["c7", "war", "c3"])) == {"c7", "c3"}


def test_only_so_many_records_the_oldest_change_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "RECORDS", 3)
    found = Catalogue()
    for item in ("a", "b", "c", "a", "d"):
        found.put(item, {"title": item})
    assert [item for item in "abcd" if item in found] == ["a", "c", "d"]
    assert found.found("b") == {} and found.found("a") != {}


PROPERTIES = st.dictionaries(
    st.sampled_from(["title", "genre", "year", "cult"]),
    st.one_of(
        st.text("ab ", max_size=12), st.lists(st.sampled_from(["X", "Y"]), max_size=3), st.integers(0, 3),
        st.booleans(), st.none(),
    ),
    max_size=4,
)  # fmt: skip
CHANGES = st.lists(st.tuples(st.sampled_from("pqrs"), st.none() | PROPERTIES), max_size=30)


@settings(max_examples=80, deadline=None)
@given(changes=CHANGES)
def test_changed_records_leave_nothing_behind(changes: list[tuple[str, dict[str, object] | None]]) -> None:
    """After any changes it is as if only the last had ever been."""
    changed, last = Catalogue(), dict(changes)
    for item, properties in changes:
        if properties is None:
            changed.remove(item)
        else:
            changed.put(item, properties)
    fresh = Catalogue()
    for item, properties in last.items():
        if properties is not None:
            fresh.put(item, properties)
    for item in "pqrs":
        assert (item in changed) == (item in fresh)
        assert changed.alike(item, []) == pytest.approx(fresh.alike(item, []))
    assert changed.found("a b aa ab") == pytest.approx(fresh.found("a b aa ab"))
    assert changed._by_word.keys() == fresh._by_word.keys()
    assert changed._by_category.keys() == fresh._by_category.keys()
