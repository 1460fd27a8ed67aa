"""The words of `GET /ui/state`, and of what may be done from the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from gateway.experiments.results import ExperimentResult
from gateway.server.endpoints.documents import ConfigState

Level = Literal["bad", "warn", "note"]
"""Callers suffer · something is broken and made up for · worth a look by day."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be."""

    level: Level
    """`bad`: callers suffer. `warn`: something is broken, and made up for. `note`: worth a look by day."""
    about: str
    """What it is about: `gateway`, `store`, `provider:NAME`, `placement:NAME` or `experiment:KEY`."""
    says: str
    """In a sentence."""


class Duration(msgspec.Struct, frozen=True):
    """How long requests took, to within 7 %."""

    p50: float | None
    """Milliseconds that half of them did not exceed; null without any."""
    p95: float | None
    """Likewise 95 of 100."""


class Traffic(msgspec.Struct, frozen=True):
    """What became of the requests of one arm, in the last minute or the last five."""

    requests: int
    """Answered or failed; what ops asked to be explained, or of one provider, is not among them."""
    answered: dict[str, int]
    """By provider; under the empty name what nobody had an answer for."""
    stood_in: dict[str, int]
    """Of these: answers that a provider gave because those before it did not."""
    failed: int
    """Ended in 500, 503 or 504."""
    cache: dict[str, int]
    """By what the cache did: `hit`, `stale`, `miss`, `collapsed`, `bypass`, `off`."""
    missed: dict[str, dict[str, int]]
    """By provider and error: how often it did not answer, and another was asked."""
    duration_ms: Duration
    """Of whole requests, cached ones too."""


class ArmState(msgspec.Struct, frozen=True):
    """One failover list of a placement."""

    name: str | None
    """Null where there is no experiment."""
    weight: float | None
    """As configured; null where there is no experiment."""
    providers: tuple[str, ...]
    """In failover order."""
    cannot: dict[str, str]
    """Those of them that are never asked for the placement's kind, and why."""
    minute: Traffic
    """In the last minute."""
    five_minutes: Traffic
    """In the last five."""


class Pace(msgspec.Struct, frozen=True):
    """The requests of ten seconds."""

    requests: int
    """Answered or failed."""
    detours: int
    """Of these: failed, or answered by a stand-in or by nobody."""


class ShadowState(msgspec.Struct, frozen=True):
    """A provider that is asked too, never awaited, and compared."""

    provider: str
    """Who."""
    share: float
    """Of the requests, 0..1."""
    outcomes: dict[str, int]
    """In the last five minutes: `answered`, `empty`, or the error's name."""
    overlap: float | None
    """The mean share of items in common with what was served, 0..1; null where nothing could be compared."""


class PlacementState(msgspec.Struct, frozen=True):
    """One spot that asks, and what became of its requests."""

    name: str
    """The placement."""
    kind: str | None
    """What it asks for where a request does not say; null: by what the request gives."""
    cached: bool
    """Are its answers cached?"""
    experiment: str | None
    """Key of the experiment that splits it."""
    arms: tuple[ArmState, ...]
    """One without a name where there is no experiment."""
    pace: tuple[Pace, ...]
    """The last five minutes, ten seconds each, the oldest first."""
    shadow: ShadowState | None
    """Null where there is none."""


class FaultState(msgspec.Struct, frozen=True):
    """One sort of error of a provider."""

    error: str
    """`timed_out`, `passed_over`, `no_answer`, …"""
    minute: int
    """How often in the last minute."""
    five_minutes: int
    """How often in the last five."""
    last_at: datetime
    """When it was last."""
    detail: str
    """What was said of the last one, redacted."""
    trace_id: str | None
    """Of the last request that met it."""


class Letter(msgspec.Struct, frozen=True):
    """Something that a provider will never take."""

    provider: str
    """Who refused it."""
    kind: str
    """`event`, `put_user`, `put_item`, `delete_item` or `erase_user`."""
    ref: str
    """Id of the event, user or item."""
    reason: str
    """What the vendor said, redacted."""
    attempts: int
    """How often it was tried."""
    died_at: datetime
    """When it was refused."""


class Letters(msgspec.Struct, frozen=True):
    """A page of dead letters."""

    dead_letters: tuple[Letter, ...]
    """The newest first."""
    older: int | None
    """What `before` says for the next page; null at the end."""


class LettersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters."""

    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    """`older` of the page before; absent: the newest."""


class ProblemState(msgspec.Struct, frozen=True):
    """Problems of one sort that callers were told: the same in method, route, placement, status and slug."""

    slug: str
    """As in the problem's `type`."""
    status: int
    """The HTTP status."""
    method: str
    """Of the request."""
    route: str
    """The path with names for ids."""
    placement: str | None
    """Which one was asked, where one was."""
    times: int
    """How many of this sort there were."""
    first_at: datetime
    """When the first was."""
    last_at: datetime
    """When the last was."""
    trace_id: str
    """Of the last one."""
    attempts: tuple[dict[str, Any], ...]
    """The providers that did not answer the last one."""


class Workers(msgspec.Struct, frozen=True):
    """The processes that share the port."""

    configured: int
    """So many should be there."""
    answering: int
    """So many told of themselves."""


class UiState(msgspec.Struct, frozen=True):
    """All that the page shows, of all processes that share the port."""

    at: datetime
    """When this was said."""
    ready: bool
    """May requests be sent here?"""
    epoch: str
    """Names the configuration in force."""
    revision: str | None
    """Its label, if it has one."""
    config: ConfigState
    """What became of the configuration file that was read last."""
    workers: Workers
    """The processes that share the port."""
    findings: tuple[Finding, ...]
    """What is not as it should be, the worst first; none: all is well."""
    providers: tuple[dict[str, Any], ...]
    """As in `GET /v1/providers`, and with `mode` (of the breaker), `minute` and `five_minutes` (operations in that
    time) and `faults`."""
    placements: tuple[PlacementState, ...]
    """In the order of the configuration."""
    experiments: tuple[ExperimentResult, ...] | None
    """As in `GET /v1/experiments`; null while the state store does not answer."""
    dead_letters: tuple[Letter, ...] | None
    """The newest; null while the state store does not answer."""
    older_letters: int | None
    """`older`, as in `GET /ui/dead-letters`."""
    problems: tuple[ProblemState, ...]
    """That callers were told since this process started: the last hundred sorts, the latest first."""


class RetryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters are queued again."""

    provider: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    """Those of this provider."""
    ref: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    """Of this event, user or item alone; absent: all of the provider's."""


class Retried(msgspec.Struct, frozen=True):
    """What came of it."""

    queued: int
    """So many are on their way again."""


def moment(seconds: float) -> datetime:
    """Unix seconds as they are told."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)
