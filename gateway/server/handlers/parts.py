"""What the handlers of operations on one provider share: parameters read, the provider chosen, the answer said.

    Part ─ ask(request, call, Query) ─▸ Asking ─ provider, deadline ─▸ call ─▸ answered(status, value)

Mistakes of query, path and body are gathered in `Asking.mistakes` and told together by `check`.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from gateway import addressing
from gateway.adapter import Operation
from gateway.answering.delivery import Call, Delivery
from gateway.errors import InvalidRequest, Mistake, NotFound
from gateway.model.ids import id_complaint
from gateway.model.query import KINDS, Kind
from gateway.provider.account import Provider
from gateway.server.bodies import json_body
from gateway.server.mistakes import decode
from gateway.server.query import parameters
from gateway.server.runtime import Runtime

Q = TypeVar("Q")
T = TypeVar("T")


class Part:
    """Handlers of one subject; `Front` finds them by the operation's name."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def ask(self, request: web.Request, call: Call, query: type[Q]) -> Asking[Q]:
        """A request of one of these operations."""
        return Asking(self.runtime, request, call, query)


class Asking(Generic[Q]):
    """One request for one provider. Its mistakes are gathered until somebody checks."""

    def __init__(self, runtime: Runtime, request: web.Request, call: Call, query: type[Q]) -> None:
        self._runtime = runtime
        self._request = request
        self._call = call
        self.mistakes: list[Mistake] = []
        self._query = parameters(request.query, query, self.mistakes)
        named = request.query.get("provider") if "provider" in query.__struct_fields__ else None  # type: ignore[attr-defined]  # a msgspec struct
        self._named = addressing.named(runtime.pipeline.plan, named, self.mistakes)

    @property
    def query(self) -> Q:
        """The parameters. Raises InvalidRequest with all that is wrong so far."""
        self.check()
        assert self._query is not None  # noqa: S101  # or there would be a mistake
        return self._query

    def check(self) -> None:
        """Raises InvalidRequest naming everything that was found to be wrong."""
        if self.mistakes:
            raise InvalidRequest(self.mistakes)

    def check_time(self) -> None:
        """Raises InvalidRequest (400) for a Request-Timeout that is no time, also where none is needed."""
        self._runtime.pipeline.deadline(self._call.headers)

    @property
    def kind(self) -> Kind:
        """The kind in the path. Raises NotFound for a word that is none."""
        word = self._request.match_info["kind"]
        for kind in KINDS:
            if word == kind:
                return kind
        raise NotFound(f"there is no kind `{word}`; there are {', '.join(KINDS)}")

    @property
    def user(self) -> str:
        """The user in the path; what is wrong with the id is a mistake. Raises Forbidden for another's."""
        id_ = self.named("id")
        if complaint := id_complaint(id_):
            self.mistakes.append(Mistake("{id}", complaint))
        if self._call.caller is not None:
            self._call.caller.user_for(id_)
        return id_

    def named(self, part: str) -> str:
        """What stands in the path at `{part}`, decoded."""
        return self._request.match_info[part]

    async def body(self) -> bytes:
        """The body. Raises UnsupportedMediaType, PayloadTooLarge."""
        return await json_body(self._request, self._runtime.configuration.server.max_body)

    async def decoded(self, type_: type[T]) -> T:
        """The body's value. Raises InvalidRequest: 400 for what is not JSON, else with all mistakes so far."""
        try:
            return decode(await self.body(), type_)
        except InvalidRequest as invalid:
            if invalid.http_status == 400:
                raise
            raise InvalidRequest([*self.mistakes, *invalid.mistakes]) from None

    def able(self, operation: Operation) -> Provider:
        """Who is asked. Raises InvalidRequest with all mistakes so far, NoProviderCan."""
        self.check()
        provider = addressing.able(self._runtime.pipeline.plan, operation, self._named)
        self._call.provider = provider.name
        return provider

    async def call(self, provider: Provider, operation: Operation, *arguments: Any) -> Any:
        """The provider's answer. Raises the problem that its failure is."""
        deadline = self._runtime.pipeline.deadline(self._call.headers, addressing.seconds(provider))
        deadline.trace = self._call.trace
        return await addressing.call(provider, operation, *arguments, deadline=deadline)


def answered(status: int, value: Any) -> Delivery:
    """An answer that nobody may keep."""
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Delivery(status, headers, msgspec.json.encode(value))
