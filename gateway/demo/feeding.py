"""All of a data set to every provider, through the adapters and on the state file that the gateway will use.

    set up      Xayn's indexed properties, a strategy for Personalization
    feed        items ▸ users ▸ events        every provider at once, some users at once, each user's in order
    train       Recomendo, until its answers are more than what is popular

Sent straight to the providers: through the gateway's own outbox it would arrive as well, at its own pace.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import aiohttp
import msgspec

from gateway.adapter import Operation
from gateway.adapters.xayn import Xayn
from gateway.config import Configuration
from gateway.deadline import Deadline
from gateway.demo.data import Data
from gateway.demo.mishap import Mishap
from gateway.demo.progress import Bars
from gateway.errors import ProviderError, Unsupported
from gateway.memory import Memory
from gateway.model.activity import Change, Event, Receipt
from gateway.model.control import ScoredEvent, ScoredFacet, Strategy
from gateway.model.query import Recommend, User
from gateway.plan import build
from gateway.provider import Provider
from gateway.state.sqlite import SqliteStore
from gateway.state.store import StoreError

AT_ONCE: Final = 6
"""Calls to one provider at once: enough to keep an emulated vendor busy."""
CHANGES_A_CALL: Final = 50
CALL_SECONDS: Final = 60.0
TRIES: Final = 5
TRAINING_SECONDS: Final = 60.0
TRAINING_LOOK: Final = 0.2

INDEXED: Final = {"title": "keyword", "genre": "keyword[]", "year": "number"}
"""What Xayn may filter on must be said before items come (its document: "indexed properties")."""
STRATEGY: Final = Strategy(
    events=(
        ScoredEvent("view", "view", 5),
        ScoredEvent("add_to_cart", "conversion", 25),
        ScoredEvent("purchase", "conversion", 50),
    ),
    facets=(ScoredFacet("genre", 100),),
    impact=50,
)
"""Makes profiles at Personalization out of the events that Insights gets."""


class Load(msgspec.Struct, frozen=True):
    """Some of one kind of thing for one call."""

    operation: Operation
    things: Sequence[Change] | Sequence[Event]


Chain = Sequence[Load]
"""Loads that must arrive in order."""


@asynccontextmanager
async def opened(configuration: Configuration) -> AsyncIterator[dict[str, Provider]]:
    """The providers of a configuration, by name, on its state file."""
    store = await SqliteStore.open(configuration.state.path or ":memory:")
    providers: dict[str, Provider] = {}
    try:
        key = await store.secret("pseudonyms", lambda: secrets.token_bytes(32))
        plan = build(configuration, "demo", store, Memory(store, time.monotonic), key, None)
        providers |= plan.providers
        yield providers
    finally:
        for provider in providers.values():
            await provider.close()
        await store.close()


# --- set up -----------------------------------------------------------------------------------------------------


async def set_up(providers: Iterable[Provider]) -> None:
    """What a tenant's owner does once. Raises Mishap."""
    for provider in providers:
        if isinstance(provider.adapter, Xayn):
            await _index_properties(provider.adapter)
        if type(provider.adapter).has("put_strategy"):
            await _called(provider, "put_strategy", STRATEGY)


async def _index_properties(adapter: Xayn) -> None:
    """Straight to the back office: no operation of the gateway's does this."""
    token = adapter.back_office_token
    headers = {"authorizationToken": token.get_secret_value() if token else ""}
    (url,) = adapter.hosts()["back"]
    body = {"properties": {name: {"type": type_} for name, type_ in INDEXED.items()}}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post(f"{url}/documents/_indexed_properties", json=body, headers=headers) as answer,
        ):
            said = await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Mishap(f"{url} cannot be asked: {error or type(error).__name__}") from error
    if answer.status != 202:
        raise Mishap(f"{url} refuses to index properties: {answer.status} {said}")


# --- feed -------------------------------------------------------------------------------------------------------


async def feed(providers: Iterable[Provider], data: Data, now: datetime, bars: Bars) -> None:
    """Everything to everybody who takes it. Raises Mishap, maybe in an ExceptionGroup."""
    events = list(data.events(now))
    async with asyncio.TaskGroup() as group:
        for provider in providers:
            group.create_task(_Feeding(provider, bars).all(data, events))


class _Feeding:
    """One provider's."""

    def __init__(self, provider: Provider, bars: Bars) -> None:
        self._provider = provider
        self._adapter = provider.adapter
        self._bars = bars
        self._refused: dict[str, str] = {}

    async def all(self, data: Data, events: Sequence[Sequence[Event]]) -> None:
        stages = [
            list(self._records("put_items", data.items)),
            list(self._records("put_users", [Change(user) for user in data.people])),
            list(self._behaviour(events)),
        ]
        counts = [_count(stage) for stage in stages]
        if not any(counts):
            return
        self._bars.begin(self._provider.name, sum(counts))
        for stage in stages:
            await self._stage(stage)
        words = zip(counts, ("items", "users", "events"), strict=True)
        summary = ", ".join(f"{count:,} {word}" for count, word in words if count)
        self._bars.done(self._provider.name, summary + self._refusals())

    def _records(self, operation: Operation, changes: Sequence[Change]) -> Iterator[Chain]:
        if type(self._adapter).has(operation):
            yield from ([Load(operation, part)] for part in _parts(changes, CHANGES_A_CALL))

    def _behaviour(self, events: Sequence[Sequence[Event]]) -> Iterator[Chain]:
        """One chain a person."""
        if not type(self._adapter).has("track"):
            return
        for of_person in events:
            taken = [event for event in of_person if self._adapter.takes(event) is None]
            yield [Load("track", part) for part in _parts(taken, self._adapter.events_per_call)]

    async def _stage(self, chains: Iterable[Chain]) -> None:
        left = iter(chains)

        async def work() -> None:
            for chain in left:  # each worker takes the next one that is left
                for load in chain:
                    await self._send(load)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())

    async def _send(self, load: Load) -> None:
        """One load, with what failed of it sent again. Raises Mishap."""
        things: list[Any] = list(load.things)
        failure: str | None
        for attempt in range(1, TRIES + 1):
            try:
                receipt: Receipt = await _once(self._provider, load.operation, things)
                failure = None
            except Unsupported:
                break
            except ProviderError as error:
                receipt, failure = error.receipt or Receipt(), str(error)
            except StoreError as error:  # "cannot serve this now": nothing is known of what arrived
                receipt, failure = Receipt(), str(error)
            self._refused |= receipt.refused
            things = [one for one in things if one.id not in receipt.done and one.id not in receipt.refused]
            if not things:
                break
            if attempt == TRIES:
                reason = f": {failure}" if failure else ""
                raise Mishap(f"{self._provider.name} did not take {len(things)} {load.operation}{reason}")
            await asyncio.sleep(0.1 * 2**attempt)
        self._bars.advance(self._provider.name, len(load.things))

    def _refusals(self) -> str:
        if not self._refused:
            return ""
        return f", {len(self._refused)} refused ({next(iter(self._refused.values()))})"


def _count(stage: Iterable[Chain]) -> int:
    return sum(len(load.things) for chain in stage for load in chain)


def _parts(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (things[start : start + size] for start in range(0, len(things), size))


# --- train ------------------------------------------------------------------------------------------------------


async def train(providers: Iterable[Provider], user: str) -> None:
    """Let whoever trains learn from what it was fed, until it knows this user. Raises Mishap."""
    for provider in providers:
        if type(provider.adapter).has("train"):
            await _called(provider, "train")
            await _trained(provider, user)


async def _trained(provider: Provider, user: str) -> None:
    question = Recommend(kind="for_you", count=5, user=User(user))
    try:
        async with asyncio.timeout(TRAINING_SECONDS):
            while not await _knows(provider, question):  # noqa: ASYNC110  # the vendor tells nobody
                await asyncio.sleep(TRAINING_LOOK)
    except TimeoutError:
        raise Mishap(f"{provider.name} was not trained within {TRAINING_SECONDS:g} s") from None


async def _knows(provider: Provider, question: Recommend) -> bool:
    """While it trains an answer may come late: that is not a reason to give up."""
    try:
        return not (await _once(provider, "recommend", question)).cold_start
    except ProviderError:
        return False


async def _called(provider: Provider, operation: Operation, *arguments: Any) -> Any:
    try:
        return await _once(provider, operation, *arguments)
    except ProviderError as error:
        raise Mishap(f"{provider.name} refused {operation}: {error}") from error


async def _once(provider: Provider, operation: Operation, *arguments: Any) -> Any:
    return await provider.call(operation, *arguments, deadline=Deadline.within(time.monotonic, CALL_SECONDS))
