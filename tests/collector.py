"""An OTLP collector over real sockets: keeps what it is sent, or misbehaves in every way that one can."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

FAULTS: Final = ("500", "400", "503", "redirect", "garbage", "cut", "endless", "slow", "trickle")


class Collector:
    """`fault`: how it misbehaves from now on; empty: not at all."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.fault = ""
        self.bodies: list[bytes] = []
        """Of every request."""
        self.heads: list[dict[str, str]] = []
        self.ending = threading.Event()

    @property
    def spans(self) -> list[Seen]:
        """All that arrived well."""
        return [
            Seen(span, dict(_values(group.resource.attributes)))
            for body in self.bodies
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def of(self, trace: str) -> list[Seen]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == trace]


class Seen:
    """One span, in words that tests can compare."""

    def __init__(self, span: Span, resource: dict[str, Any]) -> None:
        self.resource = resource
        self.name = span.name
        self.kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
        self.trace = span.trace_id.hex()
        self.id = span.span_id.hex()
        self.parent = span.parent_span_id.hex()
        self.values = dict(_values(span.attributes))
        self.events = [(event.name, dict(_values(event.attributes))) for event in span.events]
        self.error = span.status.code == 2
        self.begin, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.event_times = [event.time_unix_nano for event in span.events]

    def __repr__(self) -> str:
        return f"{self.kind} {self.name} {self.values} {self.events}"


def _values(pairs: Any) -> Iterator[tuple[str, Any]]:
    pair: KeyValue
    for pair in pairs:
        value: AnyValue = pair.value
        kind = value.WhichOneof("value")
        yield pair.key, getattr(value, kind) if kind else None


@contextmanager
def collector() -> Iterator[Collector]:
    """One that listens on a free port while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.collector = one = Collector(server.server_address[1])  # type: ignore[attr-defined]  # for the handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        collector: Collector = self.server.collector  # type: ignore[attr-defined]  # as above
        body = self.rfile.read(int(self.headers["Content-Length"]))
        collector.heads.append(
            {**{name.lower(): value for name, value in self.headers.items()}, ":path": self.path}
        )
        if not collector.fault:
            collector.bodies.append(body)
            self._answer(200, b"")
            return
        with suppress(OSError):
            self._misbehave(collector)

    def _misbehave(self, collector: Collector) -> None:
        match collector.fault:
            case "redirect":
                self._answer(302, b"", Location="/elsewhere")
            case "garbage":
                self.wfile.write(b"\x00\xffno http\r\n\r\n")
            case "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhal")
            case "endless":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while not collector.ending.is_set():
                    self.wfile.write(b"x" * 65536)
            case "slow":
                collector.ending.wait(20)
            case "trickle":
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if collector.ending.wait(0.05):
                        break
            case status:
                self._answer(int(status), b"no", **{"Retry-After": "1"} if status == "503" else {})
        self.close_connection = True

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def until(true: Any, seconds: float = 30.0) -> None:
    """Wait for what threads do."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
