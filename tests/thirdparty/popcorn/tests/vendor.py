"""Popcorn, emulated from its document: `python tests/vendor.py [PORT]`. The key is `kernel`."""

import asyncio
import sys
from collections import Counter, defaultdict

from aiohttp import web

KEY = "kernel"
TITLES: list[str] = []
"""Film n is the n-th."""
WATCHED: defaultdict[str, set[int]] = defaultdict(set)
"""Films by user."""


@web.middleware
async def guarded(request: web.Request, handler):  # type: ignore[no-untyped-def]  # aiohttp's own is not exported
    if request.headers.get("X-Popcorn-Key") != KEY:
        return web.json_response({"error": "unknown key"}, status=401)
    return await handler(request)


def ranked(seeds: set[int], request: web.Request) -> list[dict[str, float]]:
    """What people watched who watched one of these, and how many of them did."""
    alike = [films for films in WATCHED.values() if films & seeds]
    counts = Counter(film for films in alike for film in films - seeds)
    best = counts.most_common(int(request.query["limit"]))
    return [{"film": film, "match": round(count / len(alike), 3)} for film, count in best]


async def picks(request: web.Request) -> web.Response:
    user = request.match_info["user"]
    if user not in WATCHED:
        return web.json_response({"error": "no such user"}, status=404)
    return web.json_response({"picks": ranked(WATCHED[user], request)})


async def similar(request: web.Request) -> web.Response:
    film = int(request.match_info["film"])
    if film > len(TITLES):
        return web.json_response({"error": "no such film"}, status=404)
    return web.json_response({"similar": ranked({film}, request)})


async def create(request: web.Request) -> web.Response:
    TITLES.append((await request.json())["title"])
    return web.json_response({"film": len(TITLES)}, status=201)


async def events(request: web.Request) -> web.Response:
    errors = []
    for index, event in enumerate((await request.json())["events"]):
        if event["at"] <= 0:
            errors.append({"index": index, "reason": "too old"})
        else:
            WATCHED[event["user"]].update(event["films"])
    return web.json_response({"errors": errors})


async def serve(port: int) -> None:
    app = web.Application(middlewares=[guarded])
    app.router.add_get("/v1/users/{user}/picks", picks)
    app.router.add_get(r"/v1/films/{film:\d+}/similar", similar)
    app.router.add_post("/v1/films", create)
    app.router.add_post("/v1/events", events)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"Popcorn listens on http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 9300))
