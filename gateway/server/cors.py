"""What browsers are told of calls from other origins' pages (the CORS protocol of the Fetch standard).

Without a word of ours a browser shows a page of another origin nothing. Credentials stand in headers that pages
set themselves, never in cookies, so that `Access-Control-Allow-Credentials` is never said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.answering.delivery import Headers
from gateway.config.model import Configuration
from gateway.server.documents.headers import IN_ANSWERS, IN_REQUESTS

READABLE: Final = frozenset({"Cache-Control"})
"""Of our headers those that pages may read without being told (CORS-safelisted response headers)."""
EXPOSED: Final = ", ".join(name for name in IN_ANSWERS if name not in READABLE)
SENT: Final = ("Authorization", "X-Api-Key", "Content-Type", *IN_REQUESTS)
PREFLIGHT_VARY: Final = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Cors:
    """Compiled from one configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        cors = configuration.server.cors
        origins = frozenset(cors.origins if cors else ())
        # Without `auth` any page of the web could do everything: then `*` means nothing.
        self._any = "*" in origins and configuration.auth is not None
        self._origins = origins - {"*"}
        self._max_age = str(int(cors.max_age)) if cors else ""
        experiments = (placement.experiment for placement in configuration.placements.values())
        units = (experiment.unit for experiment in experiments if experiment and experiment.unit != "user")
        self._sent = ", ".join(dict.fromkeys((*SENT, *units)))

    def headers(self, origin: str | None) -> Headers:
        """What is said with every answer."""
        if self._any:
            allowed = "*"
        elif not self._origins:
            return ()
        elif origin in self._origins:
            allowed = str(origin)
        else:
            return (("Vary", "Origin"),)
        vary = () if self._any else (("Vary", "Origin"),)
        return ("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", EXPOSED), *vary

    def preflight(self, headers: Mapping[str, str], methods: Iterable[str]) -> Headers | None:
        """The answer to a browser that asks before it sends; None where that is not what it is, or not allowed."""
        origin = headers.get("Origin")
        if origin is None or "Access-Control-Request-Method" not in headers:
            return None
        if not self._any and origin not in self._origins:
            return None
        return (
            ("Access-Control-Allow-Origin", "*" if self._any else origin),
            ("Access-Control-Allow-Methods", ", ".join(sorted(methods))),
            ("Access-Control-Allow-Headers", self._sent),
            ("Access-Control-Max-Age", self._max_age),
            ("Vary", PREFLIGHT_VARY),
        )
