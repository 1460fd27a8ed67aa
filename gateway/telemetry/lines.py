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
from gateway.telemetry.outcomes import HUNG_UP, cache_word
from gateway.telemetry.sorts import PerSort, Sort, Sorts
from gateway.telemetry.trace import bound

log = structlog.get_logger("gateway.request")

EPOCH: Final = datetime.fromtimestamp(0, UTC)
LAST_MICRO: Final = 999_999.5
"""From here on it is the next second's first."""
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

    def __init__(self, settings: Callable[[], Logs], sorts: Sorts) -> None:
        self._settings = settings
        self._sorts = sorts
        self._forms = PerSort(_form)

    def read(self, notes: Sequence[Note]) -> None:
        """A line for each that is wanted, and for answers that were not as the vendor's document says."""
        settings = self._settings()
        if settings.level in ("debug", "info"):
            wanted = _wanted(settings.requests, notes)
            if wanted:
                self._write(wanted, time.time() - time.monotonic())
        _tell_malformed(notes)

    def _write(self, wanted: list[Served], since: float) -> None:
        if logs.is_json():
            logs.put(self._json(wanted, since))
            return
        for served in wanted:
            at = datetime.fromtimestamp(served.ended + since, UTC)
            fields = msgspec.structs.asdict(_line(self._sorts.of(served), at, _ms(served), served.trace.trace_id))
            log.info(fields.pop("event"), **{name: fields[name] for name in fields if _told(name, fields[name])})

    def _json(self, wanted: list[Served], since: float) -> bytes:
        """As `Line` would be encoded: one format for all of them, filled in at one go.

        Moments have six digits after the point here, and durations two, though they be zeros.
        """
        forms, sorts, said, values = self._forms, self._sorts, list[str](), list[str | float]()
        second, before = 0, ""
        for one in wanted:
            at = one.ended + since
            micros = (at - second) * 1e6
            if not 0 <= micros < LAST_MICRO:
                second, micros = _split(at)
                before = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            said.append(forms[one.sort or sorts.of(one)])
            values += (before, micros, (one.ended - one.started) * 1000, one.trace.trace_id)
        return ("".join(said) % tuple(values)).encode()


def _form(sort: Sort) -> str:
    """A line with four blanks: second, microseconds, duration, trace. Made by encoding one."""
    text = _JSON.encode(_line(sort, EPOCH, 0.0, "")).decode().replace("%", "%%") + "\n"
    before, middle, after = '{"timestamp":"', "1970-01-01T00:00:00", '0.0,"trace_id":"'
    blank = text.replace(before + middle, f"{before}%s.%06.0f", 1)
    return blank.replace(after, '%.2f,"trace_id":"%s', 1)


def _split(at: float) -> tuple[int, float]:
    """Whole seconds, and microseconds that do not make another one when they are rounded."""
    second = int(at)
    micros = (at - second) * 1e6
    return (second, micros) if micros < LAST_MICRO else (second + 1, 0.0)


def _line(sort: Sort, at: datetime, ms: float, trace_id: str) -> Line:
    told = sort.told
    of_request = (at, "info", "request", sort.method, sort.route, sort.status, ms, trace_id)
    if told is None:
        return Line(*of_request, problem=sort.problem)
    cache = cache_word(told.cache) if told.cache is not None else None
    return Line(*of_request, told.placement, told.kind, told.arm, told.provider, cache, sort.problem)


def _ms(served: Served) -> float:
    return round((served.ended - served.started) * 1000, 2)


def _told(name: str, value: object) -> bool:
    """structlog says the time and the level itself."""
    return value is not None and name not in ("timestamp", "level")


def _wanted(requests: str | float, notes: Sequence[Note]) -> list[Served]:
    """An error always has its line, and who hung up made none.

    A share is one of traces, so that every gateway writes of the same ones.
    """
    served = [note for note in notes if type(note) is Served]
    if requests == "all":
        return served
    if isinstance(requests, str):
        return [one for one in served if one.status >= 400 and one.status != HUNG_UP]
    below = bound(requests)
    return [
        one for one in served if (one.status >= 400 and one.status != HUNG_UP) or one.trace.trace_id[16:] < below
    ]


def _tell_malformed(notes: Sequence[Note]) -> None:
    """Each place in an adapter once, with how often: a vendor that changed its answers changed all of them."""
    found: dict[tuple[str, str], list[str | None]] = {}
    for note in notes:
        if type(note) is Round and note.attempts:
            for attempt in note.attempts:
                if isinstance(attempt.error, Malformed):
                    trace = note.trace or note.cause
                    id_ = None if trace is None else trace.trace_id
                    found.setdefault((attempt.provider, str(attempt.error)), []).append(id_)
    for (provider, detail), traces in found.items():
        log.warning("malformed", provider=provider, detail=detail, count=len(traces), trace_id=traces[0])
