"""Three gateways on one Valkey: any of the four is killed, nothing acknowledged is lost, every question answered.

Held of every stream (tests/fleet.py), at both vendors: each acknowledged event has arrived; each user's events
arrived in order; one arrived twice only if its answer was lost, on the way or by a blow. No user or product is
created twice for one id.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from random import Random
from typing import Final, Literal

import pytest
import pytest_asyncio

from gateway.adapter import Entity
from gateway.state.opening import open_at
from gateway.state.store import Store
from tests.fleet import DEADLINE, Fleet, Stream, Vendor, fleet
from tests.serving import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEAR: Final = 1.0
"""Seconds before a blow in which what was told may not have been noted yet, on a busy machine."""
LATE: Final = 0.5
"""Seconds after a blow in which what had left before it may arrive."""
BUSY: Final = 2.0
"""Seconds that a busy machine may take beyond a deadline: what is measured is here, at the caller's."""
STORE: Final = 2.0
"""Seconds after which a store that says nothing is given up (docs/state.md)."""
ALL: Final = (0, 1, 2)

Away = Literal["killed", "frozen"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path_factory.mktemp("fleet")) as made:
        # what `local` answers from, and the products that the vendor of numbers recommends
        events = [{"type": "view", "user": {"id": "first"}, "items": [f"best{n}"]} for n in range(5)]
        assert (await made.post(0, "/v1/events", events=events))[0] == 202
        await until(lambda: len(made.numbers.arrived) == 5 and len(made.shop.arrived) == 5)
        yield made


# --- one for all ------------------------------------------------------------------------------------------------


async def test_what_is_new_to_all_at_once_is_created_once(gateways: Fleet) -> None:
    users, items = [f"new{n}" for n in range(6)], [f"thing{n}" for n in range(6)]
    before = {kind: len(created) for kind, created in gateways.numbers.created.items()}
    told = len(gateways.numbers.arrived)

    async def tell(which: int, n: int) -> None:
        event = {"id": f"new-{which}-{n}", "type": "view", "user": {"id": users[n]}, "items": items}
        async with gateways.session.put(
            f"{gateways.gateways[which].url}/v1/users/{users[n]}", json={"properties": {"seen": which}}
        ) as answer:
            assert answer.status == 202
        assert (await gateways.post(which, "/v1/events", events=[event]))[0] == 202

    await asyncio.gather(*(tell(which, n) for n in range(6) for which in ALL))
    await until(lambda: len(gateways.numbers.arrived) == told + 3 * 6 * 6)
    created = {kind: len(created) - before[kind] for kind, created in gateways.numbers.created.items()}
    assert created == {"users": 6, "products": 6}
    numbers = [await _number(gateways, which, user) for user in users for which in ALL]
    assert sorted(Counter(numbers).values()) == [3] * 6, "each user has one, and all gateways know it"


async def _number(gateways: Fleet, which: int, user: str) -> str:
    async with gateways.session.get(f"{gateways.gateways[which].url}/v1/users/{user}") as answer:
        return str((await answer.json())["providers"]["numbers"]["id"])


async def test_the_counts_of_an_experiment_are_of_all(gateways: Fleet) -> None:
    shown: Counter[str] = Counter()
    units: dict[str, set[str]] = defaultdict(set)

    async def ask(n: int) -> None:
        user = f"visitor{n % 20}"
        status, said, _ = await gateways.post(n % 3, "/v1/recommendations", placement="split", user={"id": user})
        assert status == 200, said
        shown[said["source"]["arm"]] += 1
        units[said["source"]["arm"]].add(user)

    before = await _arms(gateways, 0)
    for start in range(0, 120, 12):
        await asyncio.gather(*(ask(start + n) for n in range(12)))
    assert sum(map(len, units.values())) == 20, "a user is in one arm, whoever is asked"

    async def counted() -> bool:
        counts = [await _arms(gateways, which) for which in ALL]
        return counts[0] == counts[1] == counts[2] == {
            arm: {
                "exposures": before[arm]["exposures"] + shown[arm], "units": before[arm]["units"] + len(units[arm])
            }
            for arm in ("shop", "local")
        }  # fmt: skip

    await until(counted)


async def _arms(gateways: Fleet, which: int) -> dict[str, dict[str, int]]:
    async with gateways.session.get(f"{gateways.gateways[which].url}/v1/experiments/ab") as answer:
        arms = (await answer.json())["arms"]
    return {arm: {name: counts[name] for name in ("exposures", "units")} for arm, counts in arms.items()}


async def test_a_training_is_everybodys(gateways: Fleet) -> None:
    """Asked of all at one moment it begins once; then all refuse it, also those started since."""
    said = await asyncio.gather(*(gateways.post(which, "/v1/training") for which in ALL))
    assert sorted(status for status, _, _ in said) == [202, 429, 429], said
    assert gateways.shop.trainings == 1
    await refused_by_all(gateways)
    await gateways.kill(1)
    await gateways.gateways[1].start()
    await gateways.without_valkey(0.2, "killed")
    await gateways.all_hear()
    await refused_by_all(gateways)
    assert gateways.shop.trainings == 1


async def refused_by_all(gateways: Fleet) -> None:
    for which in ALL:
        status, said, headers = await gateways.post(which, "/v1/training")
        assert (status, said["type"]) == (429, "/problems/rate-limited"), said
        left = datetime.fromisoformat(said["next_allowed_at"]).timestamp() - time.time()
        assert 25 * 60 < left <= 30 * 60 + 1
        assert abs(int(headers["Retry-After"]) - left) < 2


# --- blows ------------------------------------------------------------------------------------------------------


async def test_any_gateway_may_be_killed(gateways: Fleet) -> None:
    """One after the other, a worker by itself too; each comes back while others go on."""
    stream = Stream(gateways, "killed")
    async with vendors_falter(gateways), stream.flows():
        await asyncio.sleep(0.5)
        await gateways.kill(0)
        await asyncio.gather(gateways.gateways[0].start(), gateways.kill_a_worker(2))
        await gateways.kill(2)
        await asyncio.sleep(0.5)
        await gateways.gateways[2].start()
        await asyncio.sleep(0.5)
    await hold(gateways, stream)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_valkey_may_be_away(gateways: Fleet, how: Away) -> None:
    await survives_without(gateways, how, 3.0)


@pytest.mark.more("long faults")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_valkey_may_be_away_for_half_a_minute(gateways: Fleet, how: Away) -> None:
    await survives_without(gateways, how, 30.0)


@pytest.mark.more("long faults")
@pytest.mark.timeout(300)
async def test_blow_after_blow(gateways: Fleet) -> None:
    """Each before all have recovered from the one before: then a note may wait for some seconds, and be lost."""
    stream = Stream(gateways, "blows")
    rng = Random(int(time.time()))
    async with vendors_falter(gateways), stream.flows():
        for _ in range(12):
            await asyncio.sleep(rng.uniform(0.1, 2.0))
            if rng.random() < 0.5:
                await gateways.without_valkey(rng.uniform(0.0, 6.0), rng.choice(("killed", "frozen")))
                continue
            which = rng.randrange(3)
            await gateways.kill(which)
            await gateways.gateways[which].start()
        await gateways.all_hear()
    await hold(gateways, stream, near=NEAR + 5.0)


async def survives_without(gateways: Fleet, how: Away, seconds: float) -> None:
    stream = Stream(gateways, f"{how}-{seconds:g}")
    before = await _exposures(gateways)
    async with vendors_falter(gateways), stream.flows():
        await asyncio.sleep(0.7)
        down, up = await gateways.without_valkey(seconds, how)
        await gateways.all_hear()
        back = time.monotonic()
        await asyncio.sleep(0.5)
    meanwhile = [one for one in stream.told if down < one.began and one.ended < up]
    assert len(meanwhile) > 8 and {(one.status, one.retry_after) for one in meanwhile} == {(503, True)}
    assert max(one.ended - one.began for one in stream.told) < STORE + BUSY
    assert back - up < 3 + BUSY, "once a second each looks whether it is back"
    asked = [one for one in stream.asked if down < one.began < up]
    assert len(asked) > 5 * seconds
    await hold(gateways, stream)
    assert stream.shown > 0 and await _exposures(gateways) == before + stream.shown, "each is counted once"


async def _exposures(gateways: Fleet) -> int:
    """Once all that was noted is written."""
    await asyncio.sleep(1.0)
    return sum(arm["exposures"] for arm in (await _arms(gateways, 0)).values())


@asynccontextmanager
async def vendors_falter(gateways: Fleet) -> AsyncIterator[None]:
    for vendor in (gateways.shop, gateways.numbers):
        vendor.down, vendor.lost = 0.1, 0.05
    yield
    for vendor in (gateways.shop, gateways.numbers):
        vendor.down = vendor.lost = 0.0


async def hold(gateways: Fleet, stream: Stream, near: float = NEAR) -> None:
    assert {one.status for one in stream.asked} == {200}
    assert max(one.ended - one.began for one in stream.asked) < DEADLINE + BUSY
    assert len(stream.acknowledged) > 50
    events = {item for _, item in stream.acknowledged}
    await until(lambda: events <= gateways.shop.answered.keys(), 60)
    in_order(gateways, gateways.shop, stream.acknowledged, near)
    store = await open_at(gateways.valkey.url())
    try:
        items: dict[str, str] = {}

        async def all_arrived() -> bool:
            items.update(await store.lookup("numbers", "item", sorted(events)))
            return len(items) == len(events) and {*items.values()} <= gateways.numbers.answered.keys()

        await until(all_arrived, 60)
        users = await store.lookup("numbers", "user", {user for user, _ in stream.acknowledged})
        await asyncio.sleep(0.3)  # what would come twice comes now
        numbered = [(users[user], items[item]) for user, item in stream.acknowledged]
        in_order(gateways, gateways.numbers, numbered, near)
        await created_once(gateways, store, near)
    finally:
        await store.close()


def in_order(gateways: Fleet, vendor: Vendor, acknowledged: list[tuple[str, str]], near: float) -> None:
    """Each user's in the order in which they were acknowledged, each once."""
    sent: dict[str, list[str]] = defaultdict(list)
    for user, item in acknowledged:
        sent[user].append(item)
    firsts: dict[str, list[str]] = defaultdict(list)
    for user, item in dict.fromkeys(vendor.arrived):
        firsts[user].append(item)
    for user, items in sent.items():
        assert firsts[user] == items
    for _, item in acknowledged:
        for at, whole in vendor.answered[item][:-1]:
            assert not whole or near_a_blow(gateways, at, near), (item, vendor.answered[item], gateways.blows)


async def created_once(gateways: Fleet, store: Store, near: float) -> None:
    """What was created is what is known; but for what a killed one had created and could tell nobody of."""
    entities: dict[str, Entity] = {"users": "user", "products": "item"}
    for kind, entity in entities.items():
        created = gateways.numbers.created[kind]
        known = await store.owners("numbers", entity, map(str, range(1, 1 + len(created))))
        orphans = [at for number, at in enumerate(created, 1) if str(number) not in known]
        assert all(near_a_blow(gateways, at, near) for at in orphans), (kind, orphans, gateways.blows)


def near_a_blow(gateways: Fleet, at: float, near: float) -> bool:
    return any(blow - near < at < blow + LATE for blow in gateways.blows)
