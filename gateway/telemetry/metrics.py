"""What the gateway counts, for Prometheus at `/metrics`. Labels are names of the configuration: bounded.

State (breakers, cache, epoch) is read when it is scraped; what happens is counted as its notes are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.delivery import Call
from gateway.telemetry.notes import Note, Served, Shadowed

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series that nobody looks at

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BREAKER: Final = {"closed": 0, "half_open": 1, "open": 2}
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SHARES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Sample = tuple[str, str, dict[str, str], float]
"""Name, what it is, labels, value."""


class Metrics:
    """One process's counters."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.cache = Counter(
            "gateway_cache_outcomes", "Answers by what the cache did.", ["outcome"], registry=self._registry
        )
        self.shadow = Counter(
            "gateway_shadow_requests",
            "Shadow requests: answered, empty, or the error.",
            ["placement", "provider", "outcome"],
            registry=self._registry,
        )
        self.shadow_overlap = Histogram(
            "gateway_shadow_overlap_ratio",
            "overlap@k of shadow answers with what was served.",
            ["placement", "provider"],
            buckets=SHARES,
            registry=self._registry,
        )
        self.shadow_duration = Histogram(
            "gateway_shadow_duration_seconds",
            "How long shadow answers took.",
            ["placement", "provider"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def read(self, notes: Sequence[Note]) -> None:
        """Count what happened."""
        for note in notes:
            match note:
                case Served(call=Call() as call):
                    for part in call.parts or (call,):
                        self._count_answer(part)
                case Shadowed():
                    self._count_shadow(note)

    def _count_answer(self, call: Call) -> None:
        if call.cache_status:
            self.cache.labels(_outcome(call.cache_status)).inc()

    def _count_shadow(self, shadowed: Shadowed) -> None:
        labels = (shadowed.placement, shadowed.provider)
        self.shadow.labels(*labels, shadowed.outcome).inc()
        if shadowed.outcome in ("answered", "empty"):
            self.shadow_duration.labels(*labels).observe(shadowed.seconds)
        if shadowed.overlap is not None:
            self.shadow_overlap.labels(*labels).observe(shadowed.overlap)

    def watch(self, read: Callable[[], Iterable[Sample]]) -> None:
        """State that is read whenever somebody scrapes."""
        self._registry.register(_Gauges(read))

    def exposed(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)


class _Gauges(Collector):
    def __init__(self, read: Callable[[], Iterable[Sample]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, what, labels, value in self._read():
            family = families.setdefault(name, GaugeMetricFamily(name, what, labels=list(labels)))
            family.add_metric(list(labels.values()), value)
        yield from families.values()

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _outcome(cache_status: str) -> str:
    """`hit`, `stale`, `miss`, `collapsed` or `bypass`."""
    if "collapsed" in cache_status:
        return "collapsed"
    if "; hit" in cache_status:
        return "stale" if "ttl=-" in cache_status else "hit"
    return "bypass" if "bypass" in cache_status else "miss"
