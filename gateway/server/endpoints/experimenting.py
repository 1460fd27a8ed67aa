"""For those who compare: what each arm of an experiment did."""

from __future__ import annotations

from typing import Final

from gateway.errors import NotFound, Unavailable
from gateway.experiments.results import ExperimentResult, ExperimentResults, PhaseQuery
from gateway.server.endpoints.endpoint import CALLS, Endpoint

TABLE: Final = ("text/csv",)

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        name="experiments",
        method="GET",
        path="/v1/experiments",
        scope="ops",
        about="Every experiment that ever counted, in its present phase, else its last. As a table, a row an arm, "
        "where the caller accepts CSV.",
        answers=ExperimentResults,
        also_answers=TABLE,
        problems=(*CALLS[1:], Unavailable),
    ),
    Endpoint(
        name="experiment",
        method="GET",
        path="/v1/experiments/{key}",
        scope="ops",
        about="What each arm of one experiment did: who saw it, clicked, bought. As a table, a row an arm, "
        "where the caller accepts CSV.",
        in_query=PhaseQuery,
        answers=ExperimentResult,
        also_answers=TABLE,
        problems=(*CALLS, NotFound, Unavailable),
        example={"key": "home-demo"},
    ),
)
