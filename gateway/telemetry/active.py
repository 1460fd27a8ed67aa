"""How many requests are under way at this moment, by method: begun, and not yet answered or hung up on.

    the ordinary front   around all that it does with a request     (server/front.py)
    the fast front       from when it must wait until it has said   (server/fast/connection.py)

What is answered at once, in one turn of the event loop, is never seen by whoever scrapes: it is not counted, and
costs nothing.
"""

from __future__ import annotations

from collections.abc import ItemsView

from gateway.telemetry.outcomes import known_method


class Active:
    """Of one process."""

    __slots__ = ("_by_method",)

    def __init__(self) -> None:
        self._by_method: dict[str, int] = {}

    def begin(self, method: str) -> None:
        """One more. `end` must be called for it, however it ends."""
        known = known_method(method)
        self._by_method[known] = self._by_method.get(known, 0) + 1

    def end(self, method: str) -> None:
        """One that was begun is over."""
        self._by_method[known_method(method)] -= 1

    def now(self) -> ItemsView[str, int]:
        """By method, those that there ever were one of; `_OTHER` for all that nobody knows."""
        return self._by_method.items()
