"""A line in the log for each request, or for some of them (`telemetry.logs.requests`)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import structlog

from gateway.config.model import Logs
from gateway.telemetry.notes import Note, Served

log = structlog.get_logger("gateway.request")


class Lines:
    """Writes them. What stands in one is listed here; nothing else of a request ever does."""

    def __init__(self, settings: Callable[[], Logs]) -> None:
        self._settings = settings

    def read(self, notes: Sequence[Note]) -> None:
        """A line for each that is wanted."""
        wanted = self._settings().requests
        for note in notes:
            if isinstance(note, Served) and _wants(wanted, note.status):
                _write(note)


def _write(served: Served) -> None:
    call = served.call
    log.info(
        "request",
        method=served.method,
        route=served.route,
        status=served.status,
        ms=round((served.ended - served.started) * 1000, 2),
        trace_id=served.trace.trace_id,
        placement=call.asked.placement.name if call and call.asked else None,
        provider=call.provider if call else None,
        cache=call.cache_status.removeprefix("gateway; ") or None if call else None,
    )


def _wants(wanted: str | float, status: int) -> bool:
    """An error always has its line."""
    if status >= 400 or wanted == "all":
        return True
    return not isinstance(wanted, str) and random.random() < wanted  # noqa: S311  # a sample, no secret
