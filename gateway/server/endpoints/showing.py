"""For people who run the gateway: the page at `/ui`, what it shows, and the one thing that it does."""

from __future__ import annotations

from typing import Final

from gateway.errors import NotFound, Unavailable
from gateway.server.endpoints.endpoint import ANYBODY, BODIES, CALLS, Endpoint
from gateway.server.endpoints.ui_words import Letters, LettersQuery, Retried, RetryRequest, UiState

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        name="ui",
        method="GET",
        path="/ui",
        scope=None,
        about="The state of things for people: one page, which asks for an ops key where there is auth.",
        media_type="text/html",
        admin=True,
        problems=ANYBODY,
    ),
    Endpoint(
        name="ui_state",
        method="GET",
        path="/ui/state",
        scope="ops",
        about="All that the page at /ui shows. For that page: members may be added and dropped with it.",
        answers=UiState,
        admin=True,
        problems=CALLS[1:],
    ),
    Endpoint(
        name="dead_letters",
        method="GET",
        path="/ui/dead-letters",
        scope="ops",
        about="Dead letters, fifty on a page, the newest first. For that page too.",
        in_query=LettersQuery,
        answers=Letters,
        admin=True,
        problems=(*CALLS, Unavailable),
    ),
    Endpoint(
        name="retry_dead_letters",
        method="POST",
        path="/ui/retry",
        scope="ops",
        about="Queue dead letters of a provider again, all of them or those of one event, user or item.",
        takes=RetryRequest,
        answers=Retried,
        admin=True,
        problems=(*CALLS, *BODIES, NotFound, Unavailable),
        example={"provider": "local"},
    ),
)
