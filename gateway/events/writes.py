"""The other road: what callers tell the gateway, from the commit to every vendor.

server ▸ intake ▸ store (durable) ▸ dispatcher: a courier for each provider ▸ provider ⇄ adapter
                                  ▸ hearing: other processes' caches and hidden items follow
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.events.attribution import Attribution, Signer
from gateway.events.dispatcher import Dispatcher
from gateway.events.hearing import Hearing
from gateway.events.hidden import Hidden
from gateway.events.intake import Intake, hash_of
from gateway.experiments.earnings import Earnings
from gateway.memory import Memory
from gateway.model.activity import Credit, Event
from gateway.plan import Plan
from gateway.policies.cache import AnswerCache
from gateway.state.store import Store


class Writes:
    """All of it in one process, put together. Begins with `start`."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        cache: AnswerCache,
        hidden: Hidden,
        memory: Memory,
        key: bytes,
        signer: Callable[[], Signer],
    ) -> None:
        def credit(event: Event, provider: str) -> Credit | None:
            return Attribution(signer()).credit(event, provider)

        self.dispatcher = Dispatcher(store, credit, lambda user: hash_of(key, user))
        earnings = Earnings(lambda: Attribution(signer()), key)
        self.intake = Intake(plan, store, self.dispatcher, cache, hidden, memory, key, earnings=earnings)
        self.hearing = Hearing(plan, store, cache, hidden, memory)
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where the last process stopped. Raises StoreError."""
        await self.hearing.hear()
        self._listening = asyncio.get_running_loop().create_task(self.hearing.run())
        self.apply(self.intake.plan)

    def apply(self, plan: Plan) -> None:
        """By this configuration from now on."""
        configuration = plan.configuration
        self.intake.plan = self.hearing.plan = plan
        self.dispatcher.apply(plan.providers, configuration.events, configuration.server.drain)

    async def close(self, drain: float) -> None:
        """Finish within so many seconds what is under way; what waits stays in the store."""
        await self.dispatcher.close(drain)
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
