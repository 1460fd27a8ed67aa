"""Takes secrets out of what is shown: by their value, in every spelling, and by the name that they stand under.

Masked by value: every secret option, and every credential that was sent in a header (so: tokens had by a login).
Masked by name: headers, parameters and members that are called a key, token, password, secret.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote_plus

MASK: Final = "**********"
"""What stands in the place of a secret, as pydantic prints one."""
SECRET: Final = "[secret]"  # noqa: S105  # what stands in place of one
"""The same in lines of the log and in what is said of errors."""
SECRET_NAME: Final = re.compile(
    r"(authori[sz]ation|cookie|secret|password|passwd|credential|token"
    r"|(api|access|private|signing|client|auth|admin|app|subscription|shared)[-_]?key)s?$",
    re.IGNORECASE,
)
"""Names under which vendors take and give secrets; anchored at the end: `x-api-key`, `authorizationToken`."""
SCHEME: Final = re.compile(r"(basic|bearer|token|digest)\s+(?=\S)", re.IGNORECASE)
"""How a credential may begin (RFC 9110 §11.4): not itself a secret, and good to see."""
TELLING: Final = 16
"""Characters: shorter texts in the answer to a login are no token."""


def is_secret(name: str) -> bool:
    """Is what stands under this name a secret?"""
    return SECRET_NAME.search(name) is not None


def credential(value: str) -> str:
    """A header's value without its scheme."""
    return SCHEME.sub("", value, count=1) if SCHEME.match(value) else value


class Mask:
    """Knows some secrets by value."""

    def __init__(self, secrets: Iterable[str], word: str = MASK) -> None:
        """`word`: what stands in their place."""
        self._word = word
        longest_first = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._known = re.compile(
            "|".join(one for secret in longest_first for one in _spellings(secret)) or r"(?!)"
        )

    def text(self, text: str) -> str:
        """Any text, without the secrets that are known."""
        return self._known.sub(lambda _: self._word, text)

    def header(self, name: str, value: str) -> str:
        """A header's value."""
        if not is_secret(name):
            return self.text(value)
        scheme = SCHEME.match(value)
        return (scheme[0] if scheme else "") + MASK

    def url(self, url: str) -> str:
        """A URL: secrets may stand in its query."""
        before, mark, query = url.partition("?")
        return self.text(before) + mark + "&".join(self._pair(pair) for pair in query.split("&") if mark)

    def form(self, body: str) -> list[tuple[str, str]]:
        """A form-encoded body, decoded."""
        pairs = (pair.partition("=") for pair in body.split("&"))
        decoded = ((unquote_plus(name), unquote_plus(value)) for name, _, value in pairs)
        return [(self.text(name), MASK if is_secret(name) else self.text(value)) for name, value in decoded]

    def value(self, value: Any, *, login: bool = False) -> Any:
        """A decoded JSON value. `login`: of the answer to a login, where any longer text may be the token."""
        match value:
            case dict():
                return {
                    self.text(name): MASK if is_secret(name) and not isinstance(one, dict | list | bool | None)
                    else self.value(one, login=login)
                    for name, one in value.items()
                }  # fmt: skip
            case list():
                return [self.value(one, login=login) for one in value]
            case str():
                return MASK if login and len(value) >= TELLING else self.text(value)
        masked = self.text(json.dumps(value))  # a secret may be a number
        return masked if MASK in masked else value

    def _pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        return self.text(name) + equals + (MASK if is_secret(unquote_plus(name)) and value else self.text(value))


def _spellings(secret: str) -> Iterator[str]:
    """Patterns of a text: as it is, or any of its characters escaped as in URLs, JSON or HTML; and in base64."""
    yield "".join(f"(?:{'|'.join(_escapes(c))})" for c in secret)
    raw = secret.encode()
    for before in range(3):  # in base64 with others around it, as in `Basic` credentials: three ways to begin
        coded = base64.b64encode(bytes(before) + raw)[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6].decode()
        if before == 0 or len(coded) >= TELLING:
            yield from {re.escape(coded), re.escape(coded.replace("+", "-").replace("/", "_"))}


def _escapes(c: str) -> set[str]:
    encoded = "".join(f"%(?i:{byte:02x})" for byte in c.encode())
    said = {c, html.escape(c), f"&#{ord(c)};", *(json.dumps(c, ensure_ascii=way)[1:-1] for way in (True, False))}
    said |= {"+"} if c == " " else {"\\/"} if c == "/" else set()
    return {encoded, *map(re.escape, said)}
