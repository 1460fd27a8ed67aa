"""One of several processes that share a port: what run.py does for the only one, told by a supervisor what with.

born ─▸ open ▸ take connections ▸ `ready` ─▸ serve ─┬─ each second: a sign of life (pulse.py)
                                                    ├─ a configuration from above: taken, or the news of a bad one
                                                    ├─ SIGTERM: drain ▸ close ▸ 0
                                                    └─ the supervisor is gone: likewise, so that none is left
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import shutil
import signal
import socket
import sys
import traceback
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType

import structlog

from gateway.config import Loaded
from gateway.logs import set_up
from gateway.server.listening import Doors
from gateway.server.process import (
    TO_START,
    apply,
    attend,
    plainly,
    run,
    spare_the_collector,
    told_to_stop,
)  # fmt: skip
from gateway.server.runtime import Runtime
from gateway.server.workers.channel import Birth, Refused, Up, from_above, up
from gateway.server.workers.crowd import Crowd
from gateway.server.workers.gathering import answer
from gateway.server.workers.pulse import FRAMES, Pulse
from gateway.server.workers.siblings import Siblings
from gateway.state.opening import open_store

log = structlog.get_logger("gateway")


def work(args: argparse.Namespace) -> int:
    """`gateway worker`, which only a supervisor calls: 0 after a clean end, 1 where it cannot start."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor reads the file, for all
    if sys.__stderr__ is not None:
        faulthandler.register(FRAMES, sys.__stderr__)
    channel = socket.socket(fileno=args.channel)
    sys.excepthook = partial(_confess, channel)
    try:
        run(_work(channel))
    except TO_START as error:
        _say(channel, Up(failed=plainly(error)))
        return 1
    return 0


def _confess(
    channel: socket.socket, kind: type[BaseException], error: BaseException, place: TracebackType | None
) -> None:
    """A fault of ours, which the supervisor prints once though all workers have it."""
    _say(channel, Up(failed="".join(traceback.format_exception(kind, error, place))))


def _say(channel: socket.socket, message: Up) -> None:
    channel.setblocking(True)
    try:
        channel.sendall(up(message))
    except OSError:
        sys.stderr.write(f"gateway: {message.failed}\n")  # nobody is there any more


def _mention(channel: socket.socket, message: Up) -> None:
    """At once, though the event loop may not turn for long; not at all to a supervisor that does not read."""
    with suppress(OSError):  # whoever is gone is missed by `_obey`
        channel.send(up(message), socket.MSG_DONTWAIT)


async def _work(channel: socket.socket) -> None:
    stop, say = told_to_stop(), partial(_mention, channel)
    pulse = Pulse(say)
    reader, _writer = await asyncio.open_connection(sock=channel.dup())
    birth = await from_above(reader)
    if birth is None:
        return
    set_up(birth.loaded.configuration.telemetry.logs)
    async with AsyncExitStack() as stack:
        runtime = await _begun(birth, stack, pulse)
        say(Up(ready=True, watched=True))
        spare_the_collector()
        obeying = asyncio.create_task(_obey(runtime, birth.directory, reader, stop, pulse))
        try:
            await stop.wait()
        finally:
            runtime.ready = False
            obeying.cancel()


async def _begun(birth: Birth, stack: AsyncExitStack, pulse: Pulse) -> Runtime:
    """Everything is open, and the doors are the last. Raises what TO_START names."""
    configuration = birth.loaded.configuration
    runtime = await Runtime.start(birth.loaded, await open_store(configuration.state), birth.place)
    stack.push_async_callback(runtime.close)
    if birth.refused:
        runtime.reject(birth.refused)
    runtime.siblings = siblings = Siblings(birth.place, birth.directory, partial(answer, runtime))
    await siblings.listen()
    stack.push_async_callback(siblings.close)
    runtime.writes.intake.told_all = siblings.hear
    stack.enter_context(pulse.beating())
    doors = Doors(*([socket.socket(fileno=one) for one in door] for door in (birth.public, birth.admin)))
    await attend(runtime, doors, stack, Crowd(Path(birth.directory), birth.place))
    return runtime


async def _obey(
    runtime: Runtime, directory: str, reader: asyncio.StreamReader, stop: asyncio.Event, pulse: Pulse
) -> None:
    """Until the supervisor is gone."""
    while (message := await from_above(reader)) is not None:
        with pulse.excused():
            await _take(runtime, message)
    if not stop.is_set():
        log.error("the supervisor is gone; ending too")
        shutil.rmtree(directory, ignore_errors=True)  # nobody else will
        stop.set()


async def _take(runtime: Runtime, message: Loaded | Refused) -> None:
    if isinstance(message, Refused):
        runtime.reject(message.mistakes)
        return
    try:
        await apply(runtime, message)
    except Exception as error:  # here a reload ends: the worker goes on with what it has
        log.exception("configuration not taken")
        runtime.reject([f"it could not be taken: {type(error).__name__}"])
