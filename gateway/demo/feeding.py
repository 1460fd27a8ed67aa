"""All of a data set to every vendor, as any shop would tell it: over HTTP, to the gateway that runs.

set up      Xayn's indexed properties, a strategy for Personalization (a rule for Algolia once it has the items)
tell        POST /v1/items ▸ PUT /v1/users/… ▸ POST /v1/events       accepted, on disk
wait        until nothing waits for any vendor any more: GET /v1/providers
train       POST /v1/training, until answers are more than what is popular
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from gateway.adapter import Adapter
from gateway.adapters.xayn import Xayn
from gateway.config import Configuration
from gateway.demo.data import Data
from gateway.demo.mishap import Mishap
from gateway.demo.places import Ports
from gateway.demo.progress import Bars
from gateway.events.routes import can, objection
from gateway.model.activity import Event
from gateway.server.endpoints.controlling import RULE, STRATEGY

T = TypeVar("T")

ITEMS_A_CALL: Final = 500
EVENTS_A_CALL: Final = 1000
USERS_AT_ONCE: Final = 8
PATIENCE: Final = 60.0
"""Seconds without any progress after which a vendor is given up."""
LOOK: Final = 0.3
TRAINING_SECONDS: Final = 60.0
TRAINING_LOOK: Final = 0.2

INDEXED: Final = {"title": "keyword", "genre": "keyword[]", "year": "number"}
"""What Xayn may filter on must be said before items come (its document: "indexed properties")."""


class Gateway:
    """The gateway that runs, as its callers know it."""

    def __init__(self, session: aiohttp.ClientSession, ports: Ports, configuration: Configuration) -> None:
        self._session = session
        self._url = ports.url
        self.adapters: dict[str, Adapter] = {
            name: provider.options for name, provider in configuration.providers.items()
        }
        self.told = configuration.events.providers
        self.keepers = configuration.catalog.providers

    async def ask(self, method: str, path: str, status: int, body: Any = None, **headers: str) -> Any:
        """The answer, decoded. Raises Mishap where it has another status."""
        try:
            async with self._session.request(
                method, self._url + path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
            ) as answer:
                said = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Mishap(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.status != status:
            raise Mishap(f"{method} {path} answered {answer.status}: {said}")
        return said

    # --- set up
    async def set_up(self) -> None:
        """What a tenant's owner does once. Raises Mishap."""
        for name, adapter in self.adapters.items():
            if isinstance(adapter, Xayn):
                await self._index_properties(adapter)
            if type(adapter).has("put_strategy"):
                await self.ask("PUT", f"/v1/personalization/strategy?provider={name}", 200, STRATEGY)

    async def _index_properties(self, adapter: Xayn) -> None:
        """Straight to the back office: no operation of the gateway's does this."""
        token = adapter.back_office_token
        headers = {"authorizationToken": token.get_secret_value() if token else ""}
        (url,) = adapter.hosts()["back"]
        body = {"properties": {name: {"type": type_} for name, type_ in INDEXED.items()}}
        try:
            at = f"{url}/documents/_indexed_properties"
            async with self._session.post(at, json=body, headers=headers) as answer:
                said = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Mishap(f"{url} cannot be asked: {error or type(error).__name__}") from error
        if answer.status != 202:
            raise Mishap(f"{url} refuses to index properties: {answer.status} {said}")

    # --- tell
    async def tell(self, data: Data, events: Sequence[Event]) -> None:
        """Everything; accepted when this returns. Raises Mishap."""
        for part in _parts(data.items, ITEMS_A_CALL):
            body = {"items": [{"id": one.id, "properties": one.properties} for one in part]}
            await self.ask("POST", "/v1/items", 202, body)
        await self._tell_users(data.people)
        for chunk in _parts(events, EVENTS_A_CALL):
            said = await self.ask("POST", "/v1/events", 202, {"events": [_told(one) for one in chunk]})
            if said["rejected"]:
                raise Mishap(f"the gateway does not accept an event: {said['rejected'][0]}")

    async def _tell_users(self, people: Mapping[str, object]) -> None:
        left = iter(people)

        async def work() -> None:
            for user in left:  # each worker takes the next one that is left
                await self.ask("PUT", f"/v1/users/{quote(user, safe='')}", 202, {"properties": {}})

        async with asyncio.TaskGroup() as group:
            for _ in range(USERS_AT_ONCE):
                group.create_task(work())

    # --- wait
    async def until_told(self, data: Data, events: Sequence[Event], bars: Bars) -> None:
        """Until nothing waits for any vendor. Raises Mishap."""
        waiting = {name: counts for name in self.adapters if any(counts := self._counts(name, data, events))}
        for name, counts in waiting.items():
            bars.begin(name, sum(counts))
        moved, before = time.monotonic(), -1
        while waiting:
            states = {one["name"]: one for one in (await self.ask("GET", "/v1/providers", 200))["providers"]}
            for name in [name for name in waiting if not states[name]["queued_events"]]:
                bars.done(name, _summary(waiting.pop(name), states[name]["dead_letters"]))
            for name, counts in waiting.items():
                bars.reached(name, max(0, sum(counts) - states[name]["queued_events"]))
            left = sum(states[name]["queued_events"] for name in waiting)
            if left != before:
                moved, before = time.monotonic(), left
            elif time.monotonic() - moved > PATIENCE:
                raise Mishap(f"{', '.join(waiting)} took nothing for {PATIENCE:g} s: {left} things wait")
            await asyncio.sleep(LOOK)

    def _counts(self, name: str, data: Data, events: Sequence[Event]) -> tuple[int, int, int]:
        """Items, users and events that a vendor is told."""
        adapter, now = self.adapters[name], time.time()
        keeps = name in self.keepers
        return (
            len(data.items) if keeps and can(adapter, "put_items") else 0,
            len(data.people) if keeps and can(adapter, "put_users") else 0,
            sum(objection(adapter, one, now) is None for one in events) if name in self.told else 0,
        )

    async def add_a_rule(self) -> None:
        """The one that the examples of the documents are about. Raises Mishap."""
        for name, adapter in self.adapters.items():
            if type(adapter).has("put_rules"):
                await self.ask("POST", f"/v1/rules/similar_items/batch?provider={name}", 202, {"rules": [RULE]})

    # --- train
    async def train(self, user: str) -> None:
        """Let whoever trains learn from what it was told, until it knows this user. Raises Mishap."""
        for name, adapter in self.adapters.items():
            if type(adapter).has("train"):
                await self.ask("POST", f"/v1/training?provider={name}", 202)
                await self._trained(name, user)

    async def _trained(self, name: str, user: str) -> None:
        question = {"kind": "for_you", "user": {"id": user}, "count": 5}
        try:
            async with asyncio.timeout(TRAINING_SECONDS):
                while not await self._knows(name, question):  # noqa: ASYNC110  # the vendor tells nobody
                    await asyncio.sleep(TRAINING_LOOK)
        except TimeoutError:
            raise Mishap(f"{name} was not trained within {TRAINING_SECONDS:g} s") from None

    async def _knows(self, name: str, question: Mapping[str, Any]) -> bool:
        """While it trains an answer may come late: that is not a reason to give up."""
        try:
            said = await self.ask("POST", "/v1/recommendations", 200, question, Gateway_Provider=name)
        except Mishap:
            return False
        return bool(said["items"]) and not said["source"]["cold_start"]


def history(data: Data) -> list[Event]:
    """Everybody's events, each person's in order; people take turns, as they do in life."""
    chains = [iter(events) for events in data.events(datetime.now(UTC))]
    told: list[Event] = []
    while chains:
        turn = [next(chain, None) for chain in chains]
        told += [event for event in turn if event is not None]
        chains = [chain for chain, event in zip(chains, turn, strict=True) if event is not None]
    return told


def _told(event: Event) -> dict[str, Any]:
    """As `POST /v1/events` takes it."""
    said: dict[str, Any] = msgspec.to_builtins(event)
    return {
        "id": said["id"],
        "type": said["type"],
        "user": {"id": said["user"]},
        "items": [item["id"] for item in said["items"]],
        "time": said["time"],
    }


def _summary(counts: tuple[int, int, int], dead: int) -> str:
    words = zip(counts, ("items", "users", "events"), strict=True)
    summary = ", ".join(f"{count:,} {word}" for count, word in words if count)
    return f"{summary}, {dead} refused" if dead else summary


def _parts(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (things[start : start + size] for start in range(0, len(things), size))
