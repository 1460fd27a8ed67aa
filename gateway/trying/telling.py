"""The dialogue as text: what was sent, what came back, the result. Nothing leaves here unmasked or unprintable."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from gateway.masking import MASK, Mask
from gateway.trying.recording import Exchange

MOST_LINES: Final = 200
"""Of one body; the rest is counted."""
FORM: Final = "application/x-www-form-urlencoded"

Style = Literal["plain", "sent", "heard", "good", "bad", "dim"]
Line = tuple[Style, str]
STYLES: Final[dict[Style, str]] = {
    "plain": "", "sent": "bold cyan", "heard": "bold blue", "good": "bold green", "bad": "bold red", "dim": "dim",
}  # fmt: skip


def writer() -> Callable[[Line], None]:
    """Writes lines to standard output: with colour on a terminal, as plain text elsewhere."""
    if not sys.stdout.isatty():
        return lambda line: print(line[1])  # noqa: T201  # what this command is for
    from rich.console import Console  # noqa: PLC0415  # only where somebody looks
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    return lambda line: console.print(Text(line[1], STYLES[line[0]]), soft_wrap=True)


def told(exchanges: Sequence[Exchange], mask: Mask) -> Iterator[Line]:
    """Every exchange."""
    for number, exchange in enumerate(exchanges, 1):
        yield from _sent(number, exchange, mask)
        yield from _heard(number, exchange, mask)
    if not exchanges:
        yield "dim", "nothing was said over HTTP"
        yield "plain", ""


def _sent(number: int, exchange: Exchange, mask: Mask) -> Iterator[Line]:
    request = exchange.request
    login = "   (login)" if exchange.login else ""
    yield "sent", f"{number} ▸ {request.method} {printable(mask.url(request.url))}{login}"
    yield from _headers(request.headers, mask)
    yield from _body(request.body or b"", dict(_lower(request.headers)).get("content-type", ""), mask)
    yield "plain", ""


def _heard(number: int, exchange: Exchange, mask: Mask) -> Iterator[Line]:
    ms, response = f"{exchange.took * 1000:.1f} ms", exchange.response
    if response is None:
        had = f"{exchange.allowed * 1000:.0f} ms"
        yield "bad", f"{number} ◂ {printable(mask.text(exchange.failure))}   (after {ms}; it had {had})"
    else:
        fine = exchange.fine
        yield "heard" if fine else "bad", f"{number} ◂ {response.status}   ({ms}, {len(response.body)} bytes)"
        yield from _headers(tuple(response.headers.items()), mask)
        yield from _body(
            response.body, response.headers.get("content-type", ""), mask, login=exchange.login and fine
        )
    yield "plain", ""


def _headers(headers: Sequence[tuple[str, str]], mask: Mask) -> Iterator[Line]:
    for name, value in headers:
        yield "dim", f"    {printable(name)}: {printable(mask.header(name, value))}"


def _lower(headers: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((name.lower(), value) for name, value in headers)


def _body(body: bytes, media_type: str, mask: Mask, *, login: bool = False) -> Iterator[Line]:
    if not body:
        return
    yield "plain", ""
    lines = _readable(body, media_type, mask, login=login).splitlines()
    for line in lines[:MOST_LINES]:
        yield "plain", f"    {printable(line)}"
    if len(lines) > MOST_LINES:
        yield "dim", f"    … {len(lines) - MOST_LINES} more lines"


def _readable(body: bytes, media_type: str, mask: Mask, *, login: bool) -> str:
    text = body.decode("utf-8", "replace")
    if media_type.partition(";")[0].strip().lower() == FORM:
        return "\n".join(f"{name}={value}" for name, value in mask.form(text))
    try:
        return pretty(mask.value(msgspec.json.decode(body), login=login))
    except (ValueError, RecursionError):  # msgspec raises a ValueError of its own
        return MASK if login else mask.text(text)


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def printable(text: str) -> str:
    """Without what would steer a terminal: a vendor's answer is not to be trusted with that."""
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text)
