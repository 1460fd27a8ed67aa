"""`/ui`: the page, what it shows, and dead letters: looked through, and queued again."""

from __future__ import annotations

from aiohttp import web

from gateway.answering.delivery import Call, Delivery
from gateway.errors import Forbidden, NotFound
from gateway.server.bodies import json_body
from gateway.server.endpoints.ui_words import LettersQuery, Retried, RetryRequest
from gateway.server.handlers.parts import Part, answered
from gateway.server.mistakes import decode
from gateway.server.ui.letters import page
from gateway.server.ui.page import PAGE, POLICY
from gateway.server.ui.state import gathered


class Ui(Part):
    """Handlers."""

    async def ui(self, _request: web.Request, _call: Call) -> Delivery:
        headers = (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", POLICY),
            ("Cache-Control", "no-cache"),
        )
        return Delivery(200, headers, PAGE)

    async def ui_state(self, _request: web.Request, call: Call) -> Delivery:
        _refuse_who_speaks_for_one_user(call)
        return answered(200, await gathered(self.runtime))

    async def dead_letters(self, request: web.Request, call: Call) -> Delivery:
        _refuse_who_speaks_for_one_user(call)
        query = self.ask(request, call, LettersQuery).query
        return answered(200, await page(self.runtime.store, query.before))

    async def retry_dead_letters(self, request: web.Request, call: Call) -> Delivery:
        _refuse_who_speaks_for_one_user(call)
        body = await json_body(request, self.runtime.configuration.server.max_body)
        wanted = decode(body, RetryRequest)
        if wanted.provider not in self.runtime.pipeline.plan.providers:
            raise NotFound(f"there is no provider `{wanted.provider}`")
        queued = await self.runtime.store.retry(wanted.provider, wanted.ref)
        self.runtime.writes.dispatcher.wake()
        return answered(200, Retried(queued))


def _refuse_who_speaks_for_one_user(call: Call) -> None:
    """Dead letters have the ids of others. Raises Forbidden."""
    if call.caller is not None and call.caller.user is not None:
        raise Forbidden("these credentials speak for one user, and this is about all")
