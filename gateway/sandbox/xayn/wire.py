"""The shapes of requests, and the rules of ids, strings and timestamps.

Unknown keys are errors everywhere, as the vendor has it; lengths count bytes, not characters.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web

from gateway.sandbox.xayn.errors import Refused, malformed

ID = re.compile(r"[a-zA-Z0-9\-:@.][a-zA-Z0-9\-:@._]*")
PROPERTY_ID = re.compile(r"[a-zA-Z0-9\-:@][a-zA-Z0-9\-:@_]*")
NO_NUL = re.compile(r"[^\x00]*")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")

Natural = Annotated[int, msgspec.Meta(ge=0)]
SubId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Shape = TypeVar("Shape")


class SnippetId(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    document_id: str
    sub_id: SubId


SnippetOrDocumentId = str | SnippetId


class HistoryEntry(msgspec.Struct, forbid_unknown_fields=True):
    id: SnippetOrDocumentId
    timestamp: str | None = None


class InputUser(msgspec.Struct, forbid_unknown_fields=True):
    id: str | None = None
    history: list[HistoryEntry] | None = None


class Personalize(msgspec.Struct, forbid_unknown_fields=True):
    user: InputUser
    exclude_seen: bool = True


class Wanted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every question for documents may say; alone it is the body of a question for one user."""

    count: Natural | None = None
    published_after: str | None = None
    include_properties: bool = True
    include_snippet: bool = False
    filter: Any = None


class RecommendationRequest(Wanted, kw_only=True, forbid_unknown_fields=True):
    personalize: Personalize


class InputDocument(msgspec.Struct, forbid_unknown_fields=True):
    id: SnippetOrDocumentId | None = None
    query: str | None = None


class SearchRequest(Wanted, kw_only=True, forbid_unknown_fields=True):
    document: InputDocument
    personalize: Personalize | None = None
    enable_hybrid_search: bool = False


class Interaction(msgspec.Struct, forbid_unknown_fields=True):
    id: SnippetOrDocumentId


class InteractionRequest(msgspec.Struct, forbid_unknown_fields=True):
    documents: list[Interaction]


class IngestedDocument(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: str
    snippet: str
    properties: dict[str, Any] = {}
    tags: list[str] = []
    is_candidate: bool | None = None
    default_is_candidate: bool | None = None
    summarize: bool = False
    split: bool | None = None


class IngestionRequest(msgspec.Struct, forbid_unknown_fields=True):
    documents: list[IngestedDocument]


class DeletionRequest(msgspec.Struct, forbid_unknown_fields=True):
    documents: list[str]


class Candidate(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class CandidatesRequest(msgspec.Struct, forbid_unknown_fields=True):
    documents: list[Candidate]


class PropertiesRequest(msgspec.Struct, forbid_unknown_fields=True):
    properties: dict[str, Any]


class PropertyRequest(msgspec.Struct, forbid_unknown_fields=True):
    property: Any


class IndexedProperty(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["boolean", "number", "keyword", "keyword[]", "date"]


class IndexRequest(msgspec.Struct, forbid_unknown_fields=True):
    properties: dict[str, IndexedProperty]


async def read(request: web.Request, shape: type[Shape]) -> Shape:
    """The body as `shape`. Raises `Refused` "400" for another content type, no JSON or unknown keys."""
    raw = await request.read()
    if request.content_type != "application/json":
        raise malformed("Content type error")
    return decode(raw, shape)


def decode(raw: bytes | str, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(f"Json deserialize error: {error}") from error


def from_query(request: web.Request) -> Wanted:
    """The deprecated GET form: every value as text, the filter as JSON."""
    values: dict[str, Any] = dict(request.query)
    if len(values) < len(request.query):
        raise malformed("Query deserialize error: duplicate field")
    if "filter" in values:
        values["filter"] = decode(values["filter"], object)
    for name in ("include_properties", "include_snippet"):
        if name in values:
            values[name] = {"true": True, "false": False}.get(values[name])
    if isinstance(values.get("count"), str) and values["count"].isdecimal():
        values["count"] = int(values["count"])
    try:
        return msgspec.convert(values, Wanted)
    except msgspec.ValidationError as error:
        raise malformed(f"Query deserialize error: {error}") from error


def check_string(text: str, kind: str, syntax: re.Pattern[str], shortest: int, longest: int) -> str:
    """`text` itself; `Refused` with this kind, and the vendor's details, if it is not allowed."""
    size = len(text.encode())
    if not shortest <= size <= longest:
        raise Refused(kind, {"size": {"got": size, "bounds": f"{shortest}..={longest}"}})
    if not syntax.fullmatch(text):
        raise Refused(kind, {"syntax": {"expected": f"^{syntax.pattern}$"}})
    return text


def check_user_id(text: str) -> str:
    return check_string(text, "InvalidUserId", ID, 1, 256)


def check_document_id(text: str) -> str:
    return check_string(text, "InvalidDocumentId", ID, 1, 256)


def check_property_id(text: str) -> str:
    return check_string(text, "InvalidDocumentPropertyId", PROPERTY_ID, 1, 256)


def check_reference(reference: SnippetOrDocumentId) -> SnippetOrDocumentId:
    check_document_id(reference if isinstance(reference, str) else reference.document_id)
    return reference


def seconds(text: str) -> float | None:
    """An RFC 3339 date-time of 10 to 40 bytes as Unix seconds; None where it is none."""
    if not 10 <= len(text.encode()) <= 40 or not RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper().replace(" ", "T")).timestamp()
    except (ValueError, OverflowError):
        return None


def timestamp(text: str) -> float:
    moment = seconds(text)
    if moment is None:
        raise malformed(f"Json deserialize error: not an RFC 3339 date-time: {text[:40]}")
    return moment
