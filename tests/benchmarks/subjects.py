"""What is measured: the gateway's configuration, the requests of each case, and how right answers look."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.benchmarks.load import UNIQUE
from tests.benchmarks.nginx import TOKEN, VENDOR_PATH
from tests.benchmarks.witness import Check

COUNT: Final = 10
ITEMS: Final = tuple(f"item-{number:04d}" for number in range(1, COUNT + 1))
DOCUMENTS: Final = [
    {"id": item, "snippet_id": {"document_id": item, "sub_id": 0}, "score": round(1 - index / 64, 4)}
    for index, item in enumerate(ITEMS)
]
VENDOR_ANSWER: Final = msgspec.json.encode({"documents": DOCUMENTS})

CONFIGURATION: Final = """
server: {{listen: "127.0.0.1:{port}", admin_listen: "127.0.0.1:{admin_port}", deadline: 5s}}
state: {{url: "sqlite://{folder}/state.db"}}
defaults: {{timeout: 2s}}     # a machine with other work must not end in timeouts
providers:
  vendor: {{adapter: xayn, options: {{url: "http://127.0.0.1:{stub_port}/vendor", token: {token}}}}}
placements:
  hit: {{providers: [vendor], count: {count}, cache: {{ttl: 1d}}}}
  miss: {{providers: [vendor], count: {count}}}
telemetry: {{logs: {{requests: errors}}}}      # nginx logs no request either
"""


class Subject(msgspec.Struct, frozen=True):
    """One server in one case."""

    case: str
    """`hit` or `miss`."""
    server: str
    """`nginx` or `gateway`."""
    port: int
    request: str
    check: Check


def gateway(folder: Path, port: int, admin_port: int, stub_port: int) -> list[str]:
    """The command of the gateway."""
    file = folder / "gateway.yaml"
    file.write_text(
        CONFIGURATION.format(
            port=port, admin_port=admin_port, stub_port=stub_port, folder=folder, token=TOKEN, count=COUNT
        )
    )
    return [sys.executable, "-m", "gateway", "serve", "--config", str(file)]


def hit_of_gateway(port: int) -> Subject:
    """One user's answer, over and over."""
    return Subject("hit", "gateway", port, _recommendations("hit", "user-0000000000000001"), _cached)


def hit_of_nginx(port: int, answer: bytes) -> Subject:
    """The gateway's answer from nginx's cache."""
    request = _recommendations("hit", "user-0000000000000001")

    def check(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        if (status, body) != (200, answer):
            return "is not the answer of the gateway"
        return None if headers.get("x-cache") == "HIT" else "did not come from nginx's cache"

    return Subject("hit", "nginx", port, request, check)


def miss_of_gateway(port: int) -> Subject:
    """Another user each time, asked of the vendor and translated."""
    return Subject("miss", "gateway", port, _recommendations("miss", f"user-{UNIQUE}"), _translated)


def miss_of_nginx(port: int) -> Subject:
    """The vendor's own call, passed on."""
    body = '{"count":10,"include_properties":false,"include_snippet":false}'
    request = _post(f"{VENDOR_PATH}user-{UNIQUE}/recommendations", body, f"authorizationToken: {TOKEN}")

    def check(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        return None if (status, body) == (200, VENDOR_ANSWER) else "is not the vendor's answer"

    return Subject("miss", "nginx", port, request, check)


def _recommendations(placement: str, user: str) -> str:
    return _post("/v1/recommendations", f'{{"placement":"{placement}","kind":"for_you","user":{{"id":"{user}"}}}}')


def _post(path: str, body: str, *more: str) -> str:
    """A request as it goes over the wire, head and body, with a trace and an id of its own."""
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body.replace(UNIQUE, '0' * 16))}",
        f"traceparent: 00-0123456789abcdef{UNIQUE}-{UNIQUE}-01",
        f"X-Request-Id: {UNIQUE}",
        *more,
    )
    return "\r\n".join(lines) + "\r\n\r\n" + body


def _cached(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    said = headers.get("cache-status", "")
    return _answer(status, body) or (None if "; hit;" in said else f"did not come from the cache: {said}")


def _translated(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    said = headers.get("cache-status", "")
    return _answer(status, body) or (None if "fwd=miss" in said else f"came from a cache: {said}")


def _answer(status: int, body: bytes) -> str | None:
    if status != 200:
        return "is no answer"
    answer: dict[str, Any] = msgspec.json.decode(body)
    wanted = [{"id": item, "rank": n, "score": DOCUMENTS[n - 1]["score"]} for n, item in enumerate(ITEMS, 1)]
    if answer["items"] != wanted or answer["source"]["provider"] != "vendor" or answer["warnings"]:
        return "is not what the vendor's answer means"
    return None
