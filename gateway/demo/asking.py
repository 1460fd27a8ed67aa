"""What the demo asks the gateway itself, over HTTP: is it ready, and does every kind of placement answer?"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp

from gateway.demo.mishap import Mishap
from gateway.demo.places import GATEWAY_LOG, Ports
from gateway.demo.tries import Known

READY_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 20.0
"""For an answer with something in it; the first ones may be late, as vendors make their models then."""
PAUSE: Final = 0.1

Question = tuple[str, dict[str, Any]]
"""The operation's path, and the body."""


def questions(known: Known) -> dict[str, Question]:
    """By placement."""
    user, items = {"user": {"id": known.user}}, {"items": [known.item]}
    asked: dict[str, dict[str, Any]] = {
        "home": user,
        "product_page": items,
        "cart": items,
        "trending": {},
        "discover": user,
        "default": user,
    }
    said: dict[str, Question] = {
        name: ("/v1/recommendations", {"placement": name, "count": 1, **members})
        for name, members in asked.items()
    }
    return {**said, "search": ("/v1/search", {"query": known.title, "count": 1})}


async def until_ready(session: aiohttp.ClientSession, ports: Ports) -> None:
    """Wait for the gateway to start. Raises Mishap."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await _is_ready(session, f"{ports.admin_url}/readyz"):  # noqa: ASYNC110  # another process
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise Mishap(f"the gateway was not ready within {READY_SECONDS:g} s; see {GATEWAY_LOG}") from None


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def answering(session: aiohttp.ClientSession, ports: Ports, known: Known) -> dict[str, str]:
    """Who answers each placement. Raises Mishap where one has nothing to say."""
    return {
        placement: await _provider(session, f"{ports.url}{path}", placement, body)
        for placement, (path, body) in questions(known).items()
    }


async def _provider(session: aiohttp.ClientSession, url: str, placement: str, body: dict[str, Any]) -> str:
    said: Any = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                async with session.post(url, json=body) as answer:
                    said = await answer.json(content_type=None)
                    if answer.status == 200 and said["items"]:
                        return str(said["source"]["provider"])
                await asyncio.sleep(PAUSE)
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        raise Mishap(
            f"`{placement}` has no answer: {said or error or 'none in time'}; see {GATEWAY_LOG}"
        ) from error
