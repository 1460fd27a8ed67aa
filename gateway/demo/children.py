"""The demo's two processes, each with a log of its own in `.demo/`: started, watched, ended.

    running(…) ─▸ the block goes on ─▸ SIGTERM ─▸ wait ─▸ SIGKILL as last resort
        └─ ends by itself meanwhile: the block is cancelled, Mishap with the last lines of its log

They stay in the demo's process group, so that whoever ends the group ends them too.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final

from gateway import signals
from gateway.demo.mishap import Mishap

PATIENCE: Final = 5.0
"""Seconds that a process gets to end by itself."""
GRACE: Final = 0.3
"""Seconds that the end of a process is kept quiet: Ctrl-C reaches the whole group, so it may be all right."""
LOOK: Final = 0.05
"""Seconds between two looks at whether something is ready."""
SHOWN: Final = 8
"""Lines of a log that a Mishap tells."""


@asynccontextmanager
async def running(title: str, command: Sequence[str], log: Path) -> AsyncIterator[None]:
    """Run `python -m gateway COMMAND…` for the time of the block. Raises Mishap, maybe in an ExceptionGroup."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *command, stdin=DEVNULL, stdout=out, stderr=STDOUT
        )
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_watch(title, process, log))
            yield
            watch.cancel()
    finally:
        await ended(process)


async def _watch(title: str, process: Process, log: Path) -> None:
    code = await process.wait()
    await asyncio.sleep(GRACE)
    raise Mishap(f"{title} ended with code {code}; the last lines of {log}:\n{last_lines(log)}")


async def ended(process: Process) -> None:
    """End a process and wait for it, whatever state it is in."""
    signals.send(process, SIGTERM)
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    except TimeoutError:
        signals.send(process, SIGKILL)
        await process.wait()


async def until(ready: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until `ready()` is true. Raises Mishap after that many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not ready():  # noqa: ASYNC110  # a file tells of no change
                await asyncio.sleep(LOOK)
    except TimeoutError:
        raise Mishap(f"{what} within {seconds:g} s") from None


def last_lines(log: Path) -> str:
    """The end of a log, indented; most lines are for the log alone."""
    lines = log.read_text(errors="replace").splitlines()[-SHOWN:]
    return "\n".join(f"    {line}" for line in lines) or "    (nothing)"
