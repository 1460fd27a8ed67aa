"""What the vendor's refusals mean.

Its own errors are `{"kind", "request_id", "details"}`; the framework's have the status number as their kind; the
API gateway in front says `{"message"}` or `{"Message"}`. What has no line here follows the rule by status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.adapter import Response, default_error, vendor_message
from gateway.errors import Misconfigured, Missing, NoAnswer, ProviderError, Refused


class InvalidDocuments(Refused):
    """Some documents of a batch were refused and all others stored."""

    def __init__(self, reasons: Mapping[str, str], status: int) -> None:
        super().__init__("documents not valid", status=status)
        self.reasons = reasons
        """By document id."""


class _Problem(msgspec.Struct):
    kind: str
    details: Any = None


class _Document(msgspec.Struct):
    id: str
    kind: str = "not valid"


class _Documents(msgspec.Struct):
    documents: list[_Document]


def meaning(response: Response) -> ProviderError:
    """What an answer outside 2xx means."""
    error = _by_kind(response) or default_error(response)
    error.vendor_message = vendor_message(response)
    return error


def _by_kind(response: Response) -> ProviderError | None:
    status = response.status
    try:
        problem = msgspec.json.decode(response.body, type=_Problem)
    except ValueError:
        return None
    match problem.kind:
        case "NotEnoughInteractions" | "HistoryTooSmall":
            return NoAnswer("too few interactions to recommend from", status=status)
        case "DocumentNotFound":
            # 400 and not 404; a seed that the vendor does not know is no answer (API.md §3)
            return NoAnswer("does not know the item", status=status)
        case "InvalidDocumentProperty":
            return Misconfigured("a property of the filter is not indexed, or as another type", status=status)
        case "FailedToDeleteSomeDocuments":
            return Missing("does not have the document", status=status)
        case "FailedToValidateDocuments":
            return _invalid_documents(problem.details, status)
    return None


def _invalid_documents(details: object, status: int) -> InvalidDocuments | None:
    try:
        listed = msgspec.convert(details, _Documents).documents
    except ValueError:
        return None
    return InvalidDocuments({document.id: document.kind for document in listed}, status)
