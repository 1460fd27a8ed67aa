"""An answer as the bytes that go out, and what its deliveries need to know beside them."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from gateway.answering.asked import Asked
from gateway.events.attribution import Signer, credentials
from gateway.model.query import FacetScore, Item, Recommendations
from gateway.model.wire import Answer, AnswerFacet, AnswerItem, Source
from gateway.policies.cache import CachedAnswer

encoder: Final = msgspec.json.Encoder()
RECOMMENDED: Final = ("items", "facets", "data")
"""The members of an answer that its ETag is made of; each is encoded once."""


def render(
    asked: Asked, provider: str | None, said: Recommendations, *, fallback: bool, signer: Signer, now: float
) -> CachedAnswer:
    """The answer of a provider (None: of nobody) to a question."""
    answer = answer_of(asked, provider, said, fallback=fallback, signer=signer, now=now)
    shown = {
        name: msgspec.Raw(encoder.encode(value))
        for name in RECOMMENDED
        if (value := getattr(answer, name)) is not UNSET
    }
    etag = blake2b(b"".join(shown.values()), digest_size=12).hexdigest()
    return CachedAnswer(
        body=_exact(encoder.encode(replace(answer, **shown))),
        etag=f'W/"{etag}"',
        provider=provider,
        fallback=fallback,
    )


def _exact(encoded: bytes) -> bytes:
    """The same in as much memory as it takes: the encoder's own bytes keep the room that it had to grow."""
    return bytes(memoryview(encoded))


def answer_of(
    asked: Asked, provider: str | None, said: Recommendations, *, fallback: bool, signer: Signer, now: float
) -> Answer:
    """The answer in the words of API.md §3."""
    experiment = asked.placement.settings.experiment
    source = Source(
        provider=provider,
        experiment=experiment.key if experiment else None,
        arm=asked.arm.name,
        fallback=fallback,
        cold_start=asked.cold or said.cold_start or provider is None,
    )
    signed = credentials(
        provider=provider or "",
        placement=asked.placement.name,
        experiment=source.experiment,
        arm=source.arm,
        query_id=said.query_id,
        items=[(item.id, item.part) for item in said.items],
        made_at=now,
        phase=asked.placement.phase.name if asked.placement.phase else None,
    )
    facets = asked.kind == "trending_facets"
    return Answer(
        recommendation_id=signer.sign(signed),
        placement=asked.placement.name,
        kind=asked.kind,  # type: ignore[arg-type]  # a Served
        source=source,
        items=UNSET if facets else _items(asked, said.items),
        facets=_facets(said.facets) if facets else UNSET,
        data=said.data or UNSET,
        warnings=tuple(dict.fromkeys((*asked.warnings, *said.warnings))),
    )


def _items(asked: Asked, items: tuple[Item, ...]) -> tuple[AnswerItem, ...]:
    question = asked.question
    if not (question.properties or question.snippet):
        return tuple([AnswerItem(item.id, rank, item.score) for rank, item in enumerate(items, 1)])
    return tuple(
        AnswerItem(
            item.id,
            rank,
            item.score,
            _properties(item.properties) if question.properties else UNSET,
            item.snippet if question.snippet and item.snippet is not None else UNSET,
        )
        for rank, item in enumerate(items, 1)
    )


def _properties(properties: dict[str, Any] | None) -> dict[str, Any]:
    return properties or {}


def _facets(facets: tuple[FacetScore, ...]) -> tuple[AnswerFacet, ...]:
    return tuple(AnswerFacet(one.name, one.value, rank, one.score) for rank, one in enumerate(facets, 1))
