"""How an index gets its records: the batch of the vendor's Search API, all actions or none."""

from typing import Any

from gateway.sandbox.algolia.refusal import Refused, a_list, an_object, member_names
from gateway.sandbox.algolia.world import Index, World

STORES = frozenset({"addObject", "updateObject", "partialUpdateObject", "partialUpdateObjectNoCreate"})
DELETES = frozenset({"deleteObject", "clear", "delete"})


def acls(body: object) -> set[str]:
    """The ACLs that a batch needs."""
    actions = {action for action, _ in _read(body)}
    needed = {"addObject"} if actions & STORES else set()
    return needed | {"deleteObject"} if actions & DELETES else needed


def feed(world: World, index: Index, body: object) -> list[str]:
    """Apply a batch and give the objectIDs that it was about, in order.

    Raises:
        Refused: 400 for an unknown action or a body without objectID.
    """
    operations = [(action, _identified(world, action, record)) for action, record in _read(body)]
    for action, record in operations:
        _apply(index, action, record)
    world.changed_records(index)
    return [record["objectID"] for _, record in operations if record]


def _read(body: object) -> list[tuple[str, dict[str, Any]]]:
    given = an_object(body, "body")
    operations: list[tuple[str, dict[str, Any]]] = []
    for one in a_list(given.get("requests"), "requests"):
        request = an_object(one, "requests[]")
        member_names(request, frozenset({"action", "body"}), "requests[]")
        action = request.get("action")
        if action not in STORES | DELETES:
            raise Refused(400, f"Invalid action: {action}")
        operations.append((action, an_object(request.get("body") or {}, "requests[].body")))
    return operations


def _identified(world: World, action: str, record: dict[str, Any]) -> dict[str, Any]:
    if action in {"clear", "delete"}:
        return {}
    object_id = record.get("objectID")
    if object_id is None and action == "addObject":
        object_id = f"{world.rng.getrandbits(64):x}"
    if isinstance(object_id, int) and not isinstance(object_id, bool):
        object_id = str(object_id)
    if not isinstance(object_id, str) or not object_id:
        raise Refused(400, "The body of the request must contain an objectID")
    return {**record, "objectID": object_id}


def _apply(index: Index, action: str, record: dict[str, Any]) -> None:
    if not record:
        index.records.clear()
        return
    object_id = record["objectID"]
    if action == "deleteObject":
        index.records.pop(object_id, None)
    elif action.startswith("partial"):
        if object_id in index.records or action == "partialUpdateObject":
            index.records[object_id] = {**index.records.get(object_id, {}), **record}
    else:
        index.records[object_id] = record
