"""The demo from start to end.

    ports free? ▸ .demo/ ▸ vendors ▸ data ▸ gateway ▸ feed through it ▸ train ▸ ask it ▸ say what to try
                         └──────────────────┴─ two processes: if one ends early, so does the demo

SIGINT, SIGTERM and SIGHUP cancel whatever is going on; both processes are ended on the way out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from typing import Any, Final

import aiohttp

from gateway.config import ConfigError, Loaded, load
from gateway.demo import asking, feeding, movielens, places
from gateway.demo.children import running, until
from gateway.demo.data import Data
from gateway.demo.generated import generated
from gateway.demo.mishap import Mishap
from gateway.demo.places import CONFIGURATION, DIRECTORY, GATEWAY_LOG, SANDBOX_LOG, STATE, Ports
from gateway.demo.progress import Voice
from gateway.demo.tries import KEY, Known, known, shown, tries

DATA: Final = "GATEWAY_DEMO_DATA"
"""The environment variable that chooses the data: `movielens` (if it can be had) or `generated`."""
PEOPLE: Final = "GATEWAY_DEMO_PEOPLE"
"""How many people's behaviour is fed. More take longer: one vendor takes one event a call."""
USUAL_PEOPLE: Final = 50
"""Of MovieLens some 9,500 events, told to each of five vendors: about 35 s on two busy cores."""
SANDBOX_SECONDS: Final = 30.0
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(args: argparse.Namespace) -> int:
    """`gateway demo`: 0 after Ctrl-C or SIGTERM, 1 where it cannot go on."""
    code = 0
    try:
        asyncio.run(_until_stopped(_demo(args, Voice(sys.stdout))))
    except* (Mishap, ConfigError) as failed:
        code = 1
        for error in _leaves(failed):
            sys.stderr.write(f"gateway demo: {error}\n")
    except* BrokenPipeError:
        code = 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _until_stopped(demo: Coroutine[Any, Any, None]) -> None:
    """Run it until it ends or a signal comes; further signals do not disturb the tidying up."""
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(demo)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            work.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await work
    except* (asyncio.CancelledError, Mishap):
        if not stopped:  # a process that the same Ctrl-C ended is no mishap
            raise


async def _demo(args: argparse.Namespace, voice: Voice) -> None:
    began = time.monotonic()
    ports = Ports.beyond(args.port, args.admin_port, args.sandbox_port, args.host)
    ports.check()
    people = _people()
    with places.directory():
        loaded = _configured(ports)
        vendors = ("sandbox", "--host", ports.vendors_host, "--port", str(ports.vendors))
        async with running("the vendors' process", vendors, SANDBOX_LOG):
            voice.say(f"Vendors: five, emulated, on ports {ports.vendors + 1} to {ports.vendors + 5}.")
            await until(
                lambda: "ready" in SANDBOX_LOG.read_text().split(), "the vendors were not ready", SANDBOX_SECONDS
            )
            data = await _data(people, voice)
            whom = known(data)
            async with running("the gateway", ("serve", "--config", str(CONFIGURATION)), GATEWAY_LOG):
                await _feed(ports, loaded, data, whom, voice)
                await _check(ports, whom, voice)
                voice.say(_tour(ports, loaded, whom, time.monotonic() - began))
                await asyncio.Event().wait()


def _people() -> int:
    written = os.environ.get(PEOPLE, str(USUAL_PEOPLE))
    if not (written.isascii() and written.isdigit() and int(written) >= 10):
        raise Mishap(f"{PEOPLE} must be a number of at least 10, not {written!r}")
    return int(written)


def _configured(ports: Ports) -> Loaded:
    CONFIGURATION.write_text(places.configuration(places.template(), ports, STATE))
    return load(CONFIGURATION, os.environ)


async def _data(people: int, voice: Voice) -> Data:
    wanted = os.environ.get(DATA, "movielens")
    if wanted not in ("movielens", "generated"):
        raise Mishap(f"{DATA} must be movielens or generated, not {wanted!r}")
    if wanted == "movielens":
        try:
            data = await movielens.fetched(people)
        except movielens.NotHad as why:
            voice.say(f"MovieLens 100k cannot be had ({why}); so a generated data set has to do.")
        else:
            voice.say(f"Data: {data.about}.")
            voice.say(f"  {movielens.TERMS}: it is kept in {movielens.cache()}, not here.")
            return data
    data = generated(people)
    voice.say(f"Data: {data.about}.")
    return data


async def _feed(ports: Ports, loaded: Loaded, data: Data, whom: Known, voice: Voice) -> None:
    voice.say("Feeding everybody, through the gateway:")
    async with aiohttp.ClientSession(headers=ports.headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
        await asking.until_ready(session, ports)
        gateway = feeding.Gateway(session, ports, loaded.configuration)
        await gateway.set_up()
        events = feeding.history(data)
        with voice.feeding() as bars:
            await gateway.tell(data, events)
            await gateway.until_told(data, events, bars)
        await gateway.add_a_rule()
        await gateway.train(whom.user)


async def _check(ports: Ports, whom: Known, voice: Voice) -> None:
    async with aiohttp.ClientSession(headers=ports.headers, timeout=aiohttp.ClientTimeout(total=5)) as session:
        answers = await asking.answering(session, ports, whom)
    said = ", ".join(f"{placement} by {provider}" for placement, provider in answers.items())
    voice.say(f"The gateway answers: {said}.")


def _tour(ports: Ports, loaded: Loaded, whom: Known, seconds: float) -> str:
    return f"""
Ready after {seconds:.0f} s. Things to try, in another shell in this directory:
{_key(ports)}
{shown(tries(whom, ports, loaded.configuration))}
The API:     {ports.url}/docs     the gateway's state: {ports.admin_url}/ui, {ports.admin_url}/readyz
Its log:     {GATEWAY_LOG}     its configuration: {CONFIGURATION}     all in {DIRECTORY.absolute()}
Ctrl-C ends gateway and vendors."""


def _key(ports: Ports) -> str:
    """What somebody on another machine, or outside of the container, must know besides."""
    if ports.key is None:
        return ""
    return f"""
It listens on {ports.host}, so it wants an API key, made for this demo. The lines below take it from the shell:
    export {KEY}={ports.key}
The line with `sed` edits a file here: in a container, run that part with `docker exec {socket.gethostname()}`.
"""
