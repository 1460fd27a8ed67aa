"""The matrix of bad answers: every exchange of a case, answered in every wrong way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.model.query import Recommendations
from gateway.state.sqlite import SqliteStore
from gateway.testing.cases import Case, Exchange, Reply
from gateway.testing.comparing import plain
from gateway.testing.playing import Played, play_in

HTML: Final = "<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
LONG: Final = "x" * 10_000_000
BAD_STATUSES: Final = (301, 400, 401, 402, 403, 404, 405, 408, 409, 413, 418, 422, 425, 429, 500, 502, 503, 504)


def bad_replies(good: Reply) -> Iterator[tuple[str, Reply]]:
    """What can come in place of a good answer: every status in use, and bodies of every wrong sort."""
    for status in BAD_STATUSES:
        yield f"{status} json", Reply(status, {}, {"message": "no"})
        yield f"{status} html", Reply(status, {"content-type": "text/html"}, body=HTML)
    yield "429 retry-after", Reply(429, {"retry-after": "7"}, {"message": "slow down"})
    yield "200 empty", Reply(200, body="")
    yield "200 html", Reply(200, body=HTML)
    yield "200 10 MB", Reply(200, body=LONG)
    for name, value in (("null", None), ("list", []), ("object", {}), ("text", "text"), ("number", 42)):
        yield f"200 {name}", Reply(200, {}, value)
    yield "200 deep", Reply(200, body="[" * 100_000)
    for failure in ("timed_out", "not_connected", "disconnected"):
        yield failure, Reply(fails=failure)
    if good.json is not msgspec.UNSET:
        encoded = msgspec.json.encode(good.json).decode()
        yield "200 truncated", Reply(200, body=encoded[: len(encoded) // 2])
        for name, wrong in (("numbers", 7), ("texts", "no"), ("nulls", None), ("lists", []), ("objects", {})):
            yield f"200 leaves are {name}", Reply(200, {}, _with_leaves(good.json, wrong))


def _with_leaves(value: Any, wrong: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_leaves(one, wrong) for key, one in value.items()}
    return [_with_leaves(one, wrong) for one in value] if isinstance(value, list) else wrong


def spoiled(case: Case) -> Iterator[tuple[str, Case]]:
    """The case with one bad answer in place of each of its answers in turn."""
    for index, exchange in enumerate(case.exchanges):
        for name, reply in bad_replies(exchange.response):
            exchanges = list(case.exchanges)
            exchanges[index] = Exchange(exchange.request, reply)
            yield f"exchange {index}: {name}", msgspec.structs.replace(case, exchanges=tuple(exchanges))


QUESTIONS: Final = frozenset({"recommend", "search"})


async def check_spoiled(case: Case) -> int:
    """Play a case against the matrix of bad answers; how many were played. Raises AssertionError."""
    store = await SqliteStore.open(":memory:")
    try:
        count = 0
        for name, bad in spoiled(case):
            count += 1
            _check_bad(case, name, await play_in(bad, store, f"{case.adapter} {count}", strict=False))
        return count
    finally:
        await store.close()


def _check_bad(case: Case, name: str, played: Played) -> None:
    said = _everything_said(played)
    for secret in case.secrets:
        assert secret not in said, f"{case}, {name}: a secret is in {said!r}"  # noqa: S101  # for tests
    if played.error is None and case.call in QUESTIONS:
        other_way = len(case.exchanges) > 1 and plain(played.result) == case.result
        leaves = " leaves are " in name
        assert other_way or leaves or _is_empty(played.result), (  # noqa: S101  # for tests
            f"{case}, {name}: answered {plain(played.result)!r}"
        )


def _everything_said(played: Played) -> str:
    error: BaseException | None = played.error
    said = [repr(plain(played.result)) if played.result is not None else ""]
    while error is not None:
        said += [str(error), repr(error), str(getattr(error, "vendor_message", ""))]
        error = error.__cause__
    return "\n".join(said)


def _is_empty(result: Any) -> bool:
    return isinstance(result, Recommendations) and not result.items and not result.facets
