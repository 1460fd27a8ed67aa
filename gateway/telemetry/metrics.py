"""`/metrics`: what was counted, what is read at this moment, and what the process takes, in Prometheus' formats.

notes ─▸ counting.py ─┐
state.py ─────────────┼─▸ families.py ─▸ exposition.py: text 0.0.4, or OpenMetrics where it is asked for
prometheus_client ────┘   (names, labels, how processes add up)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.telemetry.counting import Counting
from gateway.telemetry.exposition import PLAIN, content_type, end, head, written
from gateway.telemetry.families import Family
from gateway.telemetry.notes import Note
from gateway.telemetry.state import Sample
from gateway.telemetry.tallies import spelled


class Metrics:
    """Those of one process."""

    def __init__(self, state: Callable[[], Iterable[Sample]]) -> None:
        """`state`: what is to be read whenever somebody asks."""
        self.counting = Counting()
        self._state = state
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        GCCollector(registry=self._process)

    def read(self, notes: Sequence[Note]) -> None:
        """Count what happened."""
        self.counting.read(notes)

    def families(self) -> Iterator[Metric]:
        """All families as they are now; `gateway.telemetry.families.MERGES` says how those of processes add up."""
        for tally in self.counting.all():
            yield tally.exposed()
        yield from self._read_now()

    def negotiated(self, accept: str) -> tuple[str, bytes]:
        """Content type and body, by what an `Accept` header asks for."""
        chosen = content_type(accept)
        return chosen, "".join(self._lines(chosen)).encode()

    def exposed(self) -> bytes:
        """Prometheus' text format 0.0.4."""
        return "".join(self._lines(PLAIN)).encode()

    def _lines(self, content_type: str) -> Iterator[str]:
        for tally in self.counting.all():
            yield head(tally.family.name, tally.family.what, tally.family.kind, content_type)
            yield from tally.lines()
        yield from written(self._read_now(), content_type)
        yield end(content_type)

    def _read_now(self) -> Iterator[Metric]:
        found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for family, labels, value in self._state():
            metric = found.get(family.name) or found.setdefault(family.name, _empty(family))
            metric.add_metric(spelled(labels), value)
        yield from found.values()
        yield from self._process.collect()


def _empty(family: Family) -> CounterMetricFamily | GaugeMetricFamily:
    sort = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    return sort(family.name, family.what, labels=family.labels)
