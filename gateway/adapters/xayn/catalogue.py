"""Items as documents of the back office.

A document is a snippet, the text that its meaning is made of, and properties. The vendor replaces what it has
of a document by what it is sent. A batch with a bad document is a 400 and stores the good ones all the same.

The text that became the snippet stays a property too, unless there is no room for it there: it may be longer
than a property can be. Any other property that does not fit refuses the item, so that none is lost in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from gateway.adapter import Done, Flow, Refuse, Request, Response, quoted
from gateway.adapters.xayn.filters import PROPERTY_ID, STRING_BYTES
from gateway.adapters.xayn.refusals import InvalidDocuments
from gateway.errors import Missing, NoAnswer
from gateway.model.activity import Change, Listed, Listing

MOST: Final = 100
"""Documents in one call."""
SNIPPET_BYTES: Final = 2048
PROPERTIES_BYTES: Final = 2560
"""The vendor's "2.5 kB", of the properties as JSON."""
MOST_STRINGS: Final = 100
"""In one array."""


class Candidates(msgspec.Struct, frozen=True):
    """The documents that may be recommended."""

    documents: list[str]


def put(changes: Sequence[Change], snippet_from: Sequence[str]) -> Flow[None]:
    """Feed items, up to 100 a call; refuse those that cannot become a document."""
    documents: list[dict[str, Any]] = []
    for change in changes:
        source = _source(change.properties, snippet_from)
        if source is None:
            yield Refuse(change.id, f"needs a text in one of {', '.join(snippet_from)}")
            continue
        kept = _kept(change.properties, source)
        reason = _objection(kept)
        if reason is None:
            documents.append({"id": change.id, "snippet": _cut(change.properties[source]), "properties": kept})
        else:
            yield Refuse(change.id, reason)
    for start in range(0, len(documents), MOST):
        yield from _ingest(documents[start : start + MOST])


def _ingest(documents: list[dict[str, Any]]) -> Flow[None]:
    refused: Mapping[str, str] = {}
    try:
        yield Request("POST", "/documents", json={"documents": documents}, hosts="back")
    except InvalidDocuments as error:
        refused = error.reasons
    for document in documents:
        if document["id"] in refused:
            yield Refuse(document["id"], refused[document["id"]])
    yield Done(tuple(document["id"] for document in documents if document["id"] not in refused))


def delete(ids: Sequence[str]) -> Flow[None]:
    """Remove documents one by one; one that is not there is as good as removed."""
    for id_ in ids:
        with suppress(Missing, NoAnswer):  # FailedToDeleteSomeDocuments, DocumentNotFound
            yield Request("DELETE", f"/documents/{quoted(id_)}", hosts="back", route="/documents/{id}")
        yield Done((id_,))


def candidates() -> Flow[Listing]:
    """The only list that there is: documents that were taken out of the candidates are not in it."""
    answer: Response = yield Request("GET", "/documents/_candidates", hosts="back")
    found = msgspec.json.decode(answer.body, type=Candidates)
    return Listing(tuple(Listed(id_, id_) for id_ in found.documents))


def _source(properties: Mapping[str, Any], snippet_from: Sequence[str]) -> str | None:
    """The first of these properties that has a text."""
    for name in snippet_from:
        text = properties.get(name)
        if isinstance(text, str) and text.strip():
            return name
    return None


def _cut(text: str) -> str:
    """What the vendor takes of a text, ended at the end of a character."""
    return text.strip().encode()[:SNIPPET_BYTES].decode(errors="ignore")


def _kept(properties: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    if not _too_long(properties[source]) and len(msgspec.json.encode(properties)) <= PROPERTIES_BYTES:
        return properties
    return {name: value for name, value in properties.items() if name != source}


def _objection(properties: Mapping[str, Any]) -> str | None:
    """Why these properties cannot be kept whole; none is left out in silence."""
    for name, value in properties.items():
        if not PROPERTY_ID.fullmatch(name):
            return f"property {name!r}: the name has characters that the vendor does not take"
        if isinstance(value, list | tuple):
            if not all(isinstance(one, str) for one in value):
                return f"property {name!r}: an array may hold strings alone"
            if len(value) > MOST_STRINGS:
                return f"property {name!r}: an array of more than {MOST_STRINGS}"
        elif value is not None and not isinstance(value, str | int | float | bool):
            return f"property {name!r}: neither a scalar nor an array of strings"
        if any(_too_long(one) for one in (value if isinstance(value, list | tuple) else [value])):
            return f"property {name!r}: a string of more than {STRING_BYTES} bytes"
    size = len(msgspec.json.encode(properties))
    return None if size <= PROPERTIES_BYTES else f"properties of {size} bytes; at most {PROPERTIES_BYTES}"


def _too_long(value: object) -> bool:
    return isinstance(value, str) and len(value.encode()) > STRING_BYTES
