"""Lines on their way to standard output: a bounded list, and one thread that may have to wait for the reader.

put ─▸ list (MOST bytes) ─▸ thread ─▸ write
  └ full: lines are counted, and told of when it goes on

A pipe that nobody reads stops whoever writes to it. Here that is this thread, and nobody else.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

MOST: Final = 8 * 1024 * 1024
"""Bytes that wait at once."""
AT_ONCE: Final = 4096
"""Bytes of one write: so many a pipe takes whole (PIPE_BUF), so that lines of several processes do not mix."""
ALONE: Final = 64 * 1024
"""Bytes of one write where nobody's lines can mix with ours. Each write gives up the interpreter's lock, and who
serves must give it back: 2,000 of them a second cost up to a third of all cached answers."""
BROKEN: Final = 0.1
"""Seconds of rest after a write that failed: whatever is wrong, it will be so in a moment too."""


class Writer:
    """Writes whole lines to a file descriptor, in order. `tell`: told how many were lost, when it goes on."""

    def __init__(self, descriptor: int, tell: Callable[[int], None] = lambda lost: None) -> None:
        self._descriptor = descriptor
        self._tell = tell
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._untold = 0
        self.alone = False
        """Does nobody else write there?"""
        self.lost = 0
        """Lines that found no place, or that could not be written."""

    def put(self, lines: bytes) -> None:
        """Write these, each with its end, some time soon. Never waits."""
        with self._changed:
            if self._bytes + len(lines) > MOST:
                self._lose(lines)
                return
            self._bytes += len(lines)
            self._waiting.append(lines)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all is written, for so many seconds at most. Is it?"""
        with self._changed:
            return self._changed.wait_for(lambda: self._bytes == 0, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                lines = b"".join(self._waiting)
                self._waiting.clear()
            for chunk in _chunks(lines, self._at_once()):
                self._write(chunk)
            with self._changed:
                self._bytes -= len(lines)
                untold, self._untold = self._untold, 0
                self._changed.notify_all()
            if untold:
                self._tell(untold)

    def _at_once(self) -> int:
        if self.alone:
            return ALONE
        try:
            kind = os.fstat(self._descriptor).st_mode
        except OSError:  # closed
            return AT_ONCE
        return ALONE if stat.S_ISREG(kind) else AT_ONCE  # a file takes every write whole

    def _write(self, chunk: bytes) -> None:
        while chunk:
            try:
                chunk = chunk[os.write(self._descriptor, chunk) :]
            except BlockingIOError:  # somebody who shares it made it so
                select.select([], [self._descriptor], [], 1.0)
            except OSError:  # closed, or the disk is full
                with self._changed:
                    self._lose(chunk)
                time.sleep(BROKEN)
                return

    def _lose(self, lines: bytes) -> None:
        count = lines.count(b"\n")
        self.lost += count
        self._untold += count


def _chunks(lines: bytes, at_once: int) -> Iterator[bytes]:
    """As many whole lines as go at once; a longer line alone."""
    begin = 0
    while len(lines) - begin > at_once:
        end = lines.rfind(b"\n", begin, begin + at_once) + 1 or lines.find(b"\n", begin) + 1 or len(lines)
        yield lines[begin:end]
        begin = end
    if begin < len(lines):
        yield lines[begin:]
