"""The parts that metrics are made of: counters and histograms, lists that repeat, drift, the declared families."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as TheirHistogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from gateway.adapter import Request, Response
from gateway.errors import Misconfigured, TimedOut
from gateway.provider.drift import EVERY, Drift, known, unknown
from gateway.telemetry.counting import MOST_ROUTES, Counting
from gateway.telemetry.drift_lines import DriftLines
from gateway.telemetry.exposition import OPENMETRICS, PLAIN, content_type, shown, written
from gateway.telemetry.families import FAMILIES, MERGES, SECONDS, Family
from gateway.telemetry.lists import AGE, MOST, OVER, Lists
from gateway.telemetry.notes import Called, Exchange, Notes, Round, Unknown
from gateway.telemetry.page import page
from gateway.telemetry.sorts import Sorts
from gateway.telemetry.tallies import Counts, Distribution
from tests.clock import FakeClock

# --- counting ---------------------------------------------------------------------------------------------------


class Registry(Collector):
    """Families as prometheus_client's writers take them."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> tuple[Metric, ...]:
        return self._metrics


def test_a_histogram_is_what_prometheus_own_would_be() -> None:
    values = [0.0, 0.0005, 0.001, 0.0011, 0.05, 1.0, 1.5, 10.0, 11.0, 1e5]
    ours = Distribution(Family("h", "histogram", ("a",), "What.", buckets=SECONDS))
    registry = CollectorRegistry()
    theirs = TheirHistogram("h", "What.", ["a"], buckets=SECONDS, registry=registry)
    for one in values:
        ours.observe((200,), one)
        theirs.labels("200").observe(one)
    lines = [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
    assert written([ours.shown()], PLAIN).decode().splitlines() == lines


ODD: Final = 'a "b" \\ c\nd ü €'


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
def test_what_is_written_is_what_prometheus_client_would_write(accept: str) -> None:
    gauge = GaugeMetricFamily("g_seconds", f"What {ODD}.", labels=["a"])
    for value in (0, 1, 2.5, 1e-9, 1e20, float("inf"), float("-inf"), float("nan")):
        gauge.add_metric([f"{ODD}{value}"], value)
    counter = CounterMetricFamily("c", "What.", labels=["a", "b"])
    counter.add_metric(["", "x"], 3)
    plain = CounterMetricFamily("d", "What.", value=1)
    families = (gauge, counter, plain)
    chosen = content_type(accept)
    encode, _ = choose_encoder(accept)
    assert written(map(shown, families), chosen) == encode(Registry(*families))


def test_a_counters_labels_are_written_whatever_they_are() -> None:
    counts, theirs = (
        Counts(Family("c", "counter", ("a", "b"), "What.")),
        CounterMetricFamily("c", "What.", labels="ab"),
    )
    for a, b, count in ((ODD, 1, 1.0), ("", 2, 2.5)):
        counts.add((a, b), count)
        theirs.add_metric([a, str(b)], count)
    assert counts.shown() == shown(theirs)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/plain;version=0.0.4", PLAIN),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", PLAIN),
        ("application/json", PLAIN),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5", PLAIN),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.3", OPENMETRICS),
    ],
)
def test_the_format_is_chosen_by_what_is_asked_for(accept: str, chosen: str) -> None:
    assert content_type(accept) == chosen


def test_a_counter_begins_at_nothing() -> None:
    counts = Counts(Family("c", "counter", ("a",), "What."))
    counts.begin(("x",))
    counts.add(("y",), 3)
    counts.begin(("y",))
    assert counts.shown().samples == {'c_total{a="x"}': 0, 'c_total{a="y"}': 3}


def test_an_adapter_that_names_no_routes_makes_so_many_and_no_more() -> None:
    counting = Counting(Sorts())
    exchanges = [Exchange("p", "GET", "http://h:1", f"/users/{n}", 200, 0.0, 0.1) for n in range(MOST_ROUTES * 3)]
    counting.read(exchanges)
    assert len(counting.client.by_labels) == MOST_ROUTES + 1
    assert sum(child[0] + sum(child[1:-1]) for child in counting.client.by_labels.values()) == len(exchanges)


def test_an_adapters_own_error_is_counted_as_what_it_is_of() -> None:
    class NoSuchIndex(Misconfigured):
        def __init__(self, index: str) -> None:
            super().__init__(f"there is no {index}")

    counting = Counting(Sorts())
    counting.read([Called("p", "a", "recommend", 0.1, error=error) for error in (NoSuchIndex("x"), TimedOut())])
    assert set(counting.calls.by_labels) == {("p", "recommend", "misconfigured"), ("p", "recommend", "timed_out")}


def test_a_list_that_stays_as_it_is_is_counted_among_the_repeats() -> None:
    clock = FakeClock()
    counting = Counting(Sorts(), Lists(clock))
    for items in (("a",), ("a",), ("b",)):
        counting.read([answered(*items)])
        clock.passes(AGE)
    assert counting.repeats.by_labels == {("home", "p"): 2}
    assert counting.flaws.by_labels[("home", "p", "unchanged")] == 1
    assert counting.flaws.by_labels[("home", "p", "short")] == 3


# --- drift ------------------------------------------------------------------------------------------------------

ROUTE: Final = Request("GET", "/users/7", route="/users/{id}")


def test_one_answer_of_so_many_is_looked_at() -> None:
    notes, heard = Notes(), Heard()
    notes.readers.append(heard)
    drift = Drift("p", "a", {"/users/{id}": frozenset({"id"})}, notes)
    for _ in range(EVERY + 1):
        drift.look(ROUTE, Response(200, {}, b'{"id": 1, "new": 2}'))
    drift.look(Request("GET", "/other"), Response(200, {}, b'{"id": 1, "new": 2}'))
    notes.read()
    assert heard.notes == [Unknown("p", "a", "/users/{id}", ("new",))] * 2


class Heard:
    def __init__(self) -> None:
        self.notes: list[Any] = []

    def read(self, notes: Any) -> None:
        self.notes += notes


@pytest.mark.parametrize(
    ("body", "documented", "found"),
    [
        ({"a": [{"b": 1}, {"c": 2}]}, {"a[].b"}, ("a[].c",)),
        ({"a": {"b": {"c": 1}}, "d": 1}, {"a.*"}, ("d",)),
        ({"a": {"b": {"c": 1}}}, {"a"}, ("a.b",)),
        ([{"a": 1, "b": [[{"x": 1}]]}], {"[].a"}, ("[].b",)),
        ([[{"a": 1}]], {"[][].b"}, ("[][].a",)),
        ({"a": 1}, {"a"}, ()),
        (7, {"a"}, ()),
    ],
)
def test_unknown_members(body: Any, documented: set[str], found: tuple[str, ...]) -> None:
    assert unknown(body, known(documented)) == found


def test_drift_is_told_so_often_and_no_more() -> None:
    lines = DriftLines()
    with capture_logs() as said:
        lines.read([Unknown("p", "a", "/r", tuple(f"m{n}" for n in range(20)))] * 2)
        for n in range(100):
            lines.read([Unknown("p", "a", "/r", tuple(f"m{n}-{m}" for m in range(20)))])
    assert len(said) == 500
    assert len({line["member"] for line in said}) == 500


# --- lists ------------------------------------------------------------------------------------------------------


def answered(*items: str, provider: str = "p", subject: bytes = b"s", question: bytes = b"q") -> Round:
    return Round("home", "for_you", None, 3, (), provider, items, 0.1, subject, question)


def test_the_same_list_for_somebody_else() -> None:
    lists = Lists()

    def same(round_: Round) -> bool:
        return lists.same_for_others(round_, hash(round_.items))

    assert not same(answered("a", "b"))
    assert not same(answered("a", "b"))  # the same person
    assert same(answered("a", "b", subject=b"t"))
    assert not same(answered("b", "a", subject=b"u"))
    assert not same(answered("b", "a", subject=b""))  # nobody's: it may be for everybody
    assert not same(answered("b", "a", subject=b"v", provider="q"))


def test_the_same_list_for_the_same_question() -> None:
    clock = FakeClock()
    lists = Lists(clock)

    def unchanged(round_: Round) -> bool | None:
        return lists.unchanged(round_, hash(round_.items))

    assert unchanged(answered("a")) is None
    clock.passes(AGE / 2)
    assert unchanged(answered("a")) is None  # too soon to have learned anything
    clock.passes(AGE / 2)
    assert unchanged(answered("a")) is True
    clock.passes(AGE)
    assert unchanged(answered("b")) is False
    clock.passes(AGE)
    assert unchanged(answered("b", provider="another")) is None
    clock.passes(AGE)
    assert unchanged(answered("b", provider="another")) is True


def test_questions_are_remembered_within_a_bound() -> None:
    clock = FakeClock()
    lists = Lists(clock)
    for n in range(2 * MOST):
        lists.unchanged(answered("a", question=b"%d" % n), 1)
    assert len(lists._answers) == MOST
    clock.passes(AGE)
    assert lists.unchanged(answered("a", question=b"0"), 1) is True
    assert lists.unchanged(answered("a", question=b"%d" % MOST), 1) is None
    clock.passes(OVER)
    lists.unchanged(answered("a", question=b"new"), 1)
    clock.passes(AGE)
    assert lists.unchanged(answered("a", question=b"new"), 1) is True
    assert len(lists._answers) == MOST


# --- families ---------------------------------------------------------------------------------------------------


def test_names_follow_the_rules() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names) and set(names) <= set(MERGES)
    for family in FAMILIES:
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert (family.kind == "histogram") == bool(family.buckets)
        assert family.kind == "gauge" or family.merge == "sum"
        if family.buckets == SECONDS:
            assert family.name.endswith("_duration_seconds")
        assert family.what.endswith(".") and "|" not in family.what


def test_the_page_is_what_is_declared() -> None:
    written = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text()
    assert written == page(), "python -m gateway.telemetry.page > docs/metrics.md"
