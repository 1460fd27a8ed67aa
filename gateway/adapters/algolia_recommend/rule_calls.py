"""Calls about merchandising rules and the tasks that writing them begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from gateway.adapter import Flow, Request, Response, quoted
from gateway.adapters.algolia_recommend import rules
from gateway.adapters.algolia_recommend.calls import asked, decoded, found, post
from gateway.adapters.algolia_recommend.options import Options
from gateway.errors import Unsupported
from gateway.model.control import Rule, RulePage, RuleSearch, TaskStarted, TaskStatus
from gateway.model.query import Kind

ROUTE: Final = "/1/indexes/{index}/{model}"
STATES: Final[dict[str, TaskStatus]] = {"published": "done", "notPublished": "pending"}


class _Begun(msgspec.Struct, rename={"task": "taskID", "updated_at": "updatedAt", "deleted_at": "deletedAt"}):
    """The page says `updatedAt` after a deletion, the vendor's specification `deletedAt`."""

    task: int | str
    updated_at: datetime | None = None
    deleted_at: datetime | None = None


class _Found(msgspec.Struct, rename={"total": "nbHits", "pages": "nbPages"}):
    hits: list[dict[str, Any]]
    total: int
    page: int
    pages: int


BEGUN: Final = msgspec.json.Decoder(_Begun)
FOUND: Final = msgspec.json.Decoder(_Found)
RULE: Final = msgspec.json.Decoder(dict[str, Any])


def put(options: Options, kind: Kind, given: Sequence[Rule], replace: bool) -> Flow[TaskStarted]:
    """Create or update rules, in one step with dropping the others where `replace`."""
    request = post(
        f"{_place(options, kind)}/recommend/rules/batch",
        [rules.write(rule) for rule in given],
        query=(("clearExistingRules", "true" if replace else "false"),),
        hosts="write",
        route=f"{ROUTE}/recommend/rules/batch",
    )
    return _started(options, (yield from asked(request, "editSettings")))


def read(options: Options, kind: Kind, rule: str) -> Flow[Rule]:
    """One rule."""
    answer = yield from found(_named("GET", options, kind, rule), "settings")
    return rules.read(decoded(RULE, answer.body))


def delete(options: Options, kind: Kind, rule: str) -> Flow[TaskStarted]:
    """Delete one rule."""
    return _started(options, (yield from found(_named("DELETE", options, kind, rule), "editSettings")))


def search(options: Options, kind: Kind, wanted: RuleSearch) -> Flow[RulePage]:
    """One page of the rules of a kind. A POST that only reads: it goes to the read hosts."""
    body = {"query": wanted.query, "page": wanted.page, "hitsPerPage": wanted.count}
    if wanted.context is not None:
        body["context"] = wanted.context
    if wanted.enabled is not None:
        body["enabled"] = wanted.enabled
    path = f"{_place(options, kind)}/recommend/rules/search"
    answer = yield from asked(post(path, body, hosts="read", route=f"{ROUTE}/recommend/rules/search"), "settings")
    page = decoded(FOUND, answer.body)
    return RulePage(tuple(rules.read(hit) for hit in page.hits), page.total, page.page, page.pages)


def task(options: Options, kind: Kind, task_id: str) -> Flow[TaskStatus]:
    """Has a change taken effect? The id names the index, which options may have exchanged since."""
    index, _, number = task_id.rpartition("/")
    path = f"{_place(options, kind, index)}/task/{quoted(number)}"
    answer = yield from found(Request("GET", path, hosts="read", route=f"{ROUTE}/task/{{task}}"), "editSettings")
    return STATES[answer.json["status"]]


def _place(options: Options, kind: Kind, index: str = "") -> str:
    if kind == "for_you" or kind == "looking_similar":  # noqa: PLR1714  # mypy narrows by `==` alone
        raise Unsupported(f"has no rules for {kind}")
    return f"/1/indexes/{quoted(index or options.index)}/{quoted(options.models[kind])}"


def _named(method: str, options: Options, kind: Kind, rule: str) -> Request:
    path = f"{_place(options, kind)}/recommend/rules/{quoted(rule)}"
    hosts = "read" if method == "GET" else "write"
    return Request(method, path, hosts=hosts, route=f"{ROUTE}/recommend/rules/{{rule}}")


def _started(options: Options, answer: Response) -> TaskStarted:
    begun = decoded(BEGUN, answer.body)
    return TaskStarted(f"{options.index}/{begun.task}", begun.updated_at or begun.deleted_at)
