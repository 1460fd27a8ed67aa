"""What a configuration comes to: without secrets for people, as a keyed hash for comparing."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec

from gateway.config.loading import Loaded


def effective(loaded: Loaded) -> dict[str, Any]:
    """Everything with its defaults, written as it may be read again; secrets are `**********`."""
    return loaded.configuration.model_dump(mode="json", by_alias=True)


def epoch(loaded: Loaded, key: bytes) -> str:
    """12 hex digits that change whenever the resolved file does, a secret in it too.

    Keyed, so that nobody can try passwords against it; the same on all machines that share the key.
    """
    return hmac.digest(key, msgspec.json.encode(loaded.written), "sha256").hex()[:12]
