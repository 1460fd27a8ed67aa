"""Operations that address one provider: rules, strategy, profiles, training, vendors' own lists (API.md §2).

    which    the one that is named, else the first of the configuration that can
    time     `write_timeout` for each of its hosts: nobody waits with a page for these
    error    at once as a problem, because no other provider can stand in

A provider that throttles, or whose own `rate` is spent, is waited for where that fits the time.
"""

from __future__ import annotations

from inspect import signature
from math import ceil
from typing import Any

from gateway.adapter import Operation
from gateway.answering.explaining import attempt_told
from gateway.deadline import Deadline
from gateway.errors import (
    DeadlineExceeded,
    GatewayError,
    Mistake,
    NoProviderCan,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Unavailable,
    Unsupported,
)
from gateway.plan import Plan
from gateway.policies.failover import Attempt
from gateway.provider.account import Provider


def named(plan: Plan, name: str | None, mistakes: list[Mistake]) -> Provider | None:
    """The provider of `?provider=`, if one is named; a name that is none is a mistake."""
    if name is None:
        return None
    provider = plan.providers.get(name)
    if provider is None:
        known = ", ".join(sorted(plan.providers))
        mistakes.append(Mistake("?provider", f"is no provider of this gateway; there are {known}"))
    return provider


def able(plan: Plan, operation: Operation, asked: Provider | None = None) -> Provider:
    """The provider that is asked for this. Raises NoProviderCan where it cannot, or none of them."""
    candidates = list(plan.providers.values()) if asked is None else [asked]
    for provider in candidates:
        if type(provider.adapter).has(operation):
            return provider
    reasons = {provider.name: _reason(provider, operation) for provider in candidates}
    raise NoProviderCan("no provider that may be asked can do this", providers=reasons)


def _reason(provider: Provider, operation: Operation) -> str:
    """In the words of the protocol, whose own version of an operation does nothing but say them."""
    refuse = getattr(provider.adapter, operation)
    try:
        refuse(*(None for _ in signature(refuse).parameters))
    except Unsupported as error:
        return str(error)
    return "cannot do this"


def seconds(provider: Provider) -> float:
    """The time that one operation has: one attempt at each host, all of its length."""
    hosts = max((len(urls) for urls in provider.adapter.hosts().values()), default=1)
    return provider.settings.write_timeout * (provider.settings.attempts or max(2, hosts))


async def call(provider: Provider, operation: Operation, *arguments: Any, deadline: Deadline) -> Any:
    """The answer of this one provider. Raises the problem that its failure is."""
    started = provider.clock()
    try:
        return await provider.call(operation, *arguments, deadline=deadline)
    except ProviderError as error:
        raise problem(Attempt(provider.name, error, provider.clock() - started), deadline) from error


def problem(attempt: Attempt, deadline: Deadline) -> GatewayError:
    """What a caller is told of a provider that nobody can stand in for."""
    error, name = attempt.error, attempt.provider
    match error.outcome:
        case "unsupported":
            return NoProviderCan(f"`{name}` cannot do this: {error}", providers={name: str(error)})
        case "missing" | "empty":
            return NotFound(f"`{name}` knows no such thing")
        case "rejected":
            return Rejected(f"`{name}` refused it", vendor_message=error.vendor_message)
    told = [attempt_told(attempt)]
    if not isinstance(error, Throttled) and not deadline.worth_trying():
        return DeadlineExceeded("the deadline ended the request", attempts=told)
    wait = ceil(error.retry_after) if isinstance(error, Throttled) else 1
    return Unavailable(f"`{name}` did not answer", headers={"Retry-After": str(max(1, wait))}, attempts=told)
