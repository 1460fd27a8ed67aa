"""What a process that serves does, be it the only one (run.py) or one of several (workers/)."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import structlog

from gateway.config import ConfigError, Configuration, Loaded, warnings
from gateway.config.mistakes import Mistake
from gateway.server.edges import listen_on
from gateway.server.front import Front
from gateway.server.listening import Doors
from gateway.server.runtime import Runtime
from gateway.server.workers.crowd import Crowd
from gateway.state import opening
from gateway.state.store import Store, StoreError

T = TypeVar("T")

log = structlog.get_logger("gateway")

TO_START: Final = (StoreError, OSError)
"""What may keep a process from starting; `plainly` says it."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop where that exists."""
    try:
        import uvloop  # noqa: PLC0415  # there is none on Windows and PyPy
    except ImportError:
        return asyncio.run(main)
    result: T = uvloop.run(main)
    return result


def plainly(error: Exception) -> str:
    """Why it does not start."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"the port is taken: {error.strerror or error}"
    return str(error)


async def open_store(configuration: Configuration) -> Store:
    """What outlives the process; what may lose what it acknowledges is said. Raises StoreError."""
    store = await opening.open_store(configuration.state)
    for hazard in await opening.hazards(store):
        log.warning("state store", hazard=hazard)
    return store


def told_to_stop() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    return stop


async def attend(runtime: Runtime, doors: Doors, stack: AsyncExitStack, crowd: Crowd | None = None) -> None:
    """Listen until `stack` is closed: the public door is shut first, so that /readyz tells of it meanwhile.

    `crowd`: of the processes that share the doors.
    """
    front, drain, shared = Front(runtime), runtime.configuration.server.drain, crowd is not None
    for app, sockets, fair in ((front.app(admin=True), doors.admin, None), (front.app(), doors.public, crowd)):
        runner = await listen_on(app, sockets, drain=drain, shared=shared, crowd=fair)
        stack.push_async_callback(runner.cleanup)


def spare_the_collector() -> None:
    """What stands now stays: it need not be looked through again and again.

    Measured (tests/benchmarks): a hit 132 ▸ 121 µs, a miss 584 ▸ 543 µs of CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


# --- reload -----------------------------------------------------------------------------------------------------


async def take(runtime: Runtime, read: Loaded | ConfigError) -> None:
    """Serve with what was read from now on, or say what is wrong with it."""
    if isinstance(read, ConfigError):
        refuse(read.mistakes)
        runtime.reject(read.mistakes)
        return
    await apply(runtime, read)
    warn(read)


async def apply(runtime: Runtime, loaded: Loaded) -> None:
    """Serve with it from now on."""
    changes = runtime.apply(loaded, await runtime.prepare(loaded))
    log.info("configuration taken", epoch=runtime.pipeline.plan.epoch, changes=list(changes.lines()))


def refuse(mistakes: Iterable[Mistake]) -> None:
    """Say what is wrong with a file that is not taken."""
    for mistake in mistakes:
        log.error("configuration rejected", mistake=str(mistake))


def warn(loaded: Loaded) -> None:
    """Say what parses but will hurt."""
    for hazard in warnings(loaded):
        log.warning("configuration", hazard=str(hazard))
