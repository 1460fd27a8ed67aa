"""The right to tell a provider, and what it bounds: nothing is begun once another may be at work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from gateway.adapter import Request, Response
from gateway.errors import ProviderError
from gateway.events.lease import LEASE, SAFE, Lease, WhileHeld
from gateway.events.telling import Teller
from gateway.provider.account import Provider
from gateway.provider.settings import ProviderSettings
from gateway.state.kept import Errand, StoreError
from gateway.transport import Outgoing
from tests.clock import FakeClock
from tests.errands import Vendor, happened

pytest_plugins = "tests.stores"


class Grants:
    """A store that grants every lease, unless it is away."""

    away = False

    async def lease(self, name: str, holder: str, seconds: float, now: float) -> bool:
        if self.away:
            raise StoreError("away")
        return True


async def test_what_waits_while_the_lease_ends_is_not_begun() -> None:
    clock, grants = FakeClock(), Grants()
    lease = Lease("x", cast(Any, grants), clock, clock)
    deadline = WhileHeld(clock, 60.0, lambda: lease.held)
    assert not deadline.worth_trying(), "nobody has it yet"
    assert await lease.hold()
    assert deadline.worth_trying()
    grants.away = True
    clock.passes(LEASE - SAFE)
    with pytest.raises(StoreError):
        await lease.hold()
    assert not deadline.worth_trying() and deadline.left() > 50
    grants.away = False
    clock.passes(LEASE)
    assert await lease.hold() and deadline.worth_trying()


class Slow(Vendor):
    """Tells in two calls; between them the store may be away for long."""

    def track(self, events: Any) -> Any:
        yield Request("POST", "/user", repeatable=False)
        yield from super().track(events)


class Wire:
    """Loses the lease while the first call is under way."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.held = True

    async def exchange(self, outgoing: Outgoing, seconds: float) -> Response:
        self.asked.append(outgoing.url)
        self.held = False
        return Response(200, {}, b"{}")

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def wire(store: Any) -> AsyncIterator[tuple[Wire, Teller]]:
    wire = Wire()
    provider = Provider(
        "a", Slow(), ProviderSettings(), store, key=b"k", memory=cast(Any, None), transport=cast(Any, wire)
    )
    yield wire, Teller(provider, lambda _event, _provider: None, lambda: 0.0, lambda: wire.held)
    await provider.close()


async def test_a_load_whose_lease_ends_between_two_calls_is_left_as_it_was(wire: tuple[Wire, Teller]) -> None:
    """As it is for a provider that is not asked at all: no attempt of anybody's is counted."""
    sent, teller = wire
    errand = Errand(1, "event", "e1", "uu1", 0.0, 0, 0.0, False, msgspec.json.encode(happened("e1", "u1")))
    told = await teller.tell([errand])
    assert sent.asked == ["https://vendor/user"]
    assert told.left == [errand] and not told.told and not told.refused
    assert isinstance(told.error, ProviderError) and not told.error.asked
