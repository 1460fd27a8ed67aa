"""The circuit breaker: each rule of DESIGN.md §3 by itself, then all of them against a machine of random steps."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import ValidationError

from gateway.errors import PassedOver
from gateway.policies.breaker import JITTER, Breaker, BreakerSettings, Permit, State
from tests.clock import FakeClock

TIMEOUT = 0.3
FAST, SLOW = 0.1, 0.29


class Bench:
    """A breaker, its clock, and what its listener heard."""

    def __init__(self, seed: int = 1, **changed: Any) -> None:
        self.clock = FakeClock()
        self.settings = BreakerSettings.model_validate(changed)
        self.breaker = Breaker(self.settings, TIMEOUT, self.clock, Random(seed))
        self.heard: list[tuple[State, State, str]] = []
        self.breaker.listen(lambda old, new, why: self.heard.append((old, new, why)))

    def state(self) -> State:
        """A method, because the clock changes it between two looks, which mypy believes of no property."""
        return self.breaker.state

    def calls(self, succeed: int = 0, fail: int = 0, seconds: float = FAST) -> None:
        for _ in range(fail):
            self.breaker.admit().failed(seconds)
        for _ in range(succeed):
            self.breaker.admit().succeeded(seconds)

    def open(self) -> float:
        """Open it; for how long it will be open."""
        self.calls(fail=self.settings.consecutive)
        assert self.state() == "open"
        return self.breaker.next_probe_in()

    def half_open(self) -> None:
        self.open()
        self.clock.passes(self.settings.max_open)
        assert self.state() == "half_open"

    def admitted(self, callers: int) -> list[Permit]:
        permits = []
        for _ in range(callers):
            try:
                permits.append(self.breaker.admit())
            except PassedOver:
                continue
        return permits


# --- opening -----------------------------------------------------------------------------------------------------


def test_failures_in_a_row_open_it_below_min_calls() -> None:
    bench = Bench()
    bench.calls(fail=4)
    assert bench.state() == "closed"
    bench.calls(succeed=1)
    bench.calls(fail=4)
    assert bench.state() == "closed"
    bench.calls(fail=1)
    assert bench.state() == "open"
    assert [(old, new) for old, new, _ in bench.heard] == [("closed", "open")]
    assert "5 failures in a row" in bench.heard[0][2]


def test_a_steady_half_opens_it_within_the_window() -> None:
    bench = Bench()
    started = bench.clock.now
    while bench.state() == "closed":
        bench.calls(fail=1)
        bench.clock.passes(0.5)
        if bench.state() == "closed":
            bench.calls(succeed=1)
        bench.clock.passes(0.5)
        assert bench.clock.now - started < bench.settings.window
    assert "of 20 calls failed" in bench.heard[0][2]


def test_below_the_rate_it_stays_closed() -> None:
    bench = Bench()
    for _ in range(100):
        for _ in range(9):
            bench.calls(succeed=1)
            bench.calls(fail=1)
        bench.calls(succeed=2)
        bench.clock.passes(1)
    assert bench.state() == "closed"


def test_a_rate_means_nothing_before_min_calls() -> None:
    bench = Bench()
    for _ in range(9):
        bench.calls(succeed=1)
        bench.calls(fail=1)
    bench.calls(fail=1)
    assert bench.state() == "closed"
    bench.calls(succeed=1)
    assert bench.state() == "open"


def test_failures_leave_with_the_window() -> None:
    bench = Bench()
    for _ in range(9):
        bench.calls(succeed=1)
        bench.calls(fail=1)
    bench.clock.passes(30)
    bench.calls(succeed=11)
    assert bench.state() == "closed"


def test_slow_successes_open_it() -> None:
    bench = Bench()
    bench.calls(succeed=4)
    bench.calls(succeed=15, seconds=SLOW)
    assert bench.state() == "closed"
    bench.calls(succeed=1, seconds=SLOW)
    assert bench.state() == "open"
    assert "16 of 20 calls took longer than 0.24 s" in bench.heard[0][2]


def test_slow_is_a_setting_or_80_percent_of_the_timeout() -> None:
    by_default, set_lower = Bench(), Bench(slow="50ms")
    by_default.calls(succeed=50, seconds=0.24)
    set_lower.calls(succeed=50 - 30, seconds=0.06)
    assert (by_default.state(), set_lower.state()) == ("closed", "open")


@given(st.integers(0, 300), st.booleans())
def test_what_is_ignored_never_opens_it(answers: int, with_good_ones: bool) -> None:
    bench = Bench()
    for _ in range(answers):
        bench.breaker.admit().ignored()
        if with_good_ones:
            bench.calls(succeed=1)
        bench.clock.passes(0.01)
    assert bench.state() == "closed"


def test_what_is_ignored_is_in_no_rate_and_breaks_no_row() -> None:
    bench = Bench()
    for _ in range(100):
        bench.breaker.admit().ignored()
    bench.calls(fail=2)
    bench.breaker.admit().ignored()
    bench.calls(fail=3)
    assert bench.state() == "open"


@given(st.integers(1, 300))
def test_callers_that_hang_up_never_change_it(hang_ups: int) -> None:
    closed, half_open = Bench(), Bench()
    half_open.half_open()
    for bench in (closed, half_open):
        before = bench.state()
        for _ in range(hang_ups):
            bench.breaker.admit().cancelled()
        assert bench.state() == before
    assert closed.heard == []
    closed.calls(succeed=10, fail=4)  # nor did they count
    assert closed.state() == "closed"


# --- open --------------------------------------------------------------------------------------------------------


def test_open_it_refuses_and_says_how_long() -> None:
    bench = Bench()
    seconds = bench.open()
    with pytest.raises(PassedOver, match=rf"breaker is open: probed again in {seconds:.1f} s"):
        bench.breaker.admit()
    bench.clock.passes(seconds - 0.001)
    assert bench.state() == "open"
    bench.clock.passes(0.001)
    assert bench.state() == "half_open"
    assert bench.breaker.next_probe_in() == 0


def test_late_answers_change_nothing() -> None:
    bench = Bench(consecutive=2)
    late = [bench.breaker.admit() for _ in range(40)]
    seconds = bench.open()
    for permit in late[:10]:
        permit.failed(9)
    for permit in late[10:20]:
        permit.succeeded(FAST)
    assert bench.breaker.next_probe_in() == seconds
    bench.clock.passes(seconds)
    probe = bench.breaker.admit()
    late[20].cancelled()
    late[21].failed(9)
    late[22].succeeded(FAST)
    late[23].ignored()
    assert bench.admitted(5) == []
    assert bench.state() == "half_open"
    probe.succeeded(FAST)
    bench.calls(succeed=2)
    assert bench.state() == "closed"
    for permit in late[24:]:
        permit.failed(9)
    assert bench.state() == "closed"


def test_a_probe_of_an_earlier_opening_changes_nothing_either() -> None:
    bench = Bench(probes=2)
    bench.half_open()
    slow_probe, probe = bench.admitted(2)
    probe.failed(FAST)
    again = bench.breaker.next_probe_in()
    slow_probe.failed(FAST)
    assert bench.breaker.next_probe_in() == again
    bench.clock.passes(again)
    assert len(bench.admitted(50)) == 2


def test_it_stays_open_longer_each_time_bounded_and_jittered() -> None:
    periods: list[list[float]] = []
    for seed in range(20):
        bench = Bench(seed)
        periods.append([bench.open()])
        for _ in range(10):
            bench.clock.passes(bench.breaker.next_probe_in())
            bench.calls(fail=1)
            periods[-1].append(bench.breaker.next_probe_in())
    nominal = [5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300]
    for run in periods:
        for seconds, most in zip(run, nominal, strict=True):
            assert most * (1 - JITTER) <= seconds <= most
        assert run[:7] == sorted(run[:7])
    assert len({round(run[0], 6) for run in periods}) == 20


def test_a_provider_that_fails_again_soon_is_left_alone_longer_and_a_healed_one_is_not() -> None:
    for well, most in ((29, 10), (30, 5)):
        bench = Bench()
        bench.half_open()
        bench.calls(succeed=3)
        bench.clock.passes(well)
        assert most * (1 - JITTER) <= bench.open() <= most


# --- half open ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probes", [1, 2, 7])
def test_of_50_callers_exactly_the_probes_go(probes: int) -> None:
    bench = Bench(probes=probes, close_after=100)
    bench.half_open()
    permits = bench.admitted(50)
    assert len(permits) == probes
    with pytest.raises(PassedOver, match="breaker is open: a probe is under way"):
        bench.breaker.admit()
    permits[0].cancelled()
    assert len(bench.admitted(50)) == 1
    for permit in permits[1:]:
        permit.succeeded(FAST)
    assert len(bench.admitted(50)) == probes - 1


def test_as_many_good_probes_as_asked_for_close_it() -> None:
    bench = Bench()
    bench.half_open()
    bench.calls(succeed=2)
    assert bench.state() == "half_open"
    bench.calls(succeed=1)
    assert bench.state() == "closed"
    assert [(old, new) for old, new, _ in bench.heard] == [
        ("closed", "open"), ("open", "half_open"), ("half_open", "closed")
    ]  # fmt: skip


def test_what_was_counted_before_it_opened_is_forgotten() -> None:
    bench = Bench(min_calls=10, consecutive=10)
    bench.calls(fail=10)
    bench.clock.passes(bench.breaker.next_probe_in())
    bench.calls(succeed=3 + 1)
    bench.calls(fail=1)
    assert bench.state() == "closed"


def test_good_probes_before_a_failed_one_are_forgotten() -> None:
    bench = Bench()
    bench.half_open()
    bench.calls(succeed=2)
    bench.calls(fail=1)
    bench.clock.passes(bench.breaker.next_probe_in())
    bench.calls(succeed=2)
    assert bench.state() == "half_open"
    bench.calls(succeed=1)
    assert bench.state() == "closed"


def test_an_answer_that_counts_nowhere_proves_that_the_vendor_is_up() -> None:
    bench = Bench()
    bench.half_open()
    for _ in range(3):
        bench.breaker.admit().ignored()
    assert bench.state() == "closed"


def test_a_slow_probe_proves_nothing_and_gives_its_slot_back() -> None:
    bench = Bench()
    bench.half_open()
    bench.calls(succeed=20, seconds=SLOW)
    assert bench.state() == "half_open"
    bench.calls(succeed=3)
    assert bench.state() == "closed"


def test_only_the_first_verdict_counts() -> None:
    bench = Bench()
    bench.half_open()
    for _ in range(2):
        probe = bench.breaker.admit()
        probe.succeeded(FAST)
        probe.succeeded(FAST)
        probe.failed(FAST)
        probe.cancelled()
    assert bench.state() == "half_open"
    assert len(bench.admitted(50)) == 1


def test_leaving_a_with_block_without_a_verdict_cancels() -> None:
    bench = Bench()
    bench.half_open()
    with pytest.raises(KeyboardInterrupt), bench.breaker.admit():
        raise KeyboardInterrupt
    with bench.breaker.admit() as probe:
        probe.failed(FAST)
    assert bench.state() == "open"


# --- modes and settings ------------------------------------------------------------------------------------------


def test_observe_reports_what_enforce_would_do_and_refuses_nothing() -> None:
    bench = Bench(mode="observe")
    bench.calls(fail=50)
    assert bench.state() == "open"
    assert len(bench.admitted(50)) == 50
    bench.clock.passes(5)
    permits = bench.admitted(50)
    assert (len(permits), bench.state()) == (50, "half_open")
    for permit in permits[1:]:
        permit.failed(FAST)
    assert bench.state() == "half_open", "only the first was a probe"
    permits[0].succeeded(FAST)
    bench.calls(succeed=2)
    assert [new for _, new, _ in bench.heard] == ["open", "half_open", "closed"]


def test_forced_open_and_forced_closed() -> None:
    taken_out, kept_in = Bench(mode="forced_open"), Bench(mode="forced_closed")
    assert taken_out.state() == "open"
    assert taken_out.breaker.next_probe_in() == float("inf")
    taken_out.clock.passes(1e6)
    with pytest.raises(PassedOver, match="breaker is open: forced"):
        taken_out.breaker.admit()
    kept_in.calls(fail=500, seconds=SLOW)
    assert (kept_in.state(), kept_in.heard) == ("closed", [])


def test_settings() -> None:
    defaults = BreakerSettings().model_dump()
    assert defaults == {
        "window": 30, "min_calls": 20, "failure_rate": 0.5, "consecutive": 5, "slow_rate": 0.8, "slow": None,
        "open": 5, "max_open": 300, "probes": 1, "close_after": 3, "mode": "enforce",
    }  # fmt: skip
    wrong = {"window": 0, "failure_rate": 0, "probes": 0, "mode": "off", "slow": 0, "treshold": 1}
    with pytest.raises(ValidationError) as caught:
        BreakerSettings.model_validate(wrong)
    assert {error["loc"][0] for error in caught.value.errors()} == set(wrong)
    with pytest.raises(ValidationError, match="max_open"):
        BreakerSettings.model_validate({"open": "10m"})


# --- any order of events -----------------------------------------------------------------------------------------


class Calls(RuleBasedStateMachine):
    """Callers come, answers come late or never, time passes: what must hold whatever happens."""

    @initialize(probes=st.integers(1, 3), seed=st.integers(0, 9))
    def begin(self, probes: int, seed: int) -> None:
        self.bench = Bench(seed, probes=probes, consecutive=3, min_calls=6, close_after=2)
        self.under_way: list[tuple[Permit, int]] = []
        self.changes = 0
        self.openings: list[float] = []

    @rule(callers=st.integers(1, 5))
    def come(self, callers: int) -> None:
        before = self.bench.state()
        permits = self.bench.admitted(callers)
        changes = len(self.bench.heard)
        assert len(permits) == callers if before == "closed" else len(permits) <= self.bench.settings.probes
        assert before != "open" or not permits
        self.under_way += [(permit, changes) for permit in permits]

    @precondition(lambda self: self.under_way)
    @rule(
        which=st.integers(0, 999),
        verdict=st.sampled_from(["succeeded", "failed", "ignored", "cancelled"]),
        seconds=st.sampled_from([FAST, SLOW]),
    )
    def end(self, which: int, verdict: str, seconds: float) -> None:
        permit, generation = self.under_way.pop(which % len(self.under_way))
        heard = len(self.bench.heard)
        getattr(permit, verdict)(*([seconds] if verdict in ("succeeded", "failed") else []))
        changed = self.bench.heard[heard:]
        if generation < heard or verdict == "cancelled":
            assert changed == [], "a late answer, or none, changes nothing"
        for _, new, _ in changed:
            bad = verdict == "failed" or (verdict == "succeeded" and seconds == SLOW)  # else it has no time
            assert new == "open" if bad else new in ("open", "closed")

    @rule(seconds=st.sampled_from([0.5, 4, 40, 400]))
    def passes(self, seconds: float) -> None:
        self.bench.clock.passes(seconds)

    @invariant()
    def never_more_probes_than_allowed(self) -> None:
        if self.bench.state() == "half_open":
            changes = len(self.bench.heard)
            probing = [1 for _, generation in self.under_way if generation == changes]
            if self.bench.heard[-1][1] == "half_open":
                assert len(probing) <= self.bench.settings.probes

    @invariant()
    def never_open_for_longer_than_allowed(self) -> None:
        assert self.bench.breaker.next_probe_in() <= self.bench.settings.max_open

    def teardown(self) -> None:
        """It always heals, given time and good answers, once what is under way has ended."""
        if not hasattr(self, "bench"):
            return
        for permit, _ in self.under_way:
            permit.cancelled()
        self.bench.clock.passes(self.bench.settings.max_open)
        self.bench.calls(succeed=self.bench.settings.close_after)
        assert self.bench.state() == "closed"


Calls.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestCalls = Calls.TestCase
