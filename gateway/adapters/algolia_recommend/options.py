"""One account at Algolia: its options, its hosts, and which key goes on which request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from gateway.adapter import Adapter, Request
from gateway.adapters.algolia_recommend.grammar import clauses_of

RECOMMENDATIONS: Final = "/1/indexes/*/recommendations"
"""The `*` is literal: every request inside names its own index."""
EVENTS: Final = "/1/events"
SEARCHING: Final = frozenset({RECOMMENDATIONS, EVENTS})
"""Routes that the ACL `search` opens; all others are for the admin key."""

ModelledKind = Literal["similar_items", "bought_together", "looking_similar", "trending_items", "trending_facets"]
MODELS: Final[Mapping[ModelledKind, str]] = {
    "similar_items": "related-products",
    "bought_together": "bought-together",
    "looking_similar": "looking-similar",
    "trending_items": "trending-items",
    "trending_facets": "trending-facets",
}

Url = Annotated[str, Field(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$")]
EventName = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,64}$")]


class HostLists(BaseModel):
    """Base URLs in place of Algolia's own: the first is primary, the rest stand in for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    read: tuple[Url, ...] = ()
    """For recommendations and for reading rules and tasks; none: Algolia's."""
    write: tuple[Url, ...] = ()
    """For writing rules and the index; none: Algolia's."""


class Options(Adapter):
    """What the configuration says of an account."""

    application_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    """The application's id, from the dashboard."""
    api_key: SecretStr
    """A key with the ACL `search`: for recommendations and events."""
    admin_api_key: SecretStr | None = None
    """A key with `settings` and `editSettings` for rules and tasks; with `addObject` and `deleteObject` for
    `feed_index`; with `deleteObject` to erase a user's events. Default: the same as `api_key`."""
    index: Annotated[str, Field(min_length=1)]
    """The index that items, events and rules belong to."""
    threshold: Annotated[int | float, Field(ge=0, le=100)] = 0
    """Recommendations with a lower score (0..100) do not appear."""
    feed_index: bool = False
    """Write items to the index? Normally it is fed elsewhere."""
    models: dict[ModelledKind, Annotated[str, Field(min_length=1)]] = Field(default=dict(MODELS))
    """The vendor's model for a kind; what is not named keeps its default."""
    fallback: dict[str, Any] = Field(default={})
    """`fallbackParameters`, for when there are too few recommendations; a request's filter and excluded items
    are added to it. Empty: no fallback."""
    host_lists: HostLists = Field(default=HostLists(), alias="hosts")
    """Other hosts than Algolia's."""
    insights_url: Url = "https://insights.algolia.io"
    """Where events go; a region's own: `https://insights.us.algolia.io`, `https://insights.de.algolia.io`."""
    insecure: bool = False
    """Allow plain http to another machine, credentials in clear text."""
    event_names: dict[str, EventName] = Field(default={})
    """Names of events at Algolia by our type; default: the type itself."""

    @field_validator("models")
    @classmethod
    def _complete_models(cls, given: dict[ModelledKind, str]) -> dict[ModelledKind, str]:
        return {**MODELS, **given}

    @field_validator("fallback")
    @classmethod
    def _readable_fallback(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(given.get("filters", ""), str):
            raise ValueError("filters must be a string")
        clauses_of(given.get("filters", ""))
        return given

    def hosts(self) -> Mapping[str, Sequence[str]]:
        """In the documented order; the core shuffles the stand-ins, once per provider and process."""
        app = self.application_id
        stand_ins = [f"https://{app}-{n}.algolianet.com" for n in (1, 2, 3)]
        return {
            "read": _bases(self.host_lists.read) or [f"https://{app}-dsn.algolia.net", *stand_ins],
            "write": _bases(self.host_lists.write) or [f"https://{app}.algolia.net", *stand_ins],
            "insights": _bases((self.insights_url,)),
        }

    def authorize(self, request: Request, token: str | None) -> Request:
        """The application's id and the key with the rights for this route."""
        searches = request.route in SEARCHING or self.admin_api_key is None
        key = self.api_key if searches else self.admin_api_key
        assert key is not None  # noqa: S101  # said by the line above, which mypy cannot see
        credentials = (
            ("X-Algolia-Application-Id", self.application_id),
            ("X-Algolia-API-Key", key.get_secret_value()),
        )
        return msgspec.structs.replace(request, headers=request.headers + credentials)


def _bases(urls: Sequence[str]) -> list[str]:
    return [url.rstrip("/") for url in urls]
