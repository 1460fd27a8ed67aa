"""Who is asked for what: placements with their experiments, and where events and records go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from gateway.config.words import Name
from gateway.model.query import Kind
from gateway.policies.cache import Caching
from gateway.policies.settings import Settings
from gateway.policies.split import Experiment
from gateway.units import Duration, Share

Providers = Annotated[tuple[Name, ...], Field(min_length=1)]
"""Names of configured providers, in failover order."""


class Shadow(Settings):
    """A provider that is asked too, never awaited, and compared."""

    provider: Name
    """Who is asked too."""
    share: Share = Field("100%", validate_default=True)
    """Of how many requests."""


class Placement(Settings):
    """One spot that asks: its kind, who is asked, and what is done with the answers."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["providers"]}, {"required": ["experiment"]}]}
    )

    kind: Kind | Literal["search"] | None = None
    """What is asked for where a request does not say; absent: by what the request gives."""
    count: int = Field(10, ge=1, le=100)
    """Items, where a request does not say."""
    providers: Providers | None = None
    """Who is asked, in failover order; or there is an `experiment`."""
    experiment: Experiment | None = None
    """A traffic split, in place of `providers`."""
    cache: Caching | None = None
    """Absent: nothing is cached."""
    shadow: Shadow | None = None
    """Absent: nobody is."""
    hide: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = ()
    """Ids of items that are never shown here."""
    min_score: dict[Name, Annotated[float, Field(allow_inf_nan=False)]] = Field({})
    """By provider, in its own scale: items with less are left out."""
    strict: bool = False
    """Is a provider that cannot do contexts or hybrid passed over, instead of warned about?"""

    @model_validator(mode="after")
    def _one_way(self) -> Placement:
        if (self.providers is None) == (self.experiment is None):
            raise ValueError("must have either `providers` or an `experiment`")
        return self

    @property
    def lists(self) -> dict[str | None, tuple[str, ...]]:
        """The providers by arm; under None where there is no experiment."""
        if self.experiment is None:
            return {None: self.providers or ()}
        return {name: arm.providers for name, arm in self.experiment.arms.items()}


class Retry(Settings):
    """How long a delivery that failed waits: doubled each time, with jitter."""

    first: Duration = Field("1s", validate_default=True)
    """Before the second attempt."""
    max: Duration = Field("30s", validate_default=True)
    """At most."""


class Events(Settings):
    """Where events go."""

    providers: tuple[Name, ...] = ()
    """Each gets every event that it can take. Default: all that take events."""
    retry: Retry = Retry()
    """After a failure."""
    batch: int = Field(100, ge=1, le=1000)
    """The most events in one delivery; fewer where the vendor takes fewer."""
    linger: Duration = Field("50ms", validate_default=True)
    """How long a delivery waits to become a full batch."""


class Catalog(Settings):
    """Where users' and items' records go."""

    providers: tuple[Name, ...] = ()
    """Each gets every record that it can keep. Default: all that keep records."""
