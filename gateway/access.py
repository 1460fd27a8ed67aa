"""Who may do what: credentials to a caller with rights.

Without `auth` every caller has every scope; then only this machine may call, and no web page of another host.
Keys are found by their SHA-256, so that neither the comparison's time nor a dump of the table gives one away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from gateway.asked import Caller
from gateway.config.model import Configuration
from gateway.errors import Forbidden, Unauthorized

SCOPES: Final = frozenset({"recommend", "events", "catalog", "ops"})
OPEN: Final = Caller("", SCOPES)
"""Anybody on this machine, where there is no `auth`."""
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="gateway"'}


def is_loopback(host: str) -> bool:
    """Does a host name or address mean this machine?"""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Reads credentials; compiled from one configuration."""

    def __init__(self, configuration: Configuration) -> None:
        auth = configuration.auth
        self._open = auth is None
        self._origins = frozenset(configuration.server.cors.origins if configuration.server.cors else ())
        self._keys: dict[bytes, Caller] = {}
        for name, key in (auth.api_keys if auth else {}).items():
            secret = key.key.get_secret_value().encode() if key.key else b""
            digest = bytes.fromhex(key.sha256) if key.sha256 else hashlib.sha256(secret).digest()
            placements = None if key.placements is None else frozenset(key.placements)
            self._keys[digest] = Caller(name, frozenset(key.scopes), placements, key.allow_options)

    def identify(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Who calls. Raises Unauthorized; Forbidden where these credentials lack the scope."""
        if self._open:
            self._only_this_machine(headers)
            return OPEN
        caller = self._by_key(headers)
        if not caller.may(scope):
            raise Forbidden(f"these credentials lack the scope `{scope}`")
        return caller

    def _by_key(self, headers: Mapping[str, str]) -> Caller:
        given = headers.get("X-Api-Key")
        if given is None:
            kind, _, given = headers.get("Authorization", "").partition(" ")
            if kind.lower() != "bearer" or not given:
                raise Unauthorized("give a key as `Authorization: Bearer …` or `X-Api-Key`", headers=CHALLENGE)
        caller = self._keys.get(hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest())
        if caller is None:
            raise Unauthorized("the key is not known here", headers=CHALLENGE)
        return caller

    def _only_this_machine(self, headers: Mapping[str, str]) -> None:
        """Against DNS rebinding and pages that call localhost: the Host and the Origin must be ours."""
        host = urlsplit("//" + headers.get("Host", "")).hostname or ""
        if not is_loopback(host):
            raise Forbidden("without `auth` only this machine may call: the Host header is not loopback")
        origin = headers.get("Origin")
        if origin is None or origin in self._origins or is_loopback(urlsplit(origin).hostname or ""):
            return
        raise Forbidden("without `auth` pages of other origins may not call")
