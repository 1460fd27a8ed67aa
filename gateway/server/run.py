"""One process from start to end: load ▸ open ▸ listen ▸ serve (reload, SIGHUP) ▸ SIGTERM ▸ drain ▸ close.

With several workers each of them does this, and this process starts and ends them (workers/).
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from functools import partial

import structlog

from gateway import logs
from gateway.config import ConfigError, Loaded
from gateway.server.listening import Doors
from gateway.server.process import (
    TO_START,
    attend,
    open_store,
    plainly,
    run,
    spare_the_collector,
    take,
    told_to_stop,
    warn,
)  # fmt: skip
from gateway.server.runtime import Runtime
from gateway.server.watching import Reading, reading, watch
from gateway.server.workers.supervisor import supervise

log = structlog.get_logger("gateway")


def serve(args: argparse.Namespace) -> int:
    """`gateway serve`: 0 after a clean end, 1 where it cannot listen or open its state, 2 for a bad file."""
    first = reading(args)
    loaded = first.read
    if isinstance(loaded, ConfigError):
        sys.stderr.writelines(f"{mistake}\n" for mistake in loaded.mistakes)
        return 2
    logs.set_up(loaded.configuration.telemetry.logs)
    several = loaded.configuration.server.workers > 1
    if not several:
        logs.alone()
    warn(loaded)
    try:
        return run(supervise(first, loaded, args) if several else _serve(first, loaded, args))
    except TO_START as error:
        sys.stderr.write(f"gateway: {plainly(error)}\n")
        return 1


async def _serve(first: Reading, loaded: Loaded, args: argparse.Namespace) -> int:
    stop, asked = told_to_stop(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    async with AsyncExitStack() as stack:  # what was opened is closed in any case, the last first
        runtime = await Runtime.start(loaded, await open_store(loaded.configuration))
        stack.push_async_callback(runtime.close)
        doors = Doors.bind(loaded.configuration.server)
        log_listening = partial(log.info, "listening", **doors.said(), epoch=runtime.pipeline.plan.epoch)
        await attend(runtime, doors, stack)
        log_listening()
        spare_the_collector()
        watching = asyncio.create_task(watch(first, args, asked, partial(take, runtime), runtime.reject))
        try:
            await stop.wait()
        finally:
            runtime.ready = False
            watching.cancel()
    log.info("stopped")
    return 0
