"""One process from start to end: load ▸ open ▸ listen ▸ serve (reload, SIGHUP) ▸ SIGTERM ▸ drain ▸ close."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from gateway.config import ConfigError, Loaded, load, warnings
from gateway.logs import set_up
from gateway.server.front import Front
from gateway.server.runtime import Runtime
from gateway.state.sqlite import SqliteStore
from gateway.state.store import StoreError

log = structlog.get_logger("gateway")

LOOK: Final = 1.0
"""Seconds between two looks at the configuration's files."""

Stamp = tuple[tuple[str, int, int, int], ...]


def serve(args: argparse.Namespace) -> int:
    """`gateway serve`: 0 after a clean end, 1 where it cannot listen or open its state, 2 for a bad file."""
    try:
        loaded = load(args.config, os.environ, overrides=args.overrides)
    except ConfigError as error:
        sys.stderr.writelines(f"{mistake}\n" for mistake in error.mistakes)
        return 2
    set_up(loaded.configuration.telemetry.logs)
    for hazard in warnings(loaded):
        log.warning("configuration", hazard=str(hazard))
    try:
        run(_serve(loaded, args))
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


def _plainly(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (98, 48, 10048):
        return f"the port is taken: {error.strerror or error}"
    return str(error)


async def _serve(loaded: Loaded, args: argparse.Namespace) -> None:
    path = loaded.configuration.state.path
    assert path is not None  # noqa: S101  # other stores are refused when the file is loaded
    stop = asyncio.Event()
    reload = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    runtime = await Runtime.start(loaded, await SqliteStore.open(path))
    front = Front(runtime)
    server = loaded.configuration.server
    runners = [
        await _listen(front.app(admin=True), server.admin_listen, server.drain),
        await _listen(front.app(), server.listen, server.drain),
    ]
    log.info(
        "listening", listen=str(server.listen), admin=str(server.admin_listen), epoch=runtime.pipeline.plan.epoch
    )
    watch = asyncio.create_task(_watch(runtime, loaded, args, reload))
    try:
        await stop.wait()
    finally:
        runtime.ready = False
        watch.cancel()
        for runner in reversed(runners):
            await runner.cleanup()
        await runtime.close()
        log.info("stopped")


async def _listen(app: web.Application, address: Any, drain: float) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=drain)
    await runner.setup()
    await web.TCPSite(runner, address.host, address.port).start()
    return runner


# --- reload -----------------------------------------------------------------------------------------------------


async def _watch(runtime: Runtime, loaded: Loaded, args: argparse.Namespace, asked: asyncio.Event) -> None:
    """Take a changed file within 2 s, or at once after SIGHUP."""
    seen = stamp({args.config, *loaded.files})
    while True:
        try:
            async with asyncio.timeout(LOOK):
                await asked.wait()
        except TimeoutError:
            pass
        files = {args.config, *loaded.files}
        now = stamp(files)
        if now == seen and not asked.is_set():
            continue
        asked.clear()
        seen = now
        loaded = await _reload(runtime, loaded, args)
        if {args.config, *loaded.files} != files:
            seen = stamp({args.config, *loaded.files})


async def _reload(runtime: Runtime, loaded: Loaded, args: argparse.Namespace) -> Loaded:
    try:
        fresh = await asyncio.to_thread(load, args.config, os.environ, overrides=args.overrides)
    except ConfigError as error:
        runtime.reject(error)
        for mistake in error.mistakes:
            log.error("configuration rejected", mistake=str(mistake))
        return loaded
    changes = runtime.apply(fresh)
    log.info("configuration taken", epoch=runtime.pipeline.plan.epoch, changes=list(changes.lines()))
    return fresh


def stamp(files: Iterable[Path]) -> Stamp:
    """What changes when a file or what a link points to does; a missing file has one too."""
    return tuple(sorted(_stamp(file) for file in files))


def _stamp(file: Path) -> tuple[str, int, int, int]:
    try:
        state = file.stat()
    except OSError:
        return (str(file), 0, 0, 0)
    return (str(file), state.st_mtime_ns, state.st_ino, state.st_size)
