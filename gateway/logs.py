"""Log lines by structlog: JSON for machines or coloured text for people, one event a line, on standard output.

    log.warning(…) ─▸ level ▸ FIELDS and nothing else ▸ rendered ▸ known secrets out ┐
    a line for each request (telemetry/lines.py), rendered already ──────────────────┴▸ Writer ─▸ standard output
    what libraries say by `logging`, from warnings on ─▸ log.warning("library", …)

Set up once in a process; a reload sets it up again (`follow`).
"""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
import structlog.tracebacks
from structlog.typing import EventDict, Processor

from gateway.config.model import Logs
from gateway.masking import SECRET, Mask
from gateway.telemetry.writing import Writer

FIELDS: Final = frozenset({
    # of every line
    "event", "level", "timestamp", "exception", "exc_info",
    # of a request: names of the configuration, templates, numbers
    "method", "route", "status", "ms", "trace_id", "placement", "kind", "arm", "provider", "cache", "problem",
    # of what happens
    "error", "detail", "place", "path", "hazard", "mistake", "changes", "epoch", "listen", "admin",
    "operation", "operations", "was", "why", "adapter", "what", "member", "reader", "logger", "slot", "workers",
    # how many
    "events", "notes", "keys", "lost", "lines", "count", "again_in_s",
})  # fmt: skip
"""What may stand in a line. Whoever needs another name adds it here, where it is seen that it is about nobody."""
FIRST: Final = ("timestamp", "level", "event")
"""With these every line begins."""
LONGEST: Final = 1000
"""Characters of one value."""
MANY: Final = 100
"""Entries of one list."""
SHORTEST: Final = 6
"""Characters: shorter secrets stand in every other word."""
LAST: Final = 1.0
"""Seconds that the last lines have to go out."""

TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Where and why, and never what stood in the variables: among them are credentials and people's ids."""

log = structlog.get_logger("gateway")


class _Logging:
    """What this process logs with."""

    def __init__(self) -> None:
        self.settings: Logs | None = None
        self.writer = Writer(1, lambda lost: log.warning("lines lost", lines=lost))
        self.secrets: Callable[[], Iterable[str]] = tuple
        self.mask: Mask | None = None
        self.library = _Library(logging.WARNING)


def set_up(logs: Logs, writer: Writer | None = None) -> None:
    """Configure logging for this process. `writer`: where to, by default standard output."""
    if writer is not None:
        _ours.writer = writer
    if _ours.settings is None:
        logging.getLogger().addHandler(_ours.library)
        atexit.register(flush)
    _ours.settings = logs
    level = logging.getLevelNamesMapping()[logs.level.upper()]
    structlog.configure(
        processors=processors(logs),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Out(_ours.writer),
        cache_logger_on_first_use=False,  # a reload may change all of this
    )


def end() -> None:
    """Log no more; what waits is written first."""
    flush()
    logging.getLogger().removeHandler(_ours.library)
    atexit.unregister(flush)
    _ours.settings = None
    structlog.reset_defaults()


def follow(logs: Logs) -> None:
    """Log as these settings say from now on; nothing where this process never set logging up."""
    if _ours.settings is not None and _ours.settings != logs:
        set_up(logs)


def never_say(secrets: Callable[[], Iterable[str]]) -> None:
    """These are taken out of every warning, error and trace of a stack."""
    _ours.secrets, _ours.mask = secrets, None


def put(lines: bytes) -> None:
    """Lines that are rendered already, into their place among the others."""
    _ours.writer.put(lines)


def is_json() -> bool:
    """Was JSON set up for this process, so that `put` takes JSON?"""
    return _ours.settings is not None and _ours.settings.format == "json"


def alone() -> None:
    """Nobody else writes where this process does: its lines need not go out in small pieces."""
    _ours.writer.alone = True


def lost() -> int:
    """Lines that were lost since the start."""
    return _ours.writer.lost


def flush() -> None:
    """Have all written that waits, if that can be; takes a second at most."""
    _ours.writer.flush(LAST)


def processors(logs: Logs) -> list[Processor]:
    """What becomes of an event on its way to a line."""
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    as_json: list[Processor] = [TRACEBACKS, _short, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        allowed,
        *(as_json if logs.format == "json" else [structlog.dev.set_exc_info, console]),
        _masked,
    ]


def allowed(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The fields that may stand in a line, their values plain and of bounded length."""
    order = [*(name for name in FIRST if name in event), *(name for name in event if name not in FIRST)]
    return {name: event[name] if name == "exc_info" else _plain(event[name]) for name in order if name in FIELDS}


def _short(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """What exceptions say of themselves has no bound."""
    if "exception" in event:
        event["exception"] = _cut(event["exception"])
    return event


def _cut(value: Any) -> Any:
    match value:
        case dict():
            return {name: _cut(one) for name, one in value.items()}
        case list():
            return [_cut(one) for one in value[:MANY]]
        case str():
            return value[:LONGEST]
    return value


def _plain(value: Any) -> Any:
    """Text, numbers and lists of them; of anything else no more than what it is."""
    match value:
        case str():
            return value if len(value) <= LONGEST else value[:LONGEST] + "…"
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            return [_plain(one) for one in value[:MANY]]
    return SECRET if hasattr(value, "get_secret_value") else f"[{type(value).__name__}]"


def _masked(_logger: Any, method: str, line: Any) -> Any:
    """A line without the secrets that are known: an exception's own words may repeat what it choked on."""
    if method in ("debug", "info"):
        return line
    if _ours.mask is None:
        _ours.mask = Mask({one for one in _ours.secrets() if len(one) >= SHORTEST}, SECRET)
    return _ours.mask.text(line)


class _Out:
    """structlog's last station."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def msg(self, line: str) -> None:
        self._writer.put(line.encode("utf-8", "backslashreplace") + b"\n")

    debug = info = warning = error = critical = exception = msg


class _Library(logging.Handler):
    """What libraries say, among our own lines. Their words are their own: bounded, and masked as ours are."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            detail = record.getMessage()
        except (TypeError, ValueError, LookupError):  # it does not fit its own arguments
            detail = str(record.msg)
        log.warning("library", logger=record.name, detail=detail, exc_info=record.exc_info)


_ours: Final = _Logging()
