"""What one tenant has: documents with their snippets, which of them are candidates, the schema, people."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.sandbox.xayn.index import Index
from gateway.sandbox.xayn.interests import Interest, derive
from gateway.sandbox.xayn.schema import Schema
from gateway.sandbox.xayn.text import split, summarize, terms, words
from gateway.sandbox.xayn.wire import SnippetOrDocumentId

REMEMBERED: Final = 100  # a person's newest interactions that make the interests; all count as seen
TITLES: Final = ("title", "name")
LABELS: Final = ("genre", "genres", "category", "categories", "keywords", "tags")

Properties = dict[str, Any]


@dataclass(slots=True, eq=False)
class Snippet:
    key: int  # ascends with ingestion
    document: "Document"
    sub_id: int
    text: str
    words: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Document:
    id: str
    text: str
    step: str  # none | split | summarize
    properties: Properties
    tags: list[str]
    is_candidate: bool
    snippets: dict[int, Snippet] = field(default_factory=dict)  # by sub_id


@dataclass(slots=True, eq=False)
class Person:
    """What one user id did; `interests` are made anew when this or the index has changed."""

    seen: set[str] = field(default_factory=set)
    newest: deque[tuple[SnippetOrDocumentId, float]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    interests: tuple[Interest, ...] = ()
    made_from: int | None = None  # the index's revision

    def interact(self, document_id: str, reference: SnippetOrDocumentId, at: float) -> None:
        self.seen.add(document_id)
        self.newest.append((reference, at))
        self.made_from = None

    def forget(self, document_id: str) -> None:
        if document_id in self.seen:
            self.seen.discard(document_id)
            kept = [entry for entry in self.newest if document_of(entry[0]) != document_id]
            self.newest.clear()
            self.newest.extend(kept)
            self.made_from = None


class Tenant:
    """All state of the emulated vendor. `capacity` is how many documents it can hold."""

    def __init__(self, clock: Callable[[], float], capacity: int) -> None:
        self.clock = clock
        self.capacity = capacity
        self.index = Index()
        self.schema = Schema()
        self.documents: dict[str, Document] = {}
        self.snippets: dict[int, Snippet] = {}
        self.people: dict[str, Person] = {}
        self._next_key = 0

    def put(self, document: Document) -> bool:
        """Stores or replaces a document; False when there is no room for one more."""
        known = self.documents.get(document.id)
        if known is None and len(self.documents) >= self.capacity:
            return False
        if known is not None and (known.text, known.step) == (document.text, document.step):
            document.snippets = known.snippets
            for snippet in document.snippets.values():
                snippet.document = document
        else:
            self._drop_snippets(known)
            document.snippets = {
                sub_id: self._snippet(document, sub_id, text)
                for sub_id, text in enumerate(_texts(document.text, document.step))
            }
        self.documents[document.id] = document
        self.reindex(document)
        return True

    def delete(self, document_id: str) -> bool:
        document = self.documents.pop(document_id, None)
        self._drop_snippets(document)
        if document is not None:
            for person in self.people.values():
                person.forget(document_id)
        return document is not None

    def reindex(self, document: Document) -> None:
        """To be called when a document's properties have changed: they are part of what it is about."""
        labels = words(" ".join([*_strings(document.properties, LABELS), *document.tags]))
        title = words(" ".join(_strings(document.properties, TITLES)))
        for snippet in document.snippets.values():
            found = words(snippet.text)
            if not set(title) <= set(found):
                found = title + found
            snippet.words = frozenset(found).union(labels)
            self.index.put(snippet.key, terms(found), terms(labels))

    def snippet(self, reference: SnippetOrDocumentId) -> Snippet | None:
        """The snippet meant; of a whole document its first, "an arbitrary snippet" in the vendor's words."""
        document = self.documents.get(document_of(reference))
        if document is None:
            return None
        return document.snippets.get(0 if isinstance(reference, str) else reference.sub_id)

    def interact(self, user_id: str, references: Iterable[SnippetOrDocumentId]) -> None:
        """Notes what a person looked at; what is not known here is passed over in silence."""
        now = self.clock()
        for reference in references:
            if self.snippet(reference) is not None:
                person = self.people.setdefault(user_id, Person())
                person.interact(document_of(reference), reference, now)

    def interests(self, person: Person) -> tuple[Interest, ...]:
        if person.made_from != self.index.revision:
            person.interests = self.interests_of(person.newest)
            person.made_from = self.index.revision
        return person.interests

    def interests_of(self, looked_at: Iterable[tuple[SnippetOrDocumentId, float]]) -> tuple[Interest, ...]:
        known = ((self.snippet(reference), at) for reference, at in looked_at)
        return derive((self.index.vector(snippet.key), at) for snippet, at in known if snippet is not None)

    def candidates(self) -> Iterator[Document]:
        return (document for document in self.documents.values() if document.is_candidate)

    def _snippet(self, document: Document, sub_id: int, text: str) -> Snippet:
        snippet = Snippet(self._next_key, document, sub_id, text)
        self.snippets[snippet.key] = snippet
        self._next_key += 1
        return snippet

    def _drop_snippets(self, document: Document | None) -> None:
        for snippet in document.snippets.values() if document else ():
            del self.snippets[snippet.key]
            self.index.remove(snippet.key)


def document_of(reference: SnippetOrDocumentId) -> str:
    return reference if isinstance(reference, str) else reference.document_id


def _texts(text: str, step: str) -> list[str]:
    if step == "split":
        return split(text)
    return [summarize(text) if step == "summarize" else text]


def _strings(properties: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Every string that stands in these properties, alone or in a list."""
    found: list[str] = []
    for name in names:
        value = properties.get(name)
        found.extend([value] if isinstance(value, str) else value if isinstance(value, list) else [])
    return found
