"""The metrics of several processes as one: whatever families there are, each by its rule.

    sum    counters, histograms bucket by bucket, calls under way, bytes; what dead processes counted stays in it,
           or rates would jump
    max    a state of which the greatest is the worst, a moment, an age
    min    a state of which the least is
    one    the same in all, so any; labels that only some have are shown too (two epochs while all reload)

A family that no rule is given for goes by its kind, and a gauge by how its name ends (LARGEST).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from gateway.telemetry.exposition import Shown, content_type, written

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


class Family(msgspec.Struct, frozen=True, array_like=True):
    """What Prometheus calls a metric family, to be told to another process."""

    name: str
    what: str
    kind: str
    rule: Rule
    samples: dict[str, float]
    """By name and labels, as they are shown."""


def families(of_process: Iterable[Shown], rules: Mapping[str, Rule] | None = None) -> list[Family]:
    """Of one process. `rules`: by the families' names."""
    rules = rules or {}
    return [
        Family(one.name, one.what, one.kind, rules.get(one.name) or _rule(one), one.samples) for one in of_process
    ]


def _rule(family: Shown) -> Rule:
    if family.kind in GROWING:
        return "sum"
    return "max" if family.kind != "gauge" or family.name.endswith(LARGEST) else "sum"


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
    values = dict(same[0].samples)
    for family in same[1:]:
        for sample, value in family.samples.items():
            before = values.get(sample)
            values[sample] = value if before is None else put_together(before, value)
    return Family(last.name, last.what, last.kind, last.rule, values)


def encoded(told: Iterable[Family], accept: str) -> tuple[str, bytes]:
    """Content type and body, in the format of Prometheus that an `Accept` header asks for."""
    chosen = content_type(accept)
    return chosen, written((Shown(one.name, one.what, one.kind, one.samples) for one in told), chosen)
