"""Vendors' addresses in the configuration: what stands before the path of every request."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, WithJsonSchema


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be an http or https URL such as https://vendor.example")
    if parts.username is not None or parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("must have no credentials, query or fragment")
    return url.rstrip("/")


BaseUrl = Annotated[
    str,
    AfterValidator(_base),
    WithJsonSchema({"type": "string", "format": "uri", "pattern": "^https?://", "description": "A base URL"}),
]
"""An http or https URL without a slash at its end."""


def is_plain(url: str) -> bool:
    """Would credentials travel unencrypted over a network? (http, but not to this very machine.)"""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
