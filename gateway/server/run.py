"""One process from start to end: load ▸ open ▸ listen ▸ serve (reload, SIGHUP) ▸ SIGTERM ▸ drain ▸ close."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
from aiohttp import web

from gateway.config import ConfigError, Loaded, load, warnings
from gateway.config.words import Address
from gateway.logs import set_up
from gateway.server.edges import listen
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from gateway.state.store import StoreError

log = structlog.get_logger("gateway")

LOOK: Final = 0.45
"""Seconds between two looks at the configuration's files; three of them are less than 2 s."""

Stamp = tuple[tuple[str, int, int, int], ...]


def serve(args: argparse.Namespace) -> int:
    """`gateway serve`: 0 after a clean end, 1 where it cannot listen or open its state, 2 for a bad file."""
    first = reading(args)
    loaded = first.read
    if isinstance(loaded, ConfigError):
        sys.stderr.writelines(f"{mistake}\n" for mistake in loaded.mistakes)
        return 2
    set_up(loaded.configuration.telemetry.logs)
    for hazard in warnings(loaded):
        log.warning("configuration", hazard=str(hazard))
    try:
        run(_serve(first, loaded, args))
    except (StoreError, OSError) as error:
        sys.stderr.write(f"gateway: {_plainly(error)}\n")
        return 1
    return 0


def run(main: Any) -> None:
    """Run a coroutine on uvloop where that exists."""
    try:
        import uvloop  # noqa: PLC0415  # there is none on Windows and PyPy
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def _spare_the_collector() -> None:
    """What stands now stays: it need not be looked through again and again.

    Measured (tests/benchmarks): a hit 132 ▸ 121 µs, a miss 584 ▸ 543 µs of CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _plainly(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (98, 48, 10048):
        return f"the port is taken: {error.strerror or error}"
    return str(error)


async def _serve(first: Reading, loaded: Loaded, args: argparse.Namespace) -> None:
    path = loaded.configuration.state.path
    assert path is not None  # noqa: S101  # other stores are refused when the file is loaded
    stop = asyncio.Event()
    reload = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    async with AsyncExitStack() as stack:  # what was opened is closed in any case, the last first
        runtime = await Runtime.start(loaded, await SqliteStore.open(path, loaded.configuration.state.max_bytes))
        stack.push_async_callback(runtime.close)
        front, server = Front(runtime), loaded.configuration.server
        admin = await _listen(front.app(admin=True), server.admin_listen, server.drain, stack)
        public = await _listen(front.app(), server.listen, server.drain, stack)
        log.info("listening", listen=public, admin=admin, epoch=runtime.pipeline.plan.epoch)
        _spare_the_collector()
        watch = asyncio.create_task(_watch(runtime, first, args, reload))
        try:
            await stop.wait()
        finally:
            runtime.ready = False
            watch.cancel()
    log.info("stopped")


async def _listen(app: web.Application, address: Any, drain: float, stack: AsyncExitStack) -> str:
    """Listen until `stack` is closed; where, which an address with port 0 does not say."""
    runner = await listen(app, address.host, address.port, drain=drain)
    stack.push_async_callback(runner.cleanup)
    return str(Address(*runner.addresses[0][:2]))


# --- reload -----------------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """What was read, and how the files looked before: whatever changes after that is seen at the next look."""

    read: Loaded | ConfigError
    files: frozenset[Path]
    seen: Stamp


def reading(args: argparse.Namespace) -> Reading:
    """Read the file, again where it names files whose stamp was not yet taken; a bad one may name some too."""
    files = frozenset({args.config})
    while True:
        seen = stamp(files)
        read: Loaded | ConfigError
        try:
            read = load(args.config, os.environ, overrides=args.overrides)
        except ConfigError as error:
            read = error
        if read.files <= files:
            return Reading(read, files, seen)
        files |= read.files


async def _watch(runtime: Runtime, last: Reading, args: argparse.Namespace, asked: asyncio.Event) -> None:
    """Take a changed file within 2 s, once it has come to rest; or at once after SIGHUP."""
    while True:
        if not await _signalled(asked):
            now = stamp(last.files)
            if now == last.seen:
                continue
            if not await _signalled(asked) and stamp(last.files) != now:
                await _signalled(asked)  # still being written: half a file may be a valid one
        asked.clear()
        try:
            last = await asyncio.to_thread(reading, args)
            await _take(runtime, last.read)
        except Exception as error:  # here a reload ends: the gateway goes on, and looks at the next one
            log.exception("configuration not taken")
            runtime.reject([f"it could not be taken: {type(error).__name__}"])
            last = last._replace(seen=await asyncio.to_thread(stamp, last.files))


async def _signalled(asked: asyncio.Event) -> bool:
    """Was SIGHUP had before the time for the next look came?"""
    try:
        async with asyncio.timeout(LOOK):
            return await asked.wait()
    except TimeoutError:
        return False


async def _take(runtime: Runtime, read: Loaded | ConfigError) -> None:
    if isinstance(read, ConfigError):
        runtime.reject(read.mistakes)
        for mistake in read.mistakes:
            log.error("configuration rejected", mistake=str(mistake))
        return
    changes = runtime.apply(read, await runtime.prepare(read))
    log.info("configuration taken", epoch=runtime.pipeline.plan.epoch, changes=list(changes.lines()))
    for hazard in warnings(read):
        log.warning("configuration", hazard=str(hazard))


def stamp(files: Iterable[Path]) -> Stamp:
    """What changes when a file or what a link points to does; a missing file has one too."""
    return tuple(sorted(_stamp(file) for file in files))


def _stamp(file: Path) -> tuple[str, int, int, int]:
    try:
        state = file.stat()
    except OSError:
        return (str(file), 0, 0, 0)
    return (str(file), state.st_mtime_ns, state.st_ino, state.st_size)
