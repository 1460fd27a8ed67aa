"""A worker that hangs and yet lives is shown, ended and replaced; one that only takes its time is left in peace.

callers ─▸ `gateway serve` with two workers (tests/crew.py) ─▸ somebody else's adapter, which can hang
            └─ LIMIT seconds of silence are enough here
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.crew import WORKERS, Crew, alive, crew
from tests.serving import until

LIMIT: Final = 5.0
"""Seconds of silence, in place of 30: a worker that finds no time to run for so long is not to be had, busy as the
machine may be, while its supervisor does."""
LONG: Final = LIMIT + 2.0
"""Seconds that something takes and may take."""

ADAPTER: Final = f'''
import os
import sys
import threading
import time
from pathlib import Path

from gateway.adapter import Adapter
from gateway.errors import NoAnswer

made = []


class Stuck(Adapter):
    """Hangs as it is asked to, by the user's id; or is slow to be made."""
    slow: bool = False
    requires_protocol = 1
    kinds = {{"for_you": "native"}}

    def hosts(self):
        if self.slow and "worker" in sys.orig_argv and not made:
            made.append(True)
            Path(__file__).with_name("made").open("a").write(f"{{os.getpid()}}\\n")
            time.sleep({LONG})
        return {{"main": ("http://127.0.0.1:1",)}}

    def recommend(self, query):
        if query.user.id in ("loop", "lock"):
            Path(__file__).with_name("hangs").write_text(str(os.getpid()))
        if query.user.id == "loop":
            goes_round_for_ever()
        if query.user.id == "lock":
            waits_for_ever()
        raise NoAnswer("has none")
        yield


def goes_round_for_ever():
    while True:
        pass


def waits_for_ever():
    threading.Event().wait()
'''
SITE: Final = f"""
import sys
if "serve" in sys.orig_argv:
    from gateway.server.workers import pulse
    pulse.SILENT = {LIMIT}
if "worker" in sys.orig_argv:
    import atexit, os, time
    from pathlib import Path
    atexit.register(lambda: Path(__file__).with_name(str(os.getpid())).exists() and time.sleep({LONG}))
"""


@asynccontextmanager
async def gateway(directory: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Crew]:
    """It ends well, and none of its workers is left."""
    package = directory / "stuck-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[gateway.adapters]\nstuck = stuck:Stuck\n")
    (directory / "stuck.py").write_text(ADAPTER)
    (directory / "sitecustomize.py").write_text(SITE)
    patch.setenv("PYTHONPATH", str(directory))
    workers: list[int] = []
    try:
        async with crew(directory, configuration(directory)) as one:
            try:
                yield one
            finally:
                workers += one.workers()
        assert not any(map(alive, workers))
    finally:
        for pid in filter(alive, workers):  # hangs, and nobody has ended it: a supervisor that is killed cannot
            one.kill_hard(pid)


def configuration(directory: Path, **options: Any) -> dict[str, Any]:
    return {
        "server": {
            "listen": "127.0.0.1:0",
            "admin_listen": "127.0.0.1:0",
            "drain": "2s",
            "workers": WORKERS,
        },
        "state": {"url": f"sqlite:{directory}/state.db"},
        "providers": {"stuck": {"adapter": "stuck", "options": options}, "local": {"adapter": "local"}},
        "placements": {"default": {"providers": ["local"]}, "stuck": {"providers": ["stuck", "local"]}},
        "telemetry": {"logs": {"requests": "errors"}},
    }


async def hang(gateway: Crew, how: str) -> None:
    """Whoever takes this does; the caller hears of its end."""
    with pytest.raises(aiohttp.ClientError):
        await gateway.fresh("POST", "/v1/recommendations", json={"placement": "stuck", "user": {"id": how}})


async def replaced(gateway: Crew, *dead: int) -> None:
    """They are dead, others are in their slots, and all answer."""

    async def complete() -> bool:
        return not {*dead} & {*gateway.workers()} and await gateway.complete()

    await until(complete)
    assert not any(map(alive, dead))
    assert len(gateway.workers()) == WORKERS
    slots = [gateway.worker(slot) for slot in range(WORKERS)]
    assert sorted(slots) == gateway.workers()
    assert sorted(await gateway.told()) == [*range(WORKERS)], "each answers for itself"
    await gateway.items()


async def hung(directory: Path) -> int:
    """Which process it is that hangs, when it does."""
    file = directory / "hangs"
    await until(lambda: file.exists() and file.read_text())
    return int(file.read_text())


def hanging(gateway: Crew) -> list[tuple[int, str]]:
    """Slot and reason of each that was said to hang."""
    said = gateway.said("worker hangs")
    assert {line["level"] for line in said} <= {"error"}
    return [(line["slot"], line["why"]) for line in said]


def shown(gateway: Crew, function: str) -> bool:
    """Once, and nothing but frames: no values."""
    said = gateway.errors.decode()
    threads = re.findall(r"^(?:Current thread|Thread) 0x\w+ .*\(most recent call first\):$", said, re.MULTILINE)
    frames = re.findall(r'^  File "(.*)", line \d+ in (\S+)$', said, re.MULTILINE)
    assert len(threads) + len(frames) == len([line for line in said.splitlines() if line]), said
    return [name for file, name in frames if file.endswith("stuck.py")] == [function, "recommend"]


def why(pid: int) -> str:
    return f"the worker {pid} hung: no sign of life for {LIMIT:g} s"


async def test_one_that_hangs_says_where_and_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(tmp_path, monkeypatch) as one:
        before = [one.worker(slot) for slot in range(WORKERS)]
        caller = asyncio.create_task(hang(one, "loop"))
        dead = await hung(tmp_path)
        await asyncio.wait_for(one.items(), 60)  # the other one answers meanwhile
        await until(lambda: hanging(one))
        await asyncio.wait_for(caller, 60)
        await replaced(one, dead)
        assert hanging(one) == [(before.index(dead), why(dead))]
        (died,) = one.said("worker died")
        assert (died["slot"], died["why"], died["again_in_s"]) == (*hanging(one)[0], 0)
        assert {*before} - {*one.workers()} == {dead}, "only the one that hung"
    assert shown(one, "goes_round_for_ever")


@pytest.mark.more("long faults")
async def test_all_may_hang_and_one_that_is_stopped_is_replaced_though_it_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(tmp_path, monkeypatch) as one:
        before = [one.worker(slot) for slot in range(WORKERS)]
        caller = asyncio.create_task(hang(one, "lock"))
        waits = await hung(tmp_path)
        (other,) = {*before} - {waits}
        os.kill(other, signal.SIGSTOP)
        await until(lambda: len(one.said("worker died")) == WORKERS)
        await asyncio.wait_for(caller, 60)
        await replaced(one, *before)
        assert sorted(hanging(one)) == [(slot, why(pid)) for slot, pid in enumerate(before)]
    assert shown(one, "waits_for_ever")


@pytest.mark.more("long faults")
async def test_those_that_may_take_their_time_are_left_in_peace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One ends and its successor starts, another takes a configuration, all slowly; the supervisor is stopped."""
    async with gateway(tmp_path, monkeypatch) as one:
        leaving, staying = (one.worker(slot) for slot in range(WORKERS))
        (tmp_path / str(leaving)).touch()
        os.kill(leaving, signal.SIGTERM)
        one.write(configuration(tmp_path, slow=True))
        one.hang_up()
        await until(lambda: one.said("worker died"))
        assert one.said("worker died")[0]["why"] == f"the worker {leaving} ended with 0"
        await replaced(one, leaving)
        slow = {int(pid) for pid in (tmp_path / "made").read_text().split()}
        assert slow >= {*one.workers()} >= {staying}, "who stayed was slow, and who came"

        (dead,) = {*one.workers()} - {staying}
        one.kill_hard(dead)  # without a word: its silence is not that of its successor, which starts slowly
        await replaced(one, dead)

        os.kill(one.pid, signal.SIGSTOP)
        await asyncio.sleep(LONG)
        os.kill(one.pid, signal.SIGCONT)
        await asyncio.sleep(3)  # looks that are in time again
        assert hanging(one) == []
        assert staying in one.workers()
        await replaced(one)
    assert one.errors == b""
