"""The store's own breaker: while the store is dead or slow, nobody waits for it.

    closed ─ it cannot be reached, or is late too often ─▸ open: everything is refused at once
       ▴                                                     │ every `OPEN` seconds a PING of the lane's own
       └──────────────── answered in time ◂──────────────────┘

No caller's request is ever the probe.
"""

from __future__ import annotations

from typing import Final

from gateway.state.kept import StoreError

OPEN: Final = 1.0
"""Seconds between a failure and the next look at whether the store is back."""


class Guard:
    """Of one lane. `late`: how many late answers in a row are too many."""

    def __init__(self, late: int) -> None:
        self.why: str | None = None
        """Why it is open; None: closed."""
        self._most_late = late
        self._late = 0

    def admit(self) -> None:
        """Raises StoreError while it is open."""
        if self.why is not None:
            raise StoreError(self.why)

    def succeeded(self) -> None:
        """The store answers in time."""
        self.why = None
        self._late = 0

    def failed(self, why: str, *, late: bool) -> None:
        """The store was late, or could not be reached at all."""
        self._late += 1
        if not late or self._late >= self._most_late or self.why is not None:
            self.why = why
