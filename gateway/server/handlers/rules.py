"""Merchandising rules, and the tasks that changing them begins."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from gateway import ruling
from gateway.answering.delivery import Call, Delivery
from gateway.errors import NotFound
from gateway.model.control import RulePage, RuleSearch, TaskStarted
from gateway.model.control_wire import BatchQuery, ChangeBegun, ProviderQuery, TaskState
from gateway.model.query import Kind
from gateway.provider.account import Provider
from gateway.server.handlers.parts import Asking, Part, answered
from gateway.tasks import Task, task_id, task_of

RULE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")


class Rules(Part):
    """`/v1/rules/…` and `/v1/tasks/…`."""

    async def write_rules(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, BatchQuery)
        kind = asking.kind
        replace = request.query.get("replace") in ("true", "1")
        rules = ruling.read(await asking.body(), asking.mistakes, replace=replace)
        provider = asking.able("put_rules")
        started = await asking.call(provider, "put_rules", kind, rules, asking.query.replace)
        return answered(202, self._begun(provider, kind, started))

    async def rule(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, ProviderQuery)
        kind, id_ = asking.kind, _rule_id(asking)
        return answered(200, ruling.said(await asking.call(asking.able("rule"), "rule", kind, id_)))

    async def delete_rule(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, ProviderQuery)
        kind, id_ = asking.kind, _rule_id(asking)
        provider = asking.able("delete_rule")
        return answered(202, self._begun(provider, kind, await asking.call(provider, "delete_rule", kind, id_)))

    async def search_rules(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, ProviderQuery)
        kind = asking.kind
        wanted = await asking.decoded(RuleSearch)
        page: RulePage = await asking.call(asking.able("search_rules"), "search_rules", kind, wanted)
        found = [ruling.said(rule) for rule in page.rules]
        return answered(200, {"rules": found, "total": page.total, "page": page.page, "pages": page.pages})

    async def task(self, request: web.Request, call: Call) -> Delivery:
        """The id itself says who is asked; `?provider=` may name no other."""
        asking = self.ask(request, call, ProviderQuery)
        wanted = asking.query.provider
        task = task_of(asking.named("task_id"), self.runtime.task_key)
        provider = self.runtime.pipeline.plan.providers.get(task.provider) if task else None
        if task is None or provider is None or wanted not in (None, provider.name):
            raise NotFound("there is no such task")
        call.provider = provider.name
        return answered(200, TaskState(await asking.call(provider, "task", task.kind, task.task)))

    def _begun(self, provider: Provider, kind: Kind, started: TaskStarted) -> ChangeBegun:
        id_ = task_id(Task(provider.name, kind, started.task), self.runtime.task_key)
        return ChangeBegun(id_, started.updated_at)


def _rule_id(asking: Asking[ProviderQuery]) -> str:
    """Raises NotFound for what can be no rule's id."""
    id_ = asking.named("id")
    if not RULE_ID.fullmatch(id_):
        raise NotFound("there is no such rule: an id has letters, digits, `_` and `-`")
    return id_
