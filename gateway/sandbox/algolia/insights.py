"""Insights events as they are sent: checked one by one, all or nothing, and read into what the models count.

The rules are those of the vendor's Insights specification: exactly one of `objectIDs` and `filters`; `positions`
for clicks after a search (and then also `queryID`), one for each object; subtypes, `objectData`, `currency` and
`value` for conversions; nothing older than 30 days.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.sandbox.algolia.behaviour import Event
from gateway.sandbox.algolia.refusal import Refused, a_list, a_text, an_object, member_names, names, whole
from gateway.sandbox.algolia.world import World

MOST_EVENTS = 1000
MOST_BYTES = 2_000_000
OLDEST = 30 * 86_400.0
BAD = 422

MEMBERS = names(
    "eventType eventName index userToken authenticatedUserToken objectIDs filters timestamp queryID positions "
    "eventSubtype objectData currency value"
)
OF_CONVERSIONS = ("eventSubtype", "objectData", "currency", "value")
TYPES = frozenset({"click", "conversion", "view"})
SUBTYPES = frozenset({"addToCart", "purchase"})
NAME = re.compile(r"[\x20-\x7e]{1,64}")
TOKEN = re.compile(r"[a-zA-Z0-9_=/+-]{1,129}")
QUERY_ID = re.compile(r"[0-9a-f]{32}")
CURRENCY = re.compile(r"[A-Z]{3}")
DECIMAL = re.compile(r"-?\d+(\.\d+)?")


def take(world: World, body: object) -> int:
    """Take in all events of a body, or none; how many they were.

    Raises:
        Refused: 422 naming the first bad event and what is wrong with it.
    """
    given = an_object(body, "body", BAD)
    member_names(given, frozenset({"events"}), "body", BAD)
    events = a_list(given.get("events"), "events", BAD)
    if not 1 <= len(events) <= MOST_EVENTS:
        raise Refused(BAD, f"events must contain between 1 and {MOST_EVENTS} events")
    checked = [check(event, f"events.{place}", world.clock()) for place, event in enumerate(events)]
    for sent, event in zip(events, checked, strict=True):
        world.remember(event)
        _credit(world, sent, event)
    return len(events)


def check(value: object, where: str, now: float) -> Event:
    """Read one event; `now` in seconds since the epoch.

    Raises:
        Refused: 422 naming what is wrong with it.
    """
    sent = an_object(value, where, BAD)
    member_names(sent, MEMBERS, where, BAD)
    kind = sent.get("eventType")
    if kind not in TYPES:
        raise Refused(BAD, f"{where}.eventType must be one of click, conversion, view")
    objects = _subjects(sent, where)
    _check_search(sent, where, objects)
    _check_conversion(sent, where, objects)
    if "authenticatedUserToken" in sent:
        _patterned(sent, "authenticatedUserToken", TOKEN, where)
    return Event(
        user=_patterned(sent, "userToken", TOKEN, where),
        type=kind,
        name=_patterned(sent, "eventName", NAME, where),
        index=_index(sent, where),
        objects=objects,
        at=_time(sent, where, now),
        subtype=sent.get("eventSubtype"),
    )


def _patterned(sent: Mapping[str, Any], name: str, pattern: re.Pattern[str], where: str) -> str:
    text = a_text(sent.get(name), f"{where}.{name}", BAD)
    if not pattern.fullmatch(text):
        raise Refused(BAD, f"{where}.{name} must match {pattern.pattern}")
    return text


def _index(sent: Mapping[str, Any], where: str) -> str:
    index = a_text(sent.get("index"), f"{where}.index", BAD)
    if not index:
        raise Refused(BAD, f"{where}.index must not be empty")
    return index


def _subjects(sent: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The objects of the event; none if it is about filters."""
    if ("objectIDs" in sent) == ("filters" in sent):
        raise Refused(BAD, f"{where} must have either objectIDs or filters")
    name = "objectIDs" if "objectIDs" in sent else "filters"
    given = a_list(sent[name], f"{where}.{name}", BAD)
    if not 1 <= len(given) <= 20:
        raise Refused(BAD, f"{where}.{name} must contain between 1 and 20 entries")
    texts = tuple(a_text(one, f"{where}.{name}", BAD) for one in given)
    if not all(texts):
        raise Refused(BAD, f"{where}.{name} must not contain empty strings")
    return texts if name == "objectIDs" else ()


def _check_search(sent: Mapping[str, Any], where: str, objects: tuple[str, ...]) -> None:
    if "queryID" in sent:
        _patterned(sent, "queryID", QUERY_ID, where)
    after_search = sent["eventType"] == "click" and "queryID" in sent and bool(objects)
    if after_search and "positions" not in sent:
        raise Refused(BAD, f"{where}.positions is required for a click with a queryID")
    if "positions" not in sent:
        return
    if not after_search:
        raise Refused(BAD, f"{where}.positions is only allowed for clicks with objectIDs and a queryID")
    positions = a_list(sent["positions"], f"{where}.positions", BAD)
    if len(positions) != len(objects):
        raise Refused(BAD, f"{where}.positions must have the same length as objectIDs")
    for position in positions:
        whole(position, f"{where}.positions", 1, status=BAD)


def _check_conversion(sent: Mapping[str, Any], where: str, objects: tuple[str, ...]) -> None:
    given = [name for name in OF_CONVERSIONS if name in sent]
    if given and sent["eventType"] != "conversion":
        raise Refused(BAD, f"{where}.{given[0]} is only allowed for conversions")
    if "eventSubtype" in sent and sent["eventSubtype"] not in SUBTYPES:
        raise Refused(BAD, f"{where}.eventSubtype must be one of addToCart, purchase")
    if "currency" in sent:
        _patterned(sent, "currency", CURRENCY, where)
    if "value" in sent:
        _amount(sent["value"], f"{where}.value")
    if "objectData" in sent:
        entries = a_list(sent["objectData"], f"{where}.objectData", BAD)
        if len(entries) != len(objects):
            raise Refused(BAD, f"{where}.objectData must have the same length as objectIDs")
        for entry in entries:
            _check_object_data(an_object(entry, f"{where}.objectData[]", BAD), f"{where}.objectData[]")


def _check_object_data(entry: dict[str, Any], where: str) -> None:
    member_names(entry, frozenset({"queryID", "price", "quantity", "discount"}), where, BAD)
    for name in ("price", "discount"):
        if name in entry:
            _amount(entry[name], f"{where}.{name}")
    if "quantity" in entry:
        whole(entry["quantity"], f"{where}.quantity", 1, status=BAD)
    if "queryID" in entry:
        _patterned(entry, "queryID", QUERY_ID, where)


def _amount(value: object, where: str) -> None:
    """Money, as a number or as a string of one."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and not (isinstance(value, str) and DECIMAL.fullmatch(value)):
        raise Refused(BAD, f"{where} must be a number or a string of one")


def _time(sent: Mapping[str, Any], where: str, now: float) -> float:
    """When it happened, in seconds; the models never look ahead of the clock."""
    if "timestamp" not in sent:
        return now
    at = whole(sent["timestamp"], f"{where}.timestamp", 0, status=BAD) / 1000
    if at < now - OLDEST:
        raise Refused(BAD, f"{where}.timestamp must not be older than 30 days")
    return min(at, now)


def _credit(world: World, sent: Mapping[str, Any], event: Event) -> None:
    shown = world.queries.get(sent.get("queryID", ""))
    if shown is not None and event.type != "view":
        credited = shown.clicked if event.type == "click" else shown.converted
        credited.update(item for item in event.objects if item in shown.objects)
