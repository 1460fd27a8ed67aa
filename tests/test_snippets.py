"""A document of several snippets, over HTTP: the one that was shown is the one that the next question is about.

And the older form of the vendor's recommendations, for tenants that know no other.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from gateway.deadline import Deadline
from gateway.model.activity import Event, EventItem
from gateway.sandbox.credentials import XAYN_BACK_OFFICE_TOKEN
from tests.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILLER: Final = " ".join(f"word{n}" for n in range(60))
TEXTS: Final = {
    "both": f"Whales swim in the deep sea {FILLER}. Volcanoes burn on the far island {FILLER}.",
    "whales": "Whales and dolphins swim together in the sea.",
    "volcanoes": "Volcanoes and geysers burn on every island.",
    "hats": "Hats for every head.",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    more = {
        "providers": {
            "xayn": {"options": {"split_documents": True}},
            "older": {"like": "xayn", "options": {"user_path": "personalized_documents"}},
        },
        "placements": {
            "search": {"kind": "search", "providers": ["xayn"]},
            "older": {"providers": ["older"]},
            "other": {"kind": "search", "providers": ["older"]},
        },
    }
    async with world(tmp_path_factory.mktemp("snippets"), more, fed=False) as shop:
        async with shop.session.post(
            f"{shop.vendors['xayn']}/documents",
            json={"documents": [{"id": id_, "snippet": text, "split": True} for id_, text in TEXTS.items()]},
            headers={"authorizationToken": XAYN_BACK_OFFICE_TOKEN},
        ) as answer:
            assert answer.status == 201, await answer.text()
        shop.listening = True
        yield shop


def last_sent(shop: World, path: str) -> Any:
    """The last body that the vendor got there."""
    return msgspec.json.decode([body for _, where, body in shop.heard if where == path][-1])


async def found(shop: World, words: str) -> dict[str, Any]:
    """An answer to a search that names the document of both."""
    reply = await shop.search(query=words, include=["snippet"])
    answer: dict[str, Any] = reply.json
    assert "both" in reply.ids
    return answer


async def asked_about(shop: World, placement: str = "xayn", **more: Any) -> Any:
    """What the vendor is asked for items like the document of both."""
    reply = await shop.ask(placement, kind="similar_items", items=["both"], **more)
    assert reply.status == 200, reply.text
    return last_sent(shop, "POST /semantic_search")["document"]["id"]


@pytest.mark.parametrize(("words", "shown"), [("whales deep sea", 0), ("volcanoes far island", 1)])
async def test_the_snippet_that_was_shown_is_the_one_that_is_asked_about(
    shop: World, words: str, shown: int
) -> None:
    answer = await found(shop, words)
    [snippet] = [item["snippet"] for item in answer["items"] if item["id"] == "both"]
    assert TEXTS["both"][:6].lower() in snippet.lower() if shown == 0 else "Volcanoes" in snippet
    id_ = answer["recommendation_id"]
    assert await asked_about(shop, recommendation_id=id_) == {"document_id": "both", "sub_id": shown}
    reply = await shop.search(item="both", recommendation_id=id_)
    assert reply.status == 200, reply.text
    assert last_sent(shop, "POST /semantic_search")["document"]["id"] == {"document_id": "both", "sub_id": shown}


async def test_the_two_snippets_lead_to_different_items(shop: World) -> None:
    firsts = []
    for words in ("whales deep sea", "volcanoes far island"):
        id_ = (await found(shop, words))["recommendation_id"]
        reply = await shop.ask("xayn", kind="similar_items", items=["both"], recommendation_id=id_)
        firsts.append(reply.ids[0])
    assert firsts == ["whales", "volcanoes"]


async def test_without_the_answer_the_document_is_meant(shop: World) -> None:
    answer = await found(shop, "whales deep sea")
    assert await asked_about(shop) == "both"
    forged = answer["recommendation_id"][:-4] + "AAAA"
    reply = await shop.ask("xayn", kind="similar_items", items=["both"], recommendation_id=forged)
    assert reply.status == 200 and any("recommendation_id" in one for one in reply.warnings)
    assert last_sent(shop, "POST /semantic_search")["document"]["id"] == "both"


async def test_a_snippet_of_one_provider_means_nothing_to_another(shop: World) -> None:
    id_ = (await found(shop, "whales deep sea"))["recommendation_id"]
    assert await asked_about(shop, "older", recommendation_id=id_) == "both"


async def test_an_older_tenant_is_asked_in_the_older_form(shop: World) -> None:
    path = "/users/u1/personalized_documents"
    nothing_yet = await shop.ask("older", kind="for_you", user={"id": "u1"}, count=2)
    assert nothing_yet.status == 200 and nothing_yet.json["source"]["cold_start"]
    for n, item in enumerate(("whales", "both", "whales")):
        event = Event(id=f"e{n}", type="view", user="u1", items=(EventItem(item),), time=datetime.now(UTC))
        await shop.provider("older").call("track", [event], deadline=Deadline.within(time.monotonic, 10))
    reply = await shop.ask("older", kind="for_you", user={"id": "u1"}, count=2)
    assert reply.provider == "older" and reply.ids
    assert shop.calls["xayn", path] == 2 and shop.calls["xayn", "/users/u1/recommendations"] == 0
    assert last_sent(shop, f"POST {path}")["count"] >= 2
