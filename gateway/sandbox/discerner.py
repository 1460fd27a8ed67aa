"""Discerner, emulated: users, products and activities by number, and recommendations from people alike.

Written from `discerner-api.txt` and the vendor facts. What the document leaves open is answered in one of the
ways that the facts allow: creations are 201, errors are JSON `{"error"}`, recommendations `[{"product_id",
"score"}]`. There is no paging, no change, no removal.
"""

import math
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from heapq import nsmallest
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.sandbox.credentials import DISCERNER_PASSWORD, DISCERNER_USERNAME

NEIGHBOURS: Final = 50
RECOMMENDATIONS: Final = 100
FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

Call = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(
    clock: Callable[[], float] = time.time,
    throttle: bool = False,
    username: str = DISCERNER_USERNAME,
    password: str = DISCERNER_PASSWORD,
    token_life: float | None = None,
) -> web.Application:
    """The emulated vendor. Tokens live `token_life` seconds of `clock`, for ever where it is None.

    `throttle` changes nothing: the document knows no limit.
    """
    return Discerner(clock, username, password, token_life).application()


class Neighbourhood:
    """The model: who rated what, and what those rated highest who are most like a user.

    A user is a vector of scores by product, a product's score the highest that was sent (a view after a purchase
    takes nothing back). Likeness is the cosine; a product's score is the likeness-weighted sum of the 50 nearest
    neighbours' scores, divided by the sum of all their likenesses, so on the activities' own scale.
    """

    def __init__(self) -> None:
        self._by_user: defaultdict[int, dict[int, float]] = defaultdict(dict)
        self._by_product: defaultdict[int, dict[int, float]] = defaultdict(dict)

    def add(self, user: int, product: int, score: float) -> None:
        """Take in one activity."""
        best = max(score, self._by_user[user].get(product, -math.inf))
        self._by_user[user][product] = self._by_product[product][user] = best

    def recommend(self, user: int) -> list[tuple[int, float]]:
        """Products and scores, best first, by number among equals; none that the user had to do with."""
        mine = self._by_user.get(user, {})
        near = self._neighbours(user, mine)
        total = sum(likeness for _, likeness in near)
        sums: defaultdict[int, float] = defaultdict(float)
        for other, likeness in near:
            for product, score in self._by_user[other].items():
                if product not in mine:
                    sums[product] += likeness * score / total
        best = nsmallest(RECOMMENDATIONS, ((-score, product) for product, score in sums.items() if score > 0))
        return [(product, -negative) for negative, product in best]

    def _neighbours(self, user: int, mine: dict[int, float]) -> list[tuple[int, float]]:
        dots: defaultdict[int, float] = defaultdict(float)
        for product, score in mine.items():
            for other, theirs in self._by_product[product].items():
                dots[other] += score * theirs
        dots.pop(user, None)
        lengths = {other: math.hypot(*self._by_user[other].values()) for other in (*dots, user)}
        alike = ((-dot / (lengths[user] * lengths[other]), other) for other, dot in dots.items() if dot > 0)
        return [(other, -negative) for negative, other in nsmallest(NEIGHBOURS, alike)]


class Discerner:
    """The state behind the calls, and one method a call."""

    def __init__(self, clock: Callable[[], float], username: str, password: str, token_life: float | None) -> None:
        self._clock = clock
        self._credentials = (username, password)
        self._life = math.inf if token_life is None else token_life
        self._tokens: dict[str, float] = {}  # by token: when it was issued
        self._users = 0
        self._products = 0
        self._activities: list[dict[str, Any]] = []
        self._model = Neighbourhood()

    def application(self) -> web.Application:
        """The routes; all but `/token` want a token."""
        app = web.Application(middlewares=[as_json])
        app.router.add_post("/token", self._token)
        for method, path, call in (
            ("GET", "/users", self._list_users),
            ("POST", "/users", self._create_user),
            ("GET", "/products", self._list_products),
            ("POST", "/products", self._create_product),
            ("GET", "/activities", self._list_activities),
            ("POST", "/users/{user_id}/products/{product_id}/activities", self._create_activity),
            ("GET", "/users/{user_id}/recs", self._recommend),
        ):
            app.router.add_route(method, path, self._authorized(call))
        return app

    def _authorized(self, call: Call) -> Call:
        async def guarded(request: web.Request) -> web.StreamResponse:
            word, _, token = request.headers.get("Authorization", "").partition(" ")
            issued = self._tokens.get(token.strip(), -math.inf)
            if word.lower() != "token" or self._clock() >= issued + self._life or issued == -math.inf:
                return error(401, "a valid token is required: Authorization: Token YOUR_TOKEN")
            return await call(request)

        return guarded

    async def _token(self, request: web.Request) -> web.Response:
        if request.content_type not in FORMS:
            return error(400, "username and password must be sent as a form")
        form = await request.post()
        if "username" not in form or "password" not in form:
            return error(400, "username and password are required")
        if (form["username"], form["password"]) != self._credentials:
            return error(401, "username or password is wrong")
        token = secrets.token_hex(20)
        self._tokens[token] = self._clock()
        return web.json_response({"token": token})

    async def _list_users(self, _: web.Request) -> web.Response:
        return web.json_response([{"id": number} for number in range(1, self._users + 1)])

    async def _create_user(self, _: web.Request) -> web.Response:
        self._users += 1
        return web.json_response({"id": self._users}, status=201)

    async def _list_products(self, _: web.Request) -> web.Response:
        return web.json_response([{"id": number} for number in range(1, self._products + 1)])

    async def _create_product(self, _: web.Request) -> web.Response:
        self._products += 1
        return web.json_response({"id": self._products}, status=201)

    async def _list_activities(self, _: web.Request) -> web.Response:
        return web.json_response(self._activities)

    async def _create_activity(self, request: web.Request) -> web.Response:
        user = existing(request.match_info["user_id"], self._users)
        product = existing(request.match_info["product_id"], self._products)
        if user is None or product is None:
            return error(404, "there is no such user" if user is None else "there is no such product")
        score = await sent_score(request)
        if score is None:
            return error(400, "score must be a number, in a JSON object or a form")
        self._model.add(user, product, score)
        activity = {
            "id": len(self._activities) + 1,
            "user_id": user,
            "product_id": product,
            "score": score,
        }
        self._activities.append(activity)
        return web.json_response(activity, status=201)

    async def _recommend(self, request: web.Request) -> web.Response:
        user = existing(request.match_info["user_id"], self._users)
        if user is None:
            return error(404, "there is no such user")
        return web.json_response([{"product_id": p, "score": s} for p, s in self._model.recommend(user)])


@web.middleware
async def as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell aiohttp's own refusals (unknown path, wrong method, too long) as JSON too."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return error(refusal.status, refusal.reason)


def error(status: int, text: str) -> web.Response:
    """An error, in a shape that the document does not say."""
    return web.json_response({"error": text}, status=status)


def existing(text: str, count: int) -> int | None:
    """The number that a path names, None unless one of the `count` that exist."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        return None
    number = int(text)
    return number if 1 <= number <= count else None


async def sent_score(request: web.Request) -> float | None:
    """The score in a JSON or form body, None where there is none that is a finite number."""
    try:
        if request.content_type in FORMS:
            score = float(str((await request.post())["score"]))
        elif request.content_type == "application/json":
            raw = (await request.json())["score"]
            if isinstance(raw, bool) or not isinstance(raw, int | float):
                return None
            score = float(raw)
        else:
            return None
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return score if math.isfinite(score) else None
