"""Several workers behind one port: started, watched, told of each new configuration, and ended.

    load ▸ bind ▸ open the state once ▸ start all ─▸ each: ready ─ dead? ─▸ another in its slot, later each time
                                            │                  └─ hangs? (pulse.py) ▸ its frames ▸ SIGKILL: dead
                                            └─ all failed: say why, once; 1
    SIGHUP, a changed file   read and checked here, once; all workers take the same
    SIGTERM                  nobody new comes in ▸ SIGTERM to all ▸ drain and a little more ▸ SIGKILL

Workers are new processes and not forks, and inherit nothing but the listening sockets and their end of a channel:
when that ends (kill -9 of the supervisor too) they drain and end by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import structlog

from gateway import logs
from gateway.config import ConfigError, Loaded
from gateway.deadline import Clock
from gateway.place import Place
from gateway.server.listening import Doors, refuse_newcomers
from gateway.server.process import open_store, refuse, told_to_stop, warn
from gateway.server.watching import Reading, watch
from gateway.server.workers.channel import Birth, Refused, Up, down
from gateway.server.workers.child import Child
from gateway.server.workers.pulse import BEAT, PRINTING, SILENT, Silences

log = structlog.get_logger("gateway")

GRACE: Final = 5.0
"""Seconds that a worker gets to close after its drain."""
STEADY: Final = 10.0
"""Seconds after which a worker's death is its own, and no sequel of the one before."""
PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before the third start of one that dies again and again; doubled each time, up to the longest."""
LONGEST_PATH: Final = 80
"""Bytes that a directory's name may have so that sockets in it can be named (unix(7): 108 in all)."""


async def supervise(first: Reading, loaded: Loaded, args: argparse.Namespace) -> int:
    """`gateway serve` with several workers; the exit code. Raises StoreError, OSError where it cannot start."""
    stop, asked = told_to_stop(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    doors = Doors.bind(loaded.configuration.server)
    try:
        store = await open_store(loaded.configuration)  # made, migrated, and what is wrong with it said once
        await store.close()
        with _private_directory() as directory:
            return await _serve(Crew(loaded, doors, directory), first, args, asked, stop)
    finally:
        doors.close()


async def _serve(
    crew: Crew, first: Reading, args: argparse.Namespace, asked: asyncio.Event, stop: asyncio.Event
) -> int:
    watching = asyncio.create_task(watch(first, args, asked, crew.take, crew.reject))
    stopping = asyncio.create_task(stop.wait())
    serving = asyncio.create_task(crew.serve())
    await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    stopping.cancel()
    if not serving.done():
        await crew.stop()
    code = await serving
    if code == 0:
        log.info("stopped")
    return code


@contextmanager
def _private_directory() -> Iterator[str]:
    """Mode 0700; gone at the end."""
    place = tempfile.gettempdir()
    if len(os.fsencode(place)) > LONGEST_PATH:
        place = "/tmp"  # noqa: S108  # what is made there has a name of its own
    with tempfile.TemporaryDirectory(prefix="gateway-", dir=place, ignore_cleanup_errors=True) as directory:
        yield directory


class Backoff:
    """When to start another for one that died: at once, and later each time if it does not last."""

    def __init__(self) -> None:
        self._deaths = 0

    def after(self, lived: float) -> float:
        """Seconds to wait, after one that lived so long."""
        if lived >= STEADY:
            self._deaths = 0
        self._deaths += 1
        if self._deaths == 1:
            return 0.0
        return min(LONGEST_PAUSE, PAUSE * 2.0 ** min(self._deaths - 2, 16))


class Crew:
    """All workers, and what a new one must know."""

    def __init__(self, loaded: Loaded, doors: Doors, directory: str, clock: Clock = time.monotonic) -> None:
        self._loaded = loaded
        self._refused: list[str] = []
        self._doors = doors
        self._directory = directory
        self._clock = clock
        self._workers = loaded.configuration.server.workers
        self._children: dict[int, Child] = {}
        self._ready: set[int] = set()
        self._failures: dict[int, str] = {}
        self._silences = Silences(clock, SILENT)
        self._decided = asyncio.Event()
        """One is ready, or none will ever be."""
        self._stop = asyncio.Event()

    # --- from start to end
    async def serve(self) -> int:
        """Keep all slots filled until stopped; the exit code."""
        watching = asyncio.create_task(self._end_who_hangs())
        try:
            await asyncio.gather(*(self._keep(slot) for slot in range(self._workers)))
        finally:
            watching.cancel()
        if self._ready or self._stop.is_set():
            return 0
        for failure in dict.fromkeys(self._failures.values()):
            sys.stderr.write(f"gateway: {failure.rstrip()}\n")
        return 1

    async def stop(self) -> None:
        """Drain all; kill those that do not end."""
        self._stop.set()
        self._decided.set()
        refuse_newcomers(self._doors.public)
        self._doors.close()  # so that the port is free with the last worker that is done with it
        for child in self._children.values():
            child.terminate()
        ends = [asyncio.create_task(child.ended()) for child in self._children.values()]
        if not ends:
            return
        _, late = await asyncio.wait(ends, timeout=self._loaded.configuration.server.drain + GRACE)
        if late:
            log.error("workers did not end and are killed", workers=len(late))
        for child in self._children.values():
            child.kill()

    async def _keep(self, slot: int) -> None:
        """A worker in this slot, again and again."""
        backoff = Backoff()
        while not self._stop.is_set():
            began = self._clock()
            why = await self._one_life(slot)
            if self._stop.is_set() or not await self._goes_on(slot, why):
                return
            wait = backoff.after(self._clock() - began)
            log.error("worker died", slot=slot, why=why, again_in_s=wait)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stop.wait()

    async def _one_life(self, slot: int) -> str:
        """Of one worker; what it died of."""
        try:
            child = await self._start(slot)
        except OSError as error:  # no process to be had, no descriptor
            return f"a worker cannot be started: {error}"
        code = await child.ended()
        self._silences.forget(slot)
        return child.failed or f"the worker {child.pid} ended with {code}"

    async def _goes_on(self, slot: int, failure: str) -> bool:
        """Where no worker was ever ready, whether any will be is waited for: none is started in vain."""
        if not self._ready:
            self._failures[slot] = failure
            if len(self._failures) == self._workers:
                self._decided.set()
            await self._decided.wait()
        return bool(self._ready) and not self._stop.is_set()

    async def _start(self, slot: int) -> Child:
        public, admin = ([sock.fileno() for sock in door] for door in self._doors)
        child = await Child.start([*public, *admin], partial(self._hear, slot))
        self._children[slot] = child
        # Nothing is awaited between this look at the configuration and its sending, so no change is missed.
        place = Place(slot, self._workers)
        child.tell(down(Birth(place, self._loaded, self._refused, public, admin, self._directory)))
        if self._stop.is_set():
            child.terminate()
        return child

    def _hear(self, slot: int, said: Up) -> None:
        self._silences.heard(slot, watched=said.watched)
        if said.ready:
            self._is_ready(slot)

    def _is_ready(self, slot: int) -> None:
        complete = len(self._ready) == self._workers
        self._ready.add(slot)
        self._decided.set()
        if not complete and len(self._ready) == self._workers:
            log.info("listening", **self._doors.said(), workers=self._workers)

    async def _end_who_hangs(self) -> None:
        """Until all are to end, which has its own bound; what two of them print does not mix."""
        while not self._stop.is_set():
            await asyncio.sleep(BEAT)
            for slot in self._silences.look():
                child = self._children[slot]
                child.failed = f"the worker {child.pid} hung: no sign of life for {SILENT:g} s"
                log.error("worker hangs", slot=slot, why=child.failed, detail="where: on stderr; it is killed")
                child.show_frames()
                await asyncio.sleep(PRINTING)
                child.kill()

    # --- configurations
    async def take(self, read: Loaded | ConfigError) -> None:
        """For all workers."""
        if isinstance(read, ConfigError):
            refuse(read.mistakes)
            self.reject([str(mistake) for mistake in read.mistakes])
            return
        self._loaded, self._refused = read, []
        logs.follow(read.configuration.telemetry.logs)
        self._tell(down(read))
        warn(read)

    def reject(self, mistakes: list[str]) -> None:
        """A file is not taken."""
        self._refused = mistakes
        self._tell(down(Refused(mistakes)))

    def _tell(self, message: bytes) -> None:
        for child in self._children.values():
            child.tell(message)
