"""`python -m tests.benchmarks.deliveries`: how fast events reach a vendor that takes one a call, and how late.

    this process: posts events, and is the vendor ◂─ one event a call ─ `gateway serve` on a core of its own

Two ways. A backlog: the vendor is down until all events are accepted, and what is counted is the speed from then
on. A steady stream: what is counted is the time from each post to the event's arrival. Every event must arrive
once, and none twice.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
import msgspec

from tests.benchmarks.processes import Broken, Server, running
from tests.benchmarks.rounds import Cores
from tests.ports import free_ports

CONFIGURATION: Final = """
server: {{listen: "127.0.0.1:{port}", admin_listen: "127.0.0.1:{admin_port}"}}
state: {{url: "sqlite://{folder}/state.db"}}
defaults: {{breaker: {{open: 100ms, max_open: 300ms}}}}
providers:
  vendor:
    adapter: recomendo
    options: {{client_id: a, client_secret: b, auth_url: "{vendor}", events_url: "{vendor}",
               client_url: "{vendor}", predictions_url: "{vendor}"}}
placements: {{default: {{providers: [vendor]}}}}
events: {{retry: {{first: 20ms, max: 200ms}}, linger: 5ms}}
telemetry: {{logs: {{level: error, requests: errors}}}}
"""
RATE: Final = 200
BATCH: Final = 20
LENGTH: Final = b"content-length:"
LIMIT: Final = 120.0
"""Seconds for all to arrive."""


class Deliveries(msgspec.Struct, frozen=True):
    """What was found."""

    backlog: int
    seconds: float
    cpu: float
    """Seconds of the gateway's, for the backlog."""
    lags_ms: list[float]
    """Of the steady stream, sorted."""


class Vendor:
    """Takes one event a call, at once; 503 while it is `down`."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        """When each event did, by its item."""
        self.twice = 0
        self.down = True

    def answer(self, target: bytes, body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        if b"/v1/events.json" not in target:
            return 200, _TOKEN
        if self.down:
            return 503, b"{}"
        item = msgspec.json.decode(body)["targetEntityId"]
        self.twice += item in self.arrived
        self.arrived.setdefault(item, time.monotonic())
        return 201, b'{"eventId": "x"}'


class Connection(asyncio.Protocol):
    """To the vendor: one request after another."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        target, *headers = head.lower().split(b"\r\n")
        length = next((int(line[len(LENGTH) :]) for line in headers if line.startswith(LENGTH)), 0)
        if not end or len(rest) < length:
            return
        self._read = rest[length:]
        status, said = self._vendor.answer(target, rest[:length])
        lines = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(lines % (status, len(said)) + said)


def _token() -> bytes:
    """A login's answer: a JWT that is valid for an hour, whoever signed it."""
    now = int(time.time())
    parts = [msgspec.json.encode(one) for one in ({"alg": "none"}, {"iat": now, "exp": now + 3600})]
    token = ".".join([base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts] + ["signed00"])
    said = {"success": True, "messageCode": "CLIENT_AUTHENTICATED", "payload": {"token": token}}
    return msgspec.json.encode(said)


_TOKEN: Final = _token()


def measure(folder: Path, cores: Cores, backlog: int, seconds: float) -> Deliveries:
    """`seconds`: of the steady stream. Raises Broken."""
    return asyncio.run(_measure(folder, cores, backlog, seconds))


async def _measure(folder: Path, cores: Cores, backlog: int, seconds: float) -> Deliveries:
    vendor = Vendor()
    listener = await asyncio.get_running_loop().create_server(lambda: Connection(vendor), "127.0.0.1", 0)
    port, admin = free_ports(2)
    file = folder / "deliveries.yaml"
    at = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    file.write_text(CONFIGURATION.format(port=port, admin_port=admin, folder=folder, vendor=at))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(file)]
    async with listener:
        with running(command, core=cores.server, port=port, log=folder / "log") as server:
            found = await _told(server, f"http://127.0.0.1:{port}/v1/events", vendor, backlog, seconds)
    if vendor.twice:
        raise Broken(f"{vendor.twice} events arrived twice")
    return found


async def _told(server: Server, url: str, vendor: Vendor, backlog: int, seconds: float) -> Deliveries:
    async with aiohttp.ClientSession() as session:
        for first in range(0, backlog, BATCH):
            await _post(session, url, "b", first)
        vendor.down = False
        cpu, began = server.cpu(), time.monotonic()
        await _until(vendor, backlog)
        worked, spent = max(vendor.arrived.values()) - began, server.cpu() - cpu
        posted: dict[str, float] = {}
        start = time.monotonic()
        for first in range(0, int(RATE * seconds), BATCH):
            await asyncio.sleep(max(0.0, start + first / RATE - time.monotonic()))
            now = time.monotonic()
            posted |= dict.fromkeys(await _post(session, url, "s", first), now)
        await _until(vendor, backlog + len(posted))
    lags = sorted(1000 * (vendor.arrived[id_] - at) for id_, at in posted.items())
    return Deliveries(backlog, worked, spent, lags)


async def _post(session: aiohttp.ClientSession, url: str, mark: str, first: int) -> list[str]:
    ids = [f"{mark}{number}" for number in range(first, first + BATCH)]
    events = [{"id": id_, "type": "view", "user": {"id": f"u{hash(id_) % 50}"}, "items": [id_]} for id_ in ids]
    async with session.post(url, data=msgspec.json.encode({"events": events})) as answer:
        if answer.status != 202:
            raise Broken(f"answered {answer.status} {(await answer.read())[:300]!r}")
    return ids


async def _until(vendor: Vendor, number: int) -> None:
    until = time.monotonic() + LIMIT
    while len(vendor.arrived) < number:
        if time.monotonic() > until:
            raise Broken(f"{len(vendor.arrived)} of {number} events have arrived in {LIMIT:g} s")
        await asyncio.sleep(0.02)


def table(found: Deliveries) -> str:
    """For people."""
    lags = found.lags_ms
    cells = {
        "delivered, one event a call": f"{found.backlog / found.seconds:,.0f}/s",
        "CPU of the gateway per event": f"{found.cpu / found.backlog * 1e6:,.0f} µs",
        f"lag at {RATE}/s: half within": f"{lags[len(lags) // 2]:.0f} ms",
        "99 in 100": f"{lags[int(0.99 * len(lags))]:.0f} ms",
        "all": f"{lags[-1]:.0f} ms",
        "load average": f"{os.getloadavg()[0]:.1f}",
    }
    return "\n".join([" | ".join(cells), "|".join(["---"] * len(cells)), " | ".join(cells.values())]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """0: measured; 1: an event was lost, or came twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.deliveries", description="Delivered events.")
    parser.add_argument("--seconds", type=float, default=10, help="of the steady stream (10)")
    parser.add_argument("--backlog", type=int, default=5000, help="events that wait for the vendor (5000)")
    args = parser.parse_args(argv)
    cores = Cores.first_two()
    os.sched_setaffinity(0, {cores.load})
    try:
        with TemporaryDirectory(prefix="gateway-deliveries-") as folder:
            found = measure(Path(folder), cores, args.backlog, args.seconds)
    except Broken as broken:
        sys.stderr.write(f"benchmarks: {broken}\n")
        return 1
    sys.stdout.write(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
