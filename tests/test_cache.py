"""The response cache: its bound of bytes, its windows, what a drop leaves, and how failed refreshes back off."""

from __future__ import annotations

import tracemalloc
from random import Random
from sys import getsizeof

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.answering.rendering import _exact, encoder
from gateway.policies.cache import LARGEST, AnswerCache, CachedAnswer, CacheSettings, Caching, _size
from gateway.policies.drops import REMEMBERED, Drops
from tests.clock import FakeClock

MiB = 2**20
ALL = Caching.model_validate({"ttl": "20s", "stale_while_revalidate": "1m", "stale_if_error": "24h"})


def answer(body: bytes = b"{}") -> CachedAnswer:
    return CachedAnswer(body, 'W/"x"', "someone")


class Bench:
    def __init__(self, max_bytes: int = MiB, caching: Caching = ALL) -> None:
        self.clock = FakeClock()
        self.caching = caching
        self.cache = AnswerCache(max_bytes, self.clock, Random(1))

    def put(
        self, key: bytes, body: bytes = b"{}", placement: str = "home", subject: bytes = b"", ago: float = 0
    ) -> bool:
        self.clock.passes(2**-10)
        return self.cache.store(key, answer(body), self.caching, placement, subject, self.clock.now - ago)

    def has(self, key: bytes) -> bool:
        return self.cache.lookup(key, self.caching) is not None

    def freshness(self, key: bytes = b"k") -> str | None:
        found = self.cache.lookup(key, self.caching)
        return found.freshness if found else None


# --- staleness ---------------------------------------------------------------------------------------------------


def test_the_windows_are_exact() -> None:
    bench = Bench()
    bench.put(b"k", b"body")
    stored = bench.clock.now
    moment = 2**-10
    for age, freshness in [
        (0, "fresh"), (20 - moment, "fresh"), (20, "revalidate"), (80 - moment, "revalidate"), (80, "if_error"),
        (20 + 86400 - moment, "if_error"),
    ]:  # fmt: skip
        bench.clock.now = stored + age
        found = bench.cache.lookup(b"k", ALL)
        assert found is not None
        assert (found.freshness, found.ttl, found.answer.body) == (freshness, 20 - age, b"body")
        assert found.due == (freshness != "fresh")
    bench.clock.now = stored + 20 + 86400
    assert bench.freshness() is None
    assert (len(bench.cache), bench.cache.bytes) == (0, 0)


durations = st.integers(0, 100)


@given(durations, durations, durations, st.integers(0, 250))
def test_any_windows_mean_what_rfc_5861_says(ttl: int, revalidate: int, if_error: int, age: int) -> None:
    caching = Caching.model_construct(ttl=ttl, stale_while_revalidate=revalidate, stale_if_error=if_error)
    bench = Bench(caching=caching)
    assert bench.put(b"k") == (ttl + revalidate + if_error > 0)
    bench.clock.passes(age)
    if age < ttl:
        assert bench.freshness() == "fresh"
    elif age < ttl + revalidate:
        assert bench.freshness() == "revalidate"
    elif age < ttl + if_error:
        assert bench.freshness() == "if_error"
    else:
        assert bench.freshness() is None


def test_changed_settings_count_at_once() -> None:
    bench = Bench()
    bench.put(b"k")
    bench.clock.passes(10)
    bench.caching = Caching.model_validate({"ttl": "5s", "stale_if_error": "1m"})
    assert bench.freshness() == "if_error"


def test_without_settings_nothing_is_kept() -> None:
    bench = Bench(caching=Caching())
    assert not bench.put(b"k")
    assert len(bench.cache) == 0


# --- the bound ---------------------------------------------------------------------------------------------------

keys = st.integers(0, 12).map(lambda n: b"key-%d" % n)


@given(
    st.integers(0, 40_000),
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), keys, st.integers(0, 6000), st.sampled_from([b"", b"u1", b"u2"])),
            st.tuples(st.just("get"), keys, st.integers(0, 100), st.just(b"")),
            st.tuples(st.just("drop"), keys, st.integers(0, 1), st.sampled_from([b"", b"u1", b"u2"])),
        ),
        max_size=80,
    ),
)
def test_the_bound_always_holds_and_the_books_agree(
    max_bytes: int, steps: list[tuple[str, bytes, int, bytes]]
) -> None:
    bench = Bench(max_bytes)
    cache = bench.cache
    for what, key, number, subject in steps:
        if what == "put":
            kept = bench.put(key, b"x" * number, placement=f"p{number % 2}", subject=subject)
            assert kept == bench.has(key)
        elif what == "get":
            bench.clock.passes(number)
            bench.has(key)
        elif subject:
            cache.drop_subject(subject)
        else:
            cache.drop(f"p{number}")
        assert cache.bytes <= max_bytes
        entries = cache._entries.items()
        assert cache.bytes == sum(_size(key, entry.answer, entry.subject) for key, entry in entries)
        by_subject = {key: entry.subject for key, entry in entries if entry.subject}
        groups = {s: {keys} if isinstance(keys, bytes) else keys for s, keys in cache._by_subject.items()}
        assert {key: s for s, keys in groups.items() for key in keys} == by_subject
        assert all(groups.values()), "an empty group would be a leak"


def test_the_bound_is_honest() -> None:
    """What is counted is at least what Python allocates, for small answers and large."""
    for length, count in ((50, 3000), (2000, 2000)):
        tracemalloc.start()
        cache = AnswerCache(64 * MiB, FakeClock(), Random(1))
        before = tracemalloc.get_traced_memory()[0]
        for n in range(count):
            one = CachedAnswer(b"x" * (length + n % 2), f'W/"{n}"', "someone")
            cache.store(n.to_bytes(16, "big"), one, ALL, "home", b"subject-%d" % n, asked_at=0)
        allocated = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert len(cache) == count
        assert allocated <= cache.bytes <= 2 * allocated


def test_an_encoded_answer_takes_no_more_memory_than_it_is_long() -> None:
    """What is counted is its length; the encoder's own bytes take up to half as much again."""
    value = [{"id": f"item-{n}"} for n in range(40)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [_exact(encoder.encode(value)) for _ in range(1000)]
    allocated = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert allocated <= sum(map(getsizeof, kept)) * 1.05


@given(st.lists(st.text(min_size=1, max_size=8), max_size=12))
def test_an_answers_items_are_those_of_its_body(ids: list[str]) -> None:
    items = [{"rank": n, "id": id_, "properties": {"id": "another"}} for n, id_ in enumerate(ids)]
    assert answer(msgspec.json.encode({"placement": "p", "items": items, "data": [{"id": 1}]})).items == ids
    assert answer(msgspec.json.encode({"facets": [{"name": "genre"}]})).items == []


def test_the_longest_unused_leaves_first() -> None:
    bench = Bench(max_bytes=24_000)
    names = [b"%d" % n for n in range(9)]
    for name in names:
        bench.put(name, b"x" * 2000)
    assert all(map(bench.has, names))
    bench.has(names[0])
    bench.put(b"one more", b"x" * 2000)
    assert [name for name in names if not bench.has(name)] == [names[1]]


def test_one_large_answer_drives_out_as_many_small_ones_as_it_must() -> None:
    bench = Bench(max_bytes=100_000)
    for n in range(300):
        bench.put(b"%d" % n)
    small = bench.cache.bytes // len(bench.cache)
    before = len(bench.cache)
    assert bench.put(b"large", b"x" * 10_000)
    assert before - len(bench.cache) >= 10_000 // small
    assert bench.cache.bytes <= 100_000


def test_a_giant_is_not_kept_nor_what_it_would_replace() -> None:
    bench = Bench(max_bytes=MiB)
    assert bench.put(b"k", b"x" * (MiB // LARGEST - 3000))
    assert not bench.put(b"k", b"x" * (MiB // LARGEST))
    assert not bench.has(b"k")
    assert bench.cache.bytes == 0


# --- drops -------------------------------------------------------------------------------------------------------

entries = st.dictionaries(
    st.binary(min_size=1, max_size=2), st.tuples(st.sampled_from("pqr"), st.sampled_from([b"", b"u", b"v"]))
)


@given(entries)
def test_a_subjects_drop_takes_its_own_and_leaves_others(kept: dict[bytes, tuple[str, bytes]]) -> None:
    bench = Bench()
    for key, (placement, subject) in kept.items():
        assert bench.put(key, placement=placement, subject=subject)
    dropped = {key for key, (_, subject) in kept.items() if subject == b"u"}
    assert bench.cache.drop_subject(b"u") == len(dropped)
    assert {key for key in kept if bench.has(key)} == kept.keys() - dropped


@given(entries)
def test_a_placements_drop_takes_its_own_and_leaves_others(kept: dict[bytes, tuple[str, bytes]]) -> None:
    bench = Bench()
    for key, (placement, subject) in kept.items():
        assert bench.put(key, placement=placement, subject=subject)
    dropped = {key for key, (placement, _) in kept.items() if placement == "p"}
    assert bench.cache.drop(placement="p") == len(dropped)
    assert {key for key in kept if bench.has(key)} == kept.keys() - dropped
    assert bench.cache.drop() == len(kept) - len(dropped)
    assert (len(bench.cache), bench.cache.bytes) == (0, 0)


def test_an_answer_asked_for_before_a_drop_does_not_come_back_after_it() -> None:
    bench = Bench()
    bench.clock.passes(10)
    bench.cache.drop_subject(b"u")
    bench.clock.passes(1)
    assert not bench.put(b"k", subject=b"u", ago=1.5)
    assert bench.put(b"other", subject=b"v", ago=1.5)
    assert bench.put(b"impersonal", ago=1.5)
    assert bench.put(b"k", b"asked after", subject=b"u", ago=0.5)
    assert not bench.put(b"k", b"a straggler", subject=b"u", ago=1.5)
    found = bench.cache.lookup(b"k", ALL)
    assert found is not None
    assert found.answer.body == b"asked after"
    bench.cache.drop("home")
    assert not bench.put(b"k", ago=1)
    assert bench.put(b"k", ago=1, placement="cart")
    bench.cache.drop()
    assert not bench.put(b"k", ago=1, placement="cart")


def test_drops_are_remembered_in_bounded_memory_and_never_forgotten_wrongly() -> None:
    drops = Drops()
    for n in range(REMEMBERED + 100):
        drops.note_subject(b"%d" % n, float(n))
    assert len(drops._subjects) == REMEMBERED
    assert drops.after(0.0, "home", b"0"), "it was dropped then, though that is not remembered by name"
    assert drops.after(50.0, "home", b"never dropped"), "the price of forgetting: one store less"
    assert not drops.after(50.0, "home", b"")
    assert not drops.after(100.0, "home", b"never dropped")
    assert drops.after(5000.0, "home", b"5000")
    assert not drops.after(5001.0, "home", b"5000")


def test_a_subject_dropped_again_is_remembered_by_its_last_drop() -> None:
    drops = Drops()
    for n in range(REMEMBERED):
        drops.note_subject(b"%d" % n, float(n))
    drops.note_subject(b"0", 20_000.0)
    drops.note_subject(b"one more", 20_001.0)
    assert drops.after(20_000.0, "home", b"0")
    assert not drops.after(2.0, "home", b"never dropped"), "the oldest drop is now that of subject 1"


# --- refreshes ---------------------------------------------------------------------------------------------------


def test_failed_refreshes_back_off_up_to_the_stale_window() -> None:
    bench = Bench()
    bench.put(b"k")
    bench.clock.passes(20)
    for longest in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        found = bench.cache.lookup(b"k", ALL)
        assert found is not None
        assert found.due
        bench.cache.refresh_failed(b"k", ALL)
        failed = bench.clock.now
        while not (found := bench.cache.lookup(b"k", ALL)) or not found.due:
            bench.clock.passes(0.125)
        assert longest / 2 <= bench.clock.now - failed <= longest + 0.125


def test_a_stored_answer_ends_the_back_off() -> None:
    bench = Bench()
    bench.put(b"k")
    bench.clock.passes(20)
    for _ in range(5):
        bench.cache.refresh_failed(b"k", ALL)
    bench.put(b"k")
    bench.clock.passes(20)
    found = bench.cache.lookup(b"k", ALL)
    assert found is not None
    assert found.due


def test_back_off_without_a_revalidation_window_ends_within_a_minute() -> None:
    bench = Bench(caching=Caching.model_validate({"ttl": "1s", "stale_if_error": "24h"}))
    bench.put(b"k")
    for _ in range(50):
        bench.cache.refresh_failed(b"k", bench.caching)
    bench.clock.passes(60)
    found = bench.cache.lookup(b"k", bench.caching)
    assert found is not None
    assert found.due
    bench.cache.refresh_failed(b"gone", bench.caching)


def test_back_off_is_jittered() -> None:
    bench = Bench()
    ends = set()
    for n in range(20):
        key = b"%d" % n
        bench.put(key)
        bench.cache.refresh_failed(key, ALL)
        ends.add(bench.cache._entries[key].due_from - bench.clock.now)
    assert len(ends) == 20


# --- settings ----------------------------------------------------------------------------------------------------


def test_settings() -> None:
    assert CacheSettings() == CacheSettings.model_validate({"max_bytes": "256MiB", "shared": False})
    assert ALL.life == 20 + 86400
    assert Caching().life == 0
    with pytest.raises(ValueError, match="Extra inputs"):
        Caching.model_validate({"tll": "1s"})


@settings(max_examples=5)
@given(st.just(0))
def test_a_cache_of_no_bytes_keeps_nothing(max_bytes: int) -> None:
    bench = Bench(max_bytes)
    assert not bench.put(b"k")
