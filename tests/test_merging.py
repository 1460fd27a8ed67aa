"""The metrics and provider states of several processes as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from gateway.place import ALONE, Place
from gateway.provider.health import Seen
from gateway.server.handlers.standing import Standing, together
from gateway.server.workers.counts import Counts
from gateway.server.workers.merging import Family, Rule, encoded, families, merged
from gateway.server.workers.supervisor import LONGEST_PAUSE, STEADY, Backoff
from gateway.telemetry.exposition import Shown
from gateway.telemetry.exposition import shown as shown_of
from gateway.telemetry.families import MERGES

RULES: dict[str, Rule] = {"oldest": "max", "ready": "min", "info": "one", "bytes": "sum"}


def process(asked: int, seconds: tuple[float, ...], state: float = 0, epoch: str = "e1") -> list[Family]:
    registry = CollectorRegistry()
    Counter("asked", "So often.", ["placement"], registry=registry).labels("home").inc(asked)
    took = Histogram("took_seconds", "So long.", buckets=(0.1, 1.0), registry=registry)
    for one in seconds:
        took.observe(one)
    for name in ("oldest", "ready", "bytes", "breaker_state", "in_flight"):
        Gauge(name, "As it is.", registry=registry).set(state)
    Gauge("info", "What it is.", ["epoch"], registry=registry).labels(epoch).set(1)
    return families(map(shown_of, registry.collect()), RULES)


def shown(told: list[Family]) -> dict[str, float]:
    _, text = encoded(told, "")
    return {
        f"{sample.name}{','.join(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_each_family_is_put_together_by_its_rule() -> None:
    seen = shown(merged([process(3, (0.05, 0.5), 1, "e1"), process(4, (0.5, 5.0), 2, "e2")]))
    assert seen["asked_totalhome"] == 7
    assert (seen["took_seconds_bucket0.1"], seen["took_seconds_bucket1.0"]) == (1, 3)
    assert (seen["took_seconds_bucket+Inf"], seen["took_seconds_count"]) == (4, 4)
    assert seen["took_seconds_sum"] == pytest.approx(6.05)
    assert (seen["oldest"], seen["ready"], seen["bytes"]) == (2, 1, 3)
    assert (seen["infoe1"], seen["infoe2"]) == (1, 1)
    assert (seen["breaker_state"], seen["in_flight"]) == (2, 3), "without a rule, by kind and name"


def test_requests_under_way_are_added() -> None:
    name = "http_server_active_requests"
    first, second = (
        {f'{name}{{http_request_method="{one}"}}': 2.0 for one in said} for said in (["GET"], ["GET", "POST"])
    )
    told = [families([Shown(name, "So many.", "gauge", samples)], MERGES) for samples in (first, second)]
    assert shown(merged(told)) == {f"{name}GET": 4, f"{name}POST": 2}


def test_one_process_is_shown_as_it_is() -> None:
    one = process(3, (0.05, 0.5), 1)
    assert shown(merged([one])) == shown(one)


def test_what_a_dead_process_counted_stays(tmp_path: Path) -> None:
    Counts(tmp_path, 0).told(process(3, (0.5,), state=5))
    assert shown(Counts(tmp_path, 1).of(0))["asked_totalhome"] == 3, "nobody listens in its slot now"
    successor = Counts(tmp_path, 0)
    first = shown(successor.told(process(1, (), state=2)))
    assert (first["asked_totalhome"], first["took_seconds_count"]) == (4, 1)
    assert first["in_flight"] == 2, "what it had under way is over"
    assert shown(successor.told(process(2, ())))["asked_totalhome"] == 5
    assert shown(Counts(tmp_path, 1).of(0))["asked_totalhome"] == 5


def test_counts_that_were_half_written_are_none(tmp_path: Path) -> None:
    (tmp_path / "0.counts").write_bytes(b"\x99")
    assert Counts(tmp_path, 0).of(0) == []


def test_formats_are_negotiated() -> None:
    written, text = encoded(process(1, ()), "application/openmetrics-text; version=1.0.0")
    assert written.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


# --- providers --------------------------------------------------------------------------------------------------


def standing(**more: Any) -> Standing:
    settings: dict[str, Any] = {
        "reads": "closed", "writes": "closed", "in_flight": 0, "seen": Seen(0, 0, [], None, 0.0),
        "throttled_for": 0.0, "token_for": None, "quota": None, **more,
    }  # fmt: skip
    return Standing(**settings)


def test_trouble_in_one_process_shows() -> None:
    one = standing(
        reads="half_open", in_flight=2, throttled_for=3.0, token_for=60.0, quota={"as_of": "2026-01-01"}
    )
    other = standing(reads="closed", writes="open", in_flight=1, token_for=30.0, quota={"as_of": "2026-01-02"})
    both = together([one, other, standing()])
    assert (both.reads, both.writes, both.in_flight) == ("half_open", "open", 3)
    assert (both.throttled_for, both.token_for, both.quota) == (3.0, 30.0, {"as_of": "2026-01-02"})


def test_rates_and_latencies_weigh_by_calls() -> None:
    busy = Seen(99, 0, [0.01] * 99, {"error": "old"}, 9.0)
    idle = Seen(1, 1, [1.0], {"error": "new"}, 1.0)
    said = together([standing(seen=busy), standing(seen=idle)]).said()
    assert (said["requests"], said["error_rate"]) == (100, 0.01)
    assert said["latency_ms"] == {"p50": 10.0, "p95": 10.0, "p99": 1000.0}
    assert said["last_problem"] == {"error": "new", "seconds_ago": 1.0}


def test_of_one_process_it_is_the_same() -> None:
    alone = standing(reads="open", token_for=5.0, seen=Seen(3, 1, [0.1, 0.2, 0.3], None, 0.0))
    assert together([alone]) == alone


# --- what is divided, and when another is started ----------------------------------------------------------------


@pytest.mark.parametrize(("rate", "parts"), [(10, [3, 3, 2, 2]), (8, [2] * 4), (2, [0.5] * 4), (4.5, [1] * 4)])
def test_parts_of_a_rate_are_never_more_than_the_whole(rate: float, parts: list[float]) -> None:
    assert [Place(slot, 4).rate(rate) for slot in range(4)] == parts
    assert sum(parts) <= rate


def test_who_is_alone_has_all_of_it() -> None:
    assert (ALONE.rate(4.5), ALONE.bytes(7)) == (4.5, 7)
    assert Place(1, 2).bytes(7) == 3


def test_another_is_started_at_once_and_later_each_time() -> None:
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert backoff.after(STEADY) == 0.0, "that one had lasted"
    assert [backoff.after(0.1) for _ in range(99)][-1] == LONGEST_PAUSE
