"""What is measured: the requests of each case, and how right answers look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from tests.benchmarks.configuration import COUNT, FIRST, OFF, Setup, key
from tests.benchmarks.load import FLAGS, TURN, UNIQUE, Request
from tests.benchmarks.nginx import SECURED_PATH, TOKEN, VENDOR_PATH
from tests.benchmarks.witness import Check

ITEMS: Final = tuple(f"item-{number:04d}" for number in range(1, COUNT + 1))
DOCUMENTS: Final = [
    {"id": item, "snippet_id": {"document_id": item, "sub_id": 0}, "score": round(1 - index / 64, 4)}
    for index, item in enumerate(ITEMS)
]
VENDOR_ANSWER: Final = msgspec.json.encode({"documents": DOCUMENTS})
NONE: Final = "00000"
"""In place of a turn where nothing takes turns."""
WIDTHS: Final = {UNIQUE: 16, TURN: 5, FLAGS: 2}
Varies = Literal["placement", "key", "user", ""]
"""What takes turns from request to request."""


class Subject(msgspec.Struct, frozen=True):
    """One server in one case."""

    case: str
    server: str
    """As the arena and the tables call it."""
    port: int
    request: Request
    check: Check
    reaches: Literal["cache", "vendor", "store"]
    """Where its answers come from, all of them."""


def of_gateway(  # what a request is made of
    case: str, server: str, port: int, setup: Setup = OFF, *, varies: Varies = "", turns: int = 1,
    sampled: int = 10,
) -> Subject:  # fmt: skip
    """`hit`: the same answer again and again; `miss`, `TLS`: of another user each time, asked, translated."""
    placement = "secured" if case == "TLS" else f"{case}-{TURN if varies == 'placement' else NONE}"
    user = TURN if varies == "user" and case == "hit" else NONE if case == "hit" else UNIQUE
    body = f'{{"placement":"{placement}","kind":"for_you","user":{{"id":"user-{user}"}}}}'
    who = [f"Authorization: Bearer {key(TURN if varies == 'key' else NONE)}"] if setup.keys else []
    request = Request(_post("/v1/recommendations", body, *who), turns, sampled)
    said, provider = ("; hit;", FIRST) if case == "hit" else ("fwd=miss", "secured" if case == "TLS" else FIRST)

    def check(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        if wrong := _translated(status, body, provider):
            return wrong
        if setup.limited and "ratelimit" not in headers:
            return "says nothing of the limit"
        status_ = headers.get("cache-status", "")
        return None if said in status_ else f"is not a {case}: {status_}"

    return Subject(case, server, port, request, check, "cache" if case == "hit" else "vendor")


def hit_of_nginx(port: int, answer: bytes) -> Subject:
    """The gateway's answer from nginx's cache."""
    request = of_gateway("hit", "nginx", port).request

    def check(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        if (status, body) != (200, answer):
            return "is not the answer of the gateway"
        return None if headers.get("x-cache") == "HIT" else "did not come from nginx's cache"

    return Subject("hit", "nginx", port, request, check, "cache")


def of_vendor(case: str, server: str, port: int) -> Subject:
    """The vendor's own call: to itself, or passed on by nginx, over TLS in the case `TLS`."""
    body = '{"count":10,"include_properties":false,"include_snippet":false}'
    path = SECURED_PATH if case == "TLS" else VENDOR_PATH
    text = _post(f"{path}user-{UNIQUE}/recommendations", body, f"authorizationToken: {TOKEN}")

    def check(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        return None if (status, body) == (200, VENDOR_ANSWER) else "is not the vendor's answer"

    return Subject(case, server, port, Request(text), check, "vendor")


def events(port: int, setup: Setup, batch: int) -> Subject:
    """So many events in one request, each another, of a thousand users in turn."""
    told = (
        f'{{"id":"{UNIQUE}-{n}","type":"view","user":{{"id":"user-{TURN}"}},"items":["item-{n}-{TURN}"]}}'
        for n in range(batch)
    )
    who = [f"Authorization: Bearer {key(0)}"] if setup.keys else []
    request = Request(_post("/v1/events", f'{{"events":[{",".join(told)}]}}', *who), turns=1000)

    def check(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        accepted = msgspec.json.decode(body)["accepted"] if status == 202 else []
        return None if len(accepted) == batch else f"{len(accepted)} of {batch} events were accepted"

    return Subject(f"{batch} a request", "gateway", port, request, check, "store")


def _post(path: str, body: str, *more: str) -> str:
    """A request as it goes over the wire, head and body, with a trace and an id of its own."""
    length = len(body) + sum(body.count(sign) * (width - len(sign)) for sign, width in WIDTHS.items())
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        f"traceparent: 00-0123456789abcdef{UNIQUE}-{UNIQUE}-{FLAGS}",
        f"X-Request-Id: {UNIQUE}",
        *more,
    )
    return "\r\n".join(lines) + "\r\n\r\n" + body


def _translated(status: int, body: bytes, provider: str) -> str | None:
    if status != 200:
        return "is no answer"
    answer: dict[str, Any] = msgspec.json.decode(body)
    wanted = [{"id": item, "rank": n, "score": DOCUMENTS[n - 1]["score"]} for n, item in enumerate(ITEMS, 1)]
    if answer["items"] != wanted or answer["source"]["provider"] != provider or answer["warnings"]:
        return "is not what the vendor's answer means"
    return None
