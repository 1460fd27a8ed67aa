"""A line in the log for each request, or for some of them (`telemetry.logs.requests`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from gateway import logs
from gateway.config.model import Logs
from gateway.errors import Malformed
from gateway.telemetry.notes import Note, Round, Served
from gateway.telemetry.outcomes import HUNG_UP, cache_outcome, known_method

log = structlog.get_logger("gateway.request")

_JSON: Final = msgspec.json.Encoder()


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands in one; nothing else of a request ever does. Names of the configuration, templates, numbers."""

    timestamp: datetime
    level: str
    event: str
    method: str
    route: str
    status: int
    ms: float
    trace_id: str
    placement: str | None = None
    kind: str | None = None
    arm: str | None = None
    provider: str | None = None
    cache: str | None = None
    problem: str | None = None


class Lines:
    """Writes them: JSON at once for all that are read together, other formats by structlog."""

    def __init__(self, settings: Callable[[], Logs]) -> None:
        self._settings = settings

    def read(self, notes: Sequence[Note]) -> None:
        """A line for each that is wanted, and for answers that were not as the vendor's document says."""
        settings = self._settings()
        if settings.level in ("debug", "info"):
            since = time.time() - time.monotonic()
            wanted = [one for one in notes if isinstance(one, Served) and _wants(settings.requests, one)]
            if wanted:
                _write([_line(one, since) for one in wanted])
        _tell_malformed(notes)


def _write(lines: list[Line]) -> None:
    if logs.is_json():
        logs.put(_JSON.encode_lines(lines))
        return
    for line in lines:
        fields = msgspec.structs.asdict(line)
        log.info(fields.pop("event"), **{name: fields[name] for name in fields if _told(name, fields[name])})


def _told(name: str, value: object) -> bool:
    """structlog says the time and the level itself."""
    return value is not None and name not in ("timestamp", "level")


def _line(served: Served, since: float) -> Line:
    call = served.call
    asked = call.asked if call is not None else None
    return Line(
        datetime.fromtimestamp(served.ended + since, UTC),
        "info",
        "request",
        known_method(served.method),
        served.route,
        served.status,
        round((served.ended - served.started) * 1000, 2),
        served.trace.trace_id,
        asked.placement.name if asked is not None else None,
        asked.kind if asked is not None else None,
        asked.arm.name if asked is not None else None,
        call.provider if call is not None else None,
        cache_outcome(call.cache_status) if call is not None and call.cache_status else None,
        served.problem,
    )


def _wants(wanted: str | float, served: Served) -> bool:
    """An error always has its line, and who hung up made none.

    A share is one of traces, so that every gateway writes of the same ones.
    """
    if wanted == "all" or (served.status >= 400 and served.status != HUNG_UP):
        return True
    return not isinstance(wanted, str) and served.trace.within(wanted)


def _tell_malformed(notes: Sequence[Note]) -> None:
    """Each place in an adapter once, with how often: a vendor that changed its answers changed all of them."""
    found: dict[tuple[str, str], list[str | None]] = {}
    for note in notes:
        if isinstance(note, Round) and note.attempts:
            for attempt in note.attempts:
                if isinstance(attempt.error, Malformed):
                    trace = note.trace.trace_id if note.trace is not None else None
                    found.setdefault((attempt.provider, str(attempt.error)), []).append(trace)
    for (provider, detail), traces in found.items():
        log.warning("malformed", provider=provider, detail=detail, count=len(traces), trace_id=traces[0])
