"""One vendor down under a steady stream: the others hear in time, memory stays flat, the backlog is worked off.

Beside it a control asks the machine for what a delivery needs of it: a sync of a small file on the same disk, and
a turn of the processor. When the machine itself stands still for seconds, nobody on it hears in time; so long, and
no longer, an event may be later than the limit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.listening import listening
from tests.test_kill import Gateway, Vendor, configuration, until_up

LIMIT = 2.0
"""Seconds within which the others hear."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Down(Vendor):
    """Answers 503 while it is down, and notes when each event arrived."""

    def __init__(self) -> None:
        super().__init__(0)
        self.down = False
        self.fails = False

    async def _event(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return web.json_response({"message": "down"}, status=503)
        return await super()._event(request)


def happened(id_: str) -> dict[str, object]:
    """Named by its item, too."""
    return {"id": id_, "type": "view", "user": {"id": f"u{int(id_) % 50}"}, "items": [id_]}


class Control:
    """How long the machine stood still, and when."""

    TICK = 0.02
    NOTED = 0.25
    """Seconds; less is no standstill."""

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / "control", os.O_CREAT | os.O_WRONLY)
        self._over = threading.Event()
        self._stood: list[tuple[float, float]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        watches = [threading.Thread(target=self._watch, args=(work,)) for work in (self._sync, lambda: None)]
        for one in watches:
            one.start()
        try:
            yield
        finally:
            self._over.set()
            for one in watches:
                one.join()
            os.close(self._file)

    def _watch(self, work: Callable[[], None]) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            work()
            time.sleep(self.TICK)
            ended = time.monotonic()
            if ended - began > self.NOTED + self.TICK:
                self._stood.append((began, ended))

    def _sync(self) -> None:
        os.pwrite(self._file, b"x" * 4096, 0)
        os.fsync(self._file)

    def stood(self, since: float, until: float) -> float:
        """Seconds of this span in which it stood still."""
        stood, end = 0.0, since
        for began, ended in sorted(self._stood):
            if end < min(ended, until) and began < until:
                stood += min(ended, until) - max(began, end)
                end = min(ended, until)
        return stood


def memory(gateway: Gateway) -> int:
    """Resident bytes of the gateway's process."""
    assert gateway._process is not None
    return int(Path(f"/proc/{gateway._process.pid}/statm").read_text().split()[1]) * PAGE


async def stream(url: str, rate: float, seconds: float, sent: dict[str, float], gateway: Gateway) -> list[int]:
    """Post so many events a second; the memory that was taken meanwhile, second by second."""
    taken: list[int] = []
    batch = max(1, round(rate / 10))
    async with aiohttp.ClientSession() as session:
        began = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            ids = [f"{len(sent) + n:07}" for n in range(batch)]
            sent |= dict.fromkeys(ids, now)
            events = [happened(id_) for id_ in ids]
            async with session.post(f"{url}/v1/events", json={"events": events}) as answer:
                assert answer.status == 202, await answer.text()
            if len(taken) < now - began:
                taken.append(memory(gateway))
            await asyncio.sleep(max(0.0, began + len(sent) / rate - time.monotonic()))
    return taken


async def outage(directory: Path, *, rate: float, down: float, grows: int) -> None:
    up, ill, control = Down(), Down(), Control(directory)
    with control.watching():
        taken, sent, backlog = await streamed(directory, up, ill, rate=rate, down=down)
    lags = {id_: up.answered[id_][0][0] - at for id_, at in sent.items()}
    late = {id_: (lag, control.stood(sent[id_], sent[id_] + lag)) for id_, lag in lags.items() if lag >= LIMIT}
    assert all(lag - stood < LIMIT for lag, stood in late.values()), sorted(late.values())[-5:]
    assert len(late) < len(sent) / 100, "a machine that stands still so often says nothing"
    assert backlog > rate * down / 2
    quarter = max(1, len(taken) // 4)
    assert min(taken[-quarter:]) - max(taken[:quarter]) < grows
    first = sent[f"{len(sent) - backlog:07}"]
    queued = [int(id_) for _, id_ in ill.arrived if sent[id_] > first]
    window = 200  # subjects that are put off, and lanes, may change places; the whole is from old to new
    assert all(abs(place - rank) < window for place, rank in enumerate(ranks(queued)))


async def streamed(
    directory: Path, up: Down, ill: Down, *, rate: float, down: float
) -> tuple[list[int], dict[str, float], int]:
    """The memory that was taken, when each event was sent, and how many waited when the vendor came back."""
    async with listening(up.app()) as one, listening(ill.app()) as two:
        file, url = configuration(directory, {"first": one, "second": two}, local=False)
        gateway = Gateway(file)
        await gateway.start()
        await until_up(url)
        sent: dict[str, float] = {}
        await stream(url, rate, 3, sent, gateway)
        ill.down = True
        taken = await stream(url, rate, down, sent, gateway)
        backlog = len(sent) - len(ill.answered)
        ill.down = False
        async with asyncio.timeout(60 + backlog / 50):
            while not all(sent.keys() <= one.answered.keys() for one in (ill, up)):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.2)
        assert await gateway.end(signal.SIGTERM) == 0
    return taken, sent, backlog


def ranks(numbers: list[int]) -> list[int]:
    place = {number: rank for rank, number in enumerate(sorted(numbers))}
    return [place[number] for number in numbers]


async def test_one_vendor_down_for_a_while(tmp_path: Path) -> None:
    await outage(tmp_path, rate=50, down=8, grows=8_000_000)


@pytest.mark.more("long faults")
@pytest.mark.timeout(240)
async def test_one_vendor_down_for_a_minute(tmp_path: Path) -> None:
    await outage(tmp_path, rate=50, down=60, grows=8_000_000)


@pytest.mark.more("long faults")
@pytest.mark.timeout(1800)
async def test_one_vendor_down_for_ten_minutes(tmp_path: Path) -> None:
    await outage(tmp_path, rate=200, down=600, grows=20_000_000)
