"""The catalogue of problems in words: what each means, when it comes, what to do, and one made by the real error.

`/problems/{slug}` and the OpenAPI document are made from it; the errors themselves are in `gateway.errors`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway import errors
from gateway.access import CHALLENGE
from gateway.errors import GatewayError, Mistake
from gateway.server.problems import problem

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
"""The trace of the examples: the one that W3C Trace Context has in its own."""


class Attempt(msgspec.Struct, frozen=True):
    """One provider that was asked and did not answer."""

    provider: str
    """Its name in the configuration."""
    error: str
    """The word for what it did: `timed_out`, `refused`, `passed_over`, …"""
    ms: float
    """How long it took, in milliseconds."""
    detail: str | UnsetType = UNSET
    """The same for people."""


class Problem(msgspec.Struct, frozen=True):
    """Every error, as `application/problem+json` (RFC 9457)."""

    type: str
    """Names the problem; a page about it is served there."""
    title: str
    """What kind of problem this is; the same for every one of its `type`."""
    status: int
    """The answer's HTTP status."""
    detail: str
    """What went wrong this time. For people: programs read `type` and the members below."""
    instance: str
    """The path of the request; in a batch also which of its requests: `…#/requests/3`."""
    trace_id: str
    """Finds this request in logs and traces."""
    errors: tuple[Mistake, ...] | UnsetType = UNSET
    """With `invalid-request`: every mistake, where it is and what would be right."""
    providers: dict[str, str] | UnsetType = UNSET
    """With `unsupported`: why of each provider."""
    vendor_message: str | UnsetType | None = UNSET
    """With `rejected`: what the vendor said, redacted."""
    attempts: tuple[Attempt, ...] | UnsetType = UNSET
    """With `unavailable` and `deadline-exceeded`: what was tried, in order."""
    next_allowed_at: str | UnsetType = UNSET
    """With `rate-limited`, where a training was asked for too early: the moment of the next."""


class PartProblem(msgspec.Struct, frozen=True):
    """What one request of a batch ended in, where it is no answer."""

    problem: Problem


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One problem for people."""

    means: str
    when: tuple[str, ...]
    callers: str
    """What to do in the program that calls."""
    ops: str
    """What to do where the gateway runs."""
    example: GatewayError
    path: str = "/v1/recommendations"


_TIMED_OUT: Final = {"provider": "vendor-a", "error": "timed_out", "detail": "no answer in time", "ms": 301.4}
_OPEN: Final = {
    "provider": "vendor-b",
    "error": "passed_over",
    "detail": "breaker is open for 4.2 s more",
    "ms": 0.0,
}

EXPLAINED: Final[dict[type[GatewayError], Explained]] = {
    errors.InvalidRequest: Explained(
        means="The request cannot be understood (400), or it is understood and breaks a rule (422).",
        when=(
            "400: the body is not JSON, or a header such as `Request-Timeout` has no usable value.",
            "422: a member is missing, unknown, of the wrong type or out of bounds.",
            "422: members contradict each other, such as a `facet` beside a kind that has none.",
        ),
        callers="Read `errors`: it names every mistake at once, with a JSON pointer into the body (`/items/0`) or "
        "the query parameter (`?count`) and what would be right. The same request will fail again.",
        ops="Nothing is wrong with the gateway. Many of these after a release of a caller point at that release.",
        example=errors.InvalidRequest(
            [Mistake("/count", "must be 1..100"), Mistake("/facet", "has no meaning for for_you")]
        ),
    ),
    errors.Unauthorized: Explained(
        means="The request carries no credentials, or some that this gateway does not know.",
        when=(
            "Neither `Authorization: Bearer …` nor `X-Api-Key` was sent.",
            "The key or token is mistyped, withdrawn or expired.",
            "The token is signed by a key that its issuer has only just published: `Retry-After` says so.",
        ),
        callers="Send the key as `Authorization: Bearer <key>` or `X-Api-Key: <key>`. A token that has expired "
        "must be renewed; repeating the request with the same credentials does not help.",
        ops="Keys stand under `auth` in the configuration, as SHA-256. A new key works as soon as the changed "
        "file is taken: look at `config` in the body of `/readyz`.",
        example=errors.Unauthorized("the key is not known here", headers=CHALLENGE),
    ),
    errors.Forbidden: Explained(
        means="The credentials are good, and may not do this.",
        when=(
            "They lack the scope that the operation needs.",
            "They do not cover this placement or this user.",
            "The request uses `options` or a header that is reserved for the scope `ops`.",
            "The gateway runs without `auth`, and the request comes from another host or another site's page.",
        ),
        callers="`detail` says which right is missing. Ask for it, or use credentials that have it; repeating the "
        "request does not help.",
        ops="Rights stand beside each key under `auth.api_keys`: `scopes`, `placements`, `allow_options`. "
        "Without `auth` only this machine may call: configure `auth` before others do.",
        example=errors.Forbidden("these credentials lack the scope `recommend`"),
    ),
    errors.NotFound: Explained(
        means="What the request names does not exist.",
        when=(
            "No operation has this path.",
            "The placement is not configured.",
            "The vendor knows no rule, task, profile or strategy of this name.",
        ),
        callers="Check path, placement and ids for typing errors. A request that names no placement is served by "
        "`default`, where that is configured.",
        ops="A placement must stand under `placements` before callers name it. Roll out the configuration "
        "first, then the callers.",
        example=errors.NotFound("there is no placement `hoem`"),
    ),
    errors.MethodNotAllowed: Explained(
        means="The path exists, and does not take this method.",
        when=("Another method was sent than those in the header `Allow`.",),
        callers="Use one of the methods in `Allow`. Redirects that turn POST into GET are a common cause.",
        ops="Nothing is wrong with the gateway. A proxy before it may be changing methods.",
        example=errors.MethodNotAllowed("this path takes POST", headers={"Allow": "POST"}),
        path="/v1/search",
    ),
    errors.PayloadTooLarge: Explained(
        means="The body has more bytes than this gateway takes.",
        when=("The body is longer than `server.max_body`, by default 1 MiB.",),
        callers="Send less in one request: split batches, and leave out what is not needed.",
        ops="`server.max_body` is the bound. Raising it costs memory for every request at the same time.",
        example=errors.PayloadTooLarge("the body is larger than this gateway takes"),
        path="/v1/recommendations/batch",
    ),
    errors.UnsupportedMediaType: Explained(
        means="The body is not declared as JSON.",
        when=("`Content-Type` is something else than `application/json`.",),
        callers="Send `Content-Type: application/json`, or none. Many clients set another type by themselves: "
        "`curl -d`, for one, sends a form.",
        ops="Nothing is wrong with the gateway.",
        example=errors.UnsupportedMediaType("send application/json, not application/x-www-form-urlencoded"),
    ),
    errors.RateLimited: Explained(
        means="The caller sent more requests than it may, or asked again for something that needs a pause.",
        when=("The caller's own rate is spent.", "Something was asked for before its minimum interval was over."),
        callers="Wait for the seconds in `Retry-After`, then send again. `RateLimit` says what is left, so that a "
        "caller can slow down before it is refused.",
        ops="A caller's rate stands beside its key (`auth.api_keys.<name>.rate`), and is divided among the "
        "workers.",
        example=errors.RateLimited(
            "the rate of these credentials is spent",
            headers={
                "Retry-After": "1",
                "RateLimit-Policy": '"default";q=200;w=1',
                "RateLimit": '"default";r=0;t=1',
            },
        ),
    ),
    errors.NoProviderCan: Explained(
        means="No provider that may be asked can serve what was asked for.",
        when=(
            "None of the placement's providers has the kind, or a search.",
            "No provider has rules for this kind, profiles, trainings, or whatever the operation is about.",
            "A filter can be expressed by none of them, nor applied by the gateway.",
        ),
        callers="Read `providers`: it says why of each. Ask for another kind, loosen the filter, or use a "
        "placement that has the capability. The same request will fail again until the configuration "
        "changes.",
        ops="Add a provider with the capability to the placement's list. `gateway check` warns of a list with "
        "a provider that lacks the placement's kind.",
        example=errors.NoProviderCan(
            "no provider of `home` can serve looking_similar",
            providers={"vendor-a": "cannot serve looking_similar", "vendor-b": "cannot serve looking_similar"},
        ),
    ),
    errors.Rejected: Explained(
        means="Every provider that was asked refused the content of the request.",
        when=("The request is valid here, and the vendors say that they cannot take it.",),
        callers="`vendor_message` has the vendor's words, without secrets. Change what it names; the same request "
        "will be refused again.",
        ops="If many requests are refused, the vendor may have changed what it takes, or an option of the "
        "provider does not fit. The log has the exchange under the `trace_id`.",
        example=errors.Rejected(
            "every provider that was asked refused it", vendor_message="unknown property: genre"
        ),
    ),
    errors.Unavailable: Explained(
        means="Every provider that was asked failed, and there was no earlier answer to serve instead.",
        when=(
            "The providers are down, throttle, or answer what cannot be read.",
            "Their breakers are open, so that they are not asked at all.",
        ),
        callers="Show the page without recommendations, and try again after the seconds in `Retry-After`. Do not "
        "retry at once: the gateway has done that already.",
        ops="`attempts` says what each provider did. End each placement's list with a provider that is never "
        "down, and give it a cache with `stale_if_error`: then callers will not see this problem.",
        example=errors.Unavailable(
            "no provider answered", headers={"Retry-After": "1"}, attempts=[_TIMED_OUT, _OPEN]
        ),
    ),
    errors.DeadlineExceeded: Explained(
        means="The time for the request was over before any provider had answered.",
        when=(
            "The providers are slower than `server.deadline`, or than the caller's `Request-Timeout`.",
            "Several providers were tried one after the other, and the last had no time left.",
        ),
        callers="Show the page without recommendations. If `Request-Timeout` is sent, it may be too short for the "
        "placement.",
        ops="`attempts` has the milliseconds of each try. A provider's `timeout` must fit into the deadline "
        "as often as there are providers; `gateway check` warns where it does not.",
        example=errors.DeadlineExceeded("the deadline ended the request", attempts=[_TIMED_OUT]),
    ),
    errors.Internal: Explained(
        means="The gateway itself has a fault. It is not the caller's, and not a vendor's.",
        when=("Something happened that nobody has thought of.",),
        callers="Show the page without recommendations, and report the `trace_id`. The same request may succeed "
        "later.",
        ops="The log has a line `internal` with this `trace_id` and all details. Report it as a bug.",
        example=errors.Internal("a fault of the gateway's own"),
    ),
}


def example(error: type[GatewayError]) -> dict[str, Any]:
    """The body of one such problem."""
    explained = EXPLAINED[error]
    return problem(explained.example, instance=explained.path, trace_id=TRACE)


def example_not_json() -> dict[str, Any]:
    """The other half of `invalid-request`: a body that cannot even be read (400)."""
    mistake = Mistake("", "the body is not JSON: Input data was truncated")
    return problem(errors.InvalidRequest([mistake], status=400), instance="/v1/recommendations", trace_id=TRACE)
