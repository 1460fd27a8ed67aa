"""The pace of requests to one vendor: never more in any second than the contract says, and no slower than that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policies.pace import SLACK, Pace

RATES = st.floats(0.01, 60)
PAUSES = st.lists(st.floats(0, 3), min_size=1, max_size=60)


@given(RATES, PAUSES)
def test_never_more_than_the_rate_in_any_span(per_second: float, pauses: list[float]) -> None:
    pace, now, sent = Pace(per_second), 1000.0, []
    for pause in pauses:
        now += pause
        for _ in range(4):
            if pace.admit(now) == 0:
                sent.append(now)
    span = pace.burst / per_second
    for start in sent:
        assert sum(1 for moment in sent if start <= moment < start + span) <= pace.burst


@given(RATES, PAUSES)
def test_the_wait_is_exact(per_second: float, pauses: list[float]) -> None:
    pace, now = Pace(per_second), 1000.0
    for pause in pauses:
        now += pause
        if wait := pace.admit(now):
            assert pace.admit(now + wait * 0.99 - 1e-8) > 0
            now += wait
            assert pace.admit(now) == 0


@given(RATES, PAUSES)
def test_remaining_says_how_many_would_go(per_second: float, pauses: list[float]) -> None:
    pace, now = Pace(per_second), 1000.0
    for pause in pauses:
        now += pause
        pace.admit(now)
        said = pace.remaining(now)
        assert sum(pace.admit(now) == 0 for _ in range(pace.burst + 1)) == said
        assert pace.remaining(now) == 0


def test_forty_a_second_go_at_once_and_forty_more_a_second_later() -> None:
    pace = Pace(40)
    assert [pace.admit(10.0) for _ in range(40)] == [0] * 40
    assert pace.admit(10.0) == pytest.approx(1 + SLACK)
    assert [pace.admit(11.0 + SLACK) for _ in range(41)] == [0] * 40 + [pytest.approx(1 + SLACK)]


@pytest.mark.parametrize("rate", [0, -1])
def test_there_is_no_pace_of_nothing(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pace(rate)
