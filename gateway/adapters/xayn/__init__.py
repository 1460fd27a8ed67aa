"""Xayn: semantic recommendations and search over snippets of documents (Front Office 2.7.0, FACTS.md §5).

    for_you         POST /users/{id}/recommendations          an id, and the vendor's habits
                    POST /recommendations                     a history, or an explicit `exclude_seen`
    similar_items   POST /semantic_search  {document: {id}}   a document, or the very snippet that was shown
    search          POST /semantic_search  {document: {query}}
    events          PATCH /users/{id}/interactions
    items           POST /documents · DELETE /documents/{id} · GET /documents/_candidates   at the back office

The back office has a token of its own; without one the operations on items are `Unsupported`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec
from pydantic import SecretStr

from gateway.adapter import Adapter, Alphabet, Flow, How, Operation, Part, Request, Response
from gateway.adapters.xayn import catalogue, filters, interactions, questions, refusals
from gateway.errors import ProviderError, Unsupported
from gateway.model.activity import Change, Event, Listing
from gateway.model.filters import Filter
from gateway.model.query import Kind, Recommend, Recommendations, Search
from gateway.urls import BaseUrl

IDS = Alphabet(r"[a-zA-Z0-9\-:@.][a-zA-Z0-9\-:@._]*", 256)


class Xayn(Adapter):
    """One tenant at Xayn."""

    url: BaseUrl
    """The tenant's front office: what stands before `/users/…`. Plain http off loopback needs `insecure`."""
    token: SecretStr
    """Sent as `authorizationToken`."""
    back_office_url: BaseUrl | None = None
    """What stands before `/documents`; default: `url`."""
    back_office_token: SecretStr | None = None
    """The back office's own token; without it items are neither fed nor listed."""
    snippet_from: tuple[str, ...] = ("snippet", "description", "title")
    """The properties, as they are called at Xayn, whose first text becomes the document's snippet."""
    split_documents: bool = False
    """Do documents have several snippets? Then twice as many are asked for, and id filters are the gateway's."""
    user_path: Literal["recommendations", "personalized_documents"] = "recommendations"
    """The last segment of the recommendations for a user; `personalized_documents` on older tenants."""
    insecure: bool = False
    """Allow the tokens to travel over plain http to another machine."""

    kinds: ClassVar[Mapping[Kind, How]] = {"for_you": "native", "similar_items": "native"}
    made: ClassVar[frozenset[Operation]] = frozenset({"list_items"})
    says: ClassVar[frozenset[Part]] = frozenset({"exclude_seen", "include_seen", "hybrid", "history", "snippets"})
    documented: ClassVar[Mapping[str, frozenset[str]]] = dict.fromkeys(questions.ROUTES, questions.DOCUMENTED)
    carries_properties: ClassVar[bool] = True
    user_ids: ClassVar[Alphabet] = IDS
    item_ids: ClassVar[Alphabet] = IDS

    def hosts(self) -> Mapping[str, Sequence[str]]:
        return {"front": [self.url], "back": [self.back_office_url or self.url]}

    @property
    def events_per_call(self) -> int:
        return interactions.MOST

    def expressible(self, parts: Sequence[Filter]) -> Sequence[bool]:
        return filters.expressible(parts, self.split_documents)

    def authorize(self, request: Request, token: str | None) -> Request:
        secret = self.back_office_token if request.hosts == "back" else self.token
        header = ("authorizationToken", secret.get_secret_value() if secret else "")
        return msgspec.structs.replace(request, headers=(*request.headers, header))

    def error(self, response: Response) -> ProviderError:
        return refusals.meaning(response)

    def takes(self, event: Event) -> str | None:
        return interactions.objection(event)

    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        if query.kind == "for_you":
            return (yield from questions.for_you(query, self.user_path, self.split_documents))
        if query.kind == "similar_items":
            return (yield from questions.similar_items(query, self.split_documents))
        raise Unsupported(f"has no {query.kind}")

    def search(self, query: Search) -> Flow[Recommendations]:
        return (yield from questions.search(query, self.split_documents))

    def track(self, events: Sequence[Event]) -> Flow[None]:
        yield from interactions.track(events)

    def put_items(self, changes: Sequence[Change]) -> Flow[None]:
        self._need_back_office()
        yield from catalogue.put(changes, self.snippet_from)

    def delete_items(self, ids: Sequence[str]) -> Flow[None]:
        self._need_back_office()
        yield from catalogue.delete(ids)

    def list_items(self) -> Flow[Listing]:
        self._need_back_office()
        return (yield from catalogue.candidates())

    def _need_back_office(self) -> None:
        if self.back_office_token is None:
            raise Unsupported("needs `back_office_token`")
