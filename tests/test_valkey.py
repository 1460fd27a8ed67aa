"""The shared store where a file has nothing like it: restarts, an unreachable server, its guard, its URLs."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.events.lease import LEASE
from gateway.state.kept import Edit, Entry, EventFilter, Full, StoreError
from gateway.state.valkey import ValkeyStore, connection, guard, ids
from gateway.state.valkey.checks import hazards
from gateway.state.valkey.places import Place
from gateway.state.valkey.script import Script
from tests.ports import free_port
from tests.stores import NOW, ROUTES, ValkeyServer, Vendor, accept, fresh_url, happened, tell_all

pytest_plugins = "tests.stores"
KIB = 1024


@pytest.fixture
async def store(server: ValkeyServer) -> AsyncIterator[ValkeyStore]:
    one = await ValkeyStore.open(server.url())
    yield one
    await one.close()


@pytest.fixture
async def shared() -> AsyncIterator[list[ValkeyStore]]:
    """Three, as three machines have them, on one place."""
    url = fresh_url()
    stores = [await ValkeyStore.open(url) for _ in range(3)]
    yield stores
    for one in stores:
        await one.close()


async def back(store: ValkeyStore) -> None:
    """Until the store answers again."""
    async with asyncio.timeout(60):
        while True:
            try:
                await store.queues()
                await store.lease("test", "test", 1, NOW)
            except StoreError:
                await asyncio.sleep(0.02)
            else:
                return


# --- restarts ----------------------------------------------------------------------------------------------------


async def test_nothing_acknowledged_is_lost_by_a_kill(server: ValkeyServer, store: ValkeyStore) -> None:
    """Three write while the server is killed and started again; what they were told was kept is there, once."""
    others = [await ValkeyStore.open(server.url()) for _ in range(2)]
    acknowledged: list[str] = []
    going = True

    async def write(one: ValkeyStore, first: int) -> None:
        n = first
        while going:
            event = happened(n, f"u{n % 5}")
            try:
                await one.accept([Entry(event, ROUTES)], NOW)
            except StoreError:
                await asyncio.sleep(0.01)  # the same again, as a caller would
            else:
                acknowledged.append(event.id)
                n += 1

    writing = [asyncio.create_task(write(one, 100_000 * n)) for n, one in enumerate((store, *others))]
    for _ in range(2):
        await asyncio.sleep(0.3)
        before = len(acknowledged)
        server.kill()
        await asyncio.sleep(0.1)
        server.start()
        await back(store)
        assert before > 0
    await asyncio.sleep(0.3)
    going = False
    await asyncio.gather(*writing)
    assert len(acknowledged) > before
    logged = [one.event.id for one in (await store.events(EventFilter(), 100_000))[0]]
    assert sorted(logged) == sorted(acknowledged)
    queued: list[str] = []
    while errands := await store.errands("a", 0, 1000):
        queued += [errand.ref for errand in errands]
        await store.settle("a", errands, [], NOW)
    assert sorted(queued) == sorted(acknowledged)
    for one in others:
        await one.close()


async def test_a_killed_server_comes_back_with_everything(server: ValkeyServer, store: ValkeyStore) -> None:
    await accept(store, happened(1))
    await store.edit("user", [Edit("u1", {"a": 1})], ROUTES, NOW)
    await store.bind("a", "user", {"u1": "7"})
    made = await store.secret("key", lambda: b"made once")
    server.kill()
    server.start()
    await back(store)
    assert [errand.ref for errand in await store.errands("a", 0, 5)] == ["e1", "u1"]
    assert await store.lookup("a", "user", ["u1"]) == {"u1": "7"}
    assert await store.secret("key", lambda: b"another") == made
    await accept(store, happened(1))
    assert len((await store.events(EventFilter(), 5))[0]) == 1


async def test_what_was_created_while_the_server_was_gone_is_not_created_again(
    server: ValkeyServer, store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone for longer than a claim lives, and another wants the same from the first moment on."""
    monkeypatch.setattr(ids, "CLAIM_LIFE", 1.5)
    monkeypatch.setattr(ids, "RENEW", 0.2)
    other = await ValkeyStore.open(server.url())
    vendor = Vendor()

    async def creates() -> str:
        async with store.claim("p", "user", "ann") as known:
            assert known is None
            vendor.made.append("v0")
            server.kill()
            await store.bind("p", "user", {"ann": "v0"})
        return "v0"

    async def wants() -> str:
        while True:
            try:
                return await vendor.create(other, "ann")
            except StoreError:
                await asyncio.sleep(0.01)

    creating = asyncio.create_task(creates())
    async with asyncio.timeout(60):
        while not vendor.made:  # noqa: ASYNC110  # another task's
            await asyncio.sleep(0.01)
        wanting = asyncio.create_task(wants())
        await asyncio.sleep(2)
        server.start()
        assert [await creating, await wanting] == ["v0", "v0"]
    assert vendor.made == ["v0"]
    await other.close()


async def test_scripts_that_the_server_has_forgotten_are_sent_again(store: ValkeyStore) -> None:
    await accept(store, happened(1))
    await store.server.ask(("SCRIPT", "FLUSH"))
    await asyncio.gather(*(accept(store, happened(n)) for n in range(20)), store.queues())
    assert len((await store.events(EventFilter(), 50))[0]) == 20


# --- a server that is not there ----------------------------------------------------------------------------------


async def test_while_the_server_is_down_everybody_hears_so_at_once(
    server: ValkeyServer, store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.state.valkey.lane.OPEN", 0.1)
    server.kill()
    for call in (lambda: accept(store, happened(1)), lambda: store.seen(["u1"], 5), store.queues):
        with pytest.raises(StoreError, match="cannot be reached"):
            await call()
    began = time.process_time()
    for _ in range(1000):
        with pytest.raises(StoreError):
            await store.seen(["u1"], 5)
        with pytest.raises(StoreError):
            await accept(store, happened(1))
    assert time.process_time() - began < 1  # nobody even tries
    server.start()
    await back(store)
    await accept(store, happened(1))
    async with asyncio.timeout(60):
        while await _unseen(store):  # noqa: ASYNC110  # the lane of answers heals by itself too
            await asyncio.sleep(0.02)
    assert await store.seen(["u1"], 5) == {"u1": ("i1",)}


async def _unseen(store: ValkeyStore) -> bool:
    try:
        await store.seen(["u1"], 5)
    except StoreError:
        return True
    return False


async def test_a_server_that_hangs_holds_up_no_answer(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, not gone: connections stand, and nothing comes back."""
    monkeypatch.setattr(connection, "HURRIED", 0.1)
    monkeypatch.setattr(connection, "SOON", 0.4)
    monkeypatch.setattr("gateway.state.valkey.lane.OPEN", 0.1)
    store = await ValkeyStore.open(server.url())
    await store.seen(["u1"], 5)
    server.signal(signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(StoreError):
            await store.seen(["u1"], 5)
    assert time.monotonic() - began < 0.1 * 40  # the first `LATE` ones wait, the others do not
    with pytest.raises(StoreError, match="in time"):
        await accept(store, happened(1))
    server.signal(signal.SIGCONT)
    await back(store)
    await accept(store, happened(1))
    assert len((await store.events(EventFilter(), 5))[0]) == 1  # whether the first was written or not
    await store.close()


async def test_a_store_that_is_not_there_is_said_at_the_start(server: ValkeyServer) -> None:
    server.kill()
    with pytest.raises(StoreError, match="cannot be reached"):
        await ValkeyStore.open(server.url())


def test_the_guard_opens_by_one_break_or_several_late_answers_in_a_row() -> None:
    one = guard.Guard(late=3)
    for _ in range(5):
        one.failed("late", late=True)
        one.failed("late", late=True)
        one.succeeded()
    one.admit()
    for _ in range(3):
        one.failed("late", late=True)
    with pytest.raises(StoreError, match="late"):
        one.admit()
    one.succeeded()
    one.failed("gone", late=False)
    with pytest.raises(StoreError, match="gone"):
        one.admit()


async def test_what_the_server_refuses_is_refused_to_its_caller_alone(store: ValkeyStore) -> None:
    bad = Script("return redis.call('LPUSH', key('n'), 1)")
    await accept(store, happened(0))
    said: Any = await asyncio.gather(
        accept(store, happened(1)), store.server.change(bad), accept(store, happened(2)), return_exceptions=True
    )
    assert [type(one) for one in said] == [type(None), StoreError, type(None)]
    assert len((await store.events(EventFilter(), 5))[0]) == 3


# --- several machines --------------------------------------------------------------------------------------------


async def test_the_same_event_accepted_by_all_at_once_is_one(shared: list[ValkeyStore]) -> None:
    events = [happened(n) for n in range(30)]
    await asyncio.gather(*(accept(one, event) for event in events for one in shared))
    assert len((await shared[0].events(EventFilter(), 100))[0]) == 30
    assert [len(await one.errands("a", 0, 100)) for one in shared] == [30] * 3


async def test_one_holds_a_lease_and_another_after_it_died(shared: list[ValkeyStore]) -> None:
    taken = await asyncio.gather(*(one.lease("x", str(n), LEASE, NOW) for n, one in enumerate(shared)))
    assert sorted(taken) == [False, False, True]
    holder = taken.index(True)
    assert await shared[holder].lease("x", str(holder), LEASE, NOW + 3)
    other = (holder + 1) % 3
    assert not await shared[other].lease("x", str(other), LEASE, NOW + LEASE)
    assert await shared[other].lease("x", str(other), LEASE, NOW + 3 + LEASE)
    await shared[holder].hand_back("x", str(holder))  # no longer its own to hand back
    assert not await shared[holder].lease("x", str(holder), LEASE, NOW + 3 + LEASE)


async def test_changes_of_one_record_from_all_sides_are_all_in_it(shared: list[ValkeyStore]) -> None:
    await asyncio.gather(*(
        one.edit("item", [Edit("i", {f"p{n}-{m}": m}, merge=True)], ROUTES, NOW)
        for m in range(5) for n, one in enumerate(shared)
    ))  # fmt: skip
    record = await shared[0].record("item", "i")
    assert record is not None and len(record.properties) == 15
    last = (await shared[0].errands("a", 0, 50))[-1].change()
    assert last.properties == record.properties


async def test_gateways_of_different_prefixes_know_nothing_of_each_other(server: ValkeyServer) -> None:
    one, other = [await ValkeyStore.open(server.url(prefix)) for prefix in ("shop", "shop-2")]
    await accept(one, happened(1))
    await one.remove_item("i", ROUTES, NOW)
    assert (await other.events(EventFilter(), 5))[0] == [] == await other.errands("a", 0, 5)
    assert await other.hidden_items() == frozenset()
    (keys,) = await one.server.ask(("KEYS", "*"))
    assert keys and all(key.startswith(b"{shop}:") for key in keys)  # one hash tag: one slot of a cluster
    for store in (one, other):
        await store.close()


# --- news --------------------------------------------------------------------------------------------------------


async def test_who_was_away_too_long_drops_everything(shared: list[ValkeyStore]) -> None:
    here, there, _ = shared
    start = await there.news(-1, -1)
    for passed in (0, 61, 122):  # by then what was told first has left
        await accept(here, happened(passed, "ann"))
        await here.sweep(0, ["a"], NOW + passed)
    assert (await there.news(start.event, start.forgotten)).users is None
    now = await there.news(-1, -1)
    assert (await there.news(now.event + 1000, now.forgotten)).users is None  # the server has lost something


# --- room --------------------------------------------------------------------------------------------------------


async def test_the_oldest_that_was_delivered_leaves_first() -> None:
    store = await ValkeyStore.open(fresh_url(), 500 * KIB)
    for n in range(0, 1000, 20):
        await accept(store, *(happened(n + m, size=1000) for m in range(20)))
        await tell_all(store)
    kept = [int(one.event.id[1:]) for one in (await store.events(EventFilter(), 3000))[0]]
    assert kept == list(range(999, 999 - len(kept), -1)) and 50 < len(kept) < 500
    (used,) = await store.server.ask(("GET", store.server.key("bytes")))
    assert int(used) <= 500 * KIB
    await store.close()


async def test_what_is_not_delivered_stays_and_nothing_more_is_taken() -> None:
    store = await ValkeyStore.open(fresh_url(), 300 * KIB)
    taken: list[str] = []
    with pytest.raises(Full):
        for n in range(3000):
            await accept(store, happened(n, size=1000))
            taken.append(f"e{n}")
    with pytest.raises(Full):
        await store.edit("item", [Edit("i", {"x": "x" * 2000})], ROUTES, NOW)
    assert len(taken) > 50
    assert [errand.ref for errand in await store.errands("a", 0, 5000)] == taken
    await tell_all(store)
    await accept(store, happened(9999, size=1000))  # there is room again
    await store.close()


async def test_what_left_no_longer_counts() -> None:
    store = await ValkeyStore.open(fresh_url())
    await accept(store, *(happened(n, f"u{n % 2}", size=100) for n in range(20)))
    await store.edit("user", [Edit("u1", {"a": 1})], ROUTES, NOW)
    await store.edit("item", [Edit("i1", {"a": 1})], {"a": "queued"}, NOW)
    errands = await store.errands("a", 0, 100)
    await store.settle("a", errands[::2], [(one, "no") for one in errands[1::2]], NOW)
    for user in ("u0", "u1"):
        await store.erase(user, user, {}, NOW, b"")
    while await store.sweep(NOW + 1, ["a"], NOW + 1):
        pass
    record = await store.record("item", "i1")
    (used,) = await store.server.ask(("GET", store.server.key("bytes")))
    assert record is not None and int(used) == len('{"a":1}') + 300  # what is still there
    await store.close()


async def test_a_memory_that_is_full_refuses_whole_events() -> None:
    server = ValkeyServer(appendonly="no", maxmemory="6mb")
    server.start()
    store = await ValkeyStore.open(server.url())
    taken: list[str] = []
    with pytest.raises(Full, match="maxmemory"):
        for n in range(0, 30_000, 20):
            await accept(store, *(happened(n + m, size=1000) for m in range(20)))
            taken += [f"e{n + m}" for m in range(20)]
    logged = [one.event.id for one in (await store.events(EventFilter(), 30_000))[0]]
    queued: list[str] = []
    while errands := await store.errands("a", 0, 1000):
        queued += [errand.ref for errand in errands]
        await store.settle("a", errands, [], NOW)  # what leaves may leave though it is full
    assert taken and sorted(logged) == sorted(queued) == sorted(taken)
    await store.close()
    server.close()


# --- durability --------------------------------------------------------------------------------------------------


async def test_waiting_for_the_disk_and_for_copies(server: ValkeyServer) -> None:
    store = await ValkeyStore.open(server.url(waitaof="1"))
    await asyncio.gather(*(accept(store, happened(n)) for n in range(50)))
    assert len((await store.events(EventFilter(), 99))[0]) == 50
    await store.close()
    lonely = await ValkeyStore.open(server.url(wait="1"))
    with pytest.raises(StoreError, match="copies"):
        await accept(lonely, happened(1))
    await lonely.close()


@pytest.mark.parametrize(
    ("settings", "query", "words"),
    [
        ({}, {}, []),
        ({"appendonly": "no"}, {}, ["appendonly no"]),
        ({"appendonly": "no"}, {"waitaof": "1"}, ["every write will fail"]),
        ({"appendfsync": "everysec"}, {}, ["appendfsync everysec"]),
        ({"appendfsync": "everysec"}, {"waitaof": "1"}, []),
        ({"appendfsync": "no"}, {}, ["appendfsync no"]),
        ({"maxmemory-policy": "allkeys-lru"}, {}, ["maxmemory-policy allkeys-lru"]),
        ({"maxmemory": "100mb"}, {}, ["less than state.max_bytes"]),
        ({}, {"wait": "1"}, ["0 replicas, fewer than the 1"]),
        ({"rename-command": "CONFIG hidden"}, {}, ["could not be checked"]),
    ],
)
async def test_what_may_lose_what_was_acknowledged_is_said(
    settings: dict[str, str], query: dict[str, str], words: list[str]
) -> None:
    server = ValkeyServer(**settings)
    server.start()
    store = await ValkeyStore.open(server.url(**query), 1024 * KIB * KIB)
    said = await hazards(store.server)
    assert len(said) == len(words) and all(word in one for word, one in zip(words, said, strict=True)), said
    await store.close()
    server.close()


# --- URLs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "prefix"),
    [
        ("valkey://cache.example", None, [("cache.example", 6379)], "{gateway}:"),
        ("redis://u:p@h:7000/3?prefix=shop", None, [("h", 7000)], "{shop}:"),
        ("valkeys://h:1?ssl_cert_reqs=none", None, [("h", 1)], "{gateway}:"),
        ("valkey+sentinel://a,b:27000/main/2", "sentinel", [("a", 26379), ("b", 27000)], "{gateway}:"),
        ("redis+cluster://a:7000,b:7001", "cluster", [("a", 7000), ("b", 7001)], "{gateway}:"),
    ],
)
async def test_places(url: str, kind: str | None, hosts: list[tuple[str, int]], prefix: str) -> None:
    place = Place(url)
    assert (place.kind, place.hosts, place.prefix) == (kind, hosts, prefix)
    if kind is None:
        made: Any = await place.connection()
        assert (made.host, made.port) == hosts[0]
        assert made.db == (3 if "/3" in url else 0)
        assert (type(made).__name__ == "SSLConnection") is url.startswith("valkeys")


@pytest.mark.parametrize(
    "url",
    [
        "valkey://u:hush@h:port/0",
        "valkey://u:hush@h/0?waitaof=x",
        "x://u:hush@h",
        "valkey://u:hush@h?prefix={a}",
        "valkey://u:hush@h?socket_timeout=x",
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url: str) -> None:
    with pytest.raises(StoreError) as raised:
        Place(url)
    assert "hush" not in str(raised.value)


async def test_a_wrong_password_is_said_without_it() -> None:
    server = ValkeyServer(requirepass="right")
    server.start()
    good = server.url().replace("127.0.0.1", ":right@127.0.0.1")
    store = await ValkeyStore.open(good)
    await accept(store, happened(1))
    await store.close()
    for wrong in (good.replace("right", "hush"), server.url()):
        with pytest.raises(StoreError) as raised:
            await ValkeyStore.open(wrong)
        assert "hush" not in str(raised.value)
    server.close()


async def test_the_node_of_a_cluster_that_holds_the_slot() -> None:
    server = ValkeyServer(**{"cluster-enabled": "yes", "cluster-port": str(free_port())})
    server.start()
    plain = await ValkeyStore.open(server.url())
    await plain.server.ask(("CLUSTER", "ADDSLOTSRANGE", "0", "16383"))
    await plain.close()
    url = server.url().replace("valkey://", "valkey+cluster://127.0.0.1:1,").replace("/0?", "?")
    async with asyncio.timeout(60):
        while True:
            store = await ValkeyStore.open(url)  # the first host of the list is not there
            try:
                await accept(store, happened(1))
            except StoreError:  # the cluster needs a moment to find itself whole
                await store.close()
                await asyncio.sleep(0.05)
            else:
                break
    await store.edit("item", [Edit("i", {"a": 1})], ROUTES, NOW)
    await store.erase("u1", "hash", {"a": "queued"}, NOW, b"")
    assert [errand.ref for errand in await store.errands("a", 0, 5)] == ["i", "u1"]
    await store.close()
    server.close()


async def test_the_primary_that_a_sentinel_names_and_the_next_one(tmp_path: Path) -> None:
    """The replica is made the primary, and the old one a replica of it, as sentinels do: the store moves along."""
    old, new = ValkeyServer(**{"repl-diskless-sync-delay": "0"}), ValkeyServer()
    sentinel = ValkeyServer()
    file = tmp_path / "sentinel.conf"
    file.write_text(f"sentinel monitor shop 127.0.0.1 {old.port} 1\n")
    sentinel.arguments = (str(file), "--sentinel")
    sentinel.settings = {}
    try:
        for one in (old, new, sentinel):
            one.start()
        store = await ValkeyStore.open(f"valkey+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/shop/0")
        await accept(store, happened(1))
        after = await ValkeyStore.open(new.url())
        await after.server.ask(("REPLICAOF", "127.0.0.1", old.port))
        async with asyncio.timeout(60):
            while not (await after.events(EventFilter(), 5))[0]:  # noqa: ASYNC110  # the copy comes by itself
                await asyncio.sleep(0.05)
        await after.server.ask(("REPLICAOF", "NO", "ONE"))
        await store.server.ask(("REPLICAOF", "127.0.0.1", new.port))  # over the store's own connection
        watch = await ValkeyStore.open(sentinel.url())
        await watch.server.ask(("SENTINEL", "REMOVE", "shop"))
        await watch.server.ask(("SENTINEL", "MONITOR", "shop", "127.0.0.1", new.port, "1"))
        async with asyncio.timeout(60):
            while True:
                try:
                    await accept(store, happened(2))
                except StoreError:
                    await asyncio.sleep(0.05)
                else:
                    break
        assert {one.event.id for one in (await after.events(EventFilter(), 5))[0]} == {"e1", "e2"}
        for opened in (store, after, watch):
            await opened.close()
    finally:
        for one in (old, new, sentinel):
            one.close()
