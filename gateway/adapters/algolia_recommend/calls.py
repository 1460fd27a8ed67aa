"""Single exchanges with Algolia, and what their refusals mean: a 403 names the right that the key lacks."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec

from gateway.adapter import Flow, Request, Response
from gateway.errors import Misconfigured, Missing

Acl = Literal["search", "settings", "editSettings", "addObject", "deleteObject"]
T = TypeVar("T")
JSON_UTF8: Final = (("Content-Type", "application/json; charset=UTF-8"),)


def post(path: str, json: Any, *, hosts: str, route: str, query: tuple[tuple[str, str], ...] = ()) -> Request:
    """A POST with the media type that Algolia's page asks for."""
    return Request("POST", path, json=json, query=query, headers=JSON_UTF8, hosts=hosts, route=route)


def asked(request: Request, acl: Acl) -> Flow[Response]:
    """The answer to a request that needs a key with this ACL."""
    try:
        answer: Response = yield request
    except Misconfigured as error:
        if error.status == 403:
            error.detail = f"answered 403: the key may lack the ACL `{acl}`"
        raise
    return answer


def found(request: Request, acl: Acl) -> Flow[Response]:
    """The answer to a request that names an object: 404 means that there is no such object."""
    try:
        return (yield from asked(request, acl))
    except Misconfigured as error:
        if error.status != 404:
            raise
        missing = Missing("answered 404", status=404)
        missing.vendor_message = error.vendor_message
        raise missing from error


def decoded(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """An answer of the type that is documented. ValueError (so: `Malformed`) for any other."""
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error
