"""One dialogue with a vendor under way: performs the effects that an adapter's flow yields."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from gateway.adapter import Done, Effect, Learn, Lookup, Owners, Recall, Refuse, Register, Request, Response
from gateway.deadline import Deadline
from gateway.memory import Memory
from gateway.model.activity import Receipt
from gateway.provider.attempts import Attempts
from gateway.provider.dialogue import NOT_AS_DOCUMENTED, malformed
from gateway.state.store import Store


class Conversation:
    """Knows the deadline, and what has arrived so far."""

    __slots__ = (
        "_attempts",
        "_deadline",
        "_done",
        "_memory",
        "_plain",
        "_provider",
        "_refused",
        "_store",
        "_timeout",
    )

    def __init__(
        self,
        provider: str,
        attempts: Attempts,
        store: Store,
        memory: Memory,
        deadline: Deadline,
        timeout: float,
        *,
        plain: bool = False,
    ) -> None:
        self._provider = provider
        self._attempts = attempts
        self._store = store
        self._memory = memory
        self._deadline = deadline
        self._timeout = timeout
        self._plain = plain  # a login has no token to put on its requests
        self._done: list[str] = []
        self._refused: dict[str, str] = {}

    def perform(self, effect: Effect) -> Awaitable[Any]:
        """Do what the effect says; see each effect for what is sent back."""
        return self._send(effect) if isinstance(effect, Request) else self._perform(effect)

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Lookup():
                return await self._store.lookup(self._provider, effect.entity, effect.ids)
            case Owners():
                return await self._store.owners(self._provider, effect.entity, effect.vendor_ids)
            case Register():
                return await self._register(effect)
            case Done():
                self._done += effect.ids
            case Refuse():
                self._refused[effect.id] = effect.reason
            case Recall():
                return await self._memory.recall(effect.question, max(0.0, self._deadline.left() / 2))
            case Learn():
                self._memory.changed()
            case _:
                raise TypeError(f"a flow yielded {effect!r}, which is no effect: was `yield from` meant?")
        return None

    def _send(self, request: Request) -> Awaitable[Response]:
        send = self._attempts.send_plain if self._plain else self._attempts.send
        return send(request, self._deadline, self._timeout)

    async def _register(self, effect: Register) -> str:
        async with self._store.claim(self._provider, effect.entity, effect.id) as known:
            if known is not None:
                return known
            answer = await self._send(effect.request)
            try:
                created = effect.read(answer)
            except NOT_AS_DOCUMENTED as error:
                raise malformed(error) from error
            await self._store.bind(self._provider, effect.entity, {effect.id: created})
            return created

    def receipt(self, callers: Mapping[str, str]) -> Receipt:
        """What became of the batch, in the caller's ids (`callers`: vendor's spelling → caller's)."""
        return Receipt(
            tuple(callers.get(id_, id_) for id_ in self._done),
            {callers.get(id_, id_): reason for id_, reason in self._refused.items()},
        )
