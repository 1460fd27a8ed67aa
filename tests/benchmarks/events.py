"""`python -m tests.benchmarks.events`: how many events are accepted in a second, and what one of them costs.

    clients on one core ─▸ `gateway serve` on the other ─▸ commit (full sync) ─▸ 202

Each event goes to the log and to the queue of `local`, which learns from it meanwhile: that is in the cost. Each
answer is read and must have accepted all that was sent; at the end the log must hold every one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
import msgspec

from tests.benchmarks.processes import Broken, Server, free_ports, running
from tests.benchmarks.rounds import Cores

CONFIGURATION: Final = """
server: {{listen: "127.0.0.1:{port}", admin_listen: "127.0.0.1:{admin_port}"}}
state: {{url: "sqlite://{folder}/state.db"}}
providers: {{local: {{adapter: local}}}}
placements: {{default: {{providers: [local]}}}}
telemetry: {{logs: {{requests: errors}}}}
"""


class Found(msgspec.Struct, frozen=True):
    """One way of sending."""

    batch: int
    events: int
    seconds: float
    cpu: float
    """Seconds of the gateway's."""
    slowest_ms: float
    """Of 99 in 100 requests."""


def main(argv: Sequence[str] | None = None) -> int:
    """0: measured; 1: an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.events", description="Accepted events.")
    parser.add_argument("--seconds", type=int, default=5, help="for each way of sending (5)")
    parser.add_argument("--connections", type=int, default=64, help="that send at once (64)")
    args = parser.parse_args(argv)
    cores = Cores.first_two()
    os.sched_setaffinity(0, {cores.load})
    try:
        with TemporaryDirectory(prefix="gateway-events-") as folder:
            found = measure(Path(folder), cores, args.seconds, args.connections)
    except Broken as broken:
        sys.stderr.write(f"benchmarks: {broken}\n")
        return 1
    sys.stdout.write(table(found))
    return 0


def table(found: Sequence[Found]) -> str:
    """For people."""
    lines = [
        "events a request | accepted/s | requests/s | CPU of the gateway per event | p99",
        "---|---|---|---|---",
    ]
    lines += [
        f"{one.batch} | {one.events / one.seconds:,.0f} | {one.events / one.batch / one.seconds:,.0f} "
        f"| {one.cpu / one.events * 1e6:,.0f} µs | {one.slowest_ms:.0f} ms"
        for one in found
    ]
    return "\n".join(lines) + "\n"


def measure(folder: Path, cores: Cores, seconds: float, connections: int) -> list[Found]:
    """Single events, then batches. Raises Broken."""
    port, admin = free_ports(2)
    file = folder / "gateway.yaml"
    file.write_text(CONFIGURATION.format(port=port, admin_port=admin, folder=folder))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(file)]
    with running(command, core=cores.server, port=port, log=folder / "log") as server:
        found = [asyncio.run(_sent(server, port, batch, seconds, connections, f"b{batch}")) for batch in (1, 100)]
    logged = sqlite3.connect(folder / "state.db").execute("SELECT count(*) FROM events").fetchone()[0]
    if logged != sum(one.events for one in found):
        raise Broken(f"{logged} events are in the log, not {sum(one.events for one in found)}")
    return found


async def _sent(server: Server, port: int, batch: int, seconds: float, connections: int, mark: str) -> Found:
    took: list[float] = []
    end = time.monotonic() + seconds
    cpu, began = server.cpu(), time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        await asyncio.gather(*(
            _stream(session, f"http://127.0.0.1:{port}/v1/events", batch, end, f"{mark}-{n}", took)
            for n in range(connections)
        ))  # fmt: skip
    spent, lasted = server.cpu() - cpu, time.monotonic() - began
    return Found(batch, len(took) * batch, lasted, spent, 1000 * sorted(took)[int(0.99 * len(took))])


async def _stream(
    session: aiohttp.ClientSession, url: str, batch: int, end: float, mark: str, took: list[float]
) -> None:
    number = 0
    while time.monotonic() < end:
        ids = [f"{mark}-{number + n}" for n in range(batch)]
        number += batch
        events = [
            {"id": id_, "type": "view", "user": {"id": f"u{hash(id_) % 1000}"}, "items": [f"i{hash(id_) % 500}"]}
            for id_ in ids
        ]
        began = time.monotonic()
        async with session.post(url, data=msgspec.json.encode({"events": events})) as answer:
            body = await answer.read()
        took.append(time.monotonic() - began)
        if answer.status != 202 or msgspec.json.decode(body)["accepted"] != ids:
            raise Broken(f"answered {answer.status} {body[:300]!r}")


if __name__ == "__main__":
    sys.exit(main())
