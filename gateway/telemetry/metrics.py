"""`/metrics`: what was counted, what is read at this moment, and what the process takes, in Prometheus' formats.

notes ─▸ counting.py ─┐
state.py ─────────────┼─▸ families.py ─▸ exposition.py: text 0.0.4, or OpenMetrics where it is asked for
prometheus_client ────┘   (names, labels, how processes add up)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from gateway.telemetry.active import Active
from gateway.telemetry.counting import Counting
from gateway.telemetry.exposition import PLAIN, Shown, content_type, labelled, shown, written
from gateway.telemetry.families import Family
from gateway.telemetry.notes import Note
from gateway.telemetry.sorts import Sorts
from gateway.telemetry.state import Sample


class Metrics:
    """Those of one process."""

    def __init__(self, state: Callable[[], Iterable[Sample]], sorts: Sorts) -> None:
        """`state`: what is to be read whenever somebody asks."""
        self.counting = Counting(sorts)
        self.active = Active()
        """Requests that are under way."""
        self._state = state
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        GCCollector(registry=self._process)

    def read(self, notes: Sequence[Note]) -> None:
        """Count what happened."""
        self.counting.read(notes)

    def families(self) -> Iterator[Shown]:
        """All families as they are now; `gateway.telemetry.families.MERGES` says how those of processes add up."""
        for tally in self.counting.all():
            yield tally.shown()
        yield from self._read_now()
        for metric in self._process.collect():
            yield shown(metric)

    def negotiated(self, accept: str) -> tuple[str, bytes]:
        """Content type and body, by what an `Accept` header asks for."""
        chosen = content_type(accept)
        return chosen, written(self.families(), chosen)

    def exposed(self) -> bytes:
        """Prometheus' text format 0.0.4."""
        return written(self.families(), PLAIN)

    def _read_now(self) -> Iterable[Shown]:
        found: dict[str, Shown] = {}
        for family, labels, value in self._state():
            one = found.get(family.name) or found.setdefault(family.name, _empty(family))
            (name,) = family.series
            said = f"{name}{{{labelled(family.labels, labels)}}}" if labels else name
            one.samples[said] = float(value)
        return found.values()


def _empty(family: Family) -> Shown:
    return Shown(family.name, family.what, family.kind, {})
