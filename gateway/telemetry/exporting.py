"""Spans on their way out: one thread, one bounded list before it, an exporter behind it.

    offer ─▸ list (MOST) ─▸ thread: a batch a second, or as it fills ─┬▸ sending.py ─▸ collector
       └ full: counted           └ failed: counted, and a pause       └▸ the SDK's exporter for the console
                                    that doubles

Whatever a collector does (is away, hangs, answers nonsense or without an end), the process loses spans and nothing
else. Of the environment only OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY count,
which the configuration has no words for; where to, how long and how packed is said here, proxies are not used.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Final, Protocol

import structlog

from gateway.telemetry.otlp import Encoder
from gateway.telemetry.sending import Collector
from gateway.telemetry.span import Span
from gateway.telemetry.spans import NAME, resource

MOST: Final = 8192
"""Spans that wait at once: about half a kilobyte each."""
BATCH: Final = 512
"""Spans of one request: as the SDK has it. They are encoded in about a millisecond."""
TURN: Final = 0.0005
"""Seconds that the encoding may go on while the event loop wants to (CPython's own are 5 ms): an answer must not
come late because spans of others are being packed."""
LINGER: Final = 1.0
"""Seconds that a span waits for others."""
PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds after a batch that failed; doubles."""

log = structlog.get_logger("gateway")


class Exporter(Protocol):
    """Takes spans out of the process. Only one thread asks it."""

    def export(self, spans: Sequence[Span], /) -> bool:
        """Did they arrive?"""

    def shutdown(self) -> None:
        """Break off what can be; from any thread."""


class Export:
    """Hands spans to an exporter, in a thread of its own that begins with the first of them."""

    def __init__(self, exporter: Exporter, *, pause: float = PAUSE, linger: float = LINGER) -> None:
        self._exporter = exporter
        self._first_pause = pause
        self._linger = linger
        self._waiting: deque[Span] = deque()
        self._some = threading.Event()
        self._enough = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False
        self.lost = 0
        """Spans that found no place, or that nobody took."""

    def offer(self, spans: list[Span]) -> None:
        """These are to go out; those that find no place are counted. Never waits."""
        room = max(0, MOST - len(self._waiting))
        self._waiting.extend(spans[:room])
        self.lost += max(0, len(spans) - room)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
            self._thread.start()
        self._some.set()
        if len(self._waiting) >= BATCH:
            self._enough.set()

    def close(self, seconds: float) -> None:
        """Send what waits, for so many seconds at most; the rest is lost."""
        self._ending.set()
        self._some.set()
        self._enough.set()
        if self._thread is not None:
            self._thread.join(seconds)
        self._exporter.shutdown()
        self.lost += len(self._waiting)
        self._waiting.clear()

    def _run(self) -> None:
        pause = self._first_pause
        while not self._ending.is_set() or self._waiting:
            self._some.wait()
            self._enough.wait(self._linger)
            self._enough.clear()
            self._some.clear()
            while self._waiting:
                if self._send():
                    pause = self._first_pause
                elif self._ending.wait(pause):
                    return  # it failed just before the end: nobody waits for a second time
                else:
                    pause = min(LONGEST_PAUSE, pause * 2)

    def _send(self) -> bool:
        batch: list[Span] = []
        with suppress(IndexError):  # `close` may clear it meanwhile
            while len(batch) < BATCH:
                batch.append(self._waiting.popleft())
        try:
            arrived = self._exporter.export(batch)
        except Exception:  # here an export ends: a thread that died would export nothing ever again
            arrived = False
        if not arrived:
            self.lost += len(batch)
        if arrived is self._failing:
            self._failing = not arrived
            tell = log.info if arrived else log.warning
            tell("spans are exported again" if arrived else "spans cannot be exported", lost=self.lost)
        return arrived


def to_console(write: Callable[[bytes], None], instance: str) -> Export:
    """One line of JSON a span, where the log goes too."""
    from gateway.telemetry.console import Console  # noqa: PLC0415  # the SDK: most of a tenth of a second

    return Export(Console(write, resource(instance)))


def to_collector(endpoint: str, instance: str) -> Export:
    """OTLP over HTTP, protobuf; `/v1/traces` is appended to the endpoint."""
    sys.setswitchinterval(min(TURN, sys.getswitchinterval()))
    encoder, agent = Encoder(resource(instance), NAME, version(NAME)), f"{NAME}/{version(NAME)}"
    return Export(Collector(endpoint.rstrip("/") + "/v1/traces", encoder.request, agent, os.environ))
