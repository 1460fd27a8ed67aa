"""The retry budget: a share of what was asked lately, and a floor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.policies.budget import FLOOR, BudgetSettings, RetryBudget
from tests.clock import FakeClock


def test_a_quiet_provider_has_the_floor_each_second() -> None:
    clock = FakeClock()
    budget = RetryBudget(0.2, clock)
    for _ in range(20):
        assert [budget.spend() for _ in range(5)] == [True] * FLOOR + [False] * 2
        clock.passes(1)


def test_a_busy_provider_has_its_share() -> None:
    clock = FakeClock()
    budget = RetryBudget(0.2, clock)
    for _ in range(100):
        budget.request()
    assert sum(budget.spend() for _ in range(100)) == 20


def test_the_share_is_of_the_last_ten_seconds() -> None:
    clock = FakeClock()
    budget = RetryBudget(0.2, clock)
    for _ in range(100):
        budget.request()
    clock.passes(9)
    assert sum(budget.spend() for _ in range(100)) == 20
    clock.passes(1)
    assert sum(budget.spend() for _ in range(100)) == FLOOR


def test_what_is_refused_costs_nothing() -> None:
    clock = FakeClock()
    budget = RetryBudget(0.5, clock)
    while budget.spend():
        pass
    for _ in range(8):
        budget.request()
    assert budget.spend()
    assert not budget.spend()


@given(st.floats(0, 1), st.lists(st.tuples(st.floats(0, 3), st.integers(0, 30), st.integers(0, 30)), max_size=30))
def test_retries_stay_within_share_and_floor(share: float, seconds: list[tuple[float, int, int]]) -> None:
    """Over the whole run: never more than the share of all that was asked, plus the floor of every second."""
    clock = FakeClock()
    budget = RetryBudget(share, clock)
    asked = granted = 0
    ticks = set()
    for pause, requests, wishes in seconds:
        clock.passes(pause)
        for _ in range(requests):
            budget.request()
        asked += requests
        spent = sum(budget.spend() for _ in range(wishes))
        granted += spent
        ticks.add(int(clock.now))
        assert spent >= min(wishes, FLOOR) or int(clock.now) == int(clock.now - pause)
    # A window's share may be spent again in the next overlapping window; hence the factor.
    assert granted <= 2 * share * asked + FLOOR * len(ticks)


def test_its_default_is_a_fifth() -> None:
    assert BudgetSettings().retry_budget == 0.2
