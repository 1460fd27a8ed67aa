"""Left alone for exactly as long as was asked for."""

from __future__ import annotations

import pytest

from gateway.errors import PassedOver
from gateway.policies.throttle import Throttle
from tests.clock import FakeClock


def test_is_passed_over_until_the_time_has_passed() -> None:
    clock = FakeClock()
    throttle = Throttle(clock)
    throttle.admit()
    throttle.note(3)
    assert (throttle.until, throttle.wait()) == (clock.now + 3, 3)
    with pytest.raises(PassedOver, match=r"throttled for 3\.0 s more"):
        throttle.admit()
    clock.passes(2.999)
    with pytest.raises(PassedOver):
        throttle.admit()
    clock.passes(0.001)
    throttle.admit()
    assert throttle.wait() == 0


def test_a_later_and_shorter_wish_does_not_shorten_an_earlier_one() -> None:
    clock = FakeClock()
    throttle = Throttle(clock)
    throttle.note(10)
    clock.passes(1)
    throttle.note(1)
    assert throttle.wait() == 9
    throttle.note(20)
    assert throttle.wait() == 20


def test_a_wish_for_weeks_is_heard_for_an_hour() -> None:
    throttle = Throttle(FakeClock())
    throttle.note(9_999_999)
    assert throttle.wait() == 3600


@pytest.mark.parametrize("nonsense", [float("nan"), -5.0, 0.0])
def test_nonsense_throttles_nobody(nonsense: float) -> None:
    throttle = Throttle(FakeClock())
    throttle.note(nonsense)
    throttle.admit()
