"""What is made once for all requests of a sort is what would be made for each of them alone."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.answering.asked import Asked
from gateway.answering.delivery import Call
from gateway.experiments.phase import Phase
from gateway.plan import Arm, Placement
from gateway.policies.cache import CachedAnswer
from gateway.telemetry import sorts, trace
from gateway.telemetry.counting import Counting
from gateway.telemetry.families import SECONDS, Family
from gateway.telemetry.lately import Lately
from gateway.telemetry.lines import Line, Lines
from gateway.telemetry.notes import Served
from gateway.telemetry.outcomes import cache_word, counted_outcome
from gateway.telemetry.sorts import GATHERED, PerSort, Sorts
from gateway.telemetry.tallies import Distribution
from gateway.telemetry.trace import Trace
from tests.clock import FakeClock

STATUSES: Final = {
    "": "miss", "gateway; fwd=miss": "miss", "gateway; fwd=miss; stored": "miss", "gateway; fwd=bypass": "bypass",
    "gateway; fwd=miss; collapsed": "collapsed", "gateway; hit; ttl=7": "hit", "gateway; hit; ttl=-7": "stale",
    "gateway; hit; fwd=stale; ttl=7": "stale_if_error", "gateway; hit; fwd=stale; ttl=-7": "stale_if_error",
}  # fmt: skip
NAMES: Final = st.sampled_from(["a", "b", 'ü "quoted" \\', "0.0,", '"ms":0.0,"trace_id":"', "%s {x}"])
PHASE: Final = Phase("e1", "0123abcd", "a", "user", {"x": 1.0})


def placement(name: str, cached: bool, phase: Phase | None) -> Placement:
    arm, caching, settings = Arm(None, {}), object() if cached else None, None
    return Placement(name, settings, {}, None, arm, frozenset(), caching, None, phase, "f")  # type: ignore[arg-type]  # who counts looks at none of it


PLACEMENTS: Final = st.builds(placement, NAMES, st.booleans(), st.sampled_from([None, PHASE]))


@st.composite
def calls(draw: st.DrawFn) -> Call:
    asked = answer = None
    if draw(st.booleans()):
        place, arm = draw(PLACEMENTS), Arm(draw(st.sampled_from([None, "x"])), {})
        question: Any = None
        asked = Asked(place, arm, None, "for_you", question, {}, None, False, (), b"", b"", question)
    if draw(st.booleans()):
        provider = draw(st.sampled_from([None, "v"]))
        answer = CachedAnswer(b"", "", provider, draw(st.booleans()))
    return Call(
        "recommend", {}, asked=asked, answer=answer, provider=draw(st.sampled_from([None, "v", "w"])),
        exposed=draw(st.booleans()), explain=draw(st.booleans()), pinned=draw(st.sampled_from([None, "v"])),
        cache_status=draw(st.sampled_from(sorted(STATUSES))),
    )  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> Served:
    call = draw(st.none() | calls())
    if call is not None and draw(st.integers(0, 5)) == 0:
        call.parts = draw(st.lists(calls(), max_size=3))
    began = draw(st.floats(0, 1e6))
    return Served(
        draw(st.sampled_from(["GET", "POST", "HUNTER2"])),
        draw(st.sampled_from(["/v1/x", '/"v1"/{id}', "unknown"])),
        draw(st.sampled_from([200, 404, 429, 499, 503])), began, began + draw(st.floats(0, 100)), Trace(), call,
        draw(st.sampled_from([None, "unavailable", "rate-limited"])), draw(st.sampled_from(["e1", "e2"])),
    )  # fmt: skip


@given(st.lists(requests(), max_size=30))
def test_counts_of_many_are_those_of_each(served: list[Served]) -> None:
    together, alone = Counting(Sorts()), Counting(Sorts())
    together.read(served)
    for one in served:
        alone.read([one])
        alone.all()  # counts it
    for ours, theirs in zip(together.all(), alone.all(), strict=True):
        assert ours.by_labels.keys() == theirs.by_labels.keys()
        for labels, counted in theirs.by_labels.items():
            assert ours.by_labels[labels] == pytest.approx(counted)


@given(st.lists(requests(), max_size=30))
def test_what_people_see_of_many_is_what_they_see_of_each(served: list[Served]) -> None:
    clock = FakeClock()
    together, alone = Lately(Sorts(), clock, clock), Lately(Sorts(), clock, clock)
    together.read(served)
    for one in served:
        alone.read([one])
        alone.told()  # counts it
    assert together.told() == alone.told()


def test_what_waits_to_be_counted_is_bounded() -> None:
    """Nobody may ever ask."""
    served = Served("GET", "/v1/x", 200, 1.0, 2.0, Trace(), None)
    counting, lately = Counting(Sorts()), Lately(Sorts(), FakeClock())
    for _ in range(30):
        counting.read([served] * 100)
        lately.read([served] * 100)
    for one in (counting, lately):
        assert sum(map(len, one._took.values())) < GATHERED
    assert sum(counting.server.by_labels["GET", "/v1/x", 200, ""][:-1]) >= GATHERED


@given(st.lists(st.floats(0, 20) | st.sampled_from(SECONDS), min_size=1))
def test_buckets_filled_together_are_those_filled_one_by_one(values: list[float]) -> None:
    together, one_by_one = (Distribution(Family("h", "histogram", ("a",), "What.", buckets=SECONDS)) for _ in "ab")
    for value in values:
        one_by_one.observe(("x",), value)
    together.observe_all(("x",), list(values))
    (ours,), (theirs,) = together.by_labels.values(), one_by_one.by_labels.values()
    assert ours[:-1] == theirs[:-1] and ours[-1] == pytest.approx(theirs[-1])


@given(st.lists(requests(), min_size=1, max_size=10))
def test_a_line_is_what_its_encoder_would_write(served: list[Served]) -> None:
    """From the values of each request, with nothing kept; but for zeros at the end of two numbers."""
    since = 1.7e9
    written = Lines(lambda: None, Sorts())._json(served, since).splitlines()  # type: ignore[arg-type,return-value]  # settings are not looked at
    encoded = [_encoded(one, since) for one in served]
    assert [msgspec.json.decode(line, type=Line) for line in written] == [
        msgspec.json.decode(line, type=Line) for line in encoded
    ]
    assert [shape(line) for line in written] == [shape(line) for line in encoded]


def shape(line: bytes) -> bytes:
    """The line without what is another each time."""
    said = re.sub(rb'^{"timestamp":"[-0-9T:]{19}(\.\d{1,6})?Z"', b'{"timestamp":', line)
    return re.sub(rb'"ms":\d+(\.\d{1,2})?,', b'"ms":,', said)


def _encoded(served: Served, since: float) -> bytes:
    call = served.call
    asked = call.asked if call is not None else None
    line = Line(
        datetime.fromtimestamp(served.ended + since, UTC), "info", "request",
        served.method if served.method != "HUNTER2" else "_OTHER", served.route, served.status,
        round((served.ended - served.started) * 1000, 2), served.trace.trace_id,
        asked.placement.name if asked is not None else None, asked.kind if asked is not None else None,
        asked.arm.name if asked is not None else None, call.provider if call is not None else None,
        cache_word(counted_outcome(call.cache_status)) if call is not None and call.cache_status else None,
        served.problem,
    )  # fmt: skip
    return msgspec.json.encode(line)


def test_what_the_cache_did() -> None:
    for status, wanted in STATUSES.items():
        assert counted_outcome(status) == wanted
        assert cache_word(counted_outcome(status)) == wanted.removesuffix("_if_error")


def test_the_same_sort_is_the_same_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(**more: Any) -> Served:
        return Served(**{"method": "GET", "route": "/r", "status": 200, "started": 0.0, "ended": time.time(),
                         "trace": Trace(), "call": None, **more})  # fmt: skip

    known = Sorts()
    assert known.of(one()) is known.of(one(started=5.0)) is not known.of(one(route="/s"))
    assert known.of(one(method="HUNTER2")) is known.of(one(method="HUNTER3"))
    monkeypatch.setattr(sorts, "MOST", len(known))
    before, made = known.of(one()), PerSort(lambda sort: sort.route)
    assert made[known.of(one(route="/t"))] == "/t" and len(known) == 1
    assert known.of(one()) == before or made[known.of(one())] == "/r"  # made again: another object, the same words


# --- whose trace it is ------------------------------------------------------------------------------------------

HEX: Final = "0123456789abcdef"
AS_WRITTEN: Final = re.compile(
    r"(?:00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"
    r"|(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?)"
)
"""The format as the recommendation has it, part by part."""
PARTS: Final = st.tuples(
    st.sampled_from(["00", "01", "fe", "ff", "0", "0G"]),
    st.sampled_from(["0" * 32, "4BF92F3577B34DA6" * 2, "1" * 31]) | st.text(HEX, min_size=32, max_size=32),
    st.sampled_from(["0" * 16, "1" * 15]) | st.text(HEX, min_size=16, max_size=16),
    st.text(HEX, min_size=2, max_size=2) | st.sampled_from(["0", "0x"]),
)  # fmt: skip


@given(PARTS, st.sampled_from(["", "-more", "-", "x", "\n"]))
def test_a_traceparent_is_read_as_it_is_written(parts: tuple[str, ...], more: str) -> None:
    given_ = "-".join(parts) + more
    read, found = Trace(given_), AS_WRITTEN.fullmatch(given_)
    ids = [one for one in found.groups() if one] if found else ["0", "0", "0"]
    if set(ids[0]) == {"0"} or set(ids[1]) == {"0"}:
        assert read.parent_id is None and read.sampled is None and len(read.trace_id) == 32
    else:
        assert [read.trace_id, read.parent_id, read.sampled] == [*ids[:2], bool(int(ids[2], 16) & 1)]


def test_ids_are_all_different() -> None:
    ids = {Trace().trace_id for _ in range(trace._AT_ONCE * 5)}
    assert len(ids) == trace._AT_ONCE * 5 and all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
