"""Spans on their way out: one thread, one bounded list before it, the SDK's exporters behind it.

    offer ─▸ list (MOST) ─▸ thread: a batch a second, or as it fills ─▸ exporter ─▸ collector
       └ full: counted                                          └ failed: counted, and a pause that doubles

Whatever a collector does (is away, hangs, answers nonsense or without an end), the process loses spans and nothing
else. Of the environment only OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY count,
which the configuration has no words for; where to, how long and how packed is said here, proxies are not used.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
import structlog
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

MOST: Final = 8192
"""Spans that wait at once: about 2 KB each."""
BATCH: Final = 128
"""Spans that are encoded in one go: with the SDK's encoder some 60 µs each."""
TURN: Final = 0.0005
"""Seconds that the encoding may go on while the event loop wants to (CPython's own are 5 ms): an answer must not
come late because spans of others are being packed."""
LINGER: Final = 1.0
"""Seconds that a span waits for others."""
TIMEOUT: Final = 5.0
"""Seconds for one batch, repetitions of the SDK's own included."""
PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds after a batch that failed; doubles."""
ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read: of a good one, which is a few, the connection can be used again."""

log = structlog.get_logger("gateway")


class Export:
    """Hands spans to an exporter, in a thread of its own that begins with the first of them."""

    def __init__(self, exporter: SpanExporter, *, pause: float = PAUSE, linger: float = LINGER) -> None:
        self._exporter = exporter
        self._first_pause = pause
        self._linger = linger
        self._waiting: deque[ReadableSpan] = deque()
        self._some = threading.Event()
        self._enough = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False
        self.lost = 0
        """Spans that found no place, or that nobody took."""

    def offer(self, spans: list[ReadableSpan]) -> None:
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
        batch: list[ReadableSpan] = []
        with suppress(IndexError):  # `close` may clear it meanwhile
            while len(batch) < BATCH:
                batch.append(self._waiting.popleft())
        try:
            arrived = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # here an export ends: a thread that died would export nothing ever again
            arrived = False
        if not arrived:
            self.lost += len(batch)
        if arrived is self._failing:
            self._failing = not arrived
            tell = log.info if arrived else log.warning
            tell("spans are exported again" if arrived else "spans cannot be exported", lost=self.lost)
        return arrived


def to_console(write: Callable[[bytes], None]) -> Export:
    """One line of JSON a span, where the log goes too."""
    return Export(
        ConsoleSpanExporter(out=_Lines(write), formatter=lambda span: span.to_json(indent=None) + "\n")  # type: ignore[arg-type]  # it writes and flushes, and nothing else
    )


def to_collector(endpoint: str) -> Export:
    """OTLP over HTTP, protobuf; `/v1/traces` is appended to the endpoint."""
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # `Export` says it, once
    sys.setswitchinterval(min(TURN, sys.getswitchinterval()))
    url = endpoint.rstrip("/") + "/v1/traces"
    return Export(
        OTLPSpanExporter(url, timeout=TIMEOUT, compression=Compression.NoCompression, session=_Session())
    )


class _Lines:
    """A file to the SDK's console exporter."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def write(self, text: str) -> None:
        self._write(text.encode())

    def flush(self) -> None:
        """It goes out as the log does."""


class _Session(requests.Session):
    """Asks the collector: nothing of the environment, no cookies, and never an answer without an end."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, *args: Any, **more: Any) -> requests.Response:
        answer = super().request(*args, **{**more, "stream": True})
        try:
            answer.raw.read(ANSWER, decode_content=False)
        finally:
            answer.close()
        if 300 <= answer.status_code < 400:  # the SDK would take it for a good one
            raise requests.exceptions.InvalidURL("the collector is elsewhere")
        return answer
