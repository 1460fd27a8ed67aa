"""Drives an adapter's flow: performs what it yields, sends back what comes of it, until it returns.

    next ─▸ effect ─▸ perform ─▸ send(outcome)  ─▸ … ─▸ return value
                         └ ProviderError ─▸ throw ┘

What an adapter does with a vendor's answer may fail in ways that mean "this is not what the vendor's
document says": LookupError, TypeError, ValueError, AttributeError. Between an answer's arrival and the next
`yield` these become `Malformed`. Before the first answer they are bugs of ours and pass through.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable
from pathlib import PurePath
from typing import Any, Protocol, TypeVar

from gateway.adapter import Effect, Flow
from gateway.errors import Malformed, ProviderError

T = TypeVar("T")

NOT_AS_DOCUMENTED = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""RecursionError: JSON that is nested beyond what its decoder follows."""


class Performer(Protocol):
    """Whoever can perform effects: the provider, or a test."""

    def perform(self, effect: Effect) -> Awaitable[Any]:
        """Do it and return what the effect promises; raise ProviderError where that is not to be had."""


async def converse(flow: Flow[T], performer: Performer) -> T:
    """Drive a flow to its end. Raises ProviderError; closes the flow when cancelled."""
    heard = False
    outcome: Any = None  # the first step has nothing to send
    failure: ProviderError | None = None
    try:
        while True:
            try:
                effect = flow.send(outcome) if failure is None else flow.throw(failure)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a flow of T returns T
            except NOT_AS_DOCUMENTED as error:
                if not heard:
                    raise
                outcome = None
                raise malformed(error, flow) from error
            try:
                outcome, failure = await performer.perform(effect), None
            except ProviderError as error:
                failure = error
            heard = True
    finally:
        flow.close()


def malformed(error: Exception, flow: Flow[Any] | None = None) -> Malformed:
    """What a vendor's unexpected answer is reported as: the sort of surprise and its place, never the content.

    The place is the innermost line of the adapter's own folder, whoever wrote the adapter. The error may be kept a
    while for telemetry: of the frames on its way nothing is, since they hold the answer, which may be megabytes.
    """
    code = getattr(flow, "gi_code", None)
    folder = PurePath(code.co_filename).parent if code is not None else None
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if PurePath(frame.filename).parent == folder] or frames[-1:]
    place = f"{PurePath(inside[-1].filename).name}:{inside[-1].lineno}" if inside else ""
    traceback.clear_frames(error.__traceback__)
    return Malformed(f"unexpected answer ({type(error).__name__} at {place})", place=place)
