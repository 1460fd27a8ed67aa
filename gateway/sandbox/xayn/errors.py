"""What the vendor says when it refuses: `{"kind", "request_id", "details"}` (FACTS §5).

The API gateway before it says `{"message"}` alone, with no kind; the framework's own errors (a broken body,
an unknown key, an unknown path) have the status number as their kind.
"""

from collections.abc import Iterable


class Refused(Exception):
    """Ends a request with the vendor's own error: `status` and `{"kind", "request_id", "details"}`."""

    def __init__(self, kind: str, details: object = None, status: int = 400) -> None:
        super().__init__(kind)
        self.kind = kind
        self.details = details
        self.status = status


class NotEnoughInteractions(Exception):
    """Ends a request with 409 `{"kind": "NotEnoughInteractions"}`, which carries nothing else."""


def malformed(message: str) -> Refused:
    """A request that the framework could not read: its kind is the status number, as a string."""
    return Refused("400", {"message": message})


def bad_request(message: str) -> Refused:
    return Refused("BadRequest", {"message": message})


def invalid_property(property_id: str, value: object, reason: object) -> Refused:
    details = {"property_id": property_id, "invalid_value": value, "invalid_reason": reason}
    return Refused("InvalidDocumentProperty", details)


def incompatible_type(property_id: str, value: object, expected: str) -> Refused:
    return invalid_property(property_id, value, {"IncompatibleType": {"expected": expected}})


def id_objects(ids: Iterable[str]) -> list[dict[str, str]]:
    return [{"id": document_id} for document_id in ids]
