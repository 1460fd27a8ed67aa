"""What went wrong, in plain words, and what to look at: the very options that the refused request was made of."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote

import msgspec

from gateway.config import Loaded
from gateway.config.mistakes import Path, Wrong
from gateway.errors import (
    Disconnected,
    Malformed,
    Misconfigured,
    Missing,
    NoAnswer,
    NotConnected,
    PassedOver,
    ProviderError,
    Refused,
    Throttled,
    TimedOut,
    Unsupported,
)
from gateway.masking import credential
from gateway.provider.account import Provider
from gateway.transport import Outgoing
from gateway.trying.recording import Exchange
from gateway.trying.trial import options_of

Spot = Literal["credentials", "addresses", "names", "timeout", "connect_timeout", "deadline"]
"""What in the configuration an error may be about."""


class Finding(msgspec.Struct, frozen=True):
    """What one kind of error means."""

    error: type[ProviderError]
    words: str = ""
    look: tuple[tuple[Spot, str], ...] = ()
    """What to look at, and what is wrong with it."""
    status: int | None = None
    """Only with this one."""


FINDINGS: Final = (
    Finding(Misconfigured, look=(("credentials", "is what was sent, and is refused"),), status=401),
    Finding(
        Misconfigured, "the vendor wants to be paid: the plan or the quota of this account",
        (("credentials", "says which account it is"),), status=402,
    ),
    Finding(
        Misconfigured, look=(("credentials", "is not valid there, or lacks the right to do this"),), status=403,
    ),
    Finding(
        Misconfigured, look=(("addresses", "is where it was asked"), ("names", "is what it was asked for")),
    ),
    Finding(
        NotConnected,
        look=(
            ("addresses", "is where nothing can be reached: name, port, firewall, TLS?"),
            ("connect_timeout", "is how long was waited for a connection"),
        ),
    ),
    Finding(
        TimedOut,
        look=(("timeout", "is the time of one attempt"), ("deadline", "is the time of all attempts together")),
    ),
    Finding(Disconnected, look=(("addresses", "is who broke the connection, or a proxy before it"),)),
    Finding(
        Malformed, "the answer is not what the vendor's document says: an error page, or a changed API?",
        (("addresses", "is where it came from"),),
    ),
    Finding(Throttled, "the vendor wants to be left alone for a while; `rate` keeps the gateway below its limit"),
    Finding(Refused, "the vendor refuses what the request says; its own words are in the last answer"),
    Finding(
        NoAnswer, "the provider works, and has nothing for this question: does it know the user and the items, "
        "was it fed and trained, do the filter, `hide` and `min_score` leave anything?",
    ),
    Finding(Missing, "the provider works, and does not know what was asked for"),
    Finding(Unsupported, "the provider cannot say this; a gateway goes on to the next one of the list"),
    Finding(PassedOver, look=(("deadline", "left no time to ask"),)),
    Finding(ProviderError, "the fault is the vendor's; its own words are in the last answer"),
)  # fmt: skip
"""The first that fits holds."""


class Advice:
    """What can be said of one failed trial."""

    def __init__(self, loaded: Loaded, provider: Provider, exchanges: Sequence[Exchange]) -> None:
        self._loaded = loaded
        self._provider = provider
        self._last = next((one.request for one in reversed(exchanges) if not one.fine), None)

    def lines(self, error: ProviderError) -> Iterator[str]:
        """One thought a line."""
        finding = next(
            one for one in FINDINGS if isinstance(error, one.error) and one.status in (None, error.status)
        )
        if finding.words:
            yield finding.words
        for spot, what in finding.look:
            yield from self._places(self._paths(spot), what)

    def _paths(self, spot: Spot) -> list[Path]:
        match spot:
            case "credentials":
                return self._credentials()
            case "addresses":
                return self._addresses()
            case "names":
                return self._names()
            case "deadline":
                return [("server", "deadline")]
        return [self._own(spot)]

    def _places(self, paths: Sequence[Path], what: str) -> Iterator[str]:
        """Where each of these stands in the file, or that it has its default."""
        for path in paths:
            placed = self._loaded.document.mistake(Wrong(path, what))
            origin = " (its value is from the environment or a file)" if path in self._loaded.filled else ""
            yield f"look at {placed}{origin}"

    def _own(self, *path: str | int) -> Path:
        return ("providers", self._provider.name, *path)

    def _credentials(self) -> list[Path]:
        """The options that stand in the refused request; all secret ones where none does (they bought a token)."""
        options = [*options_of(self._provider.adapter)]
        secret = {path for path, _, is_secret in options if is_secret}
        words = {*_proofs(self._last)} if self._last else set()
        sent = [path for path, text, _ in options if text in words]
        paths = sent if secret.intersection(sent) else [path for path, _, _ in options if path in secret]
        return [self._own("options", *path) for path in paths]

    def _addresses(self) -> list[Path]:
        """The options that the failed request's URL begins with."""
        url = self._last.url if self._last else ""
        found = [path for path, text, _ in options_of(self._provider.adapter) if _begins(url, text)]
        return [self._own("options", *path) for path in found] or [self._own("options")]

    def _names(self) -> list[Path]:
        """The options of the file that the failed request names something by: an index, a tenant."""
        words = {*_words(self._last)} if self._last else set()
        options = ((self._own("options", *path), text) for path, text, _ in options_of(self._provider.adapter))
        return [path for path, text in options if text in words and path in self._loaded.document.values]


def _begins(url: str, text: str) -> bool:
    return "://" in text and url.startswith(text.rstrip("/"))


def _proofs(request: Outgoing) -> Iterator[str]:
    """The texts in a request that may be credentials, or say whose: in headers, parameters, a form, a login."""
    for name, value in request.headers:
        yield value
        yield credential(value)
        if name.lower() == "authorization":
            with suppress(ValueError):
                yield from base64.b64decode(credential(value)).decode("utf-8", "replace").split(":", 1)
    yield from _values(request.url.partition("?")[2])
    yield from _values((request.body or b"").decode("utf-8", "replace"))


def _words(request: Outgoing) -> Iterator[str]:
    """The texts in a request that may be names: segments of its path, parameters, members of its body."""
    path, _, query = request.url.partition("?")
    yield from map(unquote, path.split("/"))
    yield from _values(query)
    with suppress(ValueError, RecursionError):
        yield from _leaves(msgspec.json.decode(request.body or b"null"))


def _values(form: str) -> Iterator[str]:
    return (value for pair in parse_qsl(form) for value in pair[1:])


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from (text for one in value.values() for text in _leaves(one))
        case list():
            yield from (text for one in value for text in _leaves(one))
