"""One question, made ready: validated, defaults filled in, its arm chosen, its cache key made.

What the HTTP layer decoded (`model.wire`) becomes an `Asked` here, or an InvalidRequest that names every
mistake. Nothing below this looks at wire requests again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.errors import Forbidden, InvalidRequest, Mistake, NotFound
from gateway.events.attribution import Credentials, Signer
from gateway.model import filters
from gateway.model.filters import Filter
from gateway.model.ids import id_complaint
from gateway.model.query import Facet, Kind, Recommend, Search, Seen, User
from gateway.model.wire import RecommendationRequest, SearchRequest, WireFacet, WireUser
from gateway.plan import Arm, Candidates, Placement, Plan, candidates
from gateway.policies.key import cache_key

if TYPE_CHECKING:
    from gateway.access.limits import Limit

NEEDS_SEEDS: Final[frozenset[str]] = frozenset({"similar_items", "bought_together", "looking_similar"})


class Caller(msgspec.Struct, frozen=True):
    """Who calls, and what these credentials may do."""

    name: str
    scopes: frozenset[str]
    placements: frozenset[str] | None = None
    """None: all."""
    allow_options: bool = False
    user: str | None = None
    """The one user that these credentials speak for; None: any."""
    limit: Limit | None = None
    """How many requests it may send; None: no limit."""
    passing: bool = False
    """Of a token, whose time ends: the same headers may mean nobody a moment later."""

    def may(self, scope: str) -> bool:
        """Is the scope among its rights?"""
        return scope in self.scopes

    def admit(self, scope: str, requests: int = 1) -> None:
        """Let it in with so many requests. Raises RateLimited; Forbidden where it lacks the scope."""
        self.charge(requests)
        if not self.may(scope):
            raise Forbidden(f"these credentials lack the scope `{scope}`")

    def charge(self, requests: int) -> None:
        """Count so many requests. Raises RateLimited."""
        if self.limit is not None and requests:
            self.limit.charge(requests)

    def user_for(self, named: str | None) -> str | None:
        """The user that a request is about: the one it names, else the one that these credentials speak for.

        Raises Forbidden where it names another.
        """
        if self.user is None or named == self.user:
            return named
        if named is not None:
            raise Forbidden("these credentials speak for another user")
        return self.user


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One question, ready to be answered."""

    placement: Placement
    arm: Arm
    unit: str | None
    kind: str
    """What is answered: a kind, or `search`."""
    question: Recommend | Search
    """In the caller's words; `options` and `snippets` are filled in for each provider."""
    options: dict[str, dict[str, Any]]
    """By provider."""
    origin: Credentials | None
    """The answer that the seeds came from."""
    cold: bool
    """Asked for a user of whom nothing was said."""
    warnings: tuple[str, ...]
    subject: bytes
    """Whose answer it is; empty when it is nobody's."""
    key: bytes
    """Of the cached answer."""
    candidates: Candidates
    seen: tuple[str, ...] | None = None
    """The user's last items by the gateway's log, oldest first, where they were read ahead."""


class _Shaping(msgspec.Struct, frozen=True, gc=False):
    """All that shapes an answer beside placement and arm: what a cache key is made of."""

    question: Recommend | Search
    options: dict[str, dict[str, Any]]
    snippets: tuple[tuple[str, int | None], ...]
    origin: str | None
    cold: bool


def asked_for_recommendations(
    request: RecommendationRequest, plan: Plan, caller: Caller, signer: Signer, unit_header: Mapping[str, str]
) -> Asked:
    """Raises NotFound, Forbidden, InvalidRequest."""
    placement = placement_for(request.placement, plan, caller)
    if caller.user is not None:
        request = msgspec.structs.replace(request, user=_spoken_for(request.user, caller))
    mistakes: list[Mistake] = []
    kind = _kind(request, placement, mistakes)
    _check_needs(request, kind, mistakes)
    user = _user(request.user, mistakes)
    cold = kind == "for_you" and (user is None or (user.id is None and not user.history))
    if cold:
        kind = "trending_items"
    _check_ids("/items", request.items, mistakes)
    _check_ids("/exclude_items", request.exclude_items, mistakes)
    tree = _filter(request.filter, mistakes)
    _check_options(request.options, plan, caller, mistakes)
    if mistakes:
        raise InvalidRequest(mistakes)
    question = Recommend(
        kind=kind,
        count=request.count or placement.settings.count,
        user=user,
        items=tuple(dict.fromkeys(request.items)),
        facet=None if request.facet is None else Facet(request.facet.name, request.facet.value),
        filter=tree,
        exclude_items=tuple(dict.fromkeys(request.exclude_items)),
        exclude_seen=request.exclude_seen,
        properties="properties" in request.include,
        snippet="snippet" in request.include,
        contexts=tuple(dict.fromkeys(request.context)),
    )
    return _ready(question, kind, placement, request, signer, unit_header, cold=cold)


def asked_for_search(
    request: SearchRequest, plan: Plan, caller: Caller, signer: Signer, unit_header: Mapping[str, str]
) -> Asked:
    """Raises NotFound, Forbidden, InvalidRequest."""
    placement = placement_for(request.placement, plan, caller)
    if caller.user is not None:
        request = msgspec.structs.replace(request, user=_spoken_for(request.user, caller))
    mistakes: list[Mistake] = []
    if placement.settings.kind not in (None, "search"):
        what = f"serves {placement.settings.kind}: ask POST /v1/recommendations"
        mistakes.append(Mistake("/placement", f"`{placement.name}` {what}"))
    if (request.query is None) == (request.item is None):
        mistakes.append(Mistake("", "must have exactly one of `query` and `item`"))
    user = _user(request.user, mistakes)
    _check_ids("/item", (request.item,) if request.item else (), mistakes)
    _check_ids("/exclude_items", request.exclude_items, mistakes)
    tree = _filter(request.filter, mistakes)
    _check_options(request.options, plan, caller, mistakes)
    if mistakes:
        raise InvalidRequest(mistakes)
    question = Search(
        count=request.count or placement.settings.count,
        query=request.query,
        item=request.item,
        user=user,
        filter=tree,
        hybrid=request.hybrid,
        exclude_items=tuple(dict.fromkeys(request.exclude_items)),
        exclude_seen=request.exclude_seen,
        properties="properties" in request.include,
        snippet="snippet" in request.include,
    )
    return _ready(question, "search", placement, request, signer, unit_header, cold=False)


def pin(asked: Asked, plan: Plan, name: str) -> Asked:
    """The same question for one provider and no other. Raises InvalidRequest where there is none of that name."""
    provider = plan.providers.get(name)
    if provider is None:
        known = ", ".join(sorted(plan.providers))
        raise InvalidRequest([Mistake("Gateway-Provider", f"is no provider of this gateway; there are {known}")])
    return msgspec.structs.replace(asked, candidates=candidates(asked.kind, [provider]))


def placement_for(name: str, plan: Plan, caller: Caller) -> Placement:
    """The placement of that name. Raises NotFound, or Forbidden where the credentials do not cover it."""
    placement = plan.placements.get(name)
    if caller.placements is not None and name not in caller.placements:
        raise Forbidden(f"these credentials may not ask for the placement `{name}`")
    if placement is None:
        raise NotFound(f"there is no placement `{name}`")
    return placement


def _ready(
    question: Recommend | Search,
    kind: str,
    placement: Placement,
    request: RecommendationRequest | SearchRequest,
    signer: Signer,
    unit_header: Mapping[str, str],
    *,
    cold: bool,
) -> Asked:
    unit = _unit(placement, question.user, unit_header)
    arm = placement.arm(unit)
    warnings: tuple[str, ...] = ()
    origin = signer.read(request.recommendation_id) if request.recommendation_id else None
    if request.recommendation_id and origin is None:
        warnings = ("the recommendation_id is not one of this gateway's: ignored",)
    subject = _subject(question)
    key = _key(question, request.options, origin, placement, arm, subject, cold)
    candidates = arm.by_kind[kind]
    return Asked(
        placement, arm, unit, kind, question, request.options, origin, cold, warnings, subject, key, candidates
    )


def _key(
    question: Recommend | Search,
    options: dict[str, dict[str, Any]],
    origin: Credentials | None,
    placement: Placement,
    arm: Arm,
    subject: bytes,
    cold: bool,
) -> bytes:
    seeds = question.items if isinstance(question, Recommend) else (question.item,) if question.item else ()
    parts = tuple((seed, origin.part(seed)) for seed in seeds) if origin else ()
    shaping = _Shaping(question, options, parts, origin.provider if origin else None, cold)
    return cache_key(f"{placement.name}\0{placement.fingerprint}", arm.name or "", shaping, subject)


def _unit(placement: Placement, user: User | None, headers: Mapping[str, str]) -> str | None:
    experiment = placement.settings.experiment
    if experiment is None:
        return None
    if experiment.unit == "user":
        return user.id if user else None
    return headers.get(experiment.unit) or None


def subject_of(user: str) -> bytes:
    """What a user's own answers are cached under."""
    return b"user\0" + user.encode()


def _subject(question: Recommend | Search) -> bytes:
    """Personal is a property of the request: it names a user, a history or `exclude_seen`."""
    user = question.user
    if user is not None and user.id is not None:
        return subject_of(user.id)
    return b"somebody" if user is not None or question.exclude_seen is not None else b""


def _kind(request: RecommendationRequest, placement: Placement, mistakes: list[Mistake]) -> Kind:
    if request.kind is not None:
        return request.kind
    configured = placement.settings.kind
    if configured == "search":
        mistakes.append(Mistake("/placement", f"`{placement.name}` serves searches: ask POST /v1/search"))
    elif configured is not None:
        return configured
    if request.items:
        return "similar_items"
    if request.user is not None:
        return "for_you"
    facet = request.facet
    return "trending_facets" if facet is not None and facet.value is None else "trending_items"


def _check_needs(request: RecommendationRequest, kind: Kind, mistakes: list[Mistake]) -> None:
    if kind in NEEDS_SEEDS and not request.items:
        mistakes.append(Mistake("/items", f"must name at least one item for {kind}"))
    _check_facet(request.facet, kind, mistakes)


def _check_facet(facet: WireFacet | None, kind: Kind, mistakes: list[Mistake]) -> None:
    if kind == "trending_facets":
        if facet is None:
            mistakes.append(Mistake("/facet", "must name the facet for trending_facets"))
        elif facet.value is not None:
            mistakes.append(Mistake("/facet/value", "has no meaning for trending_facets: leave it out"))
    elif facet is not None:
        if kind != "trending_items":
            mistakes.append(Mistake("/facet", f"has no meaning for {kind}"))
        elif facet.value is None:
            mistakes.append(Mistake("/facet/value", "must be given with the name for trending_items"))


def _user(user: WireUser | None, mistakes: list[Mistake]) -> User | None:
    if user is None:
        return None
    if user.id is None and not user.history:
        mistakes.append(Mistake("/user", "must have an `id`, a `history` or both"))
    _check_ids("/user/id", (user.id,) if user.id is not None else (), mistakes)
    for index, seen in enumerate(user.history):
        _check_ids(f"/user/history/{index}/item", (seen.item,), mistakes)
    return User(user.id, tuple([Seen(seen.item, seen.time) for seen in user.history]))


def _spoken_for(user: WireUser | None, caller: Caller) -> WireUser:
    """The user of a request whose credentials speak for one alone. Raises Forbidden where it names another."""
    if user is None:
        return WireUser(id=caller.user)
    return msgspec.structs.replace(user, id=caller.user_for(user.id))


def _check_ids(pointer: str, ids: tuple[str, ...], mistakes: list[Mistake]) -> None:
    for index, id_ in enumerate(ids):
        where = f"{pointer}/{index}" if pointer in ("/items", "/exclude_items") else pointer
        if complaint := id_complaint(id_):
            mistakes.append(Mistake(where, complaint))


def _filter(value: dict[str, Any] | None, mistakes: list[Mistake]) -> Filter | None:
    return None if value is None else filters.parse(value, "/filter", mistakes)


def _check_options(
    options: dict[str, dict[str, Any]], plan: Plan, caller: Caller, mistakes: list[Mistake]
) -> None:
    if options and not (caller.allow_options or caller.may("ops")):
        raise Forbidden("`options` need the scope `ops`, or a key with `allow_options`")
    for name, members in options.items():
        provider = plan.providers.get(name)
        if provider is None:
            mistakes.append(Mistake(f"/options/{name}", "is no provider of this gateway"))
            continue
        allowed = provider.adapter.caller_options
        for member in sorted(members.keys() - allowed):
            what = f"; it takes {', '.join(sorted(allowed))}" if allowed else ""
            mistakes.append(Mistake(f"/options/{name}/{member}", f"cannot be passed on to this provider{what}"))
        if complaint := provider.adapter.caller_options_complaint(members):
            mistakes.append(Mistake(f"/options/{name}", complaint))
