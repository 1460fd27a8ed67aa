"""docs/metrics.md, made from the declared families: `python -m gateway.telemetry.page > docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.telemetry.families import COUNTED, PROCESS, STATE, TOGETHER, Family

HEAD: Final = """\
# Metrics

Made by `python -m gateway.telemetry.page` from `gateway/telemetry/families.py`; a test compares.

`GET /metrics` on the admin listener, in Prometheus' text format 0.0.4, or OpenMetrics where it is asked for.
Durations are in seconds. Names and labels of HTTP follow OpenTelemetry's semantic conventions; the rest begins
with `gateway_`. Label values are words of the configuration, of the route table or of the gateway itself, and a
vendor's statuses: whatever callers send makes no new series.

What happened is counted as its notes are read, every 0.02 s and before each scrape. A series appears when there is
something to count; retries, throttles, duplicates, drift and changes of breakers stand at 0 from the start, so
that their first time shows as an increase. Several processes (`server.workers`) are shown as one: counters and
histograms are added, gauges as the last column says.

A dashboard and alerts that use them are `helm/dashboards/gateway.json` and `helm/alerts/gateway.yaml`; what to do
when an alert fires is in [operations.md](operations.md).
"""


def page() -> str:
    """The whole page."""
    return "\n".join([*_lines()]) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    yield "## What happened"
    yield ""
    yield from _table(COUNTED)
    yield ""
    yield "## How it is"
    yield ""
    yield from _table((*STATE, *TOGETHER))
    yield ""
    yield "## The process"
    yield ""
    yield "From prometheus_client; on systems without `/proc` the first six are absent."
    yield ""
    yield "| metric | of several processes |"
    yield "|---|---|"
    yield from (f"| `{name}` | {merge} |" for name, merge in PROCESS.items())


def _table(families: Iterable[Family]) -> Iterator[str]:
    yield "| metric | kind | labels | what | of several processes |"
    yield "|---|---|---|---|---|"
    for family in families:
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{name}` | {family.kind} | {labels} | {family.what} | {family.merge} |"


if __name__ == "__main__":
    sys.stdout.write(page())
