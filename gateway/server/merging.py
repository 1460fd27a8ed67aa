"""The metrics of several processes as one: whatever families there are, each by its rule.

    sum    counters, histograms bucket by bucket, calls under way, bytes; what dead processes counted stays in it,
           or rates would jump
    max    a state of which the greatest is the worst, a moment, an age
    min    a state of which the least is
    one    the same in all, so any; labels that only some have are shown too (two epochs while all reload)

A family that no rule is given for goes by its kind, and a gauge by how its name ends (LARGEST).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

Rule = Literal["sum", "max", "min", "one"]

GROWING: Final = frozenset({"counter", "histogram", "gaugehistogram", "summary"})
"""Kinds that only ever grow."""
LARGEST: Final = (
    "_state", "_info", "_rejected", "_ready", "_queued", "_dead_letters", "_seconds", "_timestamp", "_ratio",
)  # fmt: skip
"""Ends of the names of gauges that are not summed: a state (breakers: open is the largest), what is counted in the
store that all share, moments and ages."""
PUT_TOGETHER: Final[Mapping[Rule, Callable[[float, float], float]]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
    "one": lambda one, _other: one,
}


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One number."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """What Prometheus calls a metric family, to be told to another process."""

    name: str
    what: str
    kind: str
    rule: Rule
    samples: list[Sample]


def families(metrics: Iterable[Metric], rules: Mapping[str, Rule] | None = None) -> list[Family]:
    """Of one process. `rules`: by the families' names."""
    rules = rules or {}
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            rules.get(metric.name) or _rule(metric),
            [Sample(one.name, one.labels, float(one.value)) for one in metric.samples],
        )
        for metric in metrics
    ]


def _rule(metric: Metric) -> Rule:
    if metric.type in GROWING:
        return "sum"
    return "max" if metric.type != "gauge" or metric.name.endswith(LARGEST) else "sum"


def cumulative(told: Iterable[Family]) -> list[Family]:
    """Those that must not fall when a process dies."""
    return [family for family in told if family.kind in GROWING and family.rule == "sum"]


def merged(of_processes: Iterable[Sequence[Family]]) -> list[Family]:
    """All of them as one."""
    by_name: dict[str, list[Family]] = {}
    for told in of_processes:
        for family in told:
            by_name.setdefault(family.name, []).append(family)
    return [_merged(same) for same in by_name.values()]


def _merged(same: Sequence[Family]) -> Family:
    last = same[-1]
    put_together = PUT_TOGETHER[last.rule]
    values: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    for sample in (sample for family in same for sample in family.samples):
        key = (sample.name, tuple(sorted(sample.labels.items())))
        before = values.get(key)
        if before is None:
            values[key] = sample
        else:
            values[key] = Sample(sample.name, before.labels, put_together(before.value, sample.value))
    return Family(last.name, last.what, last.kind, last.rule, list(values.values()))


def encoded(told: Iterable[Family], accept: str) -> tuple[str, bytes]:
    """Content type and body, in the format of Prometheus that an `Accept` header asks for."""
    encode, content_type = choose_encoder(accept)
    return content_type, encode(_Told(told))


class _Told(Collector):
    def __init__(self, told: Iterable[Family]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        for family in self._told:
            metric = Metric(family.name, family.what, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, sample.labels, sample.value)
            yield metric
