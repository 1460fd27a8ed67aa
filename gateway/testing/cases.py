"""A case as it stands in its file (the format: `tests/cases/FORMAT.md`, docs/adapters.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from gateway import errors
from gateway.adapter import Response
from gateway.testing.comparing import differences, shown
from gateway.transport import Outgoing

FREE_HEADERS: Final = frozenset({"user-agent", "accept-encoding", "content-length", "host", "traceparent"})
"""Headers that are the transport's, not the adapter's."""


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request as it must stand on the wire."""

    method: str
    url: str
    headers: dict[str, str] = {}
    json: Any = msgspec.UNSET
    body: str | None = None

    def compare(self, got: Outgoing) -> list[str]:
        """What differs, in words."""
        headers = {name.lower(): value for name, value in got.headers if name.lower() not in FREE_HEADERS}
        wanted = {name.lower(): value for name, value in self.headers.items()}
        return [
            *differences(self.method, got.method, "method"),
            *differences(self.url, got.url, "url"),
            *differences(wanted, headers, "headers"),
            *self._compare_body(got.body or b""),
        ]

    def _compare_body(self, got: bytes) -> Iterator[str]:
        text = got.decode("utf-8", "replace")
        if self.json is msgspec.UNSET:
            yield from differences(self.body or "", text, "body")
            return
        try:
            value = msgspec.json.decode(got or b"null")
        except ValueError:
            yield f"json: expected {shown(self.json)}, got a body that is not JSON: {shown(text)}"
        else:
            yield from differences(self.json, value, "json")


FAILURES: Final = {
    "timed_out": errors.TimedOut,
    "not_connected": errors.NotConnected,
    "disconnected": errors.Disconnected,
}


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the vendor answers, or how it fails to."""

    status: int = 200
    headers: dict[str, str] = {}
    json: Any = msgspec.UNSET
    body: str | None = None
    fails: Literal["timed_out", "not_connected", "disconnected"] | None = None
    """In place of an answer."""

    def respond(self) -> Response:
        """The response; raises the ProviderError of a failure."""
        if self.fails:
            raise FAILURES[self.fails](self.fails)
        body = (self.body or "").encode() if self.json is msgspec.UNSET else msgspec.json.encode(self.json)
        return Response(self.status, {name.lower(): value for name, value in self.headers.items()}, body)


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request and its answer."""

    request: Expected
    response: Reply


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ProviderError in which a case must end."""

    name: str
    detail: str | None = None
    vendor_message: str | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One behaviour of one adapter."""

    about: str
    adapter: str
    call: str
    options: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    pseudonymize: bool = False
    token: str | None = None
    ids: dict[str, dict[str, str]] = {}
    arguments: dict[str, Any] = {}
    exchanges: tuple[Exchange, ...] = ()
    result: Any = msgspec.UNSET
    error: Failure | None = None
    done: tuple[str, ...] = ()
    refused: dict[str, str] = {}
    ids_after: dict[str, dict[str, str]] | None = None
    in_any_order: bool = False
    file: str = ""

    @classmethod
    def read(cls, path: Path) -> Case:
        """The case in a file. Raises ValueError naming the file, and where in it what is wrong."""
        try:
            case = msgspec.json.decode(path.read_bytes(), type=cls)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return msgspec.structs.replace(case, file=f"{path.parent.name}/{path.stem}")

    @classmethod
    def all(cls, folder: Path) -> list[Case]:
        """Every case below a folder, in order of their names. Raises ValueError where there is none.

        A test that is given no case passes, which nobody wants who has mistyped a folder.
        """
        paths = sorted(folder.rglob("*.json"))
        if not paths:
            raise ValueError(f"there is no case (*.json) below {folder.absolute()}")
        return [cls.read(path) for path in paths]

    def __str__(self) -> str:
        return self.file

    @property
    def secrets(self) -> list[str]:
        """The options that nobody may read again."""
        return [v for v in self.options.values() if isinstance(v, str) and v.startswith("SECRET-")]
