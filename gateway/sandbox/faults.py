"""Breaking an emulated vendor on purpose: a middleware around it, commanded by `PUT /_faults`.

    GET /_faults                the fault that is in force, `{}` for none
    PUT /_faults {"status": 503, "share": 0.5, "path": "queries", "for": "10s"}

What happens to a request that the fault hits, in this order:

    delay ▸ close: cut without an answer
          ▸ body (html | empty | truncated | any text) and/or status: an answer that the vendor never made
          ▸ body truncated alone: the vendor's real answer, cut in half
          ▸ neither: the real answer
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.client import responses
from random import Random
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

PATH: Final = "/_faults"
MEMBERS: Final = ("status", "share", "delay", "body", "close", "path", "for")
HTML: Final = (
    "<!DOCTYPE html><html><head><title>{0}</title></head>"
    "<body><center><h1>{0}</h1></center><hr><center>proxy</center></body></html>"
)
SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class BadFault(ValueError):
    """What was put is no fault; `mistakes` names all that is wrong with it."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in force; `members` is what was put. Times are in seconds, `until` on the frame's clock."""

    members: dict[str, Any]
    status: int | None
    share: float
    delay: float
    body: str | None
    close: bool
    path: re.Pattern[str]
    until: float | None


class Faults:
    """The state behind one emulated vendor's `/_faults`, and the middleware that acts on it.

    `clock` counts seconds and never goes back; `sleep` waits for that many; `rng` throws the dice of `share`.
    """

    def __init__(
        self,
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._rng = rng or Random()
        self._clock = clock
        self._sleep = sleep
        self._fault: Fault | None = None

    def install(self, app: web.Application) -> None:
        """Put the middleware before all others of an application that is not yet running."""
        app.middlewares.insert(0, self._middleware)

    def current(self) -> Fault | None:
        """The fault in force; one whose time is over is forgotten."""
        if self._fault and self._fault.until is not None and self._clock() >= self._fault.until:
            self._fault = None
        return self._fault

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == PATH:
            return await self._command(request)
        fault = self.current()
        if fault is None or not fault.path.search(request.path) or self._rng.random() >= fault.share:
            return await handler(request)
        return await self._suffer(fault, request, handler)

    async def _command(self, request: web.Request) -> web.Response:
        if request.method not in ("GET", "PUT"):
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "PUT"])
        if request.method == "PUT":
            try:
                self._fault = parse(await request.text(), self._clock())
            except BadFault as bad:
                return web.json_response({"message": str(bad), "errors": bad.mistakes}, status=400)
        fault = self.current()
        return web.json_response(fault.members if fault else {})

    async def _suffer(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        if fault.delay:
            await self._sleep(fault.delay)
        if fault.close:
            return cut(request)
        if fault.status is None and fault.body in (None, "truncated"):
            answer = await answered(request, handler)
            return answer if fault.body is None else await truncated(request, answer)
        answer = invented(fault)
        return await truncated(request, answer) if fault.body == "truncated" else answer


def parse(text: str, now: float) -> Fault | None:
    """The fault that a PUT's body asks for, None for `{}`. Raises BadFault with every mistake."""
    try:
        members = json.loads(text)
    except ValueError:
        raise BadFault(["the body is not JSON"]) from None
    if not isinstance(members, dict):
        raise BadFault(["the body is not a JSON object"])
    if not members:
        return None
    mistakes = [f"{name}: unknown; known are {', '.join(MEMBERS)}" for name in members if name not in MEMBERS]
    read = {name: check(members[name], mistakes) for name, check in CHECKS.items() if name in members}
    if mistakes:
        raise BadFault(mistakes)
    return Fault(
        members=members,
        status=read.get("status"),
        share=read.get("share", 1.0),
        delay=read.get("delay", 0.0),
        body=read.get("body"),
        close=read.get("close", False),
        path=read.get("path", re.compile("")),
        until=now + read["for"] if "for" in read else None,
    )


def _status(value: object, mistakes: list[str]) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599:
        return value
    mistakes.append("status: not a number from 200 to 599")
    return None


def _share(value: object, mistakes: list[str]) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    mistakes.append("share: not a number from 0 to 1")
    return None


def _duration(name: str) -> Callable[[object, list[str]], float | None]:
    def check(value: object, mistakes: list[str]) -> float | None:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            return float(value)
        spelled = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)", value) if isinstance(value, str) else None
        if spelled:
            return float(spelled[1]) * SECONDS[spelled[2]]
        mistakes.append(f"{name}: not a duration such as 250ms, 2s or a number of seconds")
        return None

    return check


def _body(value: object, mistakes: list[str]) -> str | None:
    if isinstance(value, str):
        return value
    mistakes.append("body: not a text")
    return None


def _close(value: object, mistakes: list[str]) -> bool | None:
    if isinstance(value, bool):
        return value
    mistakes.append("close: neither true nor false")
    return None


def _path(value: object, mistakes: list[str]) -> re.Pattern[str] | None:
    try:
        if isinstance(value, str):
            return re.compile(value)
        mistakes.append("path: not a text")
    except re.error as wrong:
        mistakes.append(f"path: not a regular expression: {wrong}")
    return None


CHECKS: Final[dict[str, Callable[[object, list[str]], Any]]] = {
    "status": _status,
    "share": _share,
    "delay": _duration("delay"),
    "body": _body,
    "close": _close,
    "path": _path,
    "for": _duration("for"),
}


async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The vendor's own answer, also where aiohttp raises it."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        return answer


def invented(fault: Fault) -> web.Response:
    """An answer that the vendor did not make: of the fault's status and body."""
    status = fault.status or 200
    reason = responses.get(status, "Unknown")
    if fault.body is None or fault.body == "truncated":
        return web.json_response({"message": reason}, status=status)
    if fault.body == "html":
        return web.Response(status=status, text=HTML.format(f"{status} {reason}"), content_type="text/html")
    if fault.body == "empty":
        return web.Response(status=status)
    return web.Response(status=status, text=fault.body, content_type=type_of(fault.body))


def type_of(text: str) -> str:
    """The media type of a text that stands in for an answer."""
    try:
        json.loads(text)
    except ValueError:
        return "text/plain"
    return "application/json"


def cut(request: web.Request) -> web.Response:
    """Close the connection now. What is returned finds it closed and is dropped by aiohttp."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def truncated(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """Send half of an answer under the Content-Length of the whole, then close the connection."""
    body = bytes(answer.body) if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b"{}"
    half = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    half.content_length = max(len(body), 2)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    cut(request)
    return half
