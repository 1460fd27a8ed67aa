"""What the sections of the configuration are made of: names, addresses to listen on."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
URL: Final = r"^https?://[^/\s]+\S*$"
ORIGIN: Final = r"^(\*|https?://[^/\s?#@]+)$"
STATE_URL: Final = r"^(sqlite:([^/\s]|/[^/\s]|///[^/\s]).*|(valkeys?|rediss?)(\+(sentinel|cluster|unix))?://\S+)$"
SHA256: Final = r"^[0-9a-fA-F]{64}$"

RIGHT: Final = {
    NAME: "must begin with a letter or digit and hold only letters, digits, - _ and . (64 at most)",
    URL: "must be an http or https URL such as https://vendor.example",
    ORIGIN: "must be an origin such as https://shop.example, without a slash at its end, or *",
    STATE_URL: "must be sqlite:PATH (sqlite:///absolute/path) or valkey://HOST:6379/0",
    SHA256: "must be a SHA-256 in hex, 64 digits",
}
"""What is said where a text does not match a pattern."""

Name = Annotated[str, Field(pattern=NAME)]
"""What providers, placements, arms and keys are called."""

LISTEN: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


class Address(msgspec.Struct, frozen=True):
    """Where to listen."""

    host: str
    port: int
    """0: a free one."""

    @classmethod
    def read(cls, written: object) -> Address:
        """`HOST:PORT`, an IPv6 host in brackets. ValueError with what would be right."""
        if isinstance(written, Address):
            return written
        found = LISTEN.fullmatch(written) if isinstance(written, str) else None
        if found is None or int(found[2]) > 65535:
            raise ValueError("must be HOST:PORT such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080")
        return cls(found[1].strip("[]"), int(found[2]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Can only this machine connect?"""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


Listen = Annotated[
    Address,
    PlainValidator(Address.read),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{LISTEN.pattern}$"}),
]
"""An `Address`, written HOST:PORT."""


def without_credentials(url: str) -> str:
    """A URL that may be shown: what stands before the @ is left out."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="**********@" + parts.netloc.rpartition("@")[2]))


Url = Annotated[
    str,
    Field(pattern=URL),
    PlainSerializer(without_credentials, return_type=str, when_used="json"),
]
"""An http or https URL."""

Origin = Annotated[str, Field(pattern=ORIGIN)]
"""An origin as browsers send it (RFC 6454 §6.2): scheme, host and port without a slash at the end; `*`: any."""

StateUrl = Annotated[
    str,
    Field(pattern=STATE_URL),
    PlainSerializer(without_credentials, return_type=str, when_used="json"),
]
"""Where state is kept."""
