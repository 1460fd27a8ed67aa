"""Where there is no `auth` only this machine may call, and no web page of another host.

A page of evil.example can make its name point to 127.0.0.1 (DNS rebinding): then the Host is still its own name.
Or it can call localhost outright: then browsers say where the page came from, in Origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.errors import Forbidden


def is_loopback(host: str) -> bool:
    """Does a host name or address mean this machine?"""
    if host.removesuffix(".").lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_place(headers: Mapping[str, str], origins: frozenset[str]) -> None:
    """Raises Forbidden unless the Host is this machine, and the Origin too or one of `origins`.

    `*` among these means nothing here: any page of the web could do everything.
    """
    if not is_loopback(_host_of("//" + headers.get("Host", ""))):
        raise Forbidden("without `auth` only this machine may call: the Host header is not loopback")
    origin = headers.get("Origin")
    if origin is None or (origin in origins and origin != "*") or is_loopback(_host_of(origin)):
        return
    raise Forbidden("without `auth` pages of other origins may not call")


def _host_of(url: str) -> str:
    """The host in a URL; empty where there is none, or more than a host and a port."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return ""
    plain = parts.username is None and not (parts.path or parts.query or parts.fragment)
    return (parts.hostname or "") if plain else ""
