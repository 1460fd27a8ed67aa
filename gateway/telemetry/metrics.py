"""`/metrics`: what was counted, what is read at this moment, and what the process takes, in Prometheus' formats.

notes ─▸ counting.py ─┐
state.py ─────────────┼─▸ families.py ─▸ text 0.0.4, or OpenMetrics where it is asked for
prometheus_client ────┘   (names, labels, how processes add up)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.telemetry.counting import Counting
from gateway.telemetry.families import Family
from gateway.telemetry.notes import Note
from gateway.telemetry.state import Sample
from gateway.telemetry.tallies import spelled

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Those of one process."""

    def __init__(self, state: Callable[[], Iterable[Sample]]) -> None:
        """`state`: what is to be read whenever somebody asks."""
        self.counting = Counting()
        self._registry = CollectorRegistry()
        self._registry.register(_Own(self.counting, state))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def read(self, notes: Sequence[Note]) -> None:
        """Count what happened."""
        self.counting.read(notes)

    def families(self) -> Iterator[Metric]:
        """All families as they are now; `gateway.telemetry.families.MERGES` says how those of processes add up."""
        return iter(self._registry.collect())

    def exposed(self) -> bytes:
        """Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def negotiated(self, accept: str) -> tuple[str, bytes]:
        """Content type and body, by what an `Accept` header asks for."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class _Own(Collector):
    def __init__(self, counting: Counting, state: Callable[[], Iterable[Sample]]) -> None:
        self._counting = counting
        self._state = state

    def collect(self) -> Iterator[Metric]:
        for tally in self._counting.all():
            yield tally.exposed()
        found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for family, labels, value in self._state():
            metric = found.get(family.name) or found.setdefault(family.name, _empty(family))
            metric.add_metric(spelled(labels), value)
        yield from found.values()

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _empty(family: Family) -> CounterMetricFamily | GaugeMetricFamily:
    sort = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    return sort(family.name, family.what, labels=family.labels)
