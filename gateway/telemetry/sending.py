"""Batches of spans to a collector: OTLP over HTTP (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP").

    export ─▸ POST ─┬─ 2xx ─▸ True
                    ├─ 429, 502, 503, 504, no connection ─▸ again after a pause that doubles, or after Retry-After
                    └─ anything else, or no time left ─▸ False

The SDK's exporter sends what the SDK's encoder wrote and nothing else, and that encoder is what costs (otlp.py).
Headers and certificates come from the environment as they do there.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Final

import requests
from opentelemetry.util.re import parse_env_headers

from gateway.telemetry.span import Span

TIMEOUT: Final = 5.0
"""Seconds for one batch, repetitions included."""
PAUSE: Final = 1.0
"""Seconds before the second attempt, give or take a fifth; doubles."""
ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read: of a good one, which is a few, the connection can be used again."""
AGAIN: Final = frozenset({429, 502, 503, 504})
"""Statuses that say: later."""
NO_ANSWER: Final = (requests.exceptions.ConnectionError, requests.exceptions.Timeout)
PREFIX: Final = "OTEL_EXPORTER_OTLP_"


class Collector:
    """Sends to one. `encode`: spans as the body of a request; `environment`: `os.environ`."""

    def __init__(
        self, url: str, encode: Callable[[Sequence[Span]], bytes], agent: str, environment: Mapping[str, str]
    ) -> None:
        self._url = url
        self._encode = encode
        self._ending = threading.Event()
        self._session = session = requests.Session()
        session.trust_env = False  # no proxies, no .netrc
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        headers = parse_env_headers(_said(environment, "HEADERS") or "", liberal=True)
        session.headers.update({"Content-Type": "application/x-protobuf", "User-Agent": agent, **headers})
        session.verify = _said(environment, "CERTIFICATE") or True
        certificate, key = _said(environment, "CLIENT_CERTIFICATE"), _said(environment, "CLIENT_KEY")
        session.cert = (certificate, key) if certificate and key else certificate

    def export(self, spans: Sequence[Span]) -> bool:
        """Did they arrive? Takes TIMEOUT at most."""
        body, until = self._encode(spans), time.monotonic() + TIMEOUT
        attempt = 0
        while True:
            status, after = self._post(body, until - time.monotonic())
            if 200 <= status < 300:
                return True
            stale = not status and not attempt  # a connection that was kept, and closed there: a new one is made
            pause = 0.0 if stale else _pause(attempt, after)
            attempt += 1
            left = until - time.monotonic()
            if (status and status not in AGAIN) or pause >= left or self._ending.wait(pause):
                return False

    def shutdown(self) -> None:
        """Try nothing again."""
        self._ending.set()
        self._session.close()

    def _post(self, body: bytes, seconds: float) -> tuple[int, str]:
        """The status, 0 for none, and `Retry-After`. Of an answer without an end only so much is read."""
        try:
            answer = self._session.post(self._url, data=body, timeout=seconds, allow_redirects=False, stream=True)
            try:
                answer.raw.read(ANSWER, decode_content=False)
            finally:
                answer.close()
        except NO_ANSWER:
            return 0, ""
        return answer.status_code, answer.headers.get("Retry-After", "")


def _said(environment: Mapping[str, str], what: str) -> str | None:
    """For traces, else for all of OTLP."""
    return environment.get(f"{PREFIX}TRACES_{what}") or environment.get(PREFIX + what) or None


def _pause(attempt: int, after: str) -> float:
    """Seconds; what the collector asks for where that is a number."""
    if after.isascii() and after.isdigit():
        return float(after)
    return float(PAUSE * 2**attempt * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
