"""The emulated Discerner: its calls over real sockets, and whom it recommends what."""

import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.sandbox.discerner import Neighbourhood, build

Vendor = TestClient[web.Request, web.Application]
LOGIN = {"username": "demo-shop", "password": "demo-discerner-password"}
CALLS = [
    ("GET", "/users"),
    ("POST", "/users"),
    ("GET", "/products"),
    ("POST", "/products"),
    ("GET", "/activities"),
    ("POST", "/users/1/products/1/activities"),
    ("GET", "/users/1/recs"),
]


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    client = TestClient(TestServer(build()))
    await client.start_server()
    yield client
    await client.close()


@pytest.fixture
async def token(vendor: Vendor) -> dict[str, str]:
    return await login(vendor)


async def login(vendor: Vendor) -> dict[str, str]:
    reply = await vendor.post("/token", data=LOGIN)
    body = await reply.json()
    assert (reply.status, set(body)) == (200, {"token"})
    return {"Authorization": f"Token {body['token']}"}


async def create(vendor: Vendor, token: dict[str, str], what: str, count: int) -> None:
    for _ in range(count):
        assert (await vendor.post(what, headers=token)).status == 201


async def test_tokens_are_for_forms_alone(vendor: Vendor) -> None:
    assert (await vendor.post("/token", json=LOGIN)).status == 400
    assert (await vendor.post("/token", params=LOGIN)).status == 400
    form = FormData(LOGIN, default_to_multipart=True)
    assert (await vendor.post("/token", data=form)).status == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"password": "wrong"}, 401),
        ({"username": "other"}, 401),
        ({"password": None}, 400),
        ({"username": None}, 400),
    ],
)
async def test_wrong_credentials_buy_nothing(vendor: Vendor, change: dict[str, Any], status: int) -> None:
    sent = {name: value for name, value in (LOGIN | change).items() if value is not None}
    reply = await vendor.post("/token", data=sent)
    assert reply.status == status
    assert set(await reply.json()) == {"error"}


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_every_call_wants_a_token(vendor: Vendor, token: dict[str, str], method: str, path: str) -> None:
    secret = token["Authorization"].split()[1]
    for header in ("", "Token", "Token wrong", secret, f"Bearer {secret}", f"Token {secret}x"):
        reply = await vendor.request(method, path, headers={"Authorization": header})
        assert (reply.status, set(await reply.json())) == (401, {"error"}), header


@pytest.mark.parametrize("word", ["Token", "token", "TOKEN"])
async def test_the_word_before_the_token_may_be_written_in_any_case(
    vendor: Vendor, token: dict[str, str], word: str
) -> None:
    secret = token["Authorization"].split()[1]
    assert (await vendor.get("/users", headers={"Authorization": f"{word} {secret}"})).status == 200


async def test_a_token_lives_as_long_as_it_is_told() -> None:
    now = 100.0
    client = TestClient(TestServer(build(lambda: now, token_life=60)))
    await client.start_server()
    try:
        token = await login(client)
        now += 59
        assert (await client.get("/users", headers=token)).status == 200
        now += 1
        assert (await client.get("/users", headers=token)).status == 401
        assert (await client.get("/users", headers=await login(client))).status == 200
    finally:
        await client.close()


@pytest.mark.parametrize("path", ["/users", "/products"])
async def test_users_and_products_are_numbered_apart(vendor: Vendor, token: dict[str, str], path: str) -> None:
    assert await (await vendor.get(path, headers=token)).json() == []
    for number in (1, 2):
        reply = await vendor.post(path, headers=token)
        assert (reply.status, await reply.json()) == (201, {"id": number})
    assert await (await vendor.get(path, headers=token)).json() == [{"id": 1}, {"id": 2}]
    other = {"/users": "/products", "/products": "/users"}[path]
    assert await (await vendor.get(other, headers=token)).json() == []


async def test_activities_as_json_and_as_a_form(vendor: Vendor, token: dict[str, str]) -> None:
    await create(vendor, token, "/users", 1)
    await create(vendor, token, "/products", 2)
    first = await vendor.post("/users/1/products/2/activities", json={"score": 4.5}, headers=token)
    assert (first.status, await first.json()) == (201, {"id": 1, "user_id": 1, "product_id": 2, "score": 4.5})
    second = await vendor.post("/users/1/products/1/activities", data={"score": "2"}, headers=token)
    assert await second.json() == {"id": 2, "user_id": 1, "product_id": 1, "score": 2.0}
    listed = await vendor.get("/activities", headers=token)
    assert await listed.json() == [await first.json(), await second.json()]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"json": {}},
        {"json": []},
        {"json": {"score": "4"}},
        {"json": {"score": True}},
        {"json": {"score": None}},
        {"data": b'{"score": NaN}', "headers": {"Content-Type": "application/json"}},
        {"data": b"{", "headers": {"Content-Type": "application/json"}},
        {"data": b'{"score": 4}', "headers": {"Content-Type": "text/plain"}},
        {"data": {"score": "good"}},
        {"data": {"score": "inf"}},
        {"data": {"rating": "4"}},
    ],
)
async def test_an_activity_without_a_number_is_refused(
    vendor: Vendor, token: dict[str, str], sent: dict[str, Any]
) -> None:
    await create(vendor, token, "/users", 1)
    await create(vendor, token, "/products", 1)
    headers = token | sent.get("headers", {})
    reply = await vendor.post("/users/1/products/1/activities", **(sent | {"headers": headers}))
    assert (reply.status, set(await reply.json())) == (400, {"error"})
    assert await (await vendor.get("/activities", headers=token)).json() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/users/2/products/1/activities", 404),
        ("POST", "/users/1/products/2/activities", 404),
        ("POST", "/users/0/products/1/activities", 404),
        ("POST", "/users/one/products/1/activities", 404),
        ("GET", "/users/2/recs", 404),
        ("GET", "/users/-1/recs", 404),
        ("GET", f"/users/{'9' * 5000}/recs", 404),
        ("GET", "/users/1", 404),
        ("DELETE", "/users/1", 404),
        ("DELETE", "/users", 405),
        ("PUT", "/products", 405),
    ],
)
async def test_what_does_not_exist(
    vendor: Vendor, token: dict[str, str], method: str, path: str, status: int
) -> None:
    await create(vendor, token, "/users", 1)
    await create(vendor, token, "/products", 1)
    reply = await vendor.request(method, path, json={"score": 1}, headers=token)
    assert (reply.status, set(await reply.json())) == (status, {"error"})


async def test_recommendations_over_http(vendor: Vendor, token: dict[str, str]) -> None:
    await create(vendor, token, "/users", 4)
    await create(vendor, token, "/products", 4)
    for user, product, score in ((1, 1, 5), (2, 1, 5), (2, 2, 3), (3, 4, 5)):
        path = f"/users/{user}/products/{product}/activities"
        assert (await vendor.post(path, json={"score": score}, headers=token)).status == 201
    reply = await vendor.get("/users/1/recs", headers=token)
    assert (reply.status, await reply.json()) == (200, [{"product_id": 2, "score": pytest.approx(3)}])
    assert await (await vendor.get("/users/4/recs", headers=token)).json() == []


def model(activities: dict[int, dict[int, float]]) -> Neighbourhood:
    made = Neighbourhood()
    for user, scores in activities.items():
        for product, score in scores.items():
            made.add(user, product, score)
    return made


def test_a_score_is_the_weighted_mean_of_who_is_alike() -> None:
    # The cosines: (4, 0, 0)·(4, 3, 0) / (4 · 5) and (4, 0, 0)·(3, 0, 4) / (4 · 5).
    made = model({1: {1: 4}, 2: {1: 4, 2: 3}, 3: {1: 3, 3: 4}})
    near, far = 4 / 5, 3 / 5
    products, scores = zip(*made.recommend(1), strict=True)
    assert products == (2, 3)
    assert scores == pytest.approx((near * 3 / (near + far), far * 4 / (near + far)))


def test_what_a_user_had_to_do_with_is_left_out() -> None:
    made = model({1: {1: 5, 2: 1}, 2: {1: 5, 2: 5, 3: 5}})
    assert [product for product, _ in made.recommend(1)] == [3]
    assert made.recommend(2) == []
    assert made.recommend(3) == []


def test_taste_decides_between_two_camps() -> None:
    tea = {user: {product: 5.0 for product in range(10) if product != user} for user in range(10)}
    ale = {user: {product: 5.0 for product in range(10, 20) if product != user} for user in range(10, 20)}
    made = model(tea | ale | {99: {0: 5.0, 1: 4.0}})
    assert {product for product, _ in made.recommend(99)} == set(range(2, 10))


def test_a_view_after_a_purchase_takes_nothing_back() -> None:
    made = model({1: {1: 5}, 2: {1: 5, 2: 5}})
    made.add(2, 2, 1)
    assert dict(made.recommend(1)) == pytest.approx({2: 5})


def test_the_order_of_activities_does_not_matter() -> None:
    dice = random.Random(5)
    activities = [(dice.randrange(30), dice.randrange(60), float(dice.randrange(1, 6))) for _ in range(900)]
    answers = []
    for _ in range(2):
        dice.shuffle(activities)
        made = Neighbourhood()
        for activity in activities:
            made.add(*activity)
        answers.append([[product for product, _ in made.recommend(user)] for user in range(30)])
    assert answers[0] == answers[1]
    assert all(answers[0])


def test_movielens_sized_data_is_answered_in_milliseconds() -> None:
    dice, made = random.Random(1), Neighbourhood()
    weights = [dice.lognormvariate(0, 1.6) for _ in range(1682)]
    for product in dice.choices(range(1682), weights, k=100_000):
        made.add(dice.randrange(943), product, float(dice.randrange(1, 6)))
    took = []
    for user in range(50):
        start = time.process_time()
        made.recommend(user)
        took.append(time.process_time() - start)
    assert sorted(took)[25] < 0.1  # measured once: 15 ms
