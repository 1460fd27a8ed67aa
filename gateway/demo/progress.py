"""What the demo says while it works: one bar a provider on a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Voice:
    """Speaks to whoever started the demo."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._console = Console(file=out, highlight=False, markup=False)

    def say(self, text: str = "") -> None:
        """A line, or several, as they are: lines to be pasted must not be wrapped."""
        self._out.write(text + "\n")
        self._out.flush()

    @contextmanager
    def feeding(self) -> Iterator[Bars]:
        """For the time in which providers are fed."""
        columns = (TextColumn("  {task.description:<11}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as progress:
            yield Bars(self, progress, terminal=self._console.is_terminal)


class Bars:
    """One bar a provider."""

    def __init__(self, voice: Voice, progress: Progress, *, terminal: bool) -> None:
        self._voice = voice
        self._progress = progress
        self._terminal = terminal
        self._bars: dict[str, TaskID] = {}
        self._begun: dict[str, float] = {}
        self._totals: dict[str, int] = {}

    def begin(self, provider: str, total: int) -> None:
        """So many things are to be sent to it."""
        self._bars[provider] = self._progress.add_task(provider, total=total)
        self._begun[provider] = time.monotonic()
        self._totals[provider] = total

    def reached(self, provider: str, count: int) -> None:
        """So many have been."""
        self._progress.update(self._bars[provider], completed=count)

    def done(self, provider: str, summary: str) -> None:
        """All have been."""
        self._progress.update(self._bars[provider], completed=self._totals[provider])
        if not self._terminal:
            seconds = time.monotonic() - self._begun[provider]
            self._voice.say(f"  {provider:<11} {summary} in {seconds:.1f} s")
