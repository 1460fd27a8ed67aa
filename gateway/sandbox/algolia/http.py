"""What both emulated APIs share over HTTP: credentials, bodies of any content type, and the shape of errors.

Official JavaScript clients send JSON as `text/plain` (no CORS preflight that way), may put the credentials
into the query string, and add `x-algolia-agent` there; so bodies are read by what they are, not by
what they are called.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.sandbox.algolia.refusal import Refused
from gateway.sandbox.credentials import ALGOLIA_ACLS, ALGOLIA_APPLICATION_ID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MOST_BYTES = 64 * 1024 * 1024  # of an index batch; what is smaller is checked where it applies
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
}


def json_answer(value: object, status: int = 200) -> web.Response:
    """A response as the vendor sends it."""
    return web.Response(
        body=json.dumps(value, ensure_ascii=False).encode(errors="replace"),
        status=status,
        headers={"Content-Type": "application/json; charset=UTF-8"},
    )


def require(request: web.Request, acl: str, *, unknown: int = 403) -> None:
    """Check the credentials in the headers, or else in the query string.

    Raises:
        Refused: `unknown` for an application or key that is none, 403 naming the ACL that the key lacks.
    """
    application = _credential(request, "x-algolia-application-id")
    acls = ALGOLIA_ACLS.get(_credential(request, "x-algolia-api-key"))
    if application != ALGOLIA_APPLICATION_ID or acls is None:
        raise Refused(unknown, "Invalid Application-ID or API key")
    if acl not in acls:
        raise Refused(403, f"Method not allowed with this API key: it lacks the {acl} ACL")


def _credential(request: web.Request, name: str) -> str:
    if name in request.headers:
        return request.headers[name]
    return next((value for key, value in request.query.items() if key.lower() == name), "")


async def json_body(request: web.Request, *, html: bool = False) -> Any:
    """The JSON of a body; an empty one is `{}`.

    Raises:
        Refused: 400, as an HTML page where `html`.
    """
    body = await request.read()
    if not body.strip():
        return {}
    try:
        return json.loads(body, parse_constant=_no_number)
    except ValueError as wrong:
        raise Refused(400, f"Invalid JSON: {wrong}", html=html) from wrong


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@web.middleware
async def speak_algolia(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say every refusal in the vendor's words, and let browsers call (CORS)."""
    if request.method == "OPTIONS":
        return web.Response(headers=CORS)
    try:
        response = await handler(request)
    except Refused as refused:
        response = _refusal(refused)
    except web.HTTPRequestEntityTooLarge:
        response = json_answer({"message": "Request body too large", "status": 413}, 413)
    except web.HTTPMethodNotAllowed:
        response = json_answer({"message": "Method Not Allowed", "status": 405}, 405)
    except web.HTTPNotFound:
        response = json_answer({"message": "Path not found", "status": 404}, 404)
    response.headers.update(CORS)
    return response


def _refusal(refused: Refused) -> web.Response:
    if refused.html:
        page = f"<html><head><title>{refused.status}</title></head><body><h1>Bad Request</h1></body></html>\n"
        return web.Response(text=page, content_type="text/html", status=refused.status)
    return json_answer({"message": refused.message, "status": refused.status}, refused.status)
