"""A little OpenTelemetry collector, a process: `python -m tests.benchmarks.collector PORT`.

POST takes what OTLP brings and keeps it unread; GET reads it and says how many spans have come since the start.
"""

from __future__ import annotations

import gzip
import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(ThreadingHTTPServer):
    """Of all gateways of a run."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Taking)
        self.unread: list[bytes] = []
        self.spans = 0

    def read(self) -> int:
        """Spans since the start."""
        while self.unread:
            told = ExportTraceServiceRequest.FromString(self.unread.pop())
            self.spans += sum(len(scope.spans) for one in told.resource_spans for scope in one.scope_spans)
        return self.spans


class Taking(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        packed = self.headers.get("Content-Encoding") == "gzip"
        self.server.unread.append(gzip.decompress(body) if packed else body)
        self._say(b"")

    def do_GET(self) -> None:
        self._say(str(self.server.read()).encode())

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as http.server calls it
        """Nothing."""


def command(port: int) -> list[str]:
    """How to start it: the last to have the core that it shares with the load, or answers would seem late that
    only waited for it to let go."""
    return ["nice", "-n", "19", sys.executable, "-m", "tests.benchmarks.collector", str(port)]


def spans(port: int) -> int:
    """How many have arrived there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        return int(connection.getresponse().read())
    finally:
        connection.close()


if __name__ == "__main__":
    Collector(int(sys.argv[1])).serve_forever()
