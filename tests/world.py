"""The whole over real sockets: every emulated vendor, a gateway before them, and a small shop in all of them.

    World ── vendors   `gateway.sandbox`, each on a free port, breakable (`broken`) and counted (`calls`)
          ├─ runtime   from a YAML file, as `gateway serve` would load it
          └─ url       the front, listening

The shop: 66 items in six genres and 40 people, each of whom buys within one genre; one genre holds nothing but
ids that vendors cannot take as they are.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import yaml
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.adapter import Token
from gateway.config import load
from gateway.deadline import Deadline
from gateway.model.activity import Change, Event, EventItem
from gateway.provider.account import Provider
from gateway.sandbox import frame
from gateway.sandbox.credentials import OPTIONS, XAYN_BACK_OFFICE_TOKEN
from gateway.sandbox.faults import Faults
from gateway.server.edges import Runner
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from tests.keeping import note_activity, put_items

NAMES: Final = ("recomendo", "algolia", "affinities", "discerner", "xayn", "local")
"""The providers; the first five speak the adapters of `frame.NAMES`, in that order."""
RECOMMENDING: Final = ("recomendo", "algolia", "discerner", "xayn", "local")
"""The providers that may stand in a placement's list."""

GENRES: Final = ("Drama", "Comedy", "War", "Sci-Fi", "Thriller", "Odd")
THEMES: Final = (
    "sorrow family",
    "laughter wedding",
    "battle soldier",
    "robot future",
    "murder detective",
    "stray lost",
)
LONG: Final = "long " + "x" * 245
ODD: Final = (
    "a b", "a/b", "ü–日本", ".", "..", "g64-YSBi", "gh-x", "a%2Fb", "x?y#z", "+a&b=c", "'\"<>\\", LONG,
)  # fmt: skip
"""Ids that some vendor or some URL cannot take as they are."""
ODD_USERS: Final = ("ann b/c", "ü", ".", "..", "g64-YQ", "u%20x")
TYPES: Final = {"title": "keyword", "genre": "keyword[]", "year": "number"}
"""The indexed properties at Xayn."""


def _ids(genre: str) -> tuple[str, ...]:
    return ODD if genre == "Odd" else tuple(f"{genre[0].lower()}{n}" for n in range(10))


def catalogue() -> dict[str, dict[str, Any]]:
    """Every item's properties by id."""
    return {
        id_: {
            "title": f"The {theme.split()[n % 2]} of {genre} {n}",
            "genre": [genre, "Old" if n < 5 else "New"],
            "year": 1980 + n,
        }
        for genre, theme in zip(GENRES, THEMES, strict=True)
        for n, id_ in enumerate(_ids(genre))
    }


CATALOGUE: Final = catalogue()
IDS: Final = frozenset(CATALOGUE)


def people() -> dict[str, str]:
    """Every user's genre by id."""
    plain = {f"u{n}": GENRES[n % 6] for n in range(34)}
    return plain | dict.fromkeys(ODD_USERS, "Odd")


PEOPLE: Final = people()


def bought_by(user: str) -> tuple[str, ...]:
    """What a user bought: five items of one genre, others for each."""
    ids = _ids(PEOPLE[user])
    start = list(PEOPLE).index(user)
    return tuple(ids[(start + n) % len(ids)] for n in range(5))


def behaviour() -> list[Event]:
    """What people did, oldest first: views, then purchases."""
    begin = datetime.now(UTC) - timedelta(hours=2)
    return [
        Event(
            id=f"{kind}-{index}-{n}",
            type=kind,
            user=user,
            items=(EventItem(item),),
            time=begin + timedelta(seconds=10 * index + n),
        )
        for index, user in enumerate(PEOPLE)
        for kind in ("view", "purchase")
        for n, item in enumerate(bought_by(user))
    ]


@dataclass
class Reply:
    """One answer of the gateway's."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)

    @property
    def ids(self) -> list[str]:
        return [item["id"] for item in self.json["items"]]

    @property
    def provider(self) -> str | None:
        provider: str | None = self.json["source"]["provider"]
        return provider

    @property
    def warnings(self) -> list[str]:
        warnings: list[str] = self.json["warnings"]
        return warnings

    @property
    def cache(self) -> str:
        return self.headers["Cache-Status"]

    @property
    def pointers(self) -> set[str]:
        """Where the mistakes are that a problem names."""
        assert self.json["type"] == "/problems/invalid-request", self.text
        return {one["pointer"] for one in self.json["errors"]}

    def problem(self, slug: str, status: int) -> dict[str, Any]:
        """The body, held to be this problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self.text
        body: dict[str, Any] = self.json
        assert (self.status, body["type"], body["status"]) == (status, f"/problems/{slug}", status), self.text
        assert {"title", "detail", "instance", "trace_id"} <= body.keys()
        return body


@dataclass
class World:
    """See the module."""

    url: str
    runtime: Runtime
    session: aiohttp.ClientSession
    vendors: dict[str, str]
    """URL by provider."""
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests by provider and path, faults included."""
    heard: list[tuple[str, str, bytes]] = field(default_factory=list)
    """With `listening`: provider, method and path, body of each request."""
    listening: bool = False
    moments: dict[str, deque[float]] = field(default_factory=dict)
    """When its vendor heard the last requests, by provider: seconds of the vendor's clock."""

    def metrics(self) -> str:
        """What `/metrics` would show now."""
        self.runtime.notes.read()
        return self.runtime.metrics.exposed().decode()

    async def request(self, method: str, path: str, **more: Any) -> Reply:
        """Any request; `path` goes out as it is."""
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, **more) as answer:
            return Reply(answer.status, answer.headers, await answer.text())

    async def ask(
        self, placement: str = "default", *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> Reply:
        """POST /v1/recommendations."""
        body["placement"] = placement
        return await self.request("POST", "/v1/recommendations", json=body, headers=headers)

    async def search(self, placement: str = "search", **body: Any) -> Reply:
        """POST /v1/search."""
        return await self.request("POST", "/v1/search", json={"placement": placement, **body})

    def provider(self, name: str) -> Provider:
        return self.runtime.pipeline.plan.providers[name]

    async def breaks(self, name: str, **fault: Any) -> None:
        """Break a vendor (`**{}`: mend it)."""
        async with self.session.put(f"{self.vendors[name]}/_faults", json=fault) as answer:
            assert answer.status == 200, await answer.text()

    @asynccontextmanager
    async def broken(self, *names: str, **fault: Any) -> AsyncIterator[None]:
        """These vendors break, and are mended after."""
        for name in names:
            await self.breaks(name, **fault)
        try:
            yield
        finally:
            for name in names:
                await self.breaks(name)

    def forget_failures(self) -> None:
        """Start every provider and the cache as if nothing had ever been asked."""
        pipeline = self.runtime.pipeline
        pipeline.cache.drop()
        for provider in pipeline.plan.providers.values():
            provider.gates.throttle.until = float("-inf")

    async def log_in(self) -> None:
        """Have a token of every vendor, and no login under way that a fault still holds up."""
        for provider in self.runtime.pipeline.plan.providers.values():
            if provider.token is not None and not provider.token.current():
                await provider.token.close()
                await provider.login()

    def forget_tokens(self) -> None:
        """As if no provider had ever logged in."""
        for provider in self.runtime.pipeline.plan.providers.values():
            if provider.token is not None:
                provider.token.preset(Token("", 0.0))


def options(urls: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The `providers` section for vendors at these URLs, by provider."""
    recomendo = urls["recomendo"]
    algolia = urls["algolia"]
    adapters = dict(zip(NAMES, (*frame.NAMES, "local"), strict=True))
    addresses: dict[str, dict[str, Any]] = {
        "recomendo": {f"{of}_url": recomendo for of in ("auth", "events", "client", "predictions")}
        | {"event_names": {"purchase": "buy"}},
        "algolia": {
            "index": "products",
            "feed_index": True,
            "hosts": {"read": [algolia], "write": [algolia]},
            "insights_url": algolia,
        },
        "affinities": {"url": urls["affinities"]},
        "discerner": {"url": urls["discerner"]},
        "xayn": {"url": urls["xayn"]},
    }
    return {
        name: {"adapter": adapter}
        | ({"options": {**OPTIONS[adapter], **addresses[name]}} if name in addresses else {})
        for name, adapter in adapters.items()
    }


def placements() -> dict[str, Any]:
    """One for each provider alone, and the ones that name themselves."""
    alone = {name: {"providers": [name]} for name in RECOMMENDING}
    return alone | {
        "default": {"providers": ["recomendo", "xayn", "local"]},
        "search": {"kind": "search", "providers": ["xayn", "local"]},
    }


@asynccontextmanager
async def world(
    directory: Path, more: Mapping[str, Any] | None = None, *, fed: bool = True, throttle: bool = False
) -> AsyncIterator[World]:
    """A world whose configuration is `more` over what is needed; `fed`: with the shop in every vendor.

    `throttle`: the vendors hold their own limits. A provider `like` another one is a second name for the same
    account, with settings of its own.
    """
    more = dict(more or {})
    async with AsyncExitStack() as stack:
        calls: Counter[tuple[str, str]] = Counter()
        moments = {name: deque[float](maxlen=200) for name in NAMES}
        vendors: dict[str, str] = {}
        worlds: list[World] = []
        for name, app in zip(NAMES, frame.build(frame.NAMES, throttle, time.time).values(), strict=False):
            Faults().install(app)
            app.middlewares.insert(0, _counting(name, calls, moments[name], worlds))
            vendors[name] = (await frame.start(frame.NAMES[NAMES.index(name)], app, "127.0.0.1", 0, stack)).url
        providers = options(vendors)
        for name, settings in more.pop("providers", {}).items():
            like = settings.get("like", name)
            own = {key: value for key, value in settings.items() if key != "like"}
            if "options" in own:
                own["options"] = {**providers.get(like, {}).get("options", {}), **own["options"]}
            providers[name] = {**providers.get(like, {}), **own}
        written = {
            "server": {"deadline": "20s", **more.pop("server", {})},
            "state": {"url": f"sqlite:{directory}/state.db"},
            "defaults": {"timeout": "10s", "write_timeout": "20s", **more.pop("defaults", {})},
            "providers": providers,
            "placements": {**placements(), **more.pop("placements", {})},
            **more,
        }
        file = directory / "gateway.yaml"
        file.write_text(yaml.safe_dump(written, sort_keys=False))
        runtime = await Runtime.start(load(file, {}), await SqliteStore.open(f"{directory}/state.db"))
        stack.push_async_callback(runtime.close)
        url = await _listen(Front(runtime).app(), stack)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        world = World(url, runtime, session, vendors, calls, moments=moments)
        worlds.append(world)
        if fed:
            await feed(world)
        yield world


def _counting(name: str, calls: Counter[tuple[str, str]], moments: deque[float], worlds: list[World]) -> Any:
    """`worlds`: the one that may listen, once it is there."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/_faults":
            calls[name, request.path] += 1
            moments.append(time.time())
            if any(world.listening for world in worlds):
                worlds[0].heard.append((name, f"{request.method} {request.path}", await request.read()))
        return await handler(request)

    return count


async def _listen(app: web.Application, stack: AsyncExitStack) -> str:
    runner = Runner(app, drain=1)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


# --- the shop -----------------------------------------------------------------------------------------------


async def feed(world: World) -> None:
    """Bring the shop to every vendor, through the adapters, and let Recomendo train."""
    async with world.session.post(
        f"{world.vendors['xayn']}/documents/_indexed_properties",
        json={"properties": {name: {"type": of} for name, of in TYPES.items()}},
        headers={"authorizationToken": XAYN_BACK_OFFICE_TOKEN},
    ) as answer:
        assert answer.status == 202, await answer.text()
    await asyncio.gather(*(feed_one(world, name) for name in RECOMMENDING))
    await _train(world)


async def feed_one(world: World, name: str) -> None:
    """Bring the shop to one provider alone."""
    if name == "local":  # it reads what is kept here
        await put_items(world.runtime.store, _items())
        await note_activity(world.runtime.store, behaviour())
        await world.runtime.writes.hearing.hear()  # of so many events that answers leave the cache
    await _tell(world.provider(name))


def _items() -> list[Change]:
    return [Change(id_, properties) for id_, properties in CATALOGUE.items()]


async def _tell(provider: Provider) -> None:
    await _all(provider, "put_items", _items(), 50)
    if type(provider.adapter).has("put_users"):
        await _all(provider, "put_users", [Change(user) for user in PEOPLE], 50)
    events = [event for event in behaviour() if provider.adapter.takes(event) is None]
    await _all(provider, "track", events, provider.adapter.events_per_call)


async def _all(provider: Provider, operation: Any, things: list[Any], most: int) -> None:
    batches: Iterable[list[Any]] = (things[start : start + most] for start in range(0, len(things), most))
    for batch in batches:
        receipt = await provider.call(operation, batch, deadline=Deadline.within(time.monotonic, 60))
        assert len(receipt.done) == len(batch), (provider.name, operation, receipt)


async def _train(world: World) -> None:
    """Recomendo's training runs beside us: asked for until its model answers with scores."""
    await world.provider("recomendo").call("train", deadline=Deadline.within(time.monotonic, 10))
    async with asyncio.timeout(60):
        while await _untrained(world):  # noqa: ASYNC110  # over HTTP nobody tells when it is done
            await asyncio.sleep(0.02)


async def _untrained(world: World) -> bool:
    reply = await world.ask("recomendo", kind="similar_items", items=["d0"])
    return reply.json["source"]["cold_start"] is True
