"""The order of hosts: the primary first, failed ones last for 300 s, none ever left out."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.policies.hosts import HostOrder
from tests.clock import FakeClock

URLS = ("https://a", "https://b", "https://c", "https://d")


def hosts(clock: FakeClock, seed: int = 1) -> HostOrder:
    return HostOrder(URLS, Random(seed), clock)


def test_the_primary_is_first_and_the_rest_shuffled_once() -> None:
    orders = {hosts(FakeClock(), seed).order() for seed in range(50)}
    assert {order[0] for order in orders} == {"https://a"}
    assert len(orders) == 6
    assert all(sorted(order) == sorted(URLS) for order in orders)
    one = hosts(FakeClock())
    assert len({one.order() for _ in range(20)}) == 1


def test_a_failed_host_is_last_for_300_seconds() -> None:
    clock = FakeClock()
    order = hosts(clock)
    healthy = order.order()
    order.failed("https://a")
    assert order.order() == (*healthy[1:], "https://a")
    clock.passes(299.9)
    assert order.order()[-1] == "https://a"
    clock.passes(0.1)
    assert order.order() == healthy


def test_a_host_that_works_again_is_forgiven_at_once() -> None:
    order = hosts(FakeClock())
    healthy = order.order()
    order.failed(healthy[2])
    order.worked(healthy[2])
    assert order.order() == healthy


@given(st.lists(st.tuples(st.sampled_from(URLS), st.booleans(), st.floats(0, 200)), max_size=40))
def test_healthy_hosts_first_and_all_always_there(steps: list[tuple[str, bool, float]]) -> None:
    clock = FakeClock()
    order = hosts(clock)
    healthy = order.order()
    down: dict[str, float] = {}
    for url, fails, pause in steps:
        if fails:
            order.failed(url)
            down[url] = clock.now + 300
        else:
            order.worked(url)
            down.pop(url, None)
        clock.passes(pause)
        is_down = {u for u in URLS if down.get(u, 0) > clock.now}
        expected = [u for u in healthy if u not in is_down] + [u for u in healthy if u in is_down]
        assert order.order() == tuple(expected)


def test_when_all_are_down_the_order_is_as_if_none_were() -> None:
    order = hosts(FakeClock())
    healthy = order.order()
    for url in reversed(healthy):
        order.failed(url)
    assert order.order() == healthy


def test_one_host_and_one_named_twice() -> None:
    clock = FakeClock()
    assert HostOrder(["https://a"], Random(1), clock).order() == ("https://a",)
    assert HostOrder(["https://a", "https://b", "https://a"], Random(1), clock).order() == (
        "https://a",
        "https://b",
    )
