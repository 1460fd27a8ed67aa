"""Experiments without HTTP: phases, what answers earn, what is noted and counted, how sure it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.events.attribution import CREDIT_LIFE, Attribution, Signer, credentials
from gateway.experiments import exposures as module
from gateway.experiments.counts import Counts, Earned, Shown
from gateway.experiments.earnings import Earnings
from gateway.experiments.exposures import Exposures
from gateway.experiments.phase import Phase, phase_of, unit_mark
from gateway.experiments.results import COLUMNS, result, table
from gateway.experiments.statistics import chi2_tail, sample_ratio, wilson
from gateway.model.activity import Event, EventItem
from gateway.model.query import Snippet
from gateway.plan import Plan
from gateway.policies.split import Experiment
from gateway.server.handlers.experiments import prefers_csv
from gateway.state.kept import Entry
from gateway.state.opening import open_at
from gateway.state.sqlite import SqliteStore
from gateway.state.sqlite.experiments import forget_unit
from gateway.state.store import Store, StoreError
from gateway.state.valkey import ValkeyStore
from gateway.state.valkey.experiments import LUA
from gateway.state.valkey.script import Script
from tests.stores import KINDS, fresh_url

KEY = b"k" * 32
SIGNER = Signer([b"s" * 32])
MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)
pytest_plugins = "tests.stores"
AB = Phase("ab", "0123abcd", "home", "user", {"a": 90.0, "b": 10.0})


# --- phases


def experiment(**more: Any) -> Experiment:
    arms = {"a": {"weight": 90, "providers": ["x", "y"]}, "b": {"weight": 10, "providers": ["y"]}}
    return Experiment.model_validate({"key": "ab", "arms": arms, **more})


def test_a_phase_is_the_same_as_long_as_all_that_makes_it_is() -> None:
    phase = phase_of("home", experiment())
    assert phase_of("home", experiment()) == phase
    assert phase.weights == {"a": 90, "b": 10} and len(phase.name) == 8


@pytest.mark.parametrize(
    "more",
    [
        {"arms": {"a": {"weight": 80, "providers": ["x", "y"]}, "b": {"weight": 10, "providers": ["y"]}}},
        {"arms": {"a": {"weight": 90, "providers": ["y", "x"]}, "b": {"weight": 10, "providers": ["y"]}}},
        {"arms": {"a": {"weight": 90, "providers": ["x", "y"]}, "c": {"weight": 10, "providers": ["y"]}}},
        {"salt": "other"}, {"unit": "X-Device"}, {"key": "other"},
    ],
)  # fmt: skip
def test_whatever_is_new_opens_a_new_phase(more: dict[str, Any]) -> None:
    assert phase_of("home", experiment(**more)).name != phase_of("home", experiment()).name


def test_a_unit_is_kept_as_a_keyed_hash() -> None:
    assert unit_mark(KEY, "u1") == unit_mark(KEY, "u1")
    assert len({unit_mark(KEY, "u1"), unit_mark(KEY, "u2"), unit_mark(b"other", "u1")}) == 3


# --- credit


def answer(**more: Any) -> str:
    """The id of an answer with the items a, b and c."""
    said: dict[str, Any] = {
        "provider": "x", "placement": "home", "experiment": "ab", "arm": "b", "phase": AB.name, "query_id": "q",
        "items": [("a", None), ("b", 3), ("c", None)], "made_at": MADE.timestamp(),
    }  # fmt: skip
    return SIGNER.sign(credentials(**{**said, **more}))


def event(type_: str = "click", *items: EventItem | str, user: str = "u1", **more: Any) -> Event:
    said = tuple(EventItem(item) if isinstance(item, str) else item for item in items)
    id_ = more.pop("id", f"{type_}{items}{user}")
    more.setdefault("recommendation_id", answer())
    return Event(id=id_, type=type_, user=user, items=said, **{"time": MADE + timedelta(hours=1), **more})


def test_credit_for_the_very_provider_that_answered() -> None:
    credit = Attribution(SIGNER).credit(event("click", "b", "c", "z"), "x")
    assert credit is not None
    assert (credit.query_id, credit.positions) == ("q", {"b": 2, "c": 3})
    assert credit.snippets == (Snippet("b", 3),)
    assert Attribution(SIGNER).credit(event("click", "b"), "y") is None
    assert Attribution(SIGNER).warning(event("click", "b")) is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"recommendation_id": "forged"}, "not one of this gateway's"),
        ({"recommendation_id": Signer([b"foreign" * 5]).sign(SIGNER.read(answer()))}, "not one of"),  # type: ignore[arg-type]  # it is one
        ({"time": MADE + timedelta(seconds=CREDIT_LIFE + 1)}, "older than 7 days"),
        ({"recommendation_id": None}, None),
    ],
)
def test_no_credit(more: dict[str, Any], said: str | None) -> None:
    told = event("click", "b", **more)
    attribution = Attribution(SIGNER)
    assert attribution.answer(told) is None and attribution.credit(told, "x") is None
    warning = attribution.warning(told)
    assert (warning is None) if said is None else (warning is not None and said in warning)


def test_credit_lasts_to_the_end_of_its_life() -> None:
    assert Attribution(SIGNER).credit(event("click", "b", time=MADE + timedelta(seconds=CREDIT_LIFE)), "x")


# --- what an event earns


def earned(told: Event, headers: Mapping[str, str] | None = None, unit: str = "user") -> Earned | None:
    placement = SimpleNamespace(phase=Phase("ab", AB.name, "home", unit, AB.weights))
    plan = cast(Plan, SimpleNamespace(placements={"home": placement}))
    return Earnings(lambda: Attribution(SIGNER), KEY).of(told, plan, CIMultiDict(headers or {}))


def test_only_what_the_answer_had() -> None:
    found = earned(event("click", "a", "z"))
    assert found == Earned("ab", AB.name, "b", unit_mark(KEY, "u1"), "click", (("a", 0.0),), None)
    assert earned(event("click", "z")) is None


@pytest.mark.parametrize(
    "told",
    [
        event("view", "a"), event("add_to_cart", "a"), event("click"),
        event("click", "a", recommendation_id=None), event("click", "a", recommendation_id="forged"),
        event("click", "a", recommendation_id=answer(experiment=None, arm=None, phase=None)),
    ],
)  # fmt: skip
def test_what_earns_nothing(told: Event) -> None:
    assert earned(told) is None


def test_the_value_of_a_purchase() -> None:
    two = EventItem("a", 2, 9.95)
    whole = earned(event("purchase", two, "b", value=25.0))
    assert whole is not None and (whole.items, whole.value) == ((("a", 19.9), ("b", 0.0)), 25.0)
    part = earned(event("purchase", two, "z", value=25.0))
    assert part is not None and (part.items, part.value) == ((("a", 19.9),), None)
    twice = earned(event("purchase", two, EventItem("a", None, 0.1)))
    assert twice is not None and dict(twice.items) == pytest.approx({"a": 20.0})


def test_who_is_counted() -> None:
    by_device = earned(event("click", "a"), {"x-device": "d1"}, "X-Device")
    assert by_device is not None and by_device.unit == unit_mark(KEY, "d1")
    without = earned(event("click", "a"), {}, "X-Device")
    assert without is not None and without.unit == unit_mark(KEY, "u1")


# --- counted in the store


async def counts(store: Store, arm: str = "b") -> Counts:
    (tally,) = await store.tallies("ab")
    return tally.arms[arm]


def earns(type_: str, *items: tuple[str, float], user: str = "u1", value: float | None = None) -> Earned:
    return Earned("ab", AB.name, "b", unit_mark(KEY, user), type_, items, value)


async def test_each_unit_and_item_earns_once(store: Store) -> None:
    for _ in range(2):
        await store.credit(
            [earns("click", ("a", 0)), earns("click", ("b", 0)), earns("click", ("a", 0), user="u2")]
        )
        await store.credit([earns("purchase", ("a", 10), ("b", 5), value=14.0)])
    found = await counts(store)
    assert (found.clicks, found.clicking_units) == (3, 2)
    assert (found.conversions, found.converting_units, found.value) == (2, 1, 14.0)


async def test_what_was_paid_for_what_is_new(store: Store) -> None:
    """The total counts only for a purchase all of whose items are new."""
    await store.credit([earns("purchase", ("a", 10), value=9.0)])
    await store.credit([earns("purchase", ("a", 10), ("b", 5), value=14.0)])
    found = await counts(store)
    assert (found.conversions, found.value) == (2, 14.0)


async def test_the_same_event_again_earns_nothing(store: Store) -> None:
    told = event("click", "a")
    for worth in (earned(told), earned(event("click", "b"))):  # the second time something else, under its id
        await store.accept([Entry(told, {}, worth)], 0.0)
    assert (await counts(store)).clicks == 1


async def test_shown_is_added_up_over_processes(store: Store, other: Store) -> None:
    u1, u2, u3 = (unit_mark(KEY, f"u{n}") for n in (1, 2, 3))
    await asyncio.gather(
        store.note_shown([Shown(AB, "a", (u1, u2), 5, 1, 2)], 7.0),
        other.note_shown([Shown(AB, "a", (u2, u3), 3, 0, 1), Shown(AB, "b", (u1,), 1, 0, 0)], 8.0),
    )
    (tally,) = await store.tallies()
    assert tally.phase == AB and tally.began_at in (7.0, 8.0)
    assert tally.arms == {
        "a": Counts(units=3, exposures=8, empty=1, fallback=3), "b": Counts(units=1, exposures=1)
    }  # fmt: skip


async def test_credit_before_anything_was_shown_names_no_unit_twice(store: Store) -> None:
    """An event may come before its exposure is written, and where another store has the phase."""
    await store.credit([earns("click", ("a", 0))])
    await store.note_shown([Shown(AB, "b", (unit_mark(KEY, "u1"),), 1, 0, 0)], 7.0)
    (tally,) = await store.tallies()
    assert (tally.phase, tally.began_at) == (AB, 7.0)
    assert tally.arms["b"] == Counts(units=1, exposures=1, clicks=1, clicking_units=1)


async def test_phases_are_counted_apart(store: Store) -> None:
    later = Phase("ab", "later", "home", "user", {"a": 50.0, "b": 50.0})
    await store.open_phases([AB], 1.0)
    await store.open_phases([AB, later], 2.0)
    await store.note_shown([Shown(later, "a", (unit_mark(KEY, "u1"),), 1, 0, 0)], 3.0)
    first, second = await store.tallies("ab")
    assert (first.phase, first.began_at, first.arms) == (AB, 1.0, {})
    assert (second.phase, second.began_at, set(second.arms)) == (later, 2.0, {"a"})
    assert await store.tallies("other") == []


async def test_an_erased_unit_leaves_the_sums(store: Store) -> None:
    mark = unit_mark(KEY, "u1")
    await store.note_shown([Shown(AB, "b", (mark,), 1, 0, 0)], 7.0)
    await _forget(store, mark)
    assert (await counts(store)).units == 1
    await store.note_shown([Shown(AB, "b", (mark,), 1, 0, 0)], 7.0)
    assert (await counts(store)).units == 2, "nobody remembers that it was counted"


async def _forget(store: Store, mark: bytes) -> None:
    if isinstance(store, SqliteStore):
        await store.db.change(lambda: forget_unit(store.db, mark))
    else:
        assert isinstance(store, ValkeyStore)
        await store.server.change(Script("forget_unit(A)", LUA), mark.hex())


SHOWN = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("uvwxyz"), st.booleans(), st.booleans()))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(parts=st.lists(SHOWN, max_size=4))
async def test_however_notes_are_cut_into_batches_the_counts_are_the_same(
    kind: str, parts: list[list[tuple[str, str, bool, bool]]]
) -> None:
    store = await open_at("sqlite::memory:" if kind == "sqlite" else fresh_url())
    exposures = Exposures(store, KEY, lambda: 1.0)
    try:
        for part in parts:
            for arm, unit, empty, fallback in part:
                exposures.note(AB, arm, unit, empty=empty, fallback=fallback)
            await exposures.write()
        notes = [note for part in parts for note in part]
        tallies = await store.tallies()
        found = tallies[0].arms if tallies else {}
        assert found == {
            arm: Counts(
                units=len({unit for of, unit, *_ in notes if of == arm}),
                exposures=sum(of == arm for of, *_ in notes),
                empty=sum(empty for of, _, empty, _ in notes if of == arm),
                fallback=sum(fallback for of, *_, fallback in notes if of == arm),
            )
            for arm in {of for of, *_ in notes}
        }
    finally:
        await store.close()


# --- notes


class Failing:
    """A store that fails as long as it is told to."""

    def __init__(self) -> None:
        self.fails = True
        self.got: list[Shown] = []

    async def note_shown(self, shown: Sequence[Shown], now: float, batch: tuple[str, int]) -> None:
        if self.fails:
            raise StoreError("a full disk")
        self.got += shown


async def test_what_cannot_be_written_waits_and_what_has_no_place_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    store = Failing()
    exposures = Exposures(cast(SqliteStore, store), KEY)
    for n in range(4):
        exposures.note(AB, "a", f"u{n}", empty=False, fallback=False)
    with pytest.raises(StoreError):
        await exposures.write()
    for n in range(4, 8):
        exposures.note(AB, "a", f"u{n}", empty=False, fallback=False)
    assert exposures.dropped == 3
    store.fails = False
    await exposures.write()
    assert [(shown.exposures, len(shown.units)) for shown in store.got] == [(4, 4), (1, 1)]
    await exposures.write()
    assert len(store.got) == 2  # nothing new, nothing written


class Unheard:
    """Does what it is told, and fails after it as long as it is told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.fails = True

    async def note_shown(self, shown: Sequence[Shown], now: float, batch: tuple[str, int]) -> None:
        await self.store.note_shown(shown, now, batch)
        if self.fails:
            raise StoreError("hung up")


async def test_a_writing_whose_answer_was_lost_is_counted_once() -> None:
    """A server that froze does what it was sent before, when nobody waits for the answer any more."""
    store = await open_at(fresh_url())
    unheard = Unheard(store)
    exposures = Exposures(cast(Store, unheard), KEY)
    for n in range(3):
        exposures.note(AB, "a", f"u{n}", empty=False, fallback=False)
    for _ in range(2):
        with pytest.raises(StoreError):
            await exposures.write()
        exposures.note(AB, "a", "later", empty=False, fallback=False)
    unheard.fails = False
    await exposures.write()
    (tally,) = await store.tallies()
    assert (tally.arms["a"].exposures, tally.arms["a"].units) == (5, 4)
    await store.close()


# --- how sure it is


def test_wilson_is_as_published() -> None:
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


@given(trials=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_share_lies_within_its_interval(trials: int, share: float) -> None:
    successes = round(share * trials)
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12 and successes / trials - 1e-12 <= high <= 1


@pytest.mark.parametrize(
    ("value", "freedom"),
    [(3.841459, 1), (5.991465, 2), (7.814728, 3), (9.487729, 4), (11.070498, 5), (18.307, 10)],
)
def test_chi_squared_is_as_in_the_tables(value: float, freedom: int) -> None:
    assert chi2_tail(value, freedom) == pytest.approx(0.05, abs=1e-5)
    assert chi2_tail(0, freedom) == pytest.approx(1)


def test_a_fair_dealing_and_a_wrong_one() -> None:
    assert sample_ratio({"a": 9012, "b": 988}, {"a": 90, "b": 10}) == pytest.approx(0.689, abs=1e-2)
    assert (sample_ratio({"a": 9300, "b": 700}, {"a": 90, "b": 10}) or 1) < 1e-6
    assert sample_ratio({"a": 12, "b": 1}, {"a": 90, "b": 10}) is None
    assert sample_ratio({"a": 100}, {"a": 1, "idle": 0}) is None
    assert sample_ratio({}, {"a": 1, "b": 1}) is None


async def test_a_table_and_its_rates(store: Store) -> None:
    marks = tuple(unit_mark(KEY, f"u{n}") for n in range(10))
    await store.note_shown([Shown(AB, "b", marks, 20, 0, 0)], 7.0)
    await store.credit([earns("purchase", ("a", 3), value=3.0)])
    found = result(await store.tallies(), AB)
    assert found is not None and found.arms["b"].conversion_rate is not None
    assert found.arms["a"].weight == 90 and found.arms["a"].conversion_rate is None
    assert found.arms["b"].conversion_rate.value == 0.1
    head, a, b = table([found]).splitlines()
    assert head.split(",") == list(COLUMNS)
    assert a.startswith("ab,home,0123abcd,user,a,90.0,0,0,0,0,0.0") and a.endswith(",,,,,,")
    assert b.split(",")[4:15] == ["b", "10.0", "10", "20", "0", "1", "3.0", "0", "0", "0", "1"]
    assert result(await store.tallies(), AB, "unknown") is None


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        ("text/csv", True), ("TEXT/CSV; charset=utf-8", True), ("text/csv, application/json;q=0.5", True),
        ("", False), ("*/*", False), ("application/json", False), ("application/json, text/csv;q=0.1", False),
        ("text/csv;q=0", False), ("text/csv;q=x", False),
    ],
)  # fmt: skip
def test_who_gets_a_table(accept: str, csv: bool) -> None:
    assert prefers_csv(accept) is csv
