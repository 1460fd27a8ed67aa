"""The emulated Algolia Personalization over HTTP: profiles and the strategy they are made by.

With `throttle` it holds the vendor's limit, 40 calls a second for the application, and says so in `x-ratelimit-*`
(`-reset` in seconds since the epoch).
"""

import math
from typing import Any

from aiohttp import web

from gateway.sandbox.algolia.http import Handler, json_answer, json_body, require, speak_algolia
from gateway.sandbox.algolia.insights import NAME, TOKEN, TYPES
from gateway.sandbox.algolia.profiles import Profiles
from gateway.sandbox.algolia.refusal import Refused, a_list, a_text, an_object, member_names, whole
from gateway.sandbox.algolia.world import World, iso

CALLS_A_SECOND = 40
ACL = "recommendation"
BAD = 422


def build_personalization(world: World, *, throttle: bool = False) -> web.Application:
    """The application; credentials are those of `gateway.sandbox.credentials`."""
    calls = _Personalization(world)
    limits = [_throttle(world)] if throttle else []
    application = web.Application(middlewares=[*limits, speak_algolia])
    application.router.add_get("/1/profiles/personalization/{user}", calls.profile)
    application.router.add_delete("/1/profiles/{user}", calls.delete_profile)
    application.router.add_get("/1/strategies/personalization", calls.strategy)
    application.router.add_post("/1/strategies/personalization", calls.set_strategy)
    return application


class _Personalization:
    def __init__(self, world: World) -> None:
        self._world = world
        self._profiles = Profiles(world)

    async def profile(self, request: web.Request) -> web.Response:
        require(request, ACL, unknown=401)
        user = _user(request)
        scores = self._profiles.scores(user)
        if not scores:
            raise Refused(404, f"No profile for userToken {user}")
        last = max(event.at for event in self._profiles.events(user))
        return json_answer({"userToken": user, "lastEventAt": iso(last, milliseconds=False), "scores": scores})

    async def delete_profile(self, request: web.Request) -> web.Response:
        """Events of before the end of this very second no longer count: the answer is in whole seconds."""
        require(request, ACL, unknown=401)
        user = _user(request)
        if user not in self._world.people and user not in self._world.deleted_until:
            raise Refused(404, f"No profile for userToken {user}")
        until = float(math.ceil(self._world.clock()))
        self._world.deleted_until[user] = until
        self._world.revision += 1
        return json_answer({"userToken": user, "deletedUntil": iso(until, milliseconds=False)})

    async def strategy(self, request: web.Request) -> web.Response:
        require(request, ACL, unknown=401)
        if self._world.strategy is None:
            raise Refused(404, "No personalization strategy is set")
        return json_answer(self._world.strategy)

    async def set_strategy(self, request: web.Request) -> web.Response:
        require(request, ACL, unknown=401)
        self._world.strategy = _strategy(await json_body(request))
        self._world.revision += 1
        return json_answer({"status": 200, "message": "Strategy was successfully updated"})


def _user(request: web.Request) -> str:
    user = request.match_info["user"]
    if not TOKEN.fullmatch(user):
        raise Refused(400, f"userToken must match {TOKEN.pattern}")
    return user


def _strategy(body: object) -> dict[str, Any]:
    given = an_object(body, "body", BAD)
    required = frozenset({"eventsScoring", "facetsScoring", "personalizationImpact"})
    member_names(given, required, "body", BAD)
    for name in sorted(required - given.keys()):
        raise Refused(BAD, f"{name} is required")
    return {
        "eventsScoring": [_event_scoring(one) for one in a_list(given["eventsScoring"], "eventsScoring", BAD)],
        "facetsScoring": [_facet_scoring(one) for one in a_list(given["facetsScoring"], "facetsScoring", BAD)],
        "personalizationImpact": whole(given["personalizationImpact"], "personalizationImpact", 0, 100, BAD),
    }


def _event_scoring(value: object) -> dict[str, Any]:
    given = an_object(value, "eventsScoring[]", BAD)
    member_names(given, frozenset({"eventName", "eventType", "score"}), "eventsScoring[]", BAD)
    name = a_text(given.get("eventName"), "eventsScoring[].eventName", BAD)
    if not NAME.fullmatch(name) or given.get("eventType") not in TYPES:
        raise Refused(BAD, "eventsScoring[] needs an eventName and an eventType of click, conversion, view")
    return {"eventName": name, "eventType": given["eventType"], "score": _score(given, "eventsScoring[]")}


def _facet_scoring(value: object) -> dict[str, Any]:
    given = an_object(value, "facetsScoring[]", BAD)
    member_names(given, frozenset({"facetName", "score"}), "facetsScoring[]", BAD)
    name = a_text(given.get("facetName"), "facetsScoring[].facetName", BAD)
    if not name:
        raise Refused(BAD, "facetsScoring[].facetName must not be empty")
    return {"facetName": name, "score": _score(given, "facetsScoring[]")}


def _score(given: dict[str, Any], where: str) -> int:
    return whole(given.get("score"), f"{where}.score", 0, 100, BAD)


def _throttle(world: World) -> Any:
    """A middleware that lets 40 calls through in every second of the clock."""
    window, calls = -1, 0

    @web.middleware
    async def throttle(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal window, calls
        now = math.floor(world.clock())
        window, calls = now, (calls + 1 if now == window else 1)
        limits = {
            "x-ratelimit-limit": str(CALLS_A_SECOND),
            "x-ratelimit-remaining": str(max(0, CALLS_A_SECOND - calls)),
            "x-ratelimit-reset": str(window + 1),
        }
        if calls > CALLS_A_SECOND:
            response: web.StreamResponse = json_answer({"message": "Too many requests", "status": 429}, 429)
        else:
            response = await handler(request)
        response.headers.update(limits)
        return response

    return throttle
