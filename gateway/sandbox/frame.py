"""The frame of the emulated vendors: starts the named ones, each on a port of its own, breakable, and ends them.

    NAMES in order ▸ build each ▸ put faults around it ▸ listen on port + n ▸ … ▸ close

`algolia-recommend` and `algolia-personalization` share one world: Insights events on +2 feed profiles on +3.
"""

import asyncio
import errno
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, TextIO

from aiohttp import web

from gateway.sandbox import algolia, discerner, recomendo, xayn
from gateway.sandbox.credentials import OPTIONS
from gateway.sandbox.faults import Faults

NAMES: Final = ("recomendo", "algolia-recommend", "algolia-personalization", "discerner", "xayn")
SHUTDOWN: Final = 1.0  # seconds that a request under way gets at the end; a delayed one is cut then


class SandboxError(Exception):
    """The sandbox cannot start; the message is one line for whoever called it."""


class UnknownVendor(SandboxError):
    """A name that is no emulated vendor's."""


class PortTaken(SandboxError):
    """A port that another process listens on, or that may not be used."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A running emulated vendor; `credentials` are under the names of the provider's `options`."""

    name: str
    url: str
    credentials: dict[str, str]


@asynccontextmanager
async def serving(
    names: Iterable[str] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    throttle: bool = False,
    clock: Callable[[], float] = time.time,
    rng: Random | None = None,
) -> AsyncIterator[list[Vendor]]:
    """Run the named vendors (all by default), each on `port` + its place in NAMES; 0: each on a free port.

    `clock` is the vendors' wall clock in seconds, `rng` the dice of their faults.
    Raises SandboxError (UnknownVendor, PortTaken) before anything is yielded; closes what it opened in any case.
    """
    if not 0 <= port <= 65535 - len(NAMES):
        raise SandboxError(f"port {port} leaves no room: the vendors listen on the {len(NAMES)} ports after it")
    apps = build(chosen(names), throttle, clock)
    async with AsyncExitStack() as stack:
        vendors = []
        for name, app in apps.items():
            Faults(rng).install(app)
            own = port + NAMES.index(name) + 1 if port else 0
            vendors.append(await start(name, app, host, own, stack))
        yield vendors


async def run(
    port: int = 9100,
    names: Sequence[str] = (),
    throttle: bool = False,
    *,
    host: str = "127.0.0.1",
    out: TextIO | None = None,
) -> None:
    """What `gateway sandbox` does: print URLs and credentials, then `ready`; serve until SIGINT or SIGTERM.

    Raises SandboxError where it cannot start.
    """
    async with stopping() as stop, serving(names or None, host=host, port=port, throttle=throttle) as vendors:
        print_all(vendors, out or sys.stdout)
        await stop.wait()


def print_all(vendors: Iterable[Vendor], out: TextIO) -> None:
    """One line a vendor, then `ready`, flushed so that a script may wait for it."""
    for vendor in vendors:
        options = "  ".join(f"{name}={value}" for name, value in vendor.credentials.items())
        out.write(f"{vendor.name:<24} {vendor.url}  {options}\n")
    out.write("ready\n")
    out.flush()


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set, instead of ending the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def chosen(names: Iterable[str] | None) -> list[str]:
    """The vendors asked for, in the order of NAMES. Raises UnknownVendor."""
    asked = set(NAMES if names is None else names)
    unknown = sorted(asked.difference(NAMES))
    if unknown:
        raise UnknownVendor(f"no emulated vendor is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return [name for name in NAMES if name in asked]


def build(names: Iterable[str], throttle: bool, clock: Callable[[], float]) -> dict[str, web.Application]:
    """The named vendors' applications; Algolia's two are over one world, whichever of them are named."""
    world = algolia.World(clock)
    builders: dict[str, Callable[[], web.Application]] = {
        "recomendo": lambda: recomendo.build(clock=clock, throttle=throttle),
        "algolia-recommend": lambda: algolia.build_recommend(world, throttle=throttle),
        "algolia-personalization": lambda: algolia.build_personalization(world, throttle=throttle),
        "discerner": lambda: discerner.build(clock=clock, throttle=throttle),
        "xayn": lambda: xayn.build(clock=clock, throttle=throttle),
    }
    return {name: builders[name]() for name in names}


async def start(name: str, app: web.Application, host: str, port: int, stack: AsyncExitStack) -> Vendor:
    """Listen, and leave the closing to `stack`. Raises PortTaken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as failure:
        if failure.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "the port is taken" if failure.errno == errno.EADDRINUSE else "not permitted"
        raise PortTaken(f"cannot listen on {host}:{port} for {name}: {why}") from failure
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return Vendor(name, f"http://{shown}:{bound}", dict(OPTIONS[name]))
