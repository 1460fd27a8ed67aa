"""What the tests of couriers share: a store, a vendor that does as told, and time that passes when told to."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar

import msgspec

from gateway.adapter import Adapter, Alphabet, Done, Flow, Request, Response
from gateway.config.traffic import Events
from gateway.errors import ProviderError
from gateway.events.courier import Courier
from gateway.events.intake import hash_of
from gateway.events.routes import of_event
from gateway.memory import Memory
from gateway.model.activity import Change, Event, EventItem
from gateway.provider.account import Provider
from gateway.provider.settings import ProviderSettings
from gateway.state.kept import Edit, Entry
from gateway.state.opening import open_at
from gateway.state.sqlite import SqliteStore
from gateway.state.store import Store
from gateway.state.valkey import ValkeyStore
from gateway.state.valkey.script import Script
from gateway.transport import Outgoing

START = 1_800_000_000.0
"""Unix seconds."""


class Time:
    """Seconds that pass when told to; `watchers` are called after each step. `wall` is START ahead."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.store: Store | None = None
        self.watchers: list[Callable[[], None]] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = 0

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return START + self.now

    async def sleep(self, seconds: float) -> None:
        self._number += 1
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._number, waiting))
        await waiting

    async def passes(self, seconds: float, step: float = 0.25) -> None:
        """Let so much time pass, and everybody do what is to be done meanwhile."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            while self._sleepers and self._sleepers[0][0] <= self.now:
                waiting = heapq.heappop(self._sleepers)[2]
                if not waiting.done():
                    waiting.set_result(None)
            for watch in self.watchers:
                watch()
            assert self.store is not None
            await settle(self.store)


async def settle(store: Store, rounds: int = 6) -> None:
    """Let what is ready run, at the store too."""
    for _ in range(rounds):
        if isinstance(store, SqliteStore):
            await asyncio.gather(store.db.run(lambda: None), store.db.read(lambda: None))
        if isinstance(store, ValkeyStore):
            await asyncio.gather(store.server.change(_NOTHING), store.server.look(_NOTHING))
        for _ in range(5):
            await asyncio.sleep(0)


_NOTHING = Script("return 0")


class Vendor(Adapter):
    """Takes whatever `Desk` lets it take; one call for a batch."""

    most: int = 100
    max_event_age: ClassVar[float | None] = 30 * 86_400.0
    user_ids: ClassVar[Alphabet] = Alphabet()

    @property
    def events_per_call(self) -> int:
        return self.most

    def hosts(self) -> dict[str, Sequence[str]]:
        return {"main": ("https://vendor",)}

    def takes(self, event: Event) -> str | None:
        return "no word" if event.type == "unknown" else None

    def track(self, events: Sequence[Event]) -> Flow[None]:
        return self._call("track", [event.id for event in events])

    def put_users(self, changes: Sequence[Change]) -> Flow[None]:
        return self._call("put_users", [change.id for change in changes])

    def put_items(self, changes: Sequence[Change]) -> Flow[None]:
        return self._call("put_items", [change.id for change in changes])

    def erase_user(self, user: str) -> Flow[Any]:
        yield Request("DELETE", "/erase", json=[user])
        return "erased"

    def _call(self, what: str, ids: list[str]) -> Flow[None]:
        if not ids:
            return
        yield Request("POST", f"/{what}", json=ids, repeatable=False)
        yield Done(tuple(ids))


class Desk:
    """The vendor's side: what has arrived, and what it does about it."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.arrived: list[str] = []
        self.calls: list[tuple[float, list[str]]] = []
        self.refuses: Callable[[str], bool] = lambda _id: False
        self.fails: Callable[[list[str]], ProviderError | None] = lambda _ids: None
        self.takes_seconds = 0.0
        self.at_once = 0
        self.most_at_once = 0

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        """As a transport."""
        ids = msgspec.json.decode(outgoing.body or b"[]")
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            self.calls.append((self.time.now, ids))
            if self.takes_seconds:
                await self.time.sleep(self.takes_seconds)
            if (error := self.fails(ids)) is not None:
                raise error
            if any(map(self.refuses, ids)):
                return Response(422, {}, b'{"message": "bad ones among them"}')
            self.arrived += ids
            return Response(200, {}, b"{}")
        finally:
            self.at_once -= 1

    async def open(self, url: str) -> None:
        pass

    async def close(self) -> None:
        pass


class Road:
    """A store, some vendors behind couriers, and time."""

    def __init__(self, url: str, store: Store, time: Time, **settings: Any) -> None:
        self.url = url
        self.store = store
        self.time = time
        time.store = store
        self.settings = Events.model_validate({"retry": {"first": "1s", "max": "30s"}, **settings})
        self.desks: dict[str, Desk] = {}
        self.providers: dict[str, Provider] = {}
        self.couriers: dict[str, Courier] = {}
        self._running: list[asyncio.Task[None]] = []

    def vendor(self, name: str, most: int = 100, **settings: Any) -> Desk:
        """A vendor, and a courier to it."""
        self.desks[name] = desk = Desk(self.time)
        written = {"breaker": {"mode": "forced_closed"}, "attempts": 1, **settings}
        memory = Memory(self.store, self.time.clock)
        self.providers[name] = Provider(
            name, Vendor(most=most), ProviderSettings.model_validate(written), self.store, key=b"k", memory=memory,
            transport=desk, clock=self.time.clock, rng=Random(1), sleep=self.time.sleep,
            longest_pause=self.settings.retry.max,
        )  # fmt: skip
        self.start(name)
        return desk

    def start(self, name: str) -> Courier:
        """A courier at work; the one before it is no longer called."""
        courier = Courier(
            self.providers[name], self.store, self.settings, lambda _event, _name: None,
            lambda user: hash_of(b"k", user),
            clock=self.time.clock, wall=self.time.wall, rng=Random(2), sleep=self.time.sleep,
        )  # fmt: skip
        self.couriers[name] = courier
        self.time.watchers.append(courier.call)
        self._running.append(asyncio.get_running_loop().create_task(courier.run()))
        return courier

    def dies(self, name: str) -> None:
        """As by kill -9: what is under way is lost, and nothing is handed back."""
        courier = self.couriers.pop(name)
        self.time.watchers.remove(courier.call)
        writer = courier._settling._writer
        for task in (*courier._lanes, *self._running, *([writer] if writer else [])):
            task.cancel()
        self._running.clear()

    async def accept(self, *events: Event) -> None:
        now = self.time.wall()
        providers = self.providers.values()
        await self.store.accept([Entry(event, of_event(event, providers, now)) for event in events], now)
        for courier in self.couriers.values():
            courier.call()

    async def put(self, entity: Any, id_: str) -> None:
        routes: Any = dict.fromkeys(self.providers, "queued")
        await self.store.edit(entity, [Edit(id_, {"n": 1})], routes, self.time.wall())

    async def until_told(self, *names: str, seconds: float = 300.0) -> None:
        """Let time pass until nothing waits for these."""
        for _ in range(int(seconds / 0.5)):
            queues = await self.store.queues()
            if not any(name in queues and queues[name].queued for name in names or self.providers):
                return
            await self.time.passes(0.5)
        raise AssertionError(await self.store.queues())

    async def close(self) -> None:
        for courier in self.couriers.values():
            courier.stop()
            await courier.close(0.01)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.store.close()


@asynccontextmanager
async def road(url: str = "sqlite::memory:", **settings: Any) -> AsyncIterator[Road]:
    """Vendors are added to it."""
    one = Road(url, await open_at(url), Time(), **settings)
    try:
        yield one
    finally:
        await one.close()


def happened(id_: str, user: str = "u1", **more: Any) -> Event:
    """An event of just now."""
    said: dict[str, Any] = {"type": "view", "items": (EventItem("i1"),), **more}
    return Event(id=id_, user=user, time=said.pop("time", datetime.fromtimestamp(START + 1000, UTC)), **said)
