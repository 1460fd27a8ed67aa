"""Couriers: order, batches, back-off, isolation, dead letters, leases, replays; with time that is ours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Failed, Misconfigured, NotConnected, Refused, Throttled
from gateway.events.dispatcher import Dispatcher
from gateway.events.hidden import Hidden
from gateway.events.intake import Intake, hash_of
from gateway.events.lease import LEASE, Lease
from gateway.events.pace import DOWN
from gateway.events.supply import WINDOW, Supply
from gateway.events.waiting import ALONE, Waiting
from gateway.memory import Memory
from gateway.policies.cache import AnswerCache
from gateway.state.kept import Entry, Errand, EventFilter, Record
from gateway.state.opening import open_at
from tests.errands import START, Road, happened, road

pytest_plugins = "tests.stores"

# --- which errands may go next


def errand(seq: int, subject: str = "uu", kind: Any = "event", attempts: int = 0, due: float = 0.0) -> Errand:
    return Errand(seq, kind, f"r{seq}", subject, 0.0, attempts, due, False, b"")


KINDS = st.sampled_from(["event", "put_user", "put_item"])
ERRANDS = st.lists(
    st.tuples(st.sampled_from("abcd"), KINDS, st.integers(0, 3), st.sampled_from([0.0, 5.0])), max_size=25
)


@settings(max_examples=300, deadline=None)
@given(ERRANDS, st.integers(1, 6), st.randoms(use_true_random=True))  # a seed alone is generated
def test_order_is_kept_within_a_subject_whatever_goes_wrong(
    said: list[tuple[str, Any, int, float]], most: int, rng: Random
) -> None:
    """Loads are begun, fail in part, come back in any order: each subject's errands are told in theirs."""
    waiting = Waiting()
    waiting.add(errand(n, subject, kind, attempts, due) for n, (subject, kind, attempts, due) in enumerate(said))
    under_way: list[list[Errand]] = []
    told: list[Errand] = []
    now = 0.0
    for _ in range(1000):
        if not len(waiting) and not under_way:
            break
        load = waiting.take(most, now) if rng.random() < 0.8 else waiting.take_one()
        now += 0.5
        if load:
            assert len(load) <= most and len({one.kind for one in load}) == 1
            assert len(load) == 1 or all(one.attempts < ALONE for one in load)
            assert not {one.subject for one in load} & {one.subject for other in under_way for one in other}
            assert [one.seq for one in load] == sorted(one.seq for one in load)
            under_way.append(load)
        if under_way and rng.random() < 0.7:
            over = under_way.pop(rng.randrange(len(under_way)))
            arrived = rng.randint(0, len(over))
            told += over[:arrived]
            waiting.over(over, over[arrived:])
    assert sorted(one.seq for one in told) == list(range(len(said)))
    for subject in "abcd":
        seqs = [one.seq for one in told if one.subject == subject]
        assert seqs == sorted(seqs)


def test_what_is_put_off_holds_up_its_subject_and_no_other() -> None:
    waiting = Waiting()
    waiting.add([errand(1, "a", due=9.0), errand(2, "a"), errand(3, "b")])
    assert [one.seq for one in waiting.take(10, 5.0)] == [3]
    assert waiting.next_due(5.0) == 9.0
    assert [one.seq for one in waiting.take(10, 9.0)] == [1, 2]


def test_the_oldest_of_one_kind_go_together_and_two_changes_of_one_record_do_not() -> None:
    waiting = Waiting()
    waiting.add([errand(1, "a"), errand(2, "b", "put_user"), errand(3, "b"), errand(4, "c"), errand(5, "a")])
    assert [one.seq for one in waiting.take(10, 0.0)] == [1, 4, 5]
    twice = Waiting()
    twice.add([Errand(n, "put_user", "u", "uu", 0.0, 0, 0.0, False, b"") for n in (1, 2)])
    assert [one.seq for one in twice.take(10, 0.0)] == [1]


# --- deliveries


async def test_events_go_in_batches_up_to_what_the_vendor_takes(store_url: str) -> None:
    async with road(store_url, batch=50, linger="1s") as one:
        many, single = one.vendor("many", 1000), one.vendor("single", 1)
        await one.accept(*(happened(f"e{n}", f"u{n}") for n in range(120)))
        await one.until_told()
        assert [len(ids) for _, ids in many.calls] == [50, 50, 20]
        assert {len(ids) for _, ids in single.calls} == {1} and len(single.calls) == 120
        assert sorted(many.arrived) == sorted(single.arrived) == sorted(f"e{n}" for n in range(120))


async def test_a_load_lingers_to_become_fuller_and_no_longer(store_url: str) -> None:
    async with road(store_url, batch=50, linger="2s") as one:
        desk = one.vendor("many", 1000)
        await one.accept(happened("e1", "u1"))
        await one.time.passes(1.5)
        await one.accept(happened("e2", "u2"))
        assert desk.calls == []
        await one.time.passes(0.75)
        assert [ids for _, ids in desk.calls] == [["e1", "e2"]]


@pytest.mark.parametrize("most", [1, 7, 100])
async def test_order_per_user_events_and_records_alike_while_the_vendor_fails(most: int, store_url: str) -> None:
    rng = Random(most)
    async with road(store_url) as one:
        desk = one.vendor("vendor", most)
        desk.fails = lambda _ids: NotConnected("no") if rng.random() < 0.5 else None
        order: dict[str, list[str]] = {}
        for n in range(150):
            user = f"u{rng.randrange(12)}"
            if rng.random() < 0.3:
                await one.put("user", user)
                order.setdefault(user, []).append(user)
            else:
                await one.accept(happened(f"e{n}", user))
                order.setdefault(user, []).append(f"e{n}")
        await one.until_told(seconds=2000)
        owner = {id_: user for user, ids in order.items() for id_ in ids}
        for user, ids in order.items():
            assert [id_ for id_ in desk.arrived if owner[id_] == user] == ids


async def test_one_vendor_down_holds_up_no_other_and_is_worked_off_oldest_first(store_url: str) -> None:
    async with road(store_url) as one:
        up, down = one.vendor("up", 1), one.vendor("down", 1)
        down.fails = lambda _ids: Failed("down", status=503)
        for n in range(60):
            await one.accept(happened(f"e{n}", f"u{n % 20}"))
            await one.time.passes(1)
            assert len(up.arrived) >= n
        assert down.arrived == [] and len(down.calls) < 60
        down.fails = lambda _ids: None
        healed = one.time.now
        await one.until_told("down")
        assert one.time.now - healed <= 31  # the longest pause
        numbers = [int(id_[1:]) for id_ in down.arrived]
        assert sorted(numbers) == list(range(60))
        late = [n for place, n in enumerate(numbers) if abs(place - n) > 20]
        assert len(late) <= 1  # the one that found out that it is back


async def test_back_off_doubles_up_to_the_bound_with_jitter(store_url: str) -> None:
    async with road(store_url, retry={"first": "1s", "max": "8s"}) as one:
        desk = one.vendor("vendor", 1)
        desk.fails = lambda _ids: Misconfigured("403", status=403)
        await one.accept(happened("e1"))
        await one.time.passes(120, 0.1)
        gaps = [later - sooner for (sooner, _), (later, _) in zip(desk.calls, desk.calls[1:], strict=False)]
        assert len(gaps) >= 10
        for n, gap in enumerate(gaps):  # after DOWN failures it is the provider's back-off, which begins anew
            longest = min(8.0, 2.0 ** (n if n < DOWN - 1 else n - DOWN + 1))
            assert longest / 2 <= gap <= longest + 0.2
        assert len({round(gap, 2) for gap in gaps[5:]}) > 1
        assert [row.attempts for row in await one.store.errands("vendor", 0, 9)] == [len(desk.calls)]


async def test_a_poisonous_event_holds_up_its_user_alone(store_url: str) -> None:
    """The vendor breaks on it each time: no answer says that it is the event's fault."""
    async with road(store_url, retry={"first": "1s", "max": "4s"}) as one:
        desk = one.vendor("vendor", 100)
        desk.fails = lambda ids: Failed("500") if "poison" in ids else None
        await one.accept(*(happened(f"e{n}", f"u{n % 10}") for n in range(50)), happened("poison", "u3"))
        await one.accept(*(happened(f"f{n}", f"u{n % 10}") for n in range(50)))
        await one.time.passes(60)
        kept = [row.ref for row in await one.store.errands("vendor", 0, 200)]
        assert kept == ["poison", *(f"f{n}" for n in range(50) if n % 10 == 3)]
        assert len(desk.arrived) == 95


async def test_what_the_vendor_rejects_is_isolated_and_becomes_a_dead_letter(store_url: str) -> None:
    async with road(store_url) as one:
        desk = one.vendor("vendor", 100)
        desk.refuses = lambda id_: id_ in ("e13", "e77")
        await one.accept(*(happened(f"e{n}", f"u{n % 9}") for n in range(100)))
        await one.until_told()
        assert sorted(desk.arrived) == sorted(f"e{n}" for n in range(100) if n not in (13, 77))
        letters = await one.store.dead_letters(None, 10)
        assert {(letter.ref, letter.reason) for letter in letters} == {
            ("e13", "bad ones among them"), ("e77", "bad ones among them"),
        }  # fmt: skip
        desk.refuses = lambda _id: False
        assert await one.store.retry("vendor", "e13") == 1
        await one.until_told()
        assert "e13" in desk.arrived and len(await one.store.dead_letters(None, 10)) == 1


async def test_a_throttled_vendor_is_left_alone_as_long_as_it_asks(store_url: str) -> None:
    async with road(store_url) as one:
        desk = one.vendor("vendor", 1)
        desk.fails = lambda _ids: Throttled("429", retry_after=40) if len(desk.calls) == 1 else None
        await one.accept(*(happened(f"e{n}", f"u{n}") for n in range(3)))
        await one.time.passes(39)
        before = len(desk.calls)
        assert desk.arrived == [] or before <= 8
        await one.time.passes(3)
        assert sorted(desk.arrived) == ["e0", "e1", "e2"]


async def test_the_breaker_of_writes_is_heeded_and_holds_nothing_up_longer_than_the_bound(store_url: str) -> None:
    breaker = {"consecutive": 3, "open": "5s", "max_open": "5m", "close_after": 1}
    async with road(store_url, retry={"first": "1s", "max": "10s"}) as one:
        desk = one.vendor("vendor", 1, breaker=breaker)
        desk.fails = lambda _ids: Failed("503")
        await one.accept(*(happened(f"e{n}", f"u{n}") for n in range(30)))
        await one.time.passes(300)
        assert len(desk.calls) < 80
        desk.fails = lambda _ids: None
        healed = one.time.now
        await one.until_told()
        assert one.time.now - healed < 25


async def test_what_has_become_too_old_on_the_way_is_a_dead_letter(store_url: str) -> None:
    async with road(store_url, retry={"first": "1s", "max": "2s"}) as one:
        desk = one.vendor("vendor", 100)
        desk.fails = lambda _ids: Failed("down")
        almost = datetime.fromtimestamp(START + 1000, UTC) - timedelta(days=30) + timedelta(seconds=30)
        await one.accept(happened("old", time=almost), happened("new"))
        await one.time.passes(60)
        desk.fails = lambda _ids: None
        await one.until_told()
        assert desk.arrived == ["new"]
        (letter,) = await one.store.dead_letters("vendor", 5)
        assert letter.ref == "old" and "30 days" in letter.reason


async def test_memory_stays_flat_however_long_the_backlog(store_url: str) -> None:
    async with road(store_url, batch=100) as one:
        desk = one.vendor("vendor", 100)
        desk.fails = lambda _ids: Failed("down")
        for start in range(0, 5000, 500):
            await one.accept(*(happened(f"e{n}", f"u{n % 50}") for n in range(start, start + 500)))
        await one.time.passes(20)
        assert len(one.couriers["vendor"]._waiting) <= WINDOW
        desk.fails = lambda _ids: None
        await one.until_told()
        assert len(desk.arrived) == 5000


# --- several processes


async def test_one_courier_at_a_time_and_another_takes_over_after_a_kill(store_url: str) -> None:
    async with road(store_url) as one:
        desk = one.vendor("vendor", 1)
        desk.takes_seconds = 0.5
        first = one.couriers["vendor"]
        await one.accept(*(happened(f"e{n}", f"u{n}") for n in range(60)))
        await one.time.passes(0.5)
        second = one.start("vendor")
        one.couriers["vendor"] = first
        await one.time.passes(0.75)
        assert not second._lanes and first._lanes
        one.dies("vendor")
        one.couriers["vendor"] = second
        asyncio.get_running_loop().create_task(second.run())  # its loop went with the other's
        killed = one.time.now
        await one.until_told()
        assert one.time.now - killed < LEASE + 10
        assert {f"e{n}" for n in range(60)} <= set(desk.arrived)
        second.stop()


async def test_a_lease_is_handed_back_at_the_end(store_url: str) -> None:
    async with road(store_url) as one:
        desk = one.vendor("vendor", 1)
        await one.accept(happened("e1"))
        await one.until_told()
        courier = one.couriers["vendor"]
        courier.stop()
        await courier.close(1)
        assert await one.store.lease("courier vendor", "another", 5, one.time.wall())
        assert desk.arrived == ["e1"]


async def test_draining_finishes_what_is_under_way_and_begins_nothing_more(store_url: str) -> None:
    async with road(store_url) as one:
        desk = one.vendor("vendor", 1)
        desk.takes_seconds = 1
        await one.accept(*(happened(f"e{n}", f"u{n}") for n in range(30)))
        await one.time.passes(0.25)
        courier = one.couriers["vendor"]
        assert desk.at_once > 0
        courier.stop()
        closing = asyncio.create_task(courier.close(5))
        await one.time.passes(2)
        await closing
        told = len(desk.arrived)
        assert 0 < told < 30 and len(await one.store.errands("vendor", 0, 99)) == 30 - told


# --- erasure


async def test_what_waits_for_an_erased_user_is_not_told_and_the_erasure_is(store_url: str) -> None:
    async with road(store_url, retry={"first": "1s", "max": "2s"}) as one:
        desk = one.vendor("vendor", 1)
        desk.fails = lambda _ids: Failed("down")
        await one.accept(happened("e1", "leaves"), happened("e2", "stays"))
        await one.time.passes(5)
        await one.store.erase("leaves", "hash", {"vendor": "queued"}, one.time.wall(), b"unit")
        await one.time.passes(5)
        receipt = await one.store.erasure("hash")
        assert receipt is not None and receipt.providers == {"vendor": "queued"}
        desk.fails = lambda _ids: None
        await one.until_told()
        assert "e1" not in desk.arrived and "e2" in desk.arrived
        rows, _ = await one.store.events(EventFilter(), 10)
        assert [row.event.id for row in rows] == ["e2"]


def _intake(one: Road) -> Intake:
    """Of a process in which these couriers are at work."""
    dispatcher = Dispatcher(one.store, lambda _event, _name: None, lambda user: hash_of(b"k", user))
    dispatcher._couriers.update(one.couriers)
    plan: Any = SimpleNamespace(providers=one.providers)
    cache, memory = AnswerCache(1000, one.time.clock, Random(3)), Memory(one.store, one.time.clock)
    return Intake(plan, one.store, dispatcher, cache, Hidden(), memory, b"k", one.time.wall)


async def _erase(one: Road, user: str) -> None:
    await one.store.erase(user, hash_of(b"k", user), {"vendor": "queued"}, one.time.wall(), b"unit")


async def _receipt(one: Road, user: str) -> str:
    receipt = await one.store.erasure(hash_of(b"k", user))
    assert receipt is not None
    return receipt.providers["vendor"]


async def test_an_erasure_is_told_though_a_courier_reads_it_before_whoever_asked_for_it_goes_on(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The courier has looked between the commit and the call of `Intake.erase`; as on a busy machine."""
    async with road(store_url) as one:
        desk = one.vendor("vendor", 1)
        await one.accept(happened("e1", "leaves"))
        await one.until_told()
        desk.takes_seconds = 100  # whoever is told now keeps the rest waiting: they are at hand, and not told
        await one.accept(happened("e2", "leaves"))
        await one.time.passes(1)

        committed = one.store.erase

        async def erase(*arguments: Any) -> None:
            await committed(*arguments)
            await one.time.passes(1)

        monkeypatch.setattr(one.store, "erase", erase)
        await _intake(one).erase("leaves")
        desk.takes_seconds = 0
        await one.until_told()
        assert await _receipt(one, "leaves") == "erased"


async def test_an_erasure_waits_for_nothing_that_was_put_off_before_it(store_url: str) -> None:
    """By another process: nobody tells this courier of it."""
    async with road(store_url, retry={"first": "30s", "max": "30s"}) as one:
        desk = one.vendor("vendor", 1)
        desk.fails = lambda ids: Failed("down") if "e1" in ids else None
        await one.accept(happened("e1", "leaves"))
        await one.time.passes(1)
        assert len(desk.calls) == 1
        await _erase(one, "leaves")
        await one.time.passes(2)
        assert await _receipt(one, "leaves") == "erased"
        assert len(desk.calls) == 2


async def test_what_fails_while_it_is_erased_holds_up_neither_the_erasure_nor_what_follows(store_url: str) -> None:
    async with road(store_url, retry={"first": "30s", "max": "30s"}) as one:
        desk = one.vendor("vendor", 1)
        desk.takes_seconds = 1
        desk.fails = lambda ids: Failed("down") if "e1" in ids else None
        await one.accept(happened("e1", "leaves"))
        await one.time.passes(0.5)
        assert desk.at_once == 1
        await _erase(one, "leaves")
        await one.accept(happened("e2", "leaves"))
        await one.time.passes(4)
        assert await _receipt(one, "leaves") == "erased"
        assert desk.arrived == ["leaves", "e2"]


async def test_what_is_read_while_reading_begins_anew_costs_nothing_at_hand(store_url: str) -> None:
    """A look is under way when the store fails a delivery, and what was at hand is read from the beginning."""
    async with road(store_url) as one:
        waiting, lease = Waiting(), Lease("courier vendor", one.store, one.time.clock, one.time.wall)
        supply = Supply(
            "vendor", one.store, waiting, lease, lambda: False, clock=one.time.clock, wall=one.time.wall
        )
        assert await lease.hold()
        one.vendor("vendor", 1)
        await one.couriers.pop("vendor").close(0)
        adapter = one.providers["vendor"].adapter
        await one.accept(happened("e1"))
        await supply.refill(adapter)
        await one.accept(happened("e2"))
        supply.called()
        look = asyncio.create_task(supply.refill(adapter))
        while not supply._all_at_hand:  # noqa: ASYNC110  # now it reads on
            await asyncio.sleep(0)
        supply.start_over()
        await look
        await supply.refill(adapter)
        assert [errand.ref for errand in waiting] == ["e1", "e2"]


# --- replay


async def feed(one: Road, items: int, users: int, events: int) -> None:
    for n in range(items):
        await one.put("item", f"i{n}")
    for n in range(users):
        await one.put("user", f"u{n}")
    await one.accept(*(happened(f"e{n}", f"u{n % 7}") for n in range(events)))


async def test_a_new_vendor_is_fed_records_first_then_events_in_order(store_url: str) -> None:
    async with road(store_url) as one:
        one.vendor("old", 100)
        await feed(one, 20, 7, 300)
        too_old = datetime.fromtimestamp(START, UTC) - timedelta(days=40)
        await one.accept(happened("ancient", time=too_old), happened("strange", type="unknown"))
        await one.until_told()
        desk = one.vendor("new", 100)
        desk.fails = lambda _ids: Failed("not ready")
        await one.accept(happened("live", "u3"))
        begun = await one.store.begin_replay("new", 0.0, 1000.0, one.time.wall())
        assert begun.total == 20 + 7 + 303
        await one.accept(happened("later", "u3"))
        await one.time.passes(1)
        desk.fails = lambda _ids: None
        await one.until_told("new")
        await one.time.passes(2)
        done = await one.store.replay("new")
        assert done is not None and (done.stage, done.left_out) == ("done", 2 + 1)
        kinds = ["e" if id_[0] in "el" else id_[0] for id_ in desk.arrived]
        assert kinds == ["i"] * 20 + ["u"] * 7 + ["e"] * 302
        for user in range(7):
            ids = [id_ for id_ in desk.arrived if id_[0] == "e" and int(id_[1:]) % 7 == user]
            assert ids == [f"e{n}" for n in range(300) if n % 7 == user]
        assert desk.arrived[-2:] == ["live", "later"]
        record = await one.store.record("item", "i3")
        assert isinstance(record, Record) and record.providers == {"old": "synced", "new": "synced"}


async def test_a_replay_goes_on_after_a_kill_and_keeps_its_rate(store_url: str) -> None:
    async with road(store_url) as one:
        one.vendor("old", 100)
        await feed(one, 5, 5, 500)
        await one.until_told()
        desk = one.vendor("new", 1)
        await one.store.begin_replay("new", 0.0, 20.0, one.time.wall())
        began = one.time.now
        await one.time.passes(8)
        assert 100 < len(desk.arrived) <= 20 + 20 * 8 + 8
        one.dies("new")
        one.start("new")
        await one.until_told("new")
        assert one.time.now - began > 510 / 20 - 2
        assert {id_ for id_ in desk.arrived if id_[0] == "e"} == {f"e{n}" for n in range(500)}
        assert len(desk.arrived) <= 510 + 8  # what was under way is told twice


async def test_a_store_that_is_shared_is_worked_off_once(store_url: str) -> None:
    """Two stores on one place, as two processes have them."""
    async with road(store_url) as one:
        desk = one.vendor("vendor", 10)
        other = await open_at(one.url)
        events = [happened(f"e{n}", f"u{n % 5}") for n in range(40)]
        await other.accept([Entry(event, {"vendor": "queued"}) for event in events], one.time.wall())
        await one.until_told()
        assert sorted(desk.arrived) == sorted(event.id for event in events)
        await other.close()


async def test_a_single_refusal_is_the_vendors_word(store_url: str) -> None:
    async with road(store_url) as one:
        desk = one.vendor("vendor", 1)
        error = Refused("refused with 400", status=400)
        desk.fails = lambda _ids: error
        await one.accept(happened("e1"))
        await one.until_told()
        (letter,) = await one.store.dead_letters("vendor", 5)
        assert letter.reason == "refused with 400"


async def test_no_event_overtakes_an_item_that_is_on_its_way_for_the_first_time(store_url: str) -> None:
    """Some vendors ignore what happens to items that they do not know yet."""
    async with road(store_url) as one:
        desk = one.vendor("vendor", 5)
        await one.accept(happened("before", "u0"))
        for n in range(12):
            await one.put("item", f"i{n}")
        await one.accept(*(happened(f"e{n}", f"u{n}") for n in range(12)))
        await one.until_told()
        assert desk.arrived[0] == "before"
        assert max(desk.arrived.index(f"i{n}") for n in range(12)) < min(
            desk.arrived.index(f"e{n}") for n in range(12)
        )
        desk.fails = lambda ids: Failed("500") if "poor" in ids else None
        await one.put("item", "poor")
        await one.accept(happened("after", "u1"))
        await one.time.passes(10)
        assert "after" in desk.arrived and "poor" not in desk.arrived  # tried once: it holds up nobody any more
