"""Traces as the configuration in force wants them: off, or spans made and exported, vendors told or not.

apply(settings) ─ exporter: none ─▸ nothing is read; OpenTelemetry is not even imported
                └ console, otlp  ─▸ Spans ─▸ Export
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from gateway.config.model import Traces
from gateway.telemetry.notes import Note, Notes
from gateway.telemetry.propagation import Propagation
from gateway.telemetry.sorts import Sorts

if TYPE_CHECKING:
    from gateway.telemetry.exporting import Export
    from gateway.telemetry.spans import Spans

LAST: Final = 1.0
"""Seconds that the last spans have to go out."""


class Tracing:
    """A reader of notes. `write`: where the console's spans go, whole lines."""

    def __init__(self, notes: Notes, write: Callable[[bytes], None], sorts: Sorts) -> None:
        self._notes = notes
        self._sorts = sorts
        self._write = write
        self._instance = str(uuid.uuid4())
        self._way: tuple[str, str] = ("none", "")
        self._spans: Spans | None = None
        self._export: Export | None = None
        self._lost = 0

    @property
    def lost(self) -> int:
        """Spans that did not reach the collector, since the start."""
        return self._lost + (self._export.lost if self._export else 0)

    def apply(self, traces: Traces) -> Callable[[], None] | None:
        """Do as these settings say from now on. What is given back closes the way before; it may take a second."""
        exported = traces.exporter != "none"
        told = Propagation(traces.share if exported else None)
        self._notes.propagation = told if traces.propagate_to_vendors else None
        way = (traces.exporter, traces.endpoint if traces.exporter == "otlp" else "")
        if way == self._way:
            if self._spans is not None:
                self._spans.share = traces.share
            return None
        before = self._export
        self._way, self._spans, self._export = way, None, None
        if exported:
            self._open(traces)
        return None if before is None else lambda: self._end(before)

    def _open(self, traces: Traces) -> None:
        from gateway.telemetry.exporting import to_collector, to_console  # noqa: PLC0415  # 0.1 s, 5 MB
        from gateway.telemetry.spans import Spans  # noqa: PLC0415  # as above

        if traces.exporter == "console":
            self._export = to_console(self._write, self._instance)
        else:
            self._export = to_collector(traces.endpoint, self._instance)
        self._spans = Spans(traces.share, self._export.offer, self._sorts)

    def read(self, notes: Sequence[Note]) -> None:
        """Spans for those whose trace is kept."""
        if self._spans is not None:
            self._spans.read(notes)

    def close(self) -> None:
        """Send what is left; takes a second at most."""
        if self._export is not None:
            self._export.close(LAST)

    def _end(self, export: Export) -> None:
        export.close(LAST)
        self._lost += export.lost
