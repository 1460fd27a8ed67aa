"""What the operations of the page for people answer, for the documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from gateway.experiments.results import ExperimentResult
from gateway.server.endpoints.documents import ConfigState
from gateway.server.endpoints.ui_words import (
    ArmState,
    Duration,
    FaultState,
    Finding,
    Letter,
    Letters,
    Pace,
    PlacementState,
    ProblemState,
    Retried,
    Traffic,
    UiState,
    Workers,
)

_AT: Final = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_MISSED: Final = {"vendor-a": {"failed": 6, "passed_over": 218}}
_TRAFFIC: Final = Traffic(
    240, {"vendor-b": 240}, {"vendor-b": 224}, 0, {"hit": 16, "miss": 224}, _MISSED, Duration(12.1, 48.3)
)
_PACE: Final = (*(Pace(0, 0),) * 29, Pace(240, 224))
_ARM: Final = ArmState("control", 90.0, ("vendor-a", "vendor-b"), {}, _TRAFFIC, _TRAFFIC)
_SAYS: Final = "vendor-a: breaker open, home is answered by vendor-b (fallback 93 %)"
_FAULT: Final = FaultState("failed", 6, 6, _AT, "answered 503", _TRACE)
_LETTER: Final = Letter("vendor-b", "event", "7c9e", "422: unknown item", 1, _AT)
_ATTEMPT: Final = {"provider": "vendor-a", "error": "failed", "detail": "answered 503", "ms": 31.5}


def showing(providers: list[dict[str, Any]], experiment: ExperimentResult) -> dict[str, Any]:
    """By the operation's name. `providers`: as `GET /v1/providers` tells of them."""
    lately = {"mode": "enforce", "minute": 6, "five_minutes": 6, "faults": [_FAULT]}
    placement = PlacementState("home", "for_you", True, "home-2026", (_ARM,), _PACE, None)
    state = UiState(
        at=_AT,
        ready=True,
        epoch="6f1d0a3b9c42",
        revision="6f1d0a3",
        config=ConfigState("ok", ()),
        workers=Workers(2, 2),
        findings=(Finding("warn", "provider:vendor-a", _SAYS),),
        providers=tuple(one | lately for one in providers),
        placements=(placement,),
        experiments=(experiment,),
        dead_letters=(_LETTER,),
        older_letters=None,
        problems=(
            ProblemState(
                "unavailable", 503, "POST", "/v1/recommendations", "cart", 3, _AT, _AT, _TRACE, (_ATTEMPT,)
            ),
        ),
    )
    return {"ui_state": state, "dead_letters": Letters((_LETTER,), None), "retry_dead_letters": Retried(1)}
