"""Three real `gateway serve` on one real Valkey, before two vendors that forget nothing they were told.

    callers ─▸ one of Gateways (`gateway serve`, the last with two workers) ─▸ Shop, Numbers
                    └─▸ ValkeyServer, every write synced before it is acknowledged

Any of them may be killed and started again. When that was stands in `Fleet.blows`: only what had to do with a blow
may have been told twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, NamedTuple

import aiohttp
from aiohttp import web

from tests.listening import listening, recomendo_login
from tests.serving import Process, until
from tests.stores import ValkeyServer

DEADLINE: Final = 2.0
"""Seconds: the configured one of a request."""
WORKERS: Final = 2


class Vendor:
    """What arrived; some of what it is told it refuses, of some it breaks the answer off."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.down = 0.0
        """The share of events that it does not take (503)."""
        self.lost = 0.0
        """The share of events that it takes, and whose answer it breaks off."""
        self.arrived: list[tuple[str, str]] = []
        """User and item in the vendor's words, in order. An event is known by its item."""
        self.answered: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        """By item: when it arrived, and whether the answer was sent whole."""

    def refuses(self) -> bool:
        return self.rng.random() < self.down

    def takes(self, request: web.Request, user: str, item: str) -> None:
        broken = self.rng.random() < self.lost
        self.arrived.append((user, item))
        self.answered[item].append((time.monotonic(), not broken))
        if broken:
            assert request.transport is not None
            request.transport.abort()


class Shop(Vendor):
    """Speaks Recomendo: recommends the same to everybody, and counts trainings."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.trainings = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/auth", recomendo_login)
        app.router.add_post("/v1/events.json", self._event)
        app.router.add_post("/v1/queries.json", self._query)
        app.router.add_post("/v1/train", self._train)
        return app

    async def _event(self, request: web.Request) -> web.StreamResponse:
        said = await request.json()
        if self.refuses():
            return web.json_response({"message": "down"}, status=503)
        if "targetEntityId" in said:  # else a record of a user
            self.takes(request, said["entityId"], said["targetEntityId"])
        return web.json_response({"eventId": said.get("eventId", "e")}, status=201)

    async def _query(self, _request: web.Request) -> web.Response:
        return web.json_response({"itemScores": [{"item": f"best{n}", "score": 9.0 - n} for n in range(5)]})

    async def _train(self, _request: web.Request) -> web.Response:
        self.trainings += 1
        return web.json_response(
            {"success": True, "messageCode": "EXECUTE_TRAIN_SCHEDULED", "payload": None}, status=200
        )


class Numbers(Vendor):
    """Speaks Discerner: every creation is another user or product, whoever is meant."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.created: dict[str, list[float]] = {"users": [], "products": []}
        """By kind: when each was created; its number is its place, from 1."""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_post("/{kind:users|products}", self._create)
        app.router.add_post("/users/{user}/products/{product}/activities", self._activity)
        app.router.add_get("/users/{user}/recs", self._recs)
        return app

    async def _token(self, _request: web.Request) -> web.Response:
        return web.json_response({"token": "t"})

    async def _create(self, request: web.Request) -> web.Response:
        await asyncio.sleep(0.005)  # others have their chance
        created = self.created[request.match_info["kind"]]
        created.append(time.monotonic())
        return web.json_response({"id": len(created)}, status=201)

    async def _activity(self, request: web.Request) -> web.Response:
        if self.refuses():
            return web.json_response({"error": "down"}, status=503)
        user, product = request.match_info["user"], request.match_info["product"]
        self.takes(request, user, product)
        said = {"id": len(self.arrived), "user_id": int(user), "product_id": int(product), "score": 1}
        return web.json_response(said, status=201)

    async def _recs(self, _request: web.Request) -> web.Response:
        return web.json_response([{"product_id": n, "score": 1.0} for n in (1, 2, 3)])


class Gateway:
    """`gateway serve`, as often as it is started."""

    def __init__(self, file: Path, session: aiohttp.ClientSession, configuration: dict[str, Any]) -> None:
        self._file, self._session, self._configuration = file, session, configuration
        self.process = Process(file, session)

    async def start(self) -> None:
        self.process = Process(self._file, self._session)
        self.process.write(self._configuration)
        await self.process.start(within=60)  # four processes at once, on two cores that others use too

    async def kill(self) -> None:
        """As by kill -9; of one with workers its supervisor, whom the workers follow."""
        await self.process.kill()

    def kill_a_worker(self) -> None:
        """As by kill -9."""
        children = Path(f"/proc/{self.process._child.pid}/task").glob("*/children")
        worker = int(next(pid for file in children for pid in file.read_text().split()))
        os.kill(worker, signal.SIGKILL)

    @property
    def url(self) -> str:
        return self.process.url


class Fleet:
    """See the module."""

    def __init__(self, valkey: ValkeyServer, session: aiohttp.ClientSession) -> None:
        self.valkey = valkey
        self.session = session
        self.shop, self.numbers = Shop(1), Numbers(2)
        self.gateways: list[Gateway] = []
        self.blows: list[float] = []
        """When something was killed or frozen."""

    async def kill(self, which: int) -> None:
        self.blows.append(time.monotonic())
        await self.gateways[which].kill()

    async def kill_a_worker(self, which: int) -> None:
        """And wait for the one in its place."""
        self.blows.append(time.monotonic())
        gateway = self.gateways[which]
        died = len(gateway.process.said("worker died"))
        gateway.kill_a_worker()
        await until(lambda: len(gateway.process.said("worker died")) > died)

    async def without_valkey(self, seconds: float, how: Literal["killed", "frozen"]) -> tuple[float, float]:
        """It is there again after so long; from when to when it surely was not."""
        self.blows.append(time.monotonic())
        if how == "killed":
            await asyncio.to_thread(self.valkey.kill)
        else:
            self.valkey.signal(signal.SIGSTOP)
        down = time.monotonic()
        await asyncio.sleep(seconds)
        up = time.monotonic()
        if how == "killed":
            await asyncio.to_thread(self.valkey.start)
        else:
            self.valkey.signal(signal.SIGCONT)
        return down, up

    async def all_hear(self) -> None:
        """Every gateway takes events: the store is there for all of them."""
        for gateway in self.gateways:

            async def hears(url: str = gateway.url) -> bool:
                async with self.session.put(f"{url}/v1/users/probe", json={"properties": {}}) as answer:
                    return answer.status == 202

            await until(hears)

    async def post(self, which: int, path: str, **body: Any) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers."""
        async with self.session.post(self.gateways[which].url + path, json=body or None) as answer:
            return answer.status, await answer.json(), {**answer.headers}


def configuration(directory: Path, store: str, shop: str, numbers: str, workers: int) -> dict[str, Any]:
    addresses = dict.fromkeys(("auth_url", "events_url", "client_url", "predictions_url"), shop)
    recomendo = {"client_id": "a", "client_secret": "b", "train_every": "30m", **addresses}
    arms = {
        arm: {"weight": 50, "providers": tried}
        for arm, tried in (("shop", ["shop", "local"]), ("local", ["local"]))
    }
    return {
        "server": {
            "listen": "127.0.0.1:0",
            "admin_listen": "127.0.0.1:0",
            "deadline": f"{DEADLINE:g}s",
            "drain": "2s",
            "workers": workers,
        },
        "state": {"url": store},
        "defaults": {"timeout": "500ms", "breaker": {"open": "100ms", "max_open": "300ms"}},
        "providers": {
            "shop": {"adapter": "recomendo", "options": recomendo},
            "numbers": {
                "adapter": "discerner",
                "options": {"username": "u", "password": "p", "url": numbers},
            },
            "local": {"adapter": "local"},
        },
        "placements": {
            "default": {"providers": ["shop", "local"]},
            "numbers": {"kind": "for_you", "providers": ["numbers", "local"]},
            "local": {"providers": ["local"]},
            "cached": {"providers": ["shop", "local"], "cache": {"ttl": "1s", "stale_if_error": "1h"}},
            "split": {"experiment": {"key": "ab", "arms": arms}},
        },
        "events": {"retry": {"first": "20ms", "max": "200ms"}, "linger": "5ms"},
        "catalog": {"providers": ["numbers", "local"]},
        "cache": {"shared": True},
        "telemetry": {"logs": {"requests": "errors"}},
    }


@asynccontextmanager
async def fleet(directory: Path, gateways: int = 3) -> AsyncIterator[Fleet]:
    """All of it for the time of the block; the last gateway has two workers. They end well, if they still run."""
    async with AsyncExitStack() as stack:
        valkey = ValkeyServer()
        await asyncio.to_thread(valkey.start)
        stack.callback(valkey.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made = Fleet(valkey, session)
        shop = await stack.enter_async_context(listening(made.shop.app()))
        numbers = await stack.enter_async_context(listening(made.numbers.app()))
        for n in range(gateways):
            workers = WORKERS if n == gateways - 1 else 1
            written = configuration(directory, valkey.url(), shop, numbers, workers)
            gateway = Gateway(directory / f"gateway-{n}.yaml", session, written)
            made.gateways.append(gateway)
            stack.push_async_callback(gateway.kill)
        await asyncio.gather(*(gateway.start() for gateway in made.gateways))
        yield made
        codes = await asyncio.gather(*(gateway.process.stop() for gateway in made.gateways))
        assert [*codes] == [0] * gateways
        assert {gateway.process.errors for gateway in made.gateways} == {b""}


class Said(NamedTuple):
    """One answer to a caller."""

    began: float
    ended: float
    status: int
    retry_after: bool = False


class Stream:
    """Callers as they should be: each user's events one after the other, again and elsewhere until acknowledged;
    recommendations asked of all, once more of another where a connection broke."""

    def __init__(self, fleet: Fleet, name: str, *, users: int = 8, askers: int = 3, pause: float = 0.06) -> None:
        self.fleet = fleet
        self._name, self._users, self._askers, self._pause = name, users, askers, pause
        self._rng = Random(name)
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self.acknowledged: list[tuple[str, str]] = []
        """User and item of each event that was answered with 202, in each user's order."""
        self.told: list[Said] = []
        self.asked: list[Said] = []
        self.shown = 0
        """Answers that count for the experiment."""

    @asynccontextmanager
    async def flows(self) -> AsyncIterator[None]:
        """For the time of the block; after it everything that was begun is acknowledged."""
        tell = [self._tell(f"{self._name}-u{n}") for n in range(self._users)]
        ask = [self._ask() for _ in range(self._askers)]
        self._tasks = [asyncio.create_task(one) for one in (*tell, *ask)]
        try:
            yield
            self._ending = True
            async with asyncio.timeout(30):
                await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _url(self) -> str:
        return self._rng.choice(self.fleet.gateways).url

    async def _tell(self, user: str) -> None:
        number = 0
        while not self._ending:
            item = f"{user}-i{number:05}"
            number += 1
            event = {"id": f"e-{item}", "type": "view", "user": {"id": user}, "items": [item]}
            while not await self._told(event):  # noqa: ASYNC110  # a caller who tries again has nobody who tells
                await asyncio.sleep(0.05)
            self.acknowledged.append((user, item))
            await asyncio.sleep(self._pause)

    async def _told(self, event: dict[str, Any]) -> bool:
        began = time.monotonic()
        try:
            async with self.fleet.session.post(f"{self._url()}/v1/events", json={"events": [event]}) as answer:
                said = await answer.json(content_type=None)
        except aiohttp.ClientError:
            return False
        self.told.append(Said(began, time.monotonic(), answer.status, "Retry-After" in answer.headers))
        assert answer.status in (202, 503), said
        if answer.status == 202:
            assert said["accepted"] == [event["id"]], said
        return answer.status == 202

    async def _ask(self) -> None:
        placements = ("default", "numbers", "local", "cached", "split")
        number = 0
        while not self._ending:
            number += 1
            user = f"{self._name}-u{self._rng.randrange(self._users)}"
            body = {"placement": placements[number % 5], "user": {"id": user}, "count": 1 + number % 4}
            await self._answered(body)
            await asyncio.sleep(self._pause)

    async def _answered(self, body: dict[str, Any]) -> None:
        for _ in range(50):  # as a load balancer would: what could not be sent, or broke off, goes to another
            began = time.monotonic()
            try:
                async with self.fleet.session.post(f"{self._url()}/v1/recommendations", json=body) as answer:
                    said = await answer.json(content_type=None)
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
                continue
            self.asked.append(Said(began, time.monotonic(), answer.status))
            assert answer.status == 200, said
            self.shown += said["source"]["arm"] is not None
            return
        raise AssertionError("no gateway answers")
