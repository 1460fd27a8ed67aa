"""Which of how many processes this one is, and its part of what they share (`server.workers`).

Rates and byte limits are divided, so that nothing needs to be asked of another process while a request waits.
"""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Of one process."""

    slot: int = 0
    """0 .. workers - 1; whoever is started for a dead one gets its slot."""
    workers: int = 1

    def bytes(self, total: int) -> int:
        """Of a limit in bytes."""
        return total // self.workers

    def rate(self, per_second: float) -> float:
        """Of a limit that nobody may pass together: whole requests, the first processes get what is over.

        10/s in 4 processes are 3, 3, 2 and 2. A tenth more each would let 12 through in some second, as a process
        lets its own part through at once. Where there is less than one for each, each sends the more seldom.
        """
        whole = int(per_second)
        if self.workers == 1 or whole < self.workers:
            return per_second / self.workers
        return float(whole // self.workers + (self.slot < whole % self.workers))


ALONE = Place()
"""The only process."""
