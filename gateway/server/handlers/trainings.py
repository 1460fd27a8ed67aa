"""`/v1/training`: retrain, and when it last ran and may run next."""

from __future__ import annotations

import asyncio
from math import ceil
from time import time

from aiohttp import web

from gateway import addressing
from gateway.answering.delivery import Call, Delivery
from gateway.errors import RateLimited, Unavailable
from gateway.model.control_wire import ProviderQuery, TrainingBegun, TrainingState
from gateway.provider.account import Provider
from gateway.server.handlers.parts import Part, answered
from gateway.state.store import StoreError
from gateway.training import TooEarly, moment

STORE_DOWN = "the state store cannot be asked now, and only it knows when the last training was"


class Trainings(Part):
    """Handlers."""

    async def train(self, request: web.Request, call: Call) -> Delivery:
        """Whoever hangs up does not break it off: whether it has begun must be known."""
        asking = self.ask(request, call, ProviderQuery)
        provider = asking.able("train")
        seconds = addressing.seconds(provider)
        deadline = self.runtime.pipeline.deadline(call.headers, seconds)
        deadline.trace = call.trace
        begun = self.runtime.in_background(self.runtime.trainer.begin(provider, deadline))
        begun.add_done_callback(_heard)
        try:
            next_allowed_at = moment(await asyncio.shield(begun))
        except TooEarly as early:
            raise _too_early(provider, early.next_allowed_at) from early
        except StoreError as error:
            raise Unavailable(STORE_DOWN, headers={"Retry-After": "1"}, attempts=[]) from error
        assert next_allowed_at is not None  # noqa: S101  # a number became a moment
        return answered(202, TrainingBegun(provider.name, "scheduled", next_allowed_at))

    async def training(self, request: web.Request, call: Call) -> Delivery:
        provider = self.ask(request, call, ProviderQuery).able("train")
        try:
            standing = await self.runtime.trainer.standing(provider)
        except StoreError as error:
            raise Unavailable(STORE_DOWN, headers={"Retry-After": "1"}, attempts=[]) from error
        last, next_ = moment(standing.last_started_at), moment(standing.next_allowed_at)
        return answered(200, TrainingState(provider.name, last, next_, standing.new_events))


def _heard(begun: asyncio.Task[float]) -> None:
    """Nobody may be left to hear how it ended."""
    if not begun.cancelled():
        begun.exception()


def _too_early(provider: Provider, next_allowed_at: float) -> RateLimited:
    wait = max(1, ceil(next_allowed_at - time()))
    when = moment(next_allowed_at)
    assert when is not None  # noqa: S101  # as above
    said = when.isoformat().replace("+00:00", "Z")
    return RateLimited(
        f"`{provider.name}` may be trained again at {said}",
        headers={"Retry-After": str(wait)},
        next_allowed_at=said,
    )
