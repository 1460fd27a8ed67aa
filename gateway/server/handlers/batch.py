"""Several requests at once: what is cached at once, the rest together, so that questions share vendor calls.

at_once of every part ─▸ one look at the gateway's log for all that need it ─▸ the others at the same time
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.answering.asked import Caller
from gateway.answering.asker import Asker
from gateway.answering.delivery import Call
from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.pipeline import Pipeline

Tell = Callable[[int, GatewayError], bytes]
"""The problem that the request of this index ended in, as JSON."""


async def answered(
    pipeline: Pipeline,
    call: Call,
    requests: Sequence[Any],
    caller: Caller,
    headers: Mapping[str, str],
    deadline: Deadline,
    tell: Tell,
) -> list[bytes]:
    """An answer or a problem for each request, in order."""
    parts = [Call("recommend", headers, value=value, caller=caller, trace=call.trace) for value in requests]
    call.parts = parts
    ready = [_at_once(pipeline, index, part, tell) for index, part in enumerate(parts)]
    await pipeline.read_ahead([part for part, body in zip(parts, ready, strict=True) if body is None])
    asker = Asker()

    async def fetched(index: int, part: Call) -> bytes:
        try:
            return (await pipeline.fetch(part, asker.ask, deadline)).body
        except GatewayError as error:
            return tell(index, error)

    async def one(index: int) -> bytes:
        body = ready[index]
        return await fetched(index, parts[index]) if body is None else body

    try:
        return await asyncio.gather(*(one(index) for index in range(len(parts))))
    finally:
        await asker.close()


def _at_once(pipeline: Pipeline, index: int, part: Call, tell: Tell) -> bytes | None:
    try:
        delivery = pipeline.at_once(part)
    except GatewayError as error:
        return tell(index, error)
    return delivery.body if delivery is not None else None
