"""When Recomendo trains: asked for ▸ in a thread of its own ▸ the new model takes the old one's place at once.

idle ──asked──▸ training ──done──▸ idle
                │      ▲
                asked: again, once, from what is stored then
"""

import asyncio
import threading

from gateway.sandbox.recomendo.cooccurrence import Model, Stopped, train
from gateway.sandbox.recomendo.store import Store


class Training:
    """Keeps the model in force; None until the first training is done."""

    def __init__(self, store: Store) -> None:
        self.model: Model | None = None
        self._store = store
        self._again = False
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def schedule(self) -> None:
        """Train from the events stored now; while it trains already, once more when that is done."""
        if self._task and not self._task.done():
            self._again = True
        else:
            self._task = asyncio.create_task(self._run(), name="recomendo training")

    async def settled(self) -> None:
        """Wait until no training is under way."""
        if self._task:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """End a training under way without its result."""
        self._stop.set()
        await self.settled()

    async def _run(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            inputs = self._store.snapshot(), self._store.primary(), self._store.items()
            try:
                self.model = await asyncio.to_thread(train, *inputs, self._stop.is_set)
            except Stopped:
                return
