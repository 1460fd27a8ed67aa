"""What one exchange with a vendor costs, lean or with aiohttp's client: `python -m tests.benchmarks.transports`.

    child       a vendor: the same answer to every request, by the shortest way (raw protocol), plain and over TLS
    this one    round after round, each once: CPU µs of an exchange (the vendor's not in it), time of a lone one,
                exchanges a second with 16 at once; `raw` is the least that asyncio allows: no parser, no errors

A round's ratio compares what ran within the same second, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
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
    """Microseconds of CPU of each exchange, one after the other."""
    alone: float
    """Microseconds from question to answer (median), one after the other."""
    rate: float
    """Exchanges a second, 16 at once."""


class Answering(asyncio.Protocol):
    """The vendor: a request a packet, or several."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"POST "))  # type: ignore[attr-defined]  # of a socket


def serve(pipe: Pipe, folder: str) -> None:
    """Run the vendor until the pipe closes."""

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


async def measured(ask: Exchange, asked: Outgoing, times: int, *, at_once: bool) -> Found:
    """One after the other, then many at once."""
    for _ in range(times // 20 + 20):
        assert (await ask(asked, 5)).body == VENDOR_ANSWER
    took = []
    cpu, clock = time.process_time(), time.perf_counter
    for _ in range(times):
        began = clock()
        await ask(asked, 5)
        took.append(clock() - began)
    cpu = time.process_time() - cpu

    async def many() -> None:
        for _ in range(times // AT_ONCE):
            await ask(asked, 5)

    began = clock()
    if at_once:
        await asyncio.gather(*(many() for _ in range(AT_ONCE)))
    rate = times / (clock() - began)
    return Found(cpu / times * 1e6, median(took) * 1e6, rate if at_once else 0)


async def rounds(url: str, trust: ssl.SSLContext, number: int, times: int) -> dict[str, list[Found]]:
    """Every round, every subject once."""
    asked = Outgoing("POST", f"{url}/vendor/users/u-1/recommendations", HEADERS, BODY)
    lean = LeanTransport(connect_timeout=2.0, max_answer=1 << 22, max_connections=128, tls=trust)
    theirs: Transport = AiohttpTransport(connect_timeout=2.0, max_answer=1 << 22, max_connections=128)
    host, _, port = url.partition("://")[2].partition(":")
    tls = trust if url.startswith("https") else None
    _, raw = await asyncio.get_running_loop().create_connection(
        Raw, host, int(port), ssl=tls, server_hostname=host if tls else None
    )
    found: dict[str, list[Found]] = {"raw": [], "lean": [], "aiohttp": []}
    for _ in range(number):
        found["raw"].append(await measured(raw.exchange, asked, times, at_once=False))
        found["lean"].append(await measured(lean.exchange, asked, times, at_once=True))
        found["aiohttp"].append(await measured(theirs.exchange, asked, times, at_once=True))
    await lean.close()
    await theirs.close()
    return found


def told(case: str, found: dict[str, list[Found]]) -> str:
    """The best of each (others' work only adds), and the median of the rounds' ratios."""
    lines = []
    for name, each in found.items():
        cpu, alone, rate = min(e.cpu for e in each), min(e.alone for e in each), max(e.rate for e in each)
        at_once = f"{rate:,.0f}" if rate else "–"
        lines.append(f"| {case} | {name} | {cpu:.1f} | {alone:.1f} | {at_once} |")
    pairs = list(zip(found["lean"], found["aiohttp"], strict=True))
    ratio = median(theirs.cpu / ours.cpu for ours, theirs in pairs)
    lines.append(f"| {case} | aiohttp ÷ lean | {ratio:.1f} | | {median(o.rate / t.rate for o, t in pairs):.1f} |")
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
