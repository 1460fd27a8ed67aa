"""Counts over the last seconds, against a list that remembers every one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.policies.window import Window

steps = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 2)), max_size=60)


@given(steps)
def test_counts_exactly_what_its_buckets_cover(steps: list[tuple[float, int]]) -> None:
    window, now = Window(10, 5, columns=3), 0.0
    added: list[tuple[int, int]] = []
    for seconds, column in steps:
        now += seconds
        window.add(now, column)
        added.append((int(now / 2), column))
        recent = [c for tick, c in added if tick > int(now / 2) - 5]
        assert window.totals == [recent.count(0), recent.count(1), recent.count(2)]


def test_the_present_bucket_and_clearing() -> None:
    window = Window(10, 10, columns=1)
    window.add(100.0, 0)
    window.add(100.9, 0)
    assert window.roll(100.95) == [2]
    assert window.roll(101.0) == [0]
    assert window.totals == [2]
    window.clear()
    assert window.totals == [0]
    assert window.roll(100.0) == [0]
