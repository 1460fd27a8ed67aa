"""The app: what stands in front of both offices.

    request ▸ throttle (429) ▸ token (401, 403) ▸ room (503) ▸ handler ▸ errors in the vendor's words

The first two are the vendor's API gateway, whose errors are `{"message"}` alone. The tokens of the two offices
differ; `/documents…` is the back office, all else the front office.
"""

import time
import uuid
from collections.abc import Callable
from itertools import count
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.sandbox import credentials
from gateway.sandbox.xayn.back_office import BackOffice
from gateway.sandbox.xayn.errors import NotEnoughInteractions, Refused
from gateway.sandbox.xayn.front_office import FrontOffice
from gateway.sandbox.xayn.store import Tenant

RATE: Final = 25.0  # requests a second of each office, where throttled
BURST: Final = 100.0
MAX_BODY: Final = 10 * 2**20  # bytes that the API gateway takes


def build(
    *,
    clock: Callable[[], float] = time.time,
    throttle: bool = False,
    token: str = credentials.XAYN_TOKEN,
    back_office_token: str = credentials.XAYN_BACK_OFFICE_TOKEN,
    capacity: int = 1_000_000,
    room: int = 1024,
) -> web.Application:
    """The emulated Xayn. `clock` gives Unix seconds; `throttle` turns 25 requests a second, burst 100, on;
    above `capacity` documents ingestion fails (500), above `room` requests at once the next is refused (503).
    """
    tenant = Tenant(clock, capacity)
    entrance = Entrance(clock, token, back_office_token, throttle, room)
    app = web.Application(middlewares=[entrance.middleware], client_max_size=MAX_BODY)
    app.add_routes(BackOffice(tenant).routes() + FrontOffice(tenant).routes())
    return app


class Throttle:
    """A token bucket."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = BURST
        self._at = clock()

    def take(self) -> bool:
        now = self._clock()
        self._left = min(BURST, self._left + max(now - self._at, 0.0) * RATE)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Entrance:
    """Lets a request in, or says in the vendor's words why not."""

    def __init__(
        self,
        clock: Callable[[], float],
        token: str,
        back_office_token: str,
        throttle: bool,
        room: int,
    ) -> None:
        self._tokens = {"front": token, "back": back_office_token}
        self._throttles = {office: Throttle(clock) for office in self._tokens} if throttle else {}
        self._room = room
        self._inside = 0
        self._numbers = count(1)

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
            return self._turned_away(request) or await self._served(request, handler)

        return enter

    def _turned_away(self, request: web.Request) -> web.Response | None:
        office = "back" if f"{request.path}/".startswith("/documents/") else "front"
        bucket = self._throttles.get(office)
        if bucket is not None and not bucket.take():
            return web.json_response({"message": "Too Many Requests"}, status=429)
        given = request.headers.get("authorizationToken")
        if given is None:
            return web.json_response({"message": "Unauthorized"}, status=401)
        if given != self._tokens[office]:
            message = "User is not authorized to access this resource with an explicit deny"
            return web.json_response({"message": message}, status=403)
        return None

    async def _served(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._inside >= self._room:
            return self._refused(Refused("ServiceOverloaded", status=503))
        self._inside += 1
        try:
            return await handler(request)
        except NotEnoughInteractions:
            return web.json_response({"kind": "NotEnoughInteractions"}, status=409)
        except web.HTTPRequestEntityTooLarge:
            return web.json_response({"message": "Request Too Long"}, status=413)
        except Refused as error:
            refused = error
        except web.HTTPException as error:  # the router's: no such path, no such method
            refused = Refused(str(error.status), status=error.status)
        except Exception:  # where a request ends
            request.app.logger.exception("emulated Xayn failed")
            refused = Refused("InternalServerError", status=500)
        finally:
            self._inside -= 1
        return self._refused(refused)

    def _refused(self, error: Refused) -> web.Response:
        request_id = str(uuid.UUID(int=next(self._numbers)))
        body = {"kind": error.kind, "request_id": request_id, "details": error.details}
        return web.json_response(body, status=error.status)
