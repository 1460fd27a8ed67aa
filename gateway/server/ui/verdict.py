"""Is it well? What is not, in sentences, from what the page shows: the worst first.

    gateway      not ready · a worker is silent · a changed file is not taken · the store does not answer
    placement    requests fail (bad) · nobody has an answer · stand-ins answer
    provider     left alone, and who answers instead · refuses our credentials · fails · events wait for it
    experiment   its units are not dealt as the weights say

What is said of traffic is said of the last minute, so that it ends soon after its cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.server.endpoints.ui_words import FaultState, Finding, Level, PlacementState, Traffic, UiState

LEVELS: Final[tuple[Level, ...]] = ("bad", "warn", "note")
FAILING: Final = 0.01
"""Share of a placement's requests: more is bad."""
EMPTY: Final = 0.1
STANDING_IN: Final = 0.25
"""Shares of a placement's answers: more is worth a warning (as in helm/alerts)."""
FAULTY: Final = 0.1
"""Share of a provider's calls, where there were FEW at least."""
FEW: Final = 5
LONG: Final = 60.0
"""Seconds that an event may wait."""
FAULTS: Final = frozenset({"failed", "timed_out", "not_connected", "disconnected", "malformed"})
WRONG: Final = frozenset({"misconfigured", "unauthenticated"})


def findings(state: UiState) -> tuple[Finding, ...]:
    """Everything that is not as it should be."""
    found = [*_gateway(state), *_placements(state), *_providers(state), *_experiments(state)]
    return tuple(sorted(found, key=lambda one: LEVELS.index(one.level)))


def _gateway(state: UiState) -> Iterator[Finding]:
    workers, errors = state.workers, state.config.errors
    if not state.ready:
        yield Finding("bad", "gateway", "This gateway is not ready: it starts or is about to end")
    if workers.answering < workers.configured:
        silent = workers.configured - workers.answering
        yield Finding("warn", "gateway", f"{silent} of {workers.configured} worker processes say nothing")
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        yield Finding("warn", "gateway", f"The changed configuration is not taken: {errors[0]}{more}")
    if state.dead_letters is None:
        yield Finding("bad", "store", "The state store does not answer: events are refused, queues are not known")


# --- placements -------------------------------------------------------------------------------------------------


def _placements(state: UiState) -> Iterator[Finding]:
    troubled = {one["name"] for one in state.providers if _left_alone(one)}
    for placement in state.placements:
        about, now = f"placement:{placement.name}", _all_arms(placement)
        if not now.requests:
            continue
        failed, empty = now.failed / now.requests, now.answered.get("", 0) / now.requests
        standing_in = sum(now.stood_in.values()) / now.requests
        if failed > FAILING:
            said = f"{placement.name}: {_share(failed)} of the requests fail ({now.failed} in the last minute)"
            yield Finding("bad", about, said + _why(now))
        if empty > EMPTY:
            said = f"{placement.name}: {_share(empty)} of the answers are empty, because nobody has any"
            yield Finding("warn", about, said)
        if standing_in > STANDING_IN and not troubled & now.missed.keys():
            had_none = all(set(errors) <= {"no_answer"} for errors in now.missed.values())
            said = f"{placement.name}: {_share(standing_in)} of the answers come from stand-ins{_why(now)}"
            yield Finding("note" if had_none else "warn", about, said)


def _all_arms(placement: PlacementState) -> Traffic:
    """The last minute of a placement, whatever the arm."""
    answered, stood_in, missed = Counter[str](), Counter[str](), dict[str, Counter[str]]()
    for arm in placement.arms:
        answered.update(arm.minute.answered)
        stood_in.update(arm.minute.stood_in)
        for provider, errors in arm.minute.missed.items():
            missed.setdefault(provider, Counter()).update(errors)
    failed = sum(arm.minute.failed for arm in placement.arms)
    requests = sum(arm.minute.requests for arm in placement.arms)
    duration = placement.arms[0].minute.duration_ms
    return Traffic(requests, answered, stood_in, failed, {}, dict(missed), duration)


def _why(now: Traffic) -> str:
    """Who did not answer, and what was most often the matter with it."""
    reasons = [
        f"{provider} {_words(Counter(errors).most_common(1)[0][0])}"
        for provider, errors in sorted(now.missed.items(), key=lambda one: -sum(one[1].values()))
    ]
    return f": {', '.join(reasons)}" if reasons else ""


# --- providers --------------------------------------------------------------------------------------------------


def _providers(state: UiState) -> Iterator[Finding]:
    for provider in state.providers:
        about, name = f"provider:{provider['name']}", provider["name"]
        if provider["mode"] == "forced_open":
            yield Finding("note", about, f"{name} is taken out by the configuration{_instead(state, name)}")
        elif _left_alone(provider):
            yield Finding("warn", about, f"{name}: {_standing(provider)}{_instead(state, name)}")
        else:
            yield from _faults(provider, about)
        yield from _waiting(provider, about)


def _left_alone(provider: dict[str, Any]) -> bool:
    return provider["breaker"]["reads"] != "closed" or provider["throttled_until"] is not None


def _standing(provider: dict[str, Any]) -> str:
    if provider["throttled_until"] is not None:
        return "throttled, it asks to be left alone"
    return "breaker open" if provider["breaker"]["reads"] == "open" else "breaker half open (it is being tried)"


def _instead(state: UiState, provider: str) -> str:
    """Who answers in its place, where it is missed."""
    parts = []
    for placement in state.placements:
        now = _all_arms(placement)
        standing_in = sum(now.stood_in.values())
        if provider in now.missed and standing_in:
            others = " and ".join(name for name, _ in Counter(now.stood_in).most_common(2))
            parts.append(
                f"{placement.name} is answered by {others} (fallback {_share(standing_in / now.requests)})"
            )
    return f", {', '.join(parts)}" if parts else ""


def _faults(provider: dict[str, Any], about: str) -> Iterator[Finding]:
    faults: Sequence[FaultState] = provider["faults"]
    name, calls = provider["name"], provider["minute"]
    wrong = [one for one in faults if one.error in WRONG and one.minute]
    if wrong:
        said = f"{name} refuses us ({_words(wrong[0].error)}, {wrong[0].minute} times in the last minute): "
        yield Finding("warn", about, said + wrong[0].detail)
    failed = [one for one in faults if one.error in FAULTS and one.minute]
    count = sum(one.minute for one in failed)
    if count and calls >= FEW and count / calls > FAULTY:
        said = f"{name}: {_share(count / calls)} of the calls fail"
        yield Finding(
            "warn", about, f"{said} ({', '.join(f'{_words(one.error)} {one.minute}' for one in failed)})"
        )


def _waiting(provider: dict[str, Any], about: str) -> Iterator[Finding]:
    name, queued, oldest = provider["name"], provider["queued_events"], provider["oldest_queued_s"]
    dead = provider["dead_letters"]
    breaker = provider["breaker"]["writes"]
    if breaker != "closed" and queued:
        said = f"{name}: breaker of its writes {_words(breaker)}, {_things(queued)} waiting"
        yield Finding("warn", about, said)
    elif oldest is not None and oldest > LONG:
        yield Finding("warn", about, f"{name}: {_things(queued)} waiting, the oldest for {_time(oldest)}")
    if dead:
        yield Finding("note", about, f"{name} has refused {_things(dead)} for good (dead letters)")


# --- experiments ------------------------------------------------------------------------------------------------


def _experiments(state: UiState) -> Iterator[Finding]:
    for one in state.experiments or ():
        if one.running and one.sample_ratio is not None and one.sample_ratio.mismatch:
            said = f"{one.key}: people are not dealt as the weights say, so its arms cannot be compared"
            yield Finding("warn", f"experiment:{one.key}", said)


# --- words ------------------------------------------------------------------------------------------------------


def _share(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 else "under 1 %"


def _words(error: str) -> str:
    return "had none" if error == "no_answer" else error.replace("_", " ")


def _things(count: int) -> str:
    return "1 event or record" if count == 1 else f"{count} events and records"


def _time(seconds: float) -> str:
    if seconds < 2 * 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.0f} h"
