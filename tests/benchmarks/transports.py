"""What one exchange with a vendor costs, lean or with aiohttp's client: `python -m tests.benchmarks.transports`.

    child       a vendor: the same answer to every request, by the shortest way (raw protocol), plain and over TLS
    this one    round after round, each once: CPU µs of an exchange (the vendor's not in it) and exchanges a second
                with 16 at once, time of a lone one; `raw` is the least that asyncio allows: no parser, no errors

A round's ratio compares what ran within the same second, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import uvloop
from aiohttp import connector

from gateway.adapter import Response
from gateway.transport import AiohttpTransport, LeanTransport, Outgoing, Transport
from tests.benchmarks.rounds import Cores
from tests.benchmarks.subjects import VENDOR_ANSWER
from tests.test_outbound import certificate

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%b"
    % (len(VENDOR_ANSWER), VENDOR_ANSWER)
)
BODY: Final = b'{"count":10,"include_properties":false,"include_snippet":false}'
HEADERS: Final = (("authorizationToken", "token-of-the-benchmark"), ("content-type", "application/json"))
AT_ONCE: Final = 16
TITLES: Final = "| case | transport | CPU µs | alone µs | a second, 16 at once |\n|---|---|---:|---:|---:|\n"


class Found(msgspec.Struct, frozen=True):
    """One transport in one round."""

    cpu: float
    """Microseconds of CPU of each exchange, 16 at once."""
    alone: float
    """Microseconds from question to answer (median), one after the other: mostly the machine's falling asleep."""
    rate: float
    """Exchanges a second, 16 at once."""


class Answering(asyncio.Protocol):
    """The vendor: a request a packet, or several."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"POST "))  # type: ignore[attr-defined]  # of a socket


def serve(pipe: Pipe, folder: str) -> None:
    """Run the vendor until the pipe closes, on another core than the load."""
    os.sched_setaffinity(0, {Cores.first_two().load})

    async def main() -> None:
        loop = asyncio.get_running_loop()
        plain = await loop.create_server(Answering, "127.0.0.1", 0)
        secured = await loop.create_server(Answering, "127.0.0.1", 0, ssl=certificate(Path(folder)))
        pipe.send([server.sockets[0].getsockname()[1] for server in (plain, secured)])
        await loop.run_in_executor(None, pipe.recv)

    uvloop.run(main())


class Raw(asyncio.Protocol):
    """Not a transport: no parser, no errors, no time. What any has to pay."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None
        self._request = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left <= 0 and self._waiter is not None:
            self._waiter.set_result(None)

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        """Bytes out, so many bytes back."""
        self._left = len(ANSWER)
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)  # type: ignore[attr-defined]  # of a socket
        await self._waiter
        return Response(200, {}, VENDOR_ANSWER)


Exchange = Callable[[Outgoing, float], Awaitable[Response]]


async def measured(asks: Sequence[Exchange], asked: Outgoing, times: int) -> Found:
    """One after the other, then all at once."""
    for ask in asks:
        assert (await ask(asked, 5)).body == VENDOR_ANSWER
    took, clock = [], time.perf_counter
    for _ in range(times):
        began = clock()
        await asks[0](asked, 5)
        took.append(clock() - began)

    async def many(ask: Exchange) -> None:
        for _ in range(times // len(asks)):
            await ask(asked, 5)

    began, cpu = clock(), time.process_time()
    await asyncio.gather(*(many(ask) for ask in asks))
    cpu, lasted = time.process_time() - cpu, clock() - began
    done = times // len(asks) * len(asks)
    return Found(cpu / done * 1e6, median(took) * 1e6, done / lasted)


async def rounds(url: str, trust: ssl.SSLContext, number: int, times: int) -> dict[str, list[Found]]:
    """Every round, every subject once."""
    asked = Outgoing("POST", f"{url}/vendor/users/u-1/recommendations", HEADERS, BODY)
    lean = LeanTransport(connect_timeout=2.0, max_answer=1 << 22, max_connections=128, tls=trust)
    theirs: Transport = AiohttpTransport(connect_timeout=2.0, max_answer=1 << 22, max_connections=128)
    host, _, port = url.partition("://")[2].partition(":")
    tls = trust if url.startswith("https") else None
    name = host if tls else None
    loop = asyncio.get_running_loop()
    raw = [
        (await loop.create_connection(Raw, host, int(port), ssl=tls, server_hostname=name))[1].exchange
        for _ in range(AT_ONCE)
    ]
    subjects = {"raw": raw, "lean": [lean.exchange] * AT_ONCE, "aiohttp": [theirs.exchange] * AT_ONCE}
    found: dict[str, list[Found]] = {name: [] for name in subjects}
    for _ in range(number):
        for name, asks in subjects.items():
            found[name].append(await measured(asks, asked, times))
    await lean.close()
    await theirs.close()
    return found


def told(case: str, found: dict[str, list[Found]]) -> str:
    """The best of each (others' work only adds), and the median of the rounds' ratios."""
    lines = []
    for name, each in found.items():
        best = min(e.cpu for e in each), min(e.alone for e in each), max(e.rate for e in each)
        lines.append("| {} | {} | {:.1f} | {:.1f} | {:,.0f} |".format(case, name, *best))
    pairs = list(zip(found["lean"], found["aiohttp"], strict=True))
    cpu, alone = (median(getattr(t, of) / getattr(o, of) for o, t in pairs) for of in ("cpu", "alone"))
    rate = median(o.rate / t.rate for o, t in pairs)
    lines.append(f"| {case} | lean is better by | {cpu:.1f} | {alone:.1f} | {rate:.1f} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.transports", description="Lean or aiohttp.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--times", type=int, default=2000, help="exchanges of each transport in a round")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    args = parser.parse_args(argv)
    with TemporaryDirectory(prefix="gateway-transports-") as folder:
        here, there = multiprocessing.get_context("spawn").Pipe()
        child = multiprocessing.get_context("spawn").Process(target=serve, args=(there, folder))
        child.start()
        os.sched_setaffinity(0, {Cores.first_two().server})
        try:
            plain, secured = here.recv()
            trust = ssl.create_default_context(cafile=str(Path(folder) / "certificate.pem"))
            connector._SSL_CONTEXT_VERIFIED = trust  # aiohttp's client can be told in no other way
            run = uvloop.run if args.loop == "uvloop" else asyncio.run
            sys.stdout.write(TITLES)
            for case, url in (("plain", f"http://127.0.0.1:{plain}"), ("TLS", f"https://127.0.0.1:{secured}")):
                sys.stdout.write(told(case, run(rounds(url, trust, args.rounds, args.times))))
        finally:
            here.send(None)
            child.join(5)
            child.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
