"""Reads answers, by itself and while the load runs: requests per second of wrong answers are worth nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from itertools import count
from types import TracebackType
from typing import Final

from tests.benchmarks.load import Request
from tests.benchmarks.processes import Broken

PAUSE: Final = 0.1
"""Seconds between two answers that are read under load: too few to weigh."""

Check = Callable[[int, Mapping[str, str], bytes], str | None]
"""What is wrong with an answer (status, headers by lower-case name, body); None if nothing."""

_unique = count(1 << 60)


def ask(port: int, request: Request, check: Check, connection: HTTPConnection | None = None) -> bytes:
    """Send a request once and give the answer's body. Raises Broken where it is wrong."""
    own = connection or HTTPConnection("127.0.0.1", port, timeout=10)
    head, _, body = request.number(next(_unique)).partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    try:
        own.request(method, path, body.encode(), headers)
        answer = own.getresponse()
        said = answer.read()
    except (HTTPException, OSError) as error:
        raise Broken(f"{method} {path}: {error or type(error).__name__}") from error
    finally:
        if connection is None:
            own.close()
    found = {name.lower(): value for name, value in answer.getheaders()}
    wrong = check(answer.status, found, said)
    if found.get("x-request-id") != headers["X-Request-Id"]:
        wrong = wrong or "the X-Request-Id is not the caller's"
    if wrong:
        raise Broken(f"{method} {path} answered {answer.status}: {wrong}\n{said[:500].decode(errors='replace')}")
    return said


class Witness:
    """Asks every `PAUSE` seconds inside a `with` block; leaving it raises Broken if an answer was wrong."""

    def __init__(self, port: int, request: Request, check: Check) -> None:
        self._port = port
        self._request = request
        self._check = check
        self._over = threading.Event()
        self._wrong: Broken | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seen = 0

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._wrong is not None and error is None:
            raise self._wrong

    def _watch(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            while not self._over.wait(PAUSE):
                ask(self._port, self._request, self._check, connection)
                self.seen += 1
        except Broken as wrong:
            self._wrong = wrong
        finally:
            connection.close()
