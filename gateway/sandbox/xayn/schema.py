"""Properties of documents: what values they may have, and which are indexed, that is, can be filtered on."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.sandbox.xayn.errors import Refused, incompatible_type, invalid_property
from gateway.sandbox.xayn.wire import NO_NUL, check_property_id, seconds

STRING_BYTES: Final = 2048
LIST_ITEMS: Final = 100
PROPERTIES_BYTES: Final = 2560  # "2.5KB", of the properties as JSON
INDEXED_PROPERTIES: Final = 11  # ten and publication_date


class Schema:
    """Which properties are indexed, and as what type: boolean, number, keyword, keyword[] or date."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {"publication_date": "date"}

    def extend(self, types: Mapping[str, str]) -> None:
        """Indexes more properties; all of them or, with `Refused` IncompatibleUpdate, none."""
        for property_id in types:
            check_property_id(property_id)
            if property_id in self.types:
                details = {"PropertyIsAlreadyIndexed": {"property_id": property_id}}
                raise Refused("IncompatibleUpdate", details)
        count = len(self.types) + len(types)
        if count > INDEXED_PROPERTIES:
            too_many = {"count": count, "allowed": INDEXED_PROPERTIES}
            raise Refused("IncompatibleUpdate", {"TooManyProperties": too_many})
        self.types.update(types)

    def as_json(self) -> dict[str, dict[str, dict[str, str]]]:
        return {"properties": {name: {"type": of} for name, of in self.types.items()}}

    def check(self, properties: Mapping[str, Any]) -> None:
        """All properties of one document: ids, values, the types of indexed ones, the size together."""
        for property_id, value in properties.items():
            check_property_id(property_id)
            _check_value(property_id, value)
            expected = self.types.get(property_id)
            if expected is not None:
                check_type(property_id, value, expected)
        size = len(msgspec.json.encode(properties))
        if size > PROPERTIES_BYTES:
            details = {"storage_size": {"got": size, "max": PROPERTIES_BYTES}}
            raise Refused("InvalidDocumentProperties", details)


def check_type(property_id: str, value: object, expected: str) -> None:
    """Raises `Refused` InvalidDocumentProperty unless an indexed property can have this value."""
    if type_of(value) != ("keyword" if expected == "date" else expected):
        raise incompatible_type(property_id, value, expected)
    if expected == "date" and (not isinstance(value, str) or seconds(value) is None):
        raise invalid_property(property_id, value, "MalformedDateTimeString")


def type_of(value: object) -> str | None:
    """The indexed type that a JSON value would fit; a date is a keyword here."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "keyword"
    return "keyword[]" if isinstance(value, list) else None


def check_strings(property_id: str, value: object, strings: list[Any]) -> None:
    for string in strings:
        if not isinstance(string, str):
            raise incompatible_type(property_id, string, "keyword")
        if len(string.encode()) > STRING_BYTES or not NO_NUL.fullmatch(string):
            raise invalid_property(property_id, value, "InvalidString")


def _check_value(property_id: str, value: object) -> None:
    if isinstance(value, dict):
        raise invalid_property(property_id, value, "UnsupportedType")
    if isinstance(value, str):
        check_strings(property_id, value, [value])
    if isinstance(value, list):
        if len(value) > LIST_ITEMS:
            raise invalid_property(property_id, value, "InvalidArray")
        check_strings(property_id, value, value)
