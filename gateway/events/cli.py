"""`gateway events status | dead-letters | retry | replay`: what waits for the providers, beside a running gateway.

It reads and writes the state store alone; whoever runs the gateway on that store does the telling. A replay goes
on in the gateway though nobody watches it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.config import Loaded, load
from gateway.state.kept import Replay, StoreError
from gateway.state.opening import open_store
from gateway.state.store import Store

LOOK: Final = 0.5
"""Seconds between two looks at a replay."""
SAY: Final = 5.0
"""Seconds between two lines about it where there is no terminal."""
HIDDEN_FOR: Final = 15.0
"""Seconds without any progress after which it is said that perhaps no gateway runs."""


class Mistaken(Exception):
    """What was asked for cannot be done with this configuration."""


# --- the commands -----------------------------------------------------------------------------------------------


def command(args: argparse.Namespace) -> int:
    """One of the commands below, by `args.events`; its exit code."""
    loaded = load(args.config, os.environ)
    try:
        asyncio.run(_with_store(loaded, args))
    except Mistaken as mistake:
        sys.stderr.write(f"gateway: {mistake}\n")
        return 2
    except StoreError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _with_store(loaded: Loaded, args: argparse.Namespace) -> None:
    path = loaded.configuration.state.path
    if path is not None and not Path(path).exists():  # noqa: ASYNC240  # a command line has nothing else to do
        raise StoreError(f"there is no state file {path}: start the gateway first, in the same directory")
    named = getattr(args, "provider", None)
    if named is not None and named not in loaded.configuration.providers:
        known = ", ".join(sorted(loaded.configuration.providers))
        raise Mistaken(f"there is no provider `{named}`; there are {known}")
    store = await open_store(loaded.configuration.state)
    try:
        await COMMANDS[args.events](loaded, store, args)
    finally:
        await store.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def status(loaded: Loaded, store: Store, args: argparse.Namespace) -> None:
    """What waits for each provider."""
    queues, now = await store.queues(), time.time()
    names = list(dict.fromkeys([*loaded.configuration.providers, *queues]))
    width = max(map(len, names))
    _say(f"{'provider':<{width}}  {'queued':>8}  {'oldest':>8}  {'dead letters':>12}")
    for name in names:
        queue = queues.get(name)
        oldest = "-" if queue is None or queue.oldest is None else _ago(now - queue.oldest)
        queued, dead = (queue.queued, queue.dead_letters) if queue else (0, 0)
        unknown = "" if name in loaded.configuration.providers else "  not configured any more"
        _say(f"{name:<{width}}  {queued:>8}  {oldest:>8}  {dead:>12}{unknown}")
    for name in loaded.configuration.providers:
        under_way = await store.replay(name)
        if under_way is not None and under_way.stage != "done":
            _say(f"a replay to {name} is under way: {_summary(under_way)}")


async def dead_letters(loaded: Loaded, store: Store, args: argparse.Namespace) -> None:
    """What providers will never take, newest first."""
    letters = await store.dead_letters(args.provider, args.limit)
    for one in letters:
        when = datetime.fromtimestamp(one.died_at, UTC).isoformat(timespec="seconds")
        _say(f"{when}  {one.provider}  {one.kind}  {one.ref}  {one.reason}")
    if not letters:
        _say("none")


async def retry(loaded: Loaded, store: Store, args: argparse.Namespace) -> None:
    """Queue dead letters again."""
    count = await store.retry(args.provider, args.id)
    _say(f"{count} queued again" if count else "there is nothing to be queued again")


def _ago(seconds: float) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


# --- replay -----------------------------------------------------------------------------------------------------


async def replay(loaded: Loaded, store: Store, args: argparse.Namespace) -> None:
    """Begin a replay, or find one under way; watch it to its end."""
    name = args.provider
    before = await store.replay(name)
    begun = await store.begin_replay(name, args.since, args.rate, time.time())
    if before is not None and before.stage != "done":
        _say(f"a replay to {name} is under way already: watching it")
    with _watching(name, sys.stdout) as watcher:
        while not await _told(store, watcher, name):  # noqa: ASYNC110  # another process does it
            await asyncio.sleep(LOOK)
    _say(f"{name}: {_summary(await store.replay(name) or begun)}")


async def _told(store: Store, watcher: _Watcher, name: str) -> bool:
    """Is all of it told?"""
    now = await store.replay(name)
    if now is None:
        return True
    waiting = await store.replayed_left(name)
    watcher.see(now, waiting)
    return now.stage == "done" and not waiting


def _summary(replay: Replay) -> str:
    return (
        f"{replay.queued} of {replay.total} told or on their way; {replay.left_out} left out because they are "
        "older, or of no use to it"
    )


class _Watcher:
    """One bar on a terminal, else a line now and then."""

    def __init__(self, name: str, progress: Progress, *, terminal: bool) -> None:
        self._name = name
        self._progress = progress
        self._terminal = terminal
        self._bar = progress.add_task(name, total=None)
        self._said = time.monotonic()
        self._moved = time.monotonic()
        self._done = -1

    def see(self, replay: Replay, waiting: int) -> None:
        """How far it is."""
        done = replay.queued - waiting + replay.left_out
        self._progress.update(self._bar, total=replay.total, completed=done)
        now = time.monotonic()
        if done != self._done:
            self._done, self._moved = done, now
        elif now - self._moved > HIDDEN_FOR:
            self._moved = now
            _say(f"nothing moves: does a gateway run on this state store, and is {self._name} up?")
        if not self._terminal and now - self._said >= SAY:
            self._said = now
            _say(f"{self._name}: {done} of {replay.total}")


@contextmanager
def _watching(name: str, out: TextIO) -> Iterator[_Watcher]:
    console = Console(file=out, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Watcher(name, progress, terminal=console.is_terminal)


COMMANDS: Final = {"status": status, "dead_letters": dead_letters, "retry": retry, "replay": replay}
"""By `args.events`."""
