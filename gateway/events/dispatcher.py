"""All couriers of one process: one for each configured provider, called when there is something new.

    Intake ─▸ store ─▸ wake ─▸ a courier for each provider      (gateway.events.courier)

A reload takes couriers over, makes new ones, and lets those of providers that are gone end what is under way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from random import Random
from typing import Any

from gateway.config.traffic import Events
from gateway.deadline import Clock
from gateway.events.courier import Courier, Hash
from gateway.events.telling import Credits
from gateway.provider.account import Provider
from gateway.state.store import Store


class Dispatcher:
    """Starts with `apply`, ends with `close`."""

    def __init__(
        self,
        store: Store,
        credits_of: Credits,
        hash_of: Hash,
        *,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        rng: Random | None = None,
    ) -> None:
        self._store = store
        self._credits_of, self._hash_of = credits_of, hash_of
        self._clock, self._wall, self._rng = clock, wall, rng
        self._couriers: dict[str, Courier] = {}
        self._running: set[asyncio.Task[None]] = set()

    def apply(self, providers: Mapping[str, Provider], settings: Events, drain: float) -> None:
        """From now on these are told."""
        for name in [name for name in self._couriers if name not in providers]:
            self._begin(self._ended(self._couriers.pop(name), drain))
        for name, provider in providers.items():
            if name in self._couriers:
                self._couriers[name].takes_over(provider, settings)
            else:
                self._couriers[name] = courier = self._courier(provider, settings)
                self._begin(courier.run())

    def _courier(self, provider: Provider, settings: Events) -> Courier:
        return Courier(
            provider, self._store, settings, self._credits_of, self._hash_of,
            clock=self._clock, wall=self._wall, rng=self._rng,
        )  # fmt: skip

    def wake(self) -> None:
        """Something was accepted."""
        for courier in self._couriers.values():
            courier.call()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    @staticmethod
    async def _ended(courier: Courier, drain: float) -> None:
        courier.stop()
        await courier.close(drain)

    async def close(self, drain: float) -> None:
        """Finish what is under way within so many seconds, and let other processes go on."""
        couriers = list(self._couriers.values())
        self._couriers.clear()
        await asyncio.gather(*(self._ended(courier, drain) for courier in couriers))
        await asyncio.gather(*self._running, return_exceptions=True)
