"""Asks providers, and puts questions to one provider that come at the same moment into one call.

Questions of a batch (or of several seeds) reach their providers within a few turns of the event loop; those for
a provider that can batch wait for these turns and travel together. One bad question must not spoil the others:
where a common call is refused, each is asked alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

import msgspec

from gateway.adapter import Operation
from gateway.deadline import Deadline
from gateway.errors import Malformed, ProviderError
from gateway.model.query import Recommend, Recommendations, Search
from gateway.provider.account import Provider

MOST: Final = 50
"""Questions in one call."""
TURNS: Final = 3
"""Turns of the event loop that questions wait for each other: behind a cache a question is asked by a task of its
own, and of several seeds each by one more, so those arrive one and two turns after the others."""


def ask_alone(provider: Provider, question: Recommend | Search, deadline: Deadline) -> Awaitable[Recommendations]:
    """One question, one call."""
    operation: Operation = "search" if isinstance(question, Search) else "recommend"
    return provider.call(operation, question, deadline=deadline)


class _Waiting(msgspec.Struct):
    question: Recommend
    deadline: Deadline
    answer: asyncio.Future[Recommendations]


class Asker:
    """Lives as long as one request of a caller's."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Waiting]] = {}
        self._calls: dict[asyncio.Task[None], list[_Waiting]] = {}

    async def ask(self, provider: Provider, question: Recommend | Search, deadline: Deadline) -> Recommendations:
        """The provider's answer to this question. Raises ProviderError."""
        if isinstance(question, Search) or type(provider.adapter).has("recommend_batch") is None:
            return await ask_alone(provider, question, deadline)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(question, deadline, loop.create_future())
        together = self._waiting.setdefault(provider.name, [])
        together.append(waiting)
        if len(together) == 1:
            loop.call_soon(self._go, provider, TURNS)
        return await waiting.answer

    def _go(self, provider: Provider, turns: int) -> None:
        loop = asyncio.get_running_loop()
        if turns > 1:
            loop.call_soon(self._go, provider, turns - 1)
            return
        asked = [one for one in self._waiting.pop(provider.name, []) if not one.answer.done()]
        for start in range(0, len(asked), MOST):
            together = asked[start : start + MOST]
            call = loop.create_task(_call(provider, together))
            self._calls[call] = together
            call.add_done_callback(self._calls.pop)

    async def close(self) -> None:
        """Break off what nobody waits for any more; a flight that others have joined still does."""
        idle = [call for call, together in self._calls.items() if all(one.answer.done() for one in together)]
        for call in idle:
            call.cancel()
        await asyncio.gather(*idle, return_exceptions=True)


async def _call(provider: Provider, together: list[_Waiting]) -> None:
    if len(together) == 1:
        return await _settle(provider, together[0])
    deadline = min((one.deadline for one in together), key=Deadline.left)
    try:
        questions = [one.question for one in together]
        answers = await provider.call("recommend_batch", questions, deadline=deadline)
    except ProviderError as error:
        if not _may_be_one_questions_fault(error):
            return _fail(together, error)
    except Exception as error:  # here questions end: whoever waits gets what happened
        return _fail(together, error)
    else:
        if len(answers) != len(together):
            return _fail(together, Malformed("not one answer for each question"))
        for one, answer in zip(together, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)
        return None
    await asyncio.gather(*(_settle(provider, one) for one in together))
    return None


def _may_be_one_questions_fault(error: ProviderError) -> bool:
    """Could the others be answered if each were asked alone? Wrong credentials or a 5xx are everybody's."""
    return error.outcome in ("rejected", "missing", "unsupported") or error.status == 404


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
