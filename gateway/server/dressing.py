"""What every answer carries beside its own headers, whichever front it leaves by."""

from __future__ import annotations

from typing import Final

from gateway.access.limits import Limit
from gateway.answering.delivery import Headers
from gateway.server.cors import Cors
from gateway.server.runtime import Runtime

SECURITY: Final[Headers] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
SERVER: Final = ("Server", "gateway")
TOLD: Final = frozenset({"ratelimit", "ratelimit-policy"})
"""What an error may have said of a rate; the state after it is what is true."""


class Dressing:
    """Of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._cors = Cors(runtime.configuration)

    @property
    def cors(self) -> Cors:
        """As the configuration in force has it."""
        if self._cors.configuration is not self._runtime.configuration:
            self._cors = Cors(self._runtime.configuration)
        return self._cors

    def dressed(self, own: Headers, origin: str | None, limit: Limit | None, request_id: str) -> Headers:
        """All headers but those of the framing. `limit`: the caller's, where it has one."""
        said = () if limit is None else limit.headers()
        own, more = self.parts(own, origin, limited=limit is not None)
        return (*own, *more, *said, ("X-Request-Id", request_id))

    def parts(self, own: Headers, origin: str | None, *, limited: bool) -> tuple[Headers, Headers]:
        """Those that are the same for the same answer to the same origin.

        In two: those of the answer, and those that are one of a few for all answers.
        """
        more = self.cors.headers(origin)
        if more:
            named = {name.lower() for name, _ in own}
            more = tuple(pair for pair in more if pair[0].lower() not in named)
        if limited:
            own = tuple(pair for pair in own if pair[0].lower() not in TOLD)
        return own, (SERVER, *SECURITY, *more)
