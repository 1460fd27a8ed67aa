"""The front office: recommendations, interactions, search."""

from typing import Any, Final

import msgspec
from aiohttp import web

from gateway.sandbox.xayn import search
from gateway.sandbox.xayn.errors import NotEnoughInteractions, Refused, bad_request
from gateway.sandbox.xayn.filters import Test, both, compiled, published_after
from gateway.sandbox.xayn.interests import Interest
from gateway.sandbox.xayn.schema import Schema
from gateway.sandbox.xayn.search import Hit, Selection
from gateway.sandbox.xayn.store import Person, Tenant, document_of
from gateway.sandbox.xayn.text import terms, words
from gateway.sandbox.xayn.wire import (
    NO_NUL,
    HistoryEntry,
    InputUser,
    InteractionRequest,
    Personalize,
    RecommendationRequest,
    SearchRequest,
    SnippetId,
    SnippetOrDocumentId,
    Wanted,
    check_reference,
    check_string,
    check_user_id,
    from_query,
    read,
    timestamp,
)

DEFAULT_COUNT: Final = 10
MAX_COUNT: Final = 100
MAX_HISTORY: Final = 100
HISTORY_FOR_INTERESTS: Final = 20  # the newest; all are excluded
MAX_INTERACTIONS: Final = 1000
MAX_QUERY_BYTES: Final = 512


class Someone(msgspec.Struct):
    """Whom an answer is for: his interests, and what he has seen."""

    interests: tuple[Interest, ...]
    documents: set[str]
    snippets: set[tuple[str, int]]


class FrontOffice:
    """The handlers; one tenant's state is all they share."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/users/{user_id}/recommendations", self.recommendations_for_user),
            web.post("/users/{user_id}/personalized_documents", self.recommendations_for_user),
            web.get("/users/{user_id}/personalized_documents", self.recommendations_for_user, allow_head=False),
            web.post("/recommendations", self.recommendations),
            web.patch("/users/{user_id}/interactions", self.interactions),
            web.post("/semantic_search", self.semantic_search),
        ]

    async def recommendations_for_user(self, request: web.Request) -> web.Response:
        """The body is optional: without one what is wanted stands in the query, as in the GET form."""
        has_body = request.method == "POST" and await request.read()
        wanted = await read(request, Wanted) if has_body else from_query(request)
        user = InputUser(id=request.match_info["user_id"])
        return self._recommended(wanted, Personalize(user=user))

    async def recommendations(self, request: web.Request) -> web.Response:
        wanted = await read(request, RecommendationRequest)
        return self._recommended(wanted, wanted.personalize)

    async def interactions(self, request: web.Request) -> web.Response:
        user_id = check_user_id(request.match_info["user_id"])
        body = await read(request, InteractionRequest)
        if not 1 <= len(body.documents) <= MAX_INTERACTIONS:
            raise bad_request(f"between 1 and {MAX_INTERACTIONS} interactions are allowed")
        self.tenant.interact(user_id, [check_reference(document.id) for document in body.documents])
        return web.Response(status=204)

    async def semantic_search(self, request: web.Request) -> web.Response:
        wanted = await read(request, SearchRequest)
        reference, query = _searched(wanted)
        count, test = _checked(wanted, self.tenant.schema)
        someone = self._someone(wanted.personalize) if wanted.personalize else None
        documents, snippets = _seen(someone, wanted.personalize)
        if isinstance(reference, str):
            documents.add(reference)
        elif reference is not None:
            snippets.add((reference.document_id, reference.sub_id))
        hits = self._found(reference, query, wanted, Selection(count, test, documents, snippets))
        if someone is not None and someone.interests:
            hits = search.reranked(self.tenant, hits, someone.interests, self.tenant.clock())
        return _answer(hits, wanted)

    def _found(
        self, reference: SnippetOrDocumentId | None, query: str, wanted: SearchRequest, selection: Selection
    ) -> list[Hit]:
        index = self.tenant.index
        if reference is not None:
            snippet = self.tenant.snippet(reference)
            if snippet is None:
                raise Refused("DocumentNotFound")
            return search.by_vector(self.tenant, index.vector(snippet.key), selection)
        vector = index.vector_of(terms(words(query)))
        if wanted.enable_hybrid_search:
            return search.by_query_and_keywords(self.tenant, query, vector, selection)
        return search.by_vector(self.tenant, vector, selection)

    def _recommended(self, wanted: Wanted, personalize: Personalize) -> web.Response:
        count, test = _checked(wanted, self.tenant.schema)
        someone = self._someone(personalize)
        if not someone.interests:
            raise NotEnoughInteractions
        selection = Selection(count, test, *_seen(someone, personalize))
        hits = search.by_interests(self.tenant, someone.interests, self.tenant.clock(), selection)
        return _answer(hits, wanted)

    def _someone(self, personalize: Personalize) -> Someone:
        """Either an id or a history, never both, never none."""
        user = personalize.user
        if user.id is not None and user.history is None:
            person = self.tenant.people.get(check_user_id(user.id), Person())
            return Someone(self.tenant.interests(person), set(person.seen), set())
        if user.history is not None and user.id is None:
            return self._visitor(user.history)
        raise bad_request("personalize.user must have _either_ an `id` or a `history` field")

    def _visitor(self, history: list[HistoryEntry]) -> Someone:
        """A history is used and not kept. An entry without a time is as old as the one after it."""
        if not history:
            raise Refused("HistoryTooSmall")
        if len(history) > MAX_HISTORY:
            raise bad_request(f"at most {MAX_HISTORY} history entries are allowed")
        at = self.tenant.clock()
        looked_at: list[tuple[SnippetOrDocumentId, float]] = []
        for entry in reversed(history):
            at = at if entry.timestamp is None else timestamp(entry.timestamp)
            looked_at.append((check_reference(entry.id), at))
        looked_at.reverse()
        whole = {document_of(reference) for reference, _ in looked_at if isinstance(reference, str)}
        parts = {(ref.document_id, ref.sub_id) for ref, _ in looked_at if isinstance(ref, SnippetId)}
        return Someone(self.tenant.interests_of(looked_at[-HISTORY_FOR_INTERESTS:]), whole, parts)


def _searched(wanted: SearchRequest) -> tuple[SnippetOrDocumentId | None, str]:
    """What a search starts from: a document or snippet, or else a query."""
    reference, query = wanted.document.id, wanted.document.query
    if (reference is None) == (query is None):
        raise bad_request("either id or query must be present in the request, and only one of them")
    if query is not None:
        return None, check_string(query.strip(), "InvalidDocumentQuery", NO_NUL, 1, MAX_QUERY_BYTES)
    return (None if reference is None else check_reference(reference)), ""


def _checked(wanted: Wanted, schema: Schema) -> tuple[int, Test | None]:
    count = DEFAULT_COUNT if wanted.count is None else wanted.count
    if not 1 <= count <= MAX_COUNT:
        raise Refused("InvalidDocumentCount", {"count": count, "min": 1, "max": MAX_COUNT})
    after = None if wanted.published_after is None else published_after(timestamp(wanted.published_after))
    return count, both(None if wanted.filter is None else compiled(wanted.filter, schema), after)


def _seen(someone: Someone | None, personalize: Personalize | None) -> tuple[set[str], set[tuple[str, int]]]:
    if someone is None or personalize is None or not personalize.exclude_seen:
        return set(), set()
    return someone.documents, someone.snippets


def _answer(hits: list[Hit], wanted: Wanted) -> web.Response:
    documents = []
    for snippet, score in hits:
        document = snippet.document
        found: dict[str, Any] = {
            "id": document.id,
            "snippet_id": {"document_id": document.id, "sub_id": snippet.sub_id},
            "score": round(score, 6),
        }
        if wanted.include_properties and document.properties:
            found["properties"] = document.properties
        if wanted.include_snippet:
            found["snippet"] = snippet.text
        documents.append(found)
    return web.Response(body=msgspec.json.encode({"documents": documents}), content_type="application/json")
