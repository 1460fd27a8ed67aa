"""Two stores that are told the same know the same, SQLite and a real Valkey server, whatever happens.

SQLite's statements and Valkey's scripts share no line, so that what both answer alike is hardly a mistake of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.experiments.counts import Earned
from gateway.model.activity import Event, EventItem
from gateway.state.kept import Deleted, Edit, Entry, Errand, EventFilter
from gateway.state.learned import Position
from gateway.state.opening import open_at
from gateway.state.store import Store
from tests.more import examples
from tests.stores import NOW, fresh_url

PROVIDERS = ("a", "b", "gone")
USERS = ("u1", "u2", "ü|3")
ITEMS = ("i1", "i2", "i/3")
TYPES = ("view", "rating", "search")
FILTERS = [
    EventFilter(),
    EventFilter(user="u1"),
    EventFilter(item="i1", since=NOW - 50, until=NOW + 3),
    EventFilter(type="view", user="u2"),
    EventFilter(item="i2", type="rating", user="u1"),
    EventFilter(type="view", until=NOW),
]


def events_of(rng: Random) -> list[Entry]:
    return [_entry(rng) for _ in range(rng.randint(1, 4))]


def _entry(rng: Random) -> Entry:
    user, n = rng.choice(USERS), rng.randrange(25)
    items = tuple(EventItem(rng.choice(ITEMS)) for _ in range(rng.randrange(3)))
    event = Event(
        id=f"e{n}", type=rng.choice(TYPES), user=user, items=items, value=rng.choice([None, 2.5]),
        time=datetime.fromtimestamp(NOW - rng.choice([0, 0, 1.5, 60]) + n % 3, UTC),
    )  # fmt: skip
    earned = Earned("x", "p1", "arm", user.encode().ljust(16, b"."), "click", (("i1", 2.0),))
    return Entry(event, routes_of(rng), rng.choice([None, earned]))


def routes_of(rng: Random) -> dict[str, Any]:
    return {name: rng.choice(["queued", "queued", "unsupported"]) for name in PROVIDERS if rng.random() < 0.9}


class Twins:
    """Both stores, told the same. Errands are named by what they are, since numbers differ."""

    def __init__(self, stores: Sequence[Store], rng: Random) -> None:
        self.stores = stores
        self.rng = rng
        self.now = NOW

    async def each(self, method: str, *arguments: Any, **named: Any) -> list[Any]:
        said = []
        for store in self.stores:
            try:
                said.append(await getattr(store, method)(*arguments, **named))
            except Deleted:
                said.append("deleted")
        return said

    async def errands(self, provider: str, replayed: bool) -> list[list[Errand]]:
        return await self.each("errands", provider, 0, 100, replayed=replayed)

    # --- what may happen
    async def step(self) -> None:
        self.now += self.rng.choice([0.0, 0.5, 7.0])
        await getattr(self, self.rng.choice(STEPS))()

    async def accept(self) -> None:
        await self.each("accept", events_of(self.rng), self.now)

    async def edit(self) -> None:
        entity = self.rng.choice(["user", "item"])
        ids = USERS if entity == "user" else ITEMS
        edits = [
            Edit(self.rng.choice(ids), {self.rng.choice("pqr"): self.rng.choice([1, "x", None, []])}, merge)
            for merge in self.rng.choices([True, False], k=self.rng.randint(1, 3))
        ]
        edits = [one if one.merge else msgspec.structs.replace(one, properties={"p": 1}) for one in edits]
        await self.each("edit", entity, edits, routes_of(self.rng), self.now)

    async def remove(self) -> None:
        await self.each("remove_item", self.rng.choice(ITEMS), routes_of(self.rng), self.now)

    async def settle(self) -> None:
        provider, replayed = self.rng.choice(PROVIDERS), self.rng.random() < 0.3
        first = self.rng.randrange(4)
        fate = [self.rng.choice(["told", "refused", "left"]) for _ in range(4)]
        for store, found in zip(self.stores, await self.errands(provider, replayed), strict=True):
            part = [one for one in found[first : first + 4] if one.kind != "erase_user"]
            told = [one for one, what in zip(part, fate, strict=False) if what == "told"]
            refused = [(one, "no") for one, what in zip(part, fate, strict=False) if what == "refused"]
            await store.settle(provider, told, refused, self.now)
            seqs = [one.seq for one in found]
            assert await store.still_queued(seqs) == {*seqs} - {one.seq for one in told} - {
                o.seq for o, _ in refused
            }

    async def postpone(self) -> None:
        provider, replayed = self.rng.choice(PROVIDERS), self.rng.random() < 0.3
        for store, found in zip(self.stores, await self.errands(provider, replayed), strict=True):
            late = [
                msgspec.structs.replace(one, attempts=one.attempts + 1, due=self.now + 1.25) for one in found[:2]
            ]
            await store.postpone(late)
            await store.settle(provider, found[:1], [], self.now)
            await store.postpone(late)  # what is told stays told

    async def retry(self) -> None:
        ref = self.rng.choice([None, "e1", "u1", "i1"])
        counts = await self.each("retry", self.rng.choice([None, "a"]), ref)
        assert counts[0] == counts[1]

    async def erase(self) -> None:
        user = self.rng.choice(USERS)
        routes = {"a": "queued", "b": self.rng.choice(["queued", "unsupported"])}
        await self.each("erase", user, f"hash of {user}", routes, self.now, user.encode().ljust(16, b"."))

    async def erased(self) -> None:
        provider, fails = self.rng.choice(PROVIDERS), self.rng.random() < 0.4
        for store, found in zip(self.stores, await self.errands(provider, False), strict=True):
            for one in [one for one in found if one.kind == "erase_user"][:1]:
                if fails:
                    await store.erasure_failed(provider, one, f"hash of {one.ref}", "no", self.now)
                else:
                    await store.erased(provider, one, f"hash of {one.ref}", "erased")

    async def bind(self) -> None:
        pairs = {user: f"v{n}" for n, user in enumerate(USERS) if self.rng.random() < 0.5}
        await self.each("bind", self.rng.choice(PROVIDERS), "user", pairs)

    async def replay(self) -> None:
        provider, keeps = self.rng.choice(PROVIDERS), self.rng.choice([{"item"}, {"user", "item"}, set()])
        if (await self.each("replay", provider))[0] is None or self.rng.random() < 0.3:
            await self.each("begin_replay", provider, NOW - 30, 10.0, self.now)
        for _ in range(self.rng.randint(1, 4)):
            await self.each("go_on", provider, frozenset(keeps), _takes, 3, self.now)

    async def sweep(self) -> None:
        before = self.rng.choice([self.now - 20, self.now - 3])
        for store in self.stores:
            while await store.sweep(before, ["a", "b"], self.now):
                pass

    # --- what is seen of it
    async def same(self) -> None:
        ours, theirs = [await view(store) for store in self.stores]
        for name, said in ours.items():
            assert said == theirs[name], name


STEPS = (
    *("accept",) * 5, *("edit",) * 2, "remove", *("settle",) * 4, "postpone", "retry", "erase", "erased", "bind",
    "replay", "sweep",
)  # fmt: skip


def _takes(event: Event) -> bool:
    return event.type != "search"


def content(one: Errand) -> Any:
    if one.kind == "event":
        return one.event()
    return one.change() if one.body else None


async def view(store: Store) -> dict[str, Any]:
    """All that a store can be asked."""
    said: dict[str, Any] = {}
    for provider in PROVIDERS:
        for replayed in (False, True):
            said[f"errands of {provider}, {replayed}"] = [
                (o.kind, o.ref, o.subject, o.accepted_at, o.attempts, o.due, o.replayed, content(o))
                for o in await store.errands(provider, 0, 100, replayed=replayed)
            ]
        replay = await store.replay(provider)
        said[f"replay of {provider}"] = replay and (
            replay.stage, replay.since, replay.total, replay.queued, replay.left_out, replay.started_at,
            replay.done_at,
        )  # fmt: skip
        said[f"left of {provider}"] = await store.replayed_left(provider)
        said[f"ids of {provider}"] = await store.lookup(provider, "user", USERS)
        letters = await store.dead_letters(provider, 50)
        said[f"dead of {provider}"] = [(o.kind, o.ref, o.reason, o.attempts, o.died_at) for o in letters]
    letters = await store.dead_letters(None, 500)
    assert [await store.dead_letters(None, 2, one.seq) for one in letters] == [
        letters[n + 1 : n + 3] for n in range(len(letters))
    ]
    for n, wanted in enumerate(FILTERS):
        said[f"events {n}"] = await pages(store, wanted)
    said["queues"] = await store.queues()
    for entity in ("user", "item"):
        said[entity] = await store.records(entity, "", 50)
        said[f"{entity} after"] = await store.records(entity, "i1", 1)
    said["one"] = [await store.record("item", id_) for id_ in ITEMS]
    said["items"], said["hidden"] = await store.items(ITEMS), await store.hidden_items()
    said["receipts"] = [await store.erasure(f"hash of {user}") for user in USERS]
    said["seen"] = await store.seen(USERS, 2)
    said["counts"] = [tally.arms for tally in await store.tallies()]
    said["learned"] = await learned(store)
    return said


async def pages(store: Store, wanted: EventFilter) -> list[Any]:
    """The log, three at a time."""
    found: list[Any] = []
    after: tuple[float, int] | None = None
    while True:
        part, after = await store.events(wanted, 3, after)
        found += [(one.event, one.received_at, one.deliveries) for one in part]
        if after is None:
            return found


async def learned(store: Store) -> Any:
    """What anybody learns who begins now."""
    position = Position()
    deeds: list[Any] = []
    records: dict[str, Any] = {}
    while (part := await store.learned_since(position, 7)).deeds or part.records:
        deeds += part.deeds
        records |= {record.id: record.properties for record in part.records}
        position = part.position
    return deeds, records


@pytest.mark.timeout(300)
@settings(max_examples=examples(8, 15), deadline=None)
@given(st.randoms(use_true_random=True))
def test_two_stores_that_are_told_the_same_know_the_same(rng: Random) -> None:
    async def run() -> None:
        stores = [await open_at("sqlite::memory:"), await open_at(fresh_url())]
        twins = Twins(stores, rng)
        try:
            for _ in range(20):
                await twins.step()
                await twins.same()
        finally:
            for store in stores:
                with suppress(RuntimeError):
                    await store.close()

    asyncio.run(run())
