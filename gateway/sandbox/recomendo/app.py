"""Recomendo's calls over HTTP: four hosts' `/v1/…` behind one port, and PredictionIO's own paths beside them.

/v1/auth        Basic ▸ token
/v1/events…     Bearer  ┐                        /events…, /batch/events.json   accessKey
/v1/train       Bearer  ├ one store, one model   /queries.json, /               none
/v1/usage       Bearer  │
/v1/queries     Bearer  ┘
"""

import json
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.sandbox.credentials import RECOMENDO_CLIENT_ID, RECOMENDO_CLIENT_SECRET
from gateway.sandbox.recomendo.auth import Tokens, basic
from gateway.sandbox.recomendo.events import BadEvent, Event, checked, instant
from gateway.sandbox.recomendo.query import BadQuery, parse
from gateway.sandbox.recomendo.ranking import answer
from gateway.sandbox.recomendo.store import Search, Store
from gateway.sandbox.recomendo.training import Training
from gateway.sandbox.recomendo.usage import Usage

MAX_BATCH: Final = 50
MAX_BODY: Final = 8 * 1024 * 1024  # PredictionIO's own limit
TRAIN_EVERY: Final = 30 * 60  # seconds: "a 30 min limit for sending Training requests"

Call = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(
    clock: Callable[[], float] = time.time,
    throttle: bool = False,
    client_id: str = RECOMENDO_CLIENT_ID,
    client_secret: str = RECOMENDO_CLIENT_SECRET,
) -> web.Application:
    """The emulated vendor. `clock` tells seconds since the epoch; `throttle` refuses an early training."""
    return Recomendo(clock, throttle, client_id, client_secret).application()


def message(status: int, text: str) -> web.Response:
    """An answer that is only a message, which is how the vendor tells errors."""
    return web.json_response({"message": text}, status=status)


def success(code: str, payload: Any) -> web.Response:
    """The envelope of the vendor's own calls."""
    return web.json_response({"success": True, "messageCode": code, "payload": payload})


class Recomendo:
    """The state behind the calls, and one method a call."""

    def __init__(self, clock: Callable[[], float], throttle: bool, client_id: str, client_secret: str) -> None:
        self._clock = clock
        self._throttle = throttle
        self._tokens = Tokens(client_id, client_secret, clock)
        self._store = Store()
        self._training = Training(self._store)
        self._usage = Usage(clock)
        self._trained = -math.inf

    def application(self) -> web.Application:
        """The routes; who may call is said around each."""
        app = web.Application(middlewares=[finish], client_max_size=MAX_BODY)
        app.router.add_post("/v1/auth", self._auth)
        app.router.add_post("/v1/train", self._bearer(self._train))
        app.router.add_get("/v1/usage", self._bearer(self._report))
        app.router.add_post("/v1/queries.json", self._bearer(self._query))
        app.router.add_post("/queries.json", self._query)
        app.router.add_get("/", alive)
        for prefix, guarded in (("/v1", self._bearer), ("", self._access_key)):
            app.router.add_post(f"{prefix}/events.json", guarded(self._create))
            app.router.add_get(f"{prefix}/events.json", guarded(self._find), allow_head=False)
            app.router.add_get(f"{prefix}/events/{{event_id}}.json", guarded(self._get), allow_head=False)
            app.router.add_delete(f"{prefix}/events/{{event_id}}.json", guarded(self._delete))
            app.router.add_post(f"{prefix}/batch/events.json", guarded(self._create_batch))
        app.cleanup_ctx.append(self._lifetime)
        return app

    async def _lifetime(self, _: web.Application) -> AsyncIterator[None]:
        yield
        await self._training.close()

    def _bearer(self, call: Call) -> Call:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._tokens.accepts(request):
                return message(401, "Unauthorized")
            self._usage.count()
            return await call(request)

        return guarded

    def _access_key(self, call: Call) -> Call:
        """PredictionIO's authentication: `?accessKey=`, else the user of `Authorization: Basic`."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            user = basic(request)
            key = request.query.get("accessKey", user[0] if user else None)
            if key is None:
                return message(401, "Missing accessKey.")
            if not self._tokens.opens(key):
                return message(401, "Invalid accessKey.")
            if "channel" in request.query:
                return message(401, f"Invalid channel '{request.query['channel']}'.")
            return await call(request)

        return guarded

    async def _auth(self, request: web.Request) -> web.Response:
        token = self._tokens.issue(request)
        if token is None:
            return message(401, "Unauthorized")
        return success("CLIENT_AUTHENTICATED", {"token": token, "tokenType": "Bearer"})

    async def _create(self, request: web.Request) -> web.Response:
        try:
            event = self._checked(await decoded(request))
        except BadEvent as bad:
            return message(400, str(bad))
        self._store.add(event)
        return web.json_response({"eventId": event.event_id}, status=201)

    async def _create_batch(self, request: web.Request) -> web.Response:
        try:
            raws = await decoded(request)
        except BadEvent as bad:
            return message(400, str(bad))
        if not isinstance(raws, list):
            return message(400, "Expected a JSON array of events")
        if len(raws) > MAX_BATCH:
            return message(400, f"Batch request must have less than or equal to {MAX_BATCH} events")
        return web.json_response([self._create_one(raw) for raw in raws])

    def _create_one(self, raw: Any) -> dict[str, Any]:
        """One member of a batch: its own status, whatever becomes of the others."""
        try:
            event = self._checked(raw)
        except BadEvent as bad:
            return {"status": 400, "message": str(bad)}
        self._store.add(event)
        return {"status": 201, "eventId": event.event_id}

    def _checked(self, raw: Any) -> Event:
        return checked(raw, uuid.uuid4().hex, int(self._clock() * 1000))

    async def _find(self, request: web.Request) -> web.Response:
        try:
            search = searched(request.query)
        except ValueError as bad:
            return message(400, str(bad))
        found = self._store.find(search)
        return web.json_response([e.as_json() for e in found]) if found else message(404, "Not Found")

    async def _get(self, request: web.Request) -> web.Response:
        event = self._store.get(request.match_info["event_id"])
        return web.json_response(event.as_json()) if event else message(404, "Not Found")

    async def _delete(self, request: web.Request) -> web.Response:
        removed = self._store.remove(request.match_info["event_id"])
        return message(200, "Found") if removed else message(404, "Not Found")

    async def _train(self, _: web.Request) -> web.Response:
        wait = self._trained + TRAIN_EVERY - self._clock()
        if self._throttle and wait > 0:
            refused = message(429, "Too Many Requests")
            refused.headers["Retry-After"] = str(math.ceil(wait))
            return refused
        self._trained = self._clock()
        self._training.schedule()
        return success("EXECUTE_TRAIN_SCHEDULED", None)

    async def _report(self, _: web.Request) -> web.Response:
        return success("USAGE_REPORT_AVAILABLE", self._usage.report())

    async def _query(self, request: web.Request) -> web.Response:
        try:
            query = parse(await request.read())
        except BadQuery as bad:
            return web.Response(status=400, text=str(bad), content_type="text/plain")
        return web.json_response({"itemScores": answer(query, self._store, self._training.model)})


@web.middleware
async def finish(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer unknown paths in the vendor's way, and compress for who accepts gzip."""
    try:
        response = await handler(request)
    except web.HTTPNotFound:
        response = message(404, "Not Found")
    except web.HTTPException as refusal:
        response = message(refusal.status, refusal.reason)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


async def alive(_: web.Request) -> web.Response:
    """PredictionIO's sign of life."""
    return web.json_response({"status": "alive"})


async def decoded(request: web.Request) -> Any:
    """The JSON of a body. Raises BadEvent."""
    try:
        return json.loads(await request.read())
    except ValueError as wrong:
        raise BadEvent(f"The request content was malformed: {wrong}") from None


def searched(query: Mapping[str, str]) -> Search:
    """The search that a query string says. Raises ValueError with the answer's message."""
    reverse = query.get("reversed", "false").lower()
    if reverse not in ("true", "false"):
        raise ValueError(f"'{reverse}' is not a valid Boolean value for reversed")
    if reverse == "true" and not ("entityType" in query and "entityId" in query):
        raise ValueError("the parameter reversed can only be used with both entityType and entityId specified.")
    try:
        limit = int(query.get("limit", "20"))
    except ValueError:
        raise ValueError(f"'{query['limit']}' is not a valid 32-bit integer value for limit") from None
    return Search(
        start=instant(query["startTime"]) if "startTime" in query else None,
        until=instant(query["untilTime"]) if "untilTime" in query else None,
        entity_type=query.get("entityType"),
        entity_id=query.get("entityId"),
        event=query.get("event"),
        target_entity_type=query.get("targetEntityType"),
        target_entity_id=query.get("targetEntityId"),
        limit=max(limit, -1),
        reverse=reverse == "true",
    )
