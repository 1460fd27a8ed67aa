"""A filter, checked against the documented rules and the schema, and compiled to a test of properties.

filter   = {property: {operator: value}}      exactly one key in each object
         | {"$and" | "$or": [filter, …]}      at most 10, nested two times
         | {"$ids": [id, …]}                  at most 500
operator = $eq (boolean, string) | $in (≤ 500 strings) | $gt $gte $lt $lte (number, RFC 3339)
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.sandbox.xayn.errors import Refused, incompatible_type, invalid_property, malformed
from gateway.sandbox.xayn.schema import Schema, check_strings, check_type
from gateway.sandbox.xayn.wire import check_document_id, seconds

Properties = Mapping[str, Any]
Test = Callable[[str, Properties], bool]  # of a document's id and properties

LEVELS: Final = 2
COMBINED: Final = 10
VALUES: Final = 500
COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def compiled(expression: object, schema: Schema, levels: int = LEVELS) -> Test:
    """The test that a filter stands for.

    Raises `Refused`: "400" for a filter that is not one, InvalidDocumentProperty for a property that is not
    indexed or is indexed with another type.
    """
    key, value = _only_entry(expression, "filter")
    if key in {"$and", "$or"}:
        return _combination(key, value, schema, levels)
    if key == "$ids":
        return _ids(value)
    if key.startswith("$"):
        raise malformed(f"Json deserialize error: unknown combination operator {key}")
    comparison, operand = _only_entry(value, "comparison")
    if comparison == "$eq":
        return _equality(key, operand, schema)
    if comparison == "$in":
        return _containment(key, operand, schema)
    if comparison in COMPARISONS:
        return _order(key, comparison, operand, schema)
    raise malformed(f"Json deserialize error: unknown comparison operator {comparison}")


def published_after(moment: float) -> Test:
    """The deprecated `published_after`: publication_date at this Unix time or later."""
    return lambda _, properties: (
        (published := _date(properties, "publication_date")) is not None and (published >= moment)
    )


def both(left: Test | None, right: Test | None) -> Test | None:
    if left is None or right is None:
        return left or right
    return lambda document_id, properties: left(document_id, properties) and right(document_id, properties)


def _only_entry(expression: object, name: str) -> tuple[str, Any]:
    if not isinstance(expression, dict) or len(expression) != 1:
        raise malformed(f"Json deserialize error: a {name} is an object with exactly one key")
    return next(iter(expression.items()))


def _combination(key: str, value: object, schema: Schema, levels: int) -> Test:
    if not levels:
        raise malformed(f"Json deserialize error: more than {LEVELS} times nested combinations")
    if not isinstance(value, list) or len(value) > COMBINED:
        raise malformed(f"Json deserialize error: {key} takes an array of at most {COMBINED} filters")
    tests = [compiled(item, schema, levels - 1) for item in value]
    every = all if key == "$and" else any
    return lambda document_id, properties: every(test(document_id, properties) for test in tests)


def _ids(value: object) -> Test:
    if not isinstance(value, list) or len(value) > VALUES:
        raise malformed(f"Json deserialize error: $ids must contain 0..={VALUES} ids")
    try:
        wanted = {check_document_id(item) for item in value if isinstance(item, str)}
    except Refused as error:
        raise malformed("Json deserialize error: $ids holds what is no document id") from error
    if not all(isinstance(item, str) for item in value):
        raise malformed("Json deserialize error: $ids holds what is no document id")
    return lambda document_id, _: document_id in wanted


def _equality(property_id: str, operand: object, schema: Schema) -> Test:
    if not isinstance(operand, bool | str):
        raise malformed("Json deserialize error: $eq takes a boolean or a string")
    if isinstance(operand, str):
        check_strings(property_id, operand, [operand])
    expected = _indexed(property_id, operand, schema)
    check_type(property_id, operand, expected)
    if expected == "date" and isinstance(operand, str):
        moment = seconds(operand)
        return lambda _, properties: _date(properties, property_id) == moment
    kind = type(operand)
    return lambda _, properties: (
        isinstance(found := properties.get(property_id), kind) and found == operand  # True is not 1 here
    )


def _containment(property_id: str, operand: object, schema: Schema) -> Test:
    if not isinstance(operand, list) or len(operand) > VALUES:
        raise malformed(f"Json deserialize error: $in takes an array of at most {VALUES} strings")
    if not all(isinstance(item, str) for item in operand):
        raise malformed("Json deserialize error: only string arrays are allowed")
    check_strings(property_id, operand, operand)
    expected = _indexed(property_id, operand, schema)
    if expected not in {"keyword", "keyword[]"}:
        raise incompatible_type(property_id, operand, expected)
    wanted = frozenset(operand)

    def test(_: str, properties: Properties) -> bool:
        found = properties.get(property_id)
        if isinstance(found, list):
            return not wanted.isdisjoint(found)
        return isinstance(found, str) and found in wanted

    return test


def _order(property_id: str, comparison: str, operand: object, schema: Schema) -> Test:
    is_number = isinstance(operand, int | float) and not isinstance(operand, bool)
    moment = seconds(operand) if isinstance(operand, str) else None
    if not is_number and moment is None:
        raise malformed(f"Json deserialize error: {comparison} takes a number or an RFC 3339 date-time")
    expected = _indexed(property_id, operand, schema)
    if expected != ("number" if is_number else "date"):
        raise incompatible_type(property_id, operand, expected)
    bound: float = operand if isinstance(operand, int | float) else moment or 0.0
    value_of = _number if is_number else _date
    compare = COMPARISONS[comparison]
    return lambda _, properties: (found := value_of(properties, property_id)) is not None and compare(found, bound)


def _indexed(property_id: str, operand: object, schema: Schema) -> str:
    expected = schema.types.get(property_id)
    if expected is None:
        raise invalid_property(property_id, operand, "UnindexedId")
    return expected


def _number(properties: Properties, property_id: str) -> float | None:
    found = properties.get(property_id)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def _date(properties: Properties, property_id: str) -> float | None:
    found = properties.get(property_id)
    return seconds(found) if isinstance(found, str) else None
