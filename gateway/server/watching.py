"""The configuration's files, watched: read when they change or when somebody asks, and handed on.

look ─ changed? ─ come to rest? ─▸ read ─▸ take(configuration, or what is wrong with it)
SIGHUP ──────────────────────────────┘
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from gateway.config import ConfigError, Loaded, load

log = structlog.get_logger("gateway")

LOOK: Final = 0.45
"""Seconds between two looks at the configuration's files; three of them are less than 2 s."""

Stamp = tuple[tuple[str, int, int, int], ...]

Take = Callable[[Loaded | ConfigError], Awaitable[None]]


class Reading(NamedTuple):
    """What was read, and how the files looked before: whatever changes after that is seen at the next look."""

    read: Loaded | ConfigError
    files: frozenset[Path]
    seen: Stamp


def reading(args: argparse.Namespace) -> Reading:
    """Read the file, again where it names files whose stamp was not yet taken; a bad one may name some too."""
    files = frozenset({args.config})
    while True:
        seen = stamp(files)
        read: Loaded | ConfigError
        try:
            read = load(args.config, os.environ, overrides=args.overrides)
        except ConfigError as error:
            read = error
        if read.files <= files:
            return Reading(read, files, seen)
        files |= read.files


async def watch(
    last: Reading,
    args: argparse.Namespace,
    asked: asyncio.Event,
    take: Take,
    failed: Callable[[list[str]], None],
) -> None:
    """Take a changed file within 2 s, once it has come to rest; or at once after SIGHUP.

    `failed`: told why one that seemed good could not be taken.
    """
    while True:
        if not await _signalled(asked):
            now = stamp(last.files)
            if now == last.seen:
                continue
            if not await _signalled(asked) and stamp(last.files) != now:
                await _signalled(asked)  # still being written: half a file may be a valid one
        asked.clear()
        try:
            last = await asyncio.to_thread(reading, args)
            await take(last.read)
        except Exception as error:  # here a reload ends: the gateway goes on, and looks at the next one
            log.exception("configuration not taken")
            failed([f"it could not be taken: {type(error).__name__}"])
            last = last._replace(seen=await asyncio.to_thread(stamp, last.files))


async def _signalled(asked: asyncio.Event) -> bool:
    """Was SIGHUP had before the time for the next look came?"""
    try:
        async with asyncio.timeout(LOOK):
            return await asked.wait()
    except TimeoutError:
        return False


def stamp(files: Iterable[Path]) -> Stamp:
    """What changes when a file or what a link points to does; a missing file has one too."""
    return tuple(sorted(_stamp(file) for file in files))


def _stamp(file: Path) -> tuple[str, int, int, int]:
    try:
        state = file.stat()
    except OSError:
        return (str(file), 0, 0, 0)
    return (str(file), state.st_mtime_ns, state.st_ino, state.st_size)
