"""The rate limit: exact in the long run, bounded in the short, honest about the wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.policies.rate import Rate, RateSettings

rates = st.floats(0.01, 1000)
bursts = st.integers(1, 50)
pauses = st.lists(st.floats(0, 10), min_size=1, max_size=100)


@given(rates, bursts, pauses)
def test_never_more_than_burst_and_rate_allow(per_second: float, burst: int, pauses: list[float]) -> None:
    rate, now = Rate(per_second, burst), 1000.0
    admitted = []
    for pause in pauses:
        now += pause
        for _ in range(3):
            if rate.admit(now) == 0:
                admitted.append(now)
    for first in range(0, len(admitted), 7):
        for last in range(first, len(admitted)):
            seconds = admitted[last] - admitted[first]
            assert last - first + 1 <= burst + seconds * per_second + 1e-3


@given(rates, bursts, pauses)
def test_the_wait_is_exact(per_second: float, burst: int, pauses: list[float]) -> None:
    rate, now = Rate(per_second, burst), 1000.0
    for pause in pauses:
        now += pause
        wait = rate.admit(now)
        if wait:
            assert rate.admit(now + wait * 0.99 - 1e-8) > 0
            now += wait
            assert rate.admit(now) == 0


@given(rates, bursts)
def test_whoever_keeps_to_the_rate_is_never_refused(per_second: float, burst: int) -> None:
    rate = Rate(per_second, burst)
    assert [rate.admit(1000.0 + n / per_second) for n in range(50)] == [0] * 50


@given(rates, bursts, st.integers(0, 60), st.floats(0, 20))
def test_its_state_says_how_many_would_go(per_second: float, burst: int, spent: int, pause: float) -> None:
    rate = Rate(per_second, burst)
    for _ in range(spent):
        rate.admit(1000.0)
    now = 1000.0 + pause
    said, a_moment_later = rate.state(now)[0], rate.state(now + 1e-6)[0]
    admitted = sum(rate.admit(now) == 0 for _ in range(burst + 1))
    assert 0 <= said <= admitted <= a_moment_later <= burst


def test_headers_of_a_burst() -> None:
    rate = Rate(10, 5)
    assert (rate.burst, rate.state(0)) == (5, (5, 0))
    rate.admit(0)
    rate.admit(0)
    left, seconds = rate.state(0)
    assert left == 3 and seconds == pytest.approx(0.2)
    assert (rate.state(0.1)[0], rate.state(0.25)[0]) == (4, 5)


def test_the_default_burst_is_what_comes_in_a_second() -> None:
    assert (Rate(200).burst, Rate(0.5).burst) == (200, 1)


def test_a_batch_counts_as_its_requests() -> None:
    rate = Rate(10, 10)
    assert rate.admit(0, cost=8) == 0
    assert rate.admit(0, cost=3) == pytest.approx(0.1)
    assert rate.admit(0, cost=2) == 0


def test_a_batch_above_the_burst_goes_when_nothing_is_spent_and_is_paid_for_afterwards() -> None:
    rate = Rate(10, 10)
    assert rate.admit(0) == 0
    assert rate.admit(0, cost=50) == pytest.approx(0.1)
    assert rate.admit(0.1, cost=50) == 0
    assert rate.admit(0.1) == pytest.approx(4.1)


def test_settings() -> None:
    assert RateSettings().rate is None
    assert RateSettings.model_validate({"rate": "90/m"}).rate == 1.5
    with pytest.raises(ValidationError):
        RateSettings.model_validate({"rate": 0})
    with pytest.raises(ValueError, match="above 0"):
        Rate(0)
