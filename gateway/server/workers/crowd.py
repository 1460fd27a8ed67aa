"""How many connections each worker has, in memory that all of them share, so that none is left with most.

Whoever wakes first could take all that come at once, and keep them for hours while the others idle. So a worker
that has more than another waits a moment (HOLD): time enough for the other one, unless that is busy or dead.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

from gateway.place import Place

SLACK: Final = 1
"""Connections more than the least that any has, with which another one is taken all the same."""
HOLD: Final = 0.005
"""Seconds to wait for a worker with fewer."""
AWAY: Final = 2**31 - 1
"""In place of the number of a worker that takes none."""


class Crowd:
    """Of one worker. `directory`: private to all of them."""

    def __init__(self, directory: Path, place: Place) -> None:
        self._place = place
        with (directory / "crowd").open("a+b") as file:
            file.truncate(4 * place.workers)  # the same for all: nothing that stands there is lost
            self._shared = mmap.mmap(file.fileno(), 4 * place.workers)
        self._numbers = memoryview(self._shared).cast("i")

    def may_take(self, connections: int) -> bool:
        """Should this worker, which has so many, take another? The others see how many these are."""
        self._numbers[self._place.slot] = connections
        return connections <= min(self._numbers) + SLACK

    def leave(self) -> None:
        """This worker takes no more."""
        self._numbers[self._place.slot] = AWAY
