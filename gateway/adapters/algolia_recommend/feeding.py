"""Items as records of the index, where the gateway is told to feed it (`feed_index`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.adapter import Flow, Request, Response, quoted
from gateway.adapters.algolia_recommend.calls import Acl, decoded, post
from gateway.adapters.algolia_recommend.deliver import Parcel, deliver
from gateway.adapters.algolia_recommend.options import Options
from gateway.model.activity import Change

ROUTE: Final = "/1/indexes/{index}/batch"
MOST_RECORDS: Final = 1000
MOST_BYTES: Final = 9_000_000
"""https://www.algolia.com/doc/guides/sending-and-managing-data/send-and-update-your-data: below 10 MB a batch."""


class _Begun(msgspec.Struct, rename={"task": "taskID"}):
    task: int | str


BEGUN: Final = msgspec.json.Decoder(_Begun)


def put(options: Options, changes: Sequence[Change]) -> Flow[None]:
    """Replace whole records: what is no longer a property is gone."""
    bodies = [{**change.properties, "objectID": change.id} for change in changes]
    return _send(options, "updateObject", bodies, "addObject")


def delete(options: Options, ids: Sequence[str]) -> Flow[None]:
    """Remove records; one that is not there is no error."""
    return _send(options, "deleteObject", [{"objectID": id_} for id_ in ids], "deleteObject")


def _send(options: Options, action: str, bodies: Sequence[dict[str, Any]], acl: Acl) -> Flow[None]:
    parcels = [Parcel(body["objectID"], ({"action": action, "body": body},)) for body in bodies]

    def call(entries: list[dict[str, Any]]) -> Request:
        path = f"/1/indexes/{quoted(options.index)}/batch"
        return post(path, {"requests": entries}, hosts="write", route=ROUTE)

    return deliver(parcels, call, acl, _begun, most=MOST_RECORDS, most_bytes=MOST_BYTES)


def _begun(answer: Response) -> None:
    decoded(BEGUN, answer.body)
