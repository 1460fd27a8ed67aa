"""What each operation answers, for the documents: values of the real types, so that they keep their form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway.errors import NotFound
from gateway.experiments.counts import Counts, Tally
from gateway.experiments.phase import Phase
from gateway.experiments.results import ExperimentResults, told
from gateway.model.control_wire import (
    ChangeBegun,
    ProfileForgotten,
    TaskState,
    TrainingBegun,
    TrainingState,
    UserNamed,
    WireProfile,
)
from gateway.model.wire import Answer, AnswerItem, Source
from gateway.server.documents.catalogue import example
from gateway.server.documents.showing_examples import showing
from gateway.server.documents.telling_examples import TELLING
from gateway.server.endpoints import Alive, BatchAnswer, ConfigState, Dropped, Readiness
from gateway.server.endpoints.controlling import RULE, STRATEGY

_ID: Final = "kX3mUe0tq1vN8bYw2ZpLr5sTlsQGAAECAwQFzmkhtQCoYmVz"

_FOR_YOU: Final = Answer(
    recommendation_id=_ID,
    placement="home",
    kind="for_you",
    source=Source(provider="vendor-a", experiment="home-2026", arm="control", fallback=False, cold_start=False),
    items=(
        AnswerItem("1953", 1, 6.0684, {"title": "The Apartment", "genre": ["Comedy", "Drama"], "year": 1960}),
        AnswerItem("912", 2, 5.7321, {"title": "Casablanca", "genre": ["Drama", "War"], "year": 1942}),
        AnswerItem("1230", 3, 5.5519, {"title": "Annie Hall", "genre": ["Comedy"], "year": 1977}),
    ),
)
_TRENDING: Final = Answer(
    recommendation_id=_ID,
    placement="default",
    kind="trending_items",
    source=Source(provider="vendor-b", experiment=None, arm=None, fallback=True, cold_start=False),
    items=(AnswerItem("50", 1, 583.0), AnswerItem("258", 2, 509.0), AnswerItem("100", 3, 508.0)),
)
_SEARCH: Final = Answer(
    recommendation_id=_ID,
    placement="search",
    kind="search",
    source=Source(provider="vendor-b", experiment=None, arm=None, fallback=False, cold_start=False),
    items=(
        AnswerItem("39", 1, 0.8132, {"title": "Four Weddings and a Funeral", "genre": ["Comedy"], "year": 1994}),
    ),
    warnings=("vendor-b has no hybrid search: ignored",),
)

_PROVIDED: Final[list[dict[str, Any]]] = [
    {
        "name": "vendor-a",
        "adapter": "vendor-a",
        "capabilities": ["for_you", "similar_items", "recommend", "track"],
        "breaker": {"reads": "open", "writes": "closed"},
        "in_flight": 0,
        "requests": 812,
        "error_rate": 0.31,
        "latency_ms": {"p50": 41.7, "p95": 212.0, "p99": 300.9},
        "last_problem": {"error": "failed", "detail": "answered 503", "status": 503, "seconds_ago": 2.1},
        "throttled_until": None,
        "token_expires_at": "2026-11-22T11:00:00Z",
        "queued_events": 12,
        "oldest_queued_s": 3.4,
        "dead_letters": 0,
        "quota": {
            "plan": "basic",
            "days": [{"date": "2026-11-22", "quota": 8212.0, "remaining": 91788.0}],
            "as_of": "2026-11-22T10:15:00Z",
        },
    }
]
_PROVIDERS: Final = {
    "epoch": "6f1d0a3b9c42",
    "revision": "6f1d0a3",
    "config": {"status": "ok", "errors": []},
    "providers": _PROVIDED,
}

_TASK: Final = ChangeBegun("q0hPzT9u2cV3bXqTk6h2ZW5kb3ItYQ", datetime(2026, 11, 22, 10, tzinfo=UTC))
_STARTED: Final = datetime(2026, 11, 22, 9, 40, tzinfo=UTC)
_NEXT: Final = datetime(2026, 11, 22, 10, 10, tzinfo=UTC)
_CONTROLS: Final[dict[str, Any]] = {
    "write_rules": _TASK,
    "rule": {**RULE, "enabled": True},
    "search_rules": {"rules": [{**RULE, "enabled": True}], "total": 1, "page": 0, "pages": 1},
    "delete_rule": _TASK,
    "task": TaskState("done"),
    "strategy": STRATEGY,
    "put_strategy": STRATEGY,
    "profile": WireProfile(UserNamed("u1"), _STARTED, {"genre": {"Comedy": 12, "Drama": 3}}, "vendor-a"),
    "forget_profile": ProfileForgotten("vendor-a", _NEXT),
    "train": TrainingBegun("vendor-a", "scheduled", _NEXT),
    "training": TrainingState("vendor-a", _STARTED, _NEXT, 1204),
}

_COUNTS: Final = {
    "control": Counts(18012, 61230, 5512, 806, 31540.2, 12, 801, 3120, 611),
    "challenger": Counts(2004, 6870, 790, 104, 4120.5, 3, 22, 402, 81),
}
_PHASE: Final = Phase("home-2026", "9f2c41d0", "home", "user", {"control": 90.0, "challenger": 10.0})
_TALLY: Final = Tally(_PHASE, _STARTED.timestamp(), _COUNTS)
_EXPERIMENT: Final = told(_TALLY, [_TALLY], _PHASE)

ANSWERS: Final[dict[str, Any]] = {
    name: msgspec.to_builtins(value)
    for name, value in {
        "recommend": _FOR_YOU,
        "recommend_by_url": _FOR_YOU,
        "recommend_batch": BatchAnswer((_TRENDING, {"problem": example(NotFound)})),
        "search": _SEARCH,
        **TELLING,
        **_CONTROLS,
        "providers": _PROVIDERS,
        "effective_configuration": {"revision": "6f1d0a3", "placements": {"home": {"count": 12}}},
        "drop_cache": Dropped(17),
        "experiments": ExperimentResults((_EXPERIMENT,)),
        "experiment": _EXPERIMENT,
        **showing(_PROVIDED, _EXPERIMENT),
        "livez": Alive(True),
        "readyz": Readiness(True, "6f1d0a3b9c42", ConfigState("ok", ())),
    }.items()
}
"""By the operation's name."""
