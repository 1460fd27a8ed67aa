"""Spans as the SDK's exporter for the console prints them: for people who try something out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway.telemetry.span import Span, Values
from gateway.telemetry.spans import NAME

SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
KINDS: Final = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
UNSET, ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class Console:
    """Prints them, a line of JSON each. `write`: where to, whole lines."""

    def __init__(self, write: Callable[[bytes], None], resource: Values) -> None:
        self._resource = Resource(resource)
        self._scope = InstrumentationScope(NAME, version(NAME))
        self._sdk = ConsoleSpanExporter(
            out=_Lines(write),  # type: ignore[arg-type]  # it writes and flushes, and nothing else
            formatter=lambda span: span.to_json(indent=None) + "\n",
        )

    def export(self, spans: Sequence[Span]) -> bool:
        """Print these."""
        readable = [sdk_span(span, self._resource, self._scope) for span in spans]
        return self._sdk.export(readable) is SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """There is nothing to break off."""
        self._sdk.shutdown()


def sdk_span(span: Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    """As the SDK has it."""
    parent = None if span.parent is None else _context(span.trace_id, span.parent, remote=span.remote)
    return ReadableSpan(
        span.shape.name,
        _context(span.trace_id, span.id),
        parent,
        resource,
        attributes=span.shape.values,
        events=[Event(event.name, event.values, event.at) for event in span.events],
        kind=KINDS[span.shape.kind],
        status=ERROR if span.shape.error else UNSET,
        start_time=span.began,
        end_time=span.ended,
        instrumentation_scope=scope,
    )


def _context(trace: str, span: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), remote, SAMPLED)


class _Lines:
    """A file to the SDK's exporter."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def write(self, text: str) -> None:
        self._write(text.encode())

    def flush(self) -> None:
        """It goes out as the log does."""
