"""One load told to one provider: what of it has arrived, what will never be taken, and what went wrong.

load ─▸ too old, no word for it?  ─▸ refused, with the reason
  └──▸ provider.call ─▸ receipt: told, refused
              └ it rejects the call: one alone ▸ refused; several ▸ each half by itself, in order
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog
from msgspec.structs import replace

from gateway.adapter import Operation
from gateway.errors import Failed, ProviderError, Unsupported
from gateway.events.lease import WhileHeld
from gateway.events.routes import OPERATIONS, can, objection
from gateway.model.activity import Credit, Event, Receipt
from gateway.provider.account import Provider
from gateway.state.kept import Errand, StoreError

log = structlog.get_logger("gateway.events")

CALL_SECONDS: Final = 60.0
"""For one load: many calls at vendors that take one thing at a time."""
REJECTED: Final = frozenset({"rejected", "missing", "empty", "unsupported"})
"""Outcomes that another try would not change."""
FAULTS: Final = 5
"""Tries of what our own code breaks on, alone, before it becomes a dead letter."""

Credits = Callable[[Event, str], Credit | None]
"""What an event says of the answer that led to it, to one provider."""


class Told(msgspec.Struct):
    """What became of a load."""

    told: list[Errand] = []
    refused: list[tuple[Errand, str]] = []
    left: list[Errand] = []
    """Not told yet."""
    error: ProviderError | StoreError | None = None
    """Why they are left."""


class Teller:
    """Speaks to one provider, for as long as this process may (`held`)."""

    def __init__(
        self,
        provider: Provider,
        credits_of: Credits,
        wall: Callable[[], float],
        held: Callable[[], bool] = lambda: True,
    ) -> None:
        self.provider = provider
        self._credits_of = credits_of
        self._wall = wall
        self._held = held

    async def tell(self, load: Sequence[Errand]) -> Told:
        """All of one kind. Raises nothing but cancellation: here a delivery ends."""
        operation = OPERATIONS[load[0].kind]
        told = Told()
        try:
            if not can(self.provider.adapter, operation):
                raise Unsupported(f"{self.provider.name} has no {operation}")
            things = self._things(load, told)
            await self._send(operation, things, told)
        except (ProviderError, StoreError) as error:
            _conclude(told, load, error)
        except Exception as error:
            log.exception("delivery", provider=self.provider.name, operation=operation)
            _conclude(told, load, Failed(f"a fault of the gateway's own ({type(error).__name__})"))
            _give_up(told)
        return told

    def _things(self, load: Sequence[Errand], told: Told) -> dict[str, tuple[Errand, Any]]:
        """By id: the errand, and what the adapter is given."""
        things: dict[str, tuple[Errand, Any]] = {}
        now = self._wall()
        for errand in load:
            if errand.kind != "event":
                things[errand.ref] = errand, (errand.change() if errand.body else errand.ref)
                continue
            event = errand.event()
            reason = objection(self.provider.adapter, event, now)
            if reason is None:
                credit = self._credits_of(event, self.provider.name)
                things[errand.ref] = errand, (replace(event, credit=credit) if credit else event)
            else:
                told.refused.append((errand, reason))
        return things

    async def _send(self, operation: Operation, things: dict[str, tuple[Errand, Any]], told: Told) -> None:
        """Raises ProviderError for what went wrong with the rest, StoreError."""
        if not things:
            return
        deadline = WhileHeld(self.provider.clock, CALL_SECONDS, self._held)
        try:
            receipt = await self.provider.call(
                operation, [thing for _, thing in things.values()], deadline=deadline
            )
        except ProviderError as error:
            left = _settled(things, error.receipt or Receipt(), told)
            if not left:
                return
            if error.outcome not in REJECTED:
                raise
            await self._isolate(operation, left, error, told)
            return
        if _settled(things, receipt, told):
            raise Failed("it said nothing of some of them")

    async def _isolate(
        self, operation: Operation, left: dict[str, tuple[Errand, Any]], error: ProviderError, told: Told
    ) -> None:
        """Find out which of them the vendor rejects."""
        if len(left) == 1 or error.outcome == "unsupported":
            told.refused += [(errand, error.vendor_message or str(error)) for errand, _ in left.values()]
            return
        pairs = list(left.items())
        middle = len(pairs) // 2
        await self._send(operation, dict(pairs[:middle]), told)
        await self._send(operation, dict(pairs[middle:]), told)

    async def erase(self, user: str) -> str:
        """`erased`, `partial` or `unsupported`. Raises ProviderError."""
        if not can(self.provider.adapter, "erase_user"):
            return "unsupported"
        deadline = WhileHeld(self.provider.clock, CALL_SECONDS, self._held)
        return str(await self.provider.call("erase_user", user, deadline=deadline))


def _settled(things: dict[str, tuple[Errand, Any]], receipt: Receipt, told: Told) -> dict[str, tuple[Errand, Any]]:
    """Note what a receipt says; what it does not name is left."""
    done = set(receipt.done)
    left: dict[str, tuple[Errand, Any]] = {}
    for ref, (errand, thing) in things.items():
        if ref in receipt.refused:
            told.refused.append((errand, receipt.refused[ref]))
        elif ref in done:
            told.told.append(errand)
        else:
            left[ref] = errand, thing
    return left


def _conclude(told: Told, load: Sequence[Errand], error: ProviderError | StoreError) -> None:
    """What is neither told nor refused is left, unless no other try would change that."""
    known = {one.seq for one in told.told} | {one.seq for one, _ in told.refused}
    left = [errand for errand in load if errand.seq not in known]
    if isinstance(error, ProviderError) and error.outcome in REJECTED:
        told.refused += [(errand, error.vendor_message or str(error)) for errand in left]
    else:
        told.left, told.error = left, error


def _give_up(told: Told) -> None:
    """What our own code broke on several times, alone, will not go another time either."""
    told.refused += [(errand, str(told.error)) for errand in told.left if errand.attempts >= FAULTS]
    told.left = [errand for errand in told.left if errand.attempts < FAULTS]
