"""Asks providers, and puts questions to one provider that come at the same moment into one call.

Questions of a batch (or of several seeds) reach their providers in the same turn of the event loop; those for a
provider that can batch wait for the end of that turn and travel together. One bad question must not spoil the
others: where a common call is refused, each is asked alone.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from gateway.deadline import Deadline
from gateway.errors import ProviderError, Unsupported
from gateway.model.query import Recommend, Recommendations, Search
from gateway.provider import Provider

MOST: Final = 50
"""Questions in one call."""


async def ask_alone(provider: Provider, question: Recommend | Search, deadline: Deadline) -> Recommendations:
    """One question, one call."""
    operation = "search" if isinstance(question, Search) else "recommend"
    answer: Recommendations = await provider.call(operation, question, deadline=deadline)  # type: ignore[arg-type]  # one of two literals
    return answer


class _Waiting(msgspec.Struct):
    question: Recommend
    deadline: Deadline
    answer: asyncio.Future[Recommendations]


class Asker:
    """Lives as long as one request of a caller's."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Waiting]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, provider: Provider, question: Recommend | Search, deadline: Deadline) -> Recommendations:
        """The provider's answer to this question. Raises ProviderError."""
        if isinstance(question, Search) or type(provider.adapter).has("recommend_batch") is None:
            return await ask_alone(provider, question, deadline)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(question, deadline, loop.create_future())
        together = self._waiting.setdefault(provider.name, [])
        together.append(waiting)
        if len(together) == 1:
            loop.call_soon(self._go, provider)
        return await waiting.answer

    def _go(self, provider: Provider) -> None:
        together = [one for one in self._waiting.pop(provider.name, []) if not one.answer.done()]
        for start in range(0, len(together), MOST):
            call = asyncio.get_running_loop().create_task(_call(provider, together[start : start + MOST]))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        """Break off what nobody waits for any more."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)


async def _call(provider: Provider, together: list[_Waiting]) -> None:
    if len(together) == 1:
        return await _settle(provider, together[0])
    deadline = min((one.deadline for one in together), key=Deadline.left)
    try:
        questions = [one.question for one in together]
        answers = await provider.call("recommend_batch", questions, deadline=deadline)
    except ProviderError as error:
        if error.outcome not in ("rejected", "missing", "misconfigured") and not isinstance(error, Unsupported):
            return _fail(together, error)
    else:
        for one, answer in zip(together, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)
        return None
    await asyncio.gather(*(_settle(provider, one) for one in together))
    return None


async def _settle(provider: Provider, one: _Waiting) -> None:
    try:
        answer = await ask_alone(provider, one.question, one.deadline)
    except Exception as error:  # here a question ends: whoever waits gets what happened
        _fail([one], error)
    else:
        if not one.answer.done():
            one.answer.set_result(answer)


def _fail(together: list[_Waiting], error: Exception) -> None:
    for one in together:
        if not one.answer.done():
            one.answer.set_exception(error)
