"""The name of one request that its caller knows it by."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Final

HUNG_UP: Final = 499
"""The status that is noted where nobody was there to be answered."""

_REQUEST_ID = re.compile(r"[!-~]{1,128}")


def request_id(headers: Mapping[str, str]) -> str:
    """The caller's `X-Request-Id` where it is 1..128 visible characters, or a new one."""
    given = headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
