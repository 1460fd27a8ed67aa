"""The bulkhead: a bound for all, half of it for writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PassedOver
from gateway.policies.bulkhead import Bulkhead, BulkheadSettings


def test_is_full_at_its_bound_and_not_before() -> None:
    bulkhead = Bulkhead(3)
    for _ in range(3):
        bulkhead.enter()
    with pytest.raises(PassedOver, match="3 requests are in flight"):
        bulkhead.enter()
    bulkhead.leave()
    bulkhead.enter()
    assert bulkhead.in_flight == 3


def test_writes_leave_room_for_reads() -> None:
    bulkhead = Bulkhead(5)
    bulkhead.enter(write=True)
    bulkhead.enter(write=True)
    with pytest.raises(PassedOver, match="2 writes are in flight"):
        bulkhead.enter(write=True)
    for _ in range(3):
        bulkhead.enter()
    with pytest.raises(PassedOver, match="5 requests"):
        bulkhead.enter()
    bulkhead.leave(write=True)
    bulkhead.enter(write=True)


def test_even_the_smallest_lets_a_write_through() -> None:
    bulkhead = Bulkhead(1)
    bulkhead.enter(write=True)
    with pytest.raises(PassedOver):
        bulkhead.enter()


@given(st.integers(1, 9), st.lists(st.tuples(st.booleans(), st.booleans())))
def test_never_above_its_bounds_and_refuses_only_at_them(most: int, steps: list[tuple[bool, bool]]) -> None:
    bulkhead = Bulkhead(most)
    reads = writes = 0
    for entering, write in steps:
        if not entering:
            if writes if write else reads:
                bulkhead.leave(write)
                writes, reads = writes - write, reads - (not write)
            continue
        full = reads + writes == most or (write and writes == max(1, most // 2))
        if full:
            with pytest.raises(PassedOver):
                bulkhead.enter(write)
        else:
            bulkhead.enter(write)
            writes, reads = writes + write, reads + (not write)
        assert bulkhead.in_flight == reads + writes


def test_its_settings_refuse_nonsense() -> None:
    assert BulkheadSettings().max_in_flight == 128
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        BulkheadSettings(max_in_flight=0)
