"""The shared store's id maps, activity and tokens: what SQLite's file has no need of."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from gateway.experiments.counts import Earned, Shown
from gateway.experiments.phase import Phase
from gateway.model.activity import Change, Event, EventItem
from gateway.state.kept import Edit, Entry
from gateway.state.learned import Position
from gateway.state.store import StoreError
from gateway.state.valkey import ValkeyStore, activity, ids
from gateway.state.valkey.script import Script
from tests.keeping import forget_activity, note_activity, put_items
from tests.stores import ValkeyServer, fresh_url

NOW = datetime(2026, 3, 1, tzinfo=UTC)
_BEFORE = Script("return forget_before(A)", activity.LUA)


@pytest.fixture
async def stores() -> AsyncIterator[tuple[ValkeyStore, ValkeyStore]]:
    url = fresh_url()
    both = await ValkeyStore.open(url), await ValkeyStore.open(url)
    yield both
    for one in both:
        await one.close()


def view(user: str, *items: str, hours: float = 0.0) -> Event:
    seen = tuple(EventItem(item) for item in items)
    when = NOW - timedelta(hours=hours)
    return Event(id=f"{user}-{'-'.join(items)}-{hours}", type="view", user=user, items=seen, time=when)


# --- claims ------------------------------------------------------------------------------------------------------


async def crashed(store: ValkeyStore, id_: str) -> None:
    """Somebody took the claim and is gone."""
    claim = {"provider": "p", "entity": "user", "id": id_, "holder": "gone", "life": round(1000 * ids.CLAIM_LIFE)}
    decided, known = await store.server.change(ids._CLAIM, claim)
    assert decided and not known


async def test_the_claim_of_a_process_that_died_runs_out(
    stores: tuple[ValkeyStore, ValkeyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "CLAIM_LIFE", 0.3)
    await crashed(stores[0], "ann")
    started = time.monotonic()
    async with asyncio.timeout(30), stores[1].claim("p", "user", "ann") as known:
        assert known is None
    assert time.monotonic() - started > 0.2


HOLDS = """
import asyncio, sys
from gateway.state.valkey import ValkeyStore, ids

async def main():
    ids.CLAIM_LIFE, ids.RENEW = 1.0, 0.2
    store = await ValkeyStore.open(sys.argv[1])
    async with store.claim("p", "user", "ann"):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_process_that_is_killed_while_it_creates_loses_its_claim() -> None:
    url = fresh_url()
    store = await ValkeyStore.open(url)
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDS, url, stdout=asyncio.subprocess.PIPE)
    try:
        assert holder.stdout is not None and await holder.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError):  # longer than its life: it is renewed
            async with asyncio.timeout(2), store.claim("p", "user", "ann"):
                raise AssertionError
        holder.kill()
        async with asyncio.timeout(30), store.claim("p", "user", "ann") as known:
            assert known is None
    finally:
        if holder.returncode is None:
            with suppress(ProcessLookupError):
                holder.kill()
            await holder.wait()
        await store.close()


async def test_a_claim_is_kept_as_long_as_its_holder_creates(
    stores: tuple[ValkeyStore, ValkeyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "CLAIM_LIFE", 0.3)
    monkeypatch.setattr(ids, "RENEW", 0.1)

    async def waits() -> str | None:
        async with stores[1].claim("p", "user", "ann") as known:
            return known

    async with stores[0].claim("p", "user", "ann") as known:
        assert known is None
        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0.8)
        assert not waiting.done()
        await stores[0].bind("p", "user", {"ann": "v1"})
    assert await waiting == "v1"
    assert not stores[0]._held and not stores[0]._creating


async def test_who_lost_the_claim_cannot_bind_while_another_creates(
    stores: tuple[ValkeyStore, ValkeyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "CLAIM_LIFE", 0.1)
    monkeypatch.setattr(ids, "RENEW", 60.0)  # as if it hung
    slow, quick = stores
    async with slow.claim("p", "user", "ann"):
        await asyncio.sleep(0.2)
        monkeypatch.setattr(ids, "CLAIM_LIFE", 10.0)
        async with asyncio.timeout(30), quick.claim("p", "user", "ann") as known:
            assert known is None
            await slow.bind("p", "user", {"ann": "late"})
            assert await quick.lookup("p", "user", ["ann"]) == {}
            await quick.bind("p", "user", {"ann": "v2"})
    assert await slow.lookup("p", "user", ["ann"]) == {"ann": "v2"}
    assert await slow.owners("p", "user", ["v2", "late"]) == {"v2": "ann"}


async def test_a_claim_that_was_lost_is_not_released_for_its_new_holder(
    stores: tuple[ValkeyStore, ValkeyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "CLAIM_LIFE", 0.1)
    monkeypatch.setattr(ids, "RENEW", 60.0)
    async with asyncio.timeout(30):
        lost = stores[0].claim("p", "user", "ann")
        await lost.__aenter__()
        await asyncio.sleep(0.2)
        monkeypatch.setattr(ids, "CLAIM_LIFE", 10.0)
        async with stores[1].claim("p", "user", "ann"):
            await lost.__aexit__(None, None, None)
            claim = stores[1].server.key("claim", "user", "p", "ann")
            (holder,) = await stores[1].server.ask(("HGET", claim, "holder"))
            assert holder is not None


async def test_more_ids_than_go_at_once(stores: tuple[ValkeyStore, ValkeyStore]) -> None:
    pairs = {f"c{n}": f"v{n}" for n in range(2 * ids.PART + 3)}
    await stores[0].bind("p", "item", pairs)
    assert await stores[1].lookup("p", "item", pairs) == pairs
    assert await stores[1].owners("p", "item", ["v0", f"v{2 * ids.PART}"]) == {
        "v0": "c0",
        f"v{2 * ids.PART}": f"c{2 * ids.PART}",
    }


# --- activity ----------------------------------------------------------------------------------------------------


async def test_a_reader_misses_and_repeats_nothing_while_several_write(
    stores: tuple[ValkeyStore, ValkeyStore],
) -> None:
    rng = random.Random(7)
    writing = True

    async def write(store: ValkeyStore, name: str) -> None:
        for n in range(60):
            await note_activity(store, [view(f"{name}{n}", *(f"i{k}" for k in range(rng.randint(1, 4))))])
            await put_items(store, [Change(f"{name}{n % 7}", {"n": n})])

    async def read() -> tuple[list[tuple[str, str]], dict[str, object]]:
        deeds: list[tuple[str, str]] = []
        records: dict[str, object] = {}
        position = Position()
        while True:
            done = not writing
            learned = await stores[1].learned_since(position, rng.randint(1, 9))
            deeds += [(deed.user, deed.item) for deed in learned.deeds]
            records |= {record.id: record.properties for record in learned.records}
            position = learned.position
            if done and not learned.deeds and not learned.records:
                return deeds, records

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(stores[n % 2], f"w{n}-") for n in range(4)))
    writing = False
    async with asyncio.timeout(60):
        deeds, records = await reading
    assert len(deeds) == len(set(deeds))
    whole = await stores[0].learned_since(Position(), 100_000)
    assert [(deed.user, deed.item) for deed in whole.deeds] == deeds, "in the order in which all read it"
    assert len({user for user, _ in deeds}) == 240
    assert {f"w{w}-{k}": {"n": k + 7 * ((59 - k) // 7)} for w in range(4) for k in range(7)} == records


async def test_the_bound_is_kept_in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await ValkeyStore.open(fresh_url(), 80 * activity.PART * activity.ROW_BYTES)
    for n in range(99):
        await note_activity(store, [view("ann", f"i{n}")])
    assert (await store.learned_since(Position(), 1000)).forgotten == 0
    await note_activity(store, [view("ann", "i99")])
    learned = await store.learned_since(Position(), 1000)
    assert learned.forgotten == 1
    assert [deed.item for deed in learned.deeds] == [f"i{n}" for n in range(20, 100)]
    assert (await store.seen(["ann"], 1000))["ann"] == tuple(f"i{n}" for n in range(20, 100))
    assert await store.server.ask(("SCARD", store.server.key("marks"))) == [80], "each mark went with its entry"
    await store.close()


async def test_nothing_is_left_of_who_is_forgotten(stores: tuple[ValkeyStore, ValkeyStore]) -> None:
    store = stores[0]
    await note_activity(store, [view("ann", "a", "b"), view("bob", "a"), view("ann", "c")])
    await forget_activity(store, "ann")
    learned = await stores[1].learned_since(Position(), 10)
    assert [(deed.user, deed.item) for deed in learned.deeds] == [("bob", "a")] and learned.forgotten == 1
    marks, keys = await store.server.ask(("SCARD", store.server.key("marks")), ("KEYS", "*"))
    assert marks == 1
    assert not any(b"ann" in key and key.startswith(store.server.prefix.encode()) for key in keys)
    await forget_activity(store, "ann")
    assert (await store.learned_since(learned.position, 10)).forgotten == 1, (
        "nothing to forget, nothing to learn anew"
    )


async def test_the_retention_takes_whole_hours(stores: tuple[ValkeyStore, ValkeyStore]) -> None:
    store = stores[0]
    await note_activity(store, [view("ann", f"i{n}", hours=10 - n) for n in range(10)])
    before = NOW.timestamp() - 5 * 3600
    assert await store.server.change(_BEFORE, before + 1800) == 5
    assert await store.server.change(_BEFORE, before + 3599) == 0
    learned = await store.learned_since(Position(), 100)
    assert [deed.item for deed in learned.deeds] == [f"i{n}" for n in range(5, 10)] and learned.forgotten == 1
    assert await store.server.change(_BEFORE, NOW.timestamp() + 7200) == 5
    assert (await store.learned_since(Position(), 100)).deeds == ()


async def test_much_leaves_in_parts(stores: tuple[ValkeyStore, ValkeyStore]) -> None:
    store = stores[0]
    await note_activity(store, [view(f"u{n}", "a", hours=100) for n in range(activity.AT_ONCE + 500)])
    gone = [await store.server.change(_BEFORE, NOW.timestamp()) for _ in range(3)]
    assert gone == [activity.AT_ONCE, 500, 0]


async def test_a_server_that_lost_entries_has_all_learn_anew(stores: tuple[ValkeyStore, ValkeyStore]) -> None:
    """As after a failover to a copy that had not all of it."""
    store = stores[0]
    await note_activity(store, [view("ann", f"i{n}") for n in range(10)])
    position = (await store.learned_since(Position(), 100)).position
    await store.server.change(
        Script("redis.call('HSET', key('learned'), 'deeds', 4) redis.call('DEL', key('deeds'))")
    )
    learned = await store.learned_since(position, 100)
    assert (learned.position, learned.forgotten, learned.deeds) == (position, 1, ())
    await note_activity(store, [view("bob", "a")])
    assert [deed.user for deed in (await store.learned_since(position, 100)).deeds] == ["bob"]


# --- erasure -----------------------------------------------------------------------------------------------------


async def named(store: ValkeyStore, name: str) -> set[bytes]:
    """Keys that have the name in them, or in what they hold."""
    found = set()
    prefix = store.server.prefix.encode()
    (keys,) = await store.server.ask(("KEYS", "*"))
    for key in keys:
        if key.startswith(prefix):
            (dump,) = await store.server.ask(("DUMP", key))
            if name.encode() in key or name.encode() in (dump or b""):
                found.add(key.removeprefix(prefix))
    return found


async def test_nothing_but_what_is_needed_names_who_was_erased(stores: tuple[ValkeyStore, ValkeyStore]) -> None:
    store, unit, phase = stores[0], b"u" * 16, Phase("ab", "0123abcd", "home", "user", {"a": 1.0})
    await store.server.ask(("SET", store.server.key("sharing"), 1))  # answers are shared too
    earned = Earned("ab", "0123abcd", "a", unit, "click", (("i1", 0.0),))
    await store.accept([Entry(view("annabel", "i1"), {"p": "queued"}, earned)], NOW.timestamp())
    await store.note_shown([Shown(phase, "a", (unit,), 1, 0, 0)], NOW.timestamp())
    await store.edit("user", [Edit("annabel", {"n": 1})], {"p": "queued"}, NOW.timestamp())
    await note_activity(store, [view("annabel", "i2")])
    await store.bind("p", "user", {"annabel": "v1"})
    assert {b"deeds", b"deeds_of:annabel", b"log", b"map:user:p"} <= await named(store, "annabel")
    await store.erase("annabel", "hash", {"p": "queued"}, NOW.timestamp(), unit)
    left = await named(store, "annabel")
    assert left == {b"news", b"outbox:p", b"map:user:p", b"back:user:p", b"of:uannabel"}, "the errand needs them"
    (errand,) = await store.errands("p", 0, 10)
    await store.erased("p", errand, "hash", "erased")
    assert await named(store, "annabel") == {b"news"}, "for a minute, so that every process hears of it"
    for minutes in (60, 62):
        await store.sweep(0.0, ["p"], NOW.timestamp() + 60 * minutes)
    assert await named(store, "annabel") == set()
    assert not await named(store, "u" * 16)
    (tally,) = await store.tallies()
    assert (tally.arms["a"].units, tally.arms["a"].clicks) == (1, 1), "the sums stay"


# --- a server that goes away -------------------------------------------------------------------------------------


async def test_what_was_bound_and_counted_outlives_a_kill() -> None:
    server = ValkeyServer()
    server.start()
    try:
        store = await ValkeyStore.open(server.url(waitaof="1"))
        await store.bind("p", "user", {"ann": "v1"})
        await note_activity(store, [view("ann", "a")])
        await store.begin_training("p", 1000.5, 100.0)
        secret = await store.secret("key", lambda: b"\x00\xffmade")
        server.kill()
        with pytest.raises(StoreError):
            await store.lookup("p", "user", ["ann"])
        server.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await store.lookup("p", "user", ["ann"]) == {"ann": "v1"}
                    break
                except StoreError:
                    await asyncio.sleep(0.05)
        await store.close()
        store = await ValkeyStore.open(server.url())
        assert await store.seen(["ann"], 5) == {"ann": ("a",)}
        assert (await store.training("p")).started_at == 1000.5
        assert await store.secret("key", lambda: b"another") == secret == b"\x00\xffmade"
        await store.close()
    finally:
        server.close()
