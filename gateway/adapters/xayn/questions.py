"""Questions to the front office, and what its answers mean.

A question that names both a user's id and a history is asked with the id first; only where the vendor has too
few interactions of that user (409) is it asked again with the history. Histories are not stored by the vendor.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec

from gateway.adapter import Flow, Request, Response, quoted
from gateway.adapters.xayn import filters
from gateway.errors import NoAnswer, Unsupported
from gateway.model.query import Item, Recommend, Recommendations, Search, Snippet, User

MOST_ASKED: Final = 100
MOST_HISTORY: Final = 100
QUERY_BYTES: Final = 512
NOTHING: Final[frozenset[str]] = frozenset()
ROUTES: Final = (
    "/users/{id}/recommendations", "/users/{id}/personalized_documents", "/recommendations", "/semantic_search",
)  # fmt: skip
DOCUMENTED: Final = frozenset(
    f"documents[].{member}"
    for member in ("id", "score", "snippet", "snippet_id.document_id", "snippet_id.sub_id", "properties.*")
)
"""The members of an answer (FACTS.md §5; `id` is deprecated)."""


class SnippetId(msgspec.Struct, frozen=True, gc=False):
    """Which part of which document an answer is about."""

    document_id: str
    sub_id: int


class Document(msgspec.Struct, frozen=True, gc=False):
    """One entry of an answer. `id` is deprecated; older tenants say nothing else."""

    score: float
    id: str | None = None
    snippet_id: SnippetId | None = None
    properties: dict[str, Any] | None = None
    snippet: str | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What all questions are answered with."""

    documents: list[Document]


ANSWERS: Final = msgspec.json.Decoder(Answer)


def for_you(query: Recommend, user_path: str, split: bool) -> Flow[Recommendations]:
    """What a user, or somebody with this history, may like."""
    user = query.user
    if user is None or (user.id is None and not user.history):
        raise Unsupported("recommends nothing without a user or a history")
    body = _wanted(query, split)
    if user.id is not None and not user.history and query.exclude_seen is None:
        answer = yield Request(
            "POST",
            f"/users/{quoted(user.id)}/{user_path}",
            json=body,
            hosts="front",
            route=f"/users/{{id}}/{user_path}",
        )
    else:
        answer = yield from _personalized("/recommendations", body, user, query.exclude_seen)
    return _read(answer, query.count, _history(query))


def similar_items(query: Recommend, split: bool) -> Flow[Recommendations]:
    """What is like an item, ranked for the user where one is given."""
    if len(query.items) != 1:
        raise Unsupported("takes one item as a seed")
    (seed,) = query.items
    body = {"document": {"id": reference(seed, query.snippets)}} | _wanted(query, split)
    answer = yield from _personalized("/semantic_search", body, query.user, query.exclude_seen)
    # Given a snippet the vendor leaves out that snippet alone, not the others of the same document.
    return _read(answer, query.count, _history(query) | {seed})


def search(query: Search, split: bool) -> Flow[Recommendations]:
    """What words or an item mean, ranked for the user where one is given."""
    document: dict[str, Any]
    if query.item is not None:
        document, seeds = {"id": reference(query.item, query.snippets)}, frozenset({query.item})
    else:
        document, seeds = {"query": _words(query.query or "")}, NOTHING
    body = {"document": document} | _wanted(query, split)
    if query.hybrid and query.item is None:
        body["enable_hybrid_search"] = True
    answer = yield from _personalized("/semantic_search", body, query.user, query.exclude_seen)
    found = _read(answer, query.count, _history(query) | seeds)
    if query.hybrid and query.item is not None:
        warning = "hybrid search needs a query; the item was compared by meaning alone"
        return msgspec.structs.replace(found, warnings=(warning,))
    return found


def reference(item: str, snippets: tuple[Snippet, ...]) -> str | dict[str, Any]:
    """An item as the vendor wants it named: by its snippet where an earlier answer told which, else whole."""
    for snippet in snippets:
        if snippet.item == item:
            return {"document_id": item, "sub_id": snippet.part}
    return item


def _words(query: str) -> str:
    if not 1 <= len(query.encode()) <= QUERY_BYTES:
        raise Unsupported(f"query not within 1..{QUERY_BYTES} bytes")
    if "\0" in query:
        raise Unsupported("query with a zero byte")
    return query


def _wanted(query: Recommend | Search, split: bool) -> dict[str, Any]:
    """What every question says. Properties explicitly, as the vendor's default for them is true."""
    body: dict[str, Any] = {
        "count": min(MOST_ASKED, 2 * query.count if split else query.count),
        "include_properties": query.properties,
        "include_snippet": query.snippet,
    }
    if query.filter is not None:
        body["filter"] = filters.native(query.filter, split)
    return body


def _personalized(path: str, body: dict[str, Any], user: User | None, exclude_seen: bool | None) -> Flow[Response]:
    """The question, for this user if there is one.

    `exclude_seen` may only be said of a user, and means nothing without one. None leaves it to the vendor, who
    leaves out what was seen.
    """
    *first, last = _subjects(user) or [None]
    answer: Response
    for subject in first:
        try:
            answer = yield _question(path, body, subject, exclude_seen)
        except NoAnswer as error:
            if error.status != 409:
                raise
        else:
            return answer
    answer = yield _question(path, body, last, exclude_seen)
    return answer


def _question(
    path: str, body: dict[str, Any], subject: dict[str, Any] | None, exclude_seen: bool | None
) -> Request:
    if subject is not None:
        personalize: dict[str, Any] = {"user": subject}
        if exclude_seen is not None:
            personalize["exclude_seen"] = exclude_seen
        body = body | {"personalize": personalize}
    return Request("POST", path, json=body, hosts="front")


def _subjects(user: User | None) -> list[dict[str, Any] | None]:
    """The ways to say who asks, the best first: the vendor takes an id or a history, never both."""
    if user is None:
        return []
    if len(user.history) > MOST_HISTORY:
        raise Unsupported(f"history longer than {MOST_HISTORY}")
    ways: list[dict[str, Any] | None] = [] if user.id is None else [{"id": user.id}]
    if user.history:
        ways.append({"history": [_visited(seen.item, seen.time) for seen in user.history]})
    return ways


def _visited(item: str, time: datetime | None) -> dict[str, Any]:
    if time is None:
        return {"id": item}
    return {"id": item, "timestamp": time.astimezone(UTC).isoformat().replace("+00:00", "Z")}


def _history(query: Recommend | Search) -> frozenset[str]:
    """What the asker has seen by this very question: the vendor may trim a history before it excludes."""
    if query.user is None or query.exclude_seen is False:
        return NOTHING
    return frozenset(seen.item for seen in query.user.history)


def _read(answer: Response, count: int, without: frozenset[str]) -> Recommendations:
    """The best snippet of each document: an answer is ordered, so the first."""
    best: dict[str, Item] = {}
    for found in ANSWERS.decode(answer.body).documents:
        if found.snippet_id is not None:
            id_, part = found.snippet_id.document_id, found.snippet_id.sub_id
        elif found.id is not None:
            id_, part = found.id, None
        else:
            raise ValueError("a document without an id")
        if id_ not in best and id_ not in without:
            best[id_] = Item(id_, found.score, found.properties, found.snippet, part)
    return Recommendations(tuple(islice(best.values(), count)))
