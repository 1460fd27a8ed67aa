"""The configuration as types: what each section is, and the whole of it.

    server auth          access.py
    state                here
    defaults providers   here, of gateway.provider.settings; `options` are the adapter's own model
    placements events    traffic.py; their experiment and cache stand beside those policies
    catalog
    cache telemetry      gateway.policies.cache · here

Fields' docstrings become the schema's descriptions, defaults are written here and nowhere else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, SerializeAsAny, WithJsonSchema, model_validator

from gateway.adapter import Adapter
from gateway.config.access import Auth, Server
from gateway.config.traffic import Catalog, Events, Placement
from gateway.config.words import Name, StateUrl, Url
from gateway.policies.cache import CacheSettings
from gateway.policies.settings import Settings
from gateway.provider.settings import ProviderSettings
from gateway.units import SHARE, Duration, Share, Size

SHARED_STORES = ("valkey", "redis")
"""How the URLs of stores for several machines begin."""


class State(Settings):
    """What the gateway keeps: event log and outbox, records, id maps, experiment counts."""

    url: StateUrl = "sqlite:./state.db"
    """sqlite: and a path (`sqlite:///var/lib/gateway/state.db` is absolute, a relative one begins at the working
    directory); for several machines valkey://host:6379/0. A change needs a restart."""
    retention: Duration = Field("30d", validate_default=True)
    """How long the event log is kept; valkey: 48h by default. What is not yet delivered is kept until it is."""
    max_bytes: Size = Field("10GiB", validate_default=True)
    """The most that is kept."""

    @model_validator(mode="before")
    @classmethod
    def _shorter_in_memory(cls, written: Any) -> Any:
        if isinstance(written, dict) and str(written.get("url")).startswith(SHARED_STORES):
            return {"retention": "48h", **written}
        return written

    @property
    def path(self) -> str | None:
        """The file of the embedded store; None: a shared one."""
        if not self.url.startswith("sqlite:"):
            return None
        return self.url.removeprefix("sqlite:").removeprefix("//")


class ConfiguredProvider(ProviderSettings):
    """One account at a vendor. What it sets is merged deeply over `defaults`."""

    adapter: str
    """Whose language it speaks: the name of an installed adapter."""
    options: SerializeAsAny[Adapter]
    """The adapter's own: credentials, addresses."""


class Traces(Settings):
    """Spans of requests."""

    exporter: Literal["none", "console", "otlp"] = "none"
    """Where to: otlp is HTTP with protobuf."""
    endpoint: Url = "http://127.0.0.1:4318"
    """The collector, for otlp; /v1/traces is appended."""
    share: Share = Field("10%", validate_default=True)
    """Of the requests that come without a sampling decision."""
    propagate_to_vendors: bool = False
    """Do vendors get a `traceparent`?"""


def _requests(written: object) -> Literal["all", "errors"] | float:
    if written == "all":
        return "all"
    if written == "errors":
        return "errors"
    try:
        return SHARE.read(written)
    except ValueError:
        raise ValueError("must be all, errors or a share such as 10%") from None


def _write_requests(requests: str | float) -> str:
    return requests if isinstance(requests, str) else SHARE.write(requests)


Requests = Annotated[
    Literal["all", "errors"] | float,
    PlainValidator(_requests),
    PlainSerializer(_write_requests, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"enum": ["all", "errors"]}, SHARE.schema()]}),
]


class Logs(Settings):
    """What is written to standard output."""

    format: Literal["json", "console"] = "json"
    """For machines or for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    requests: Requests = "all"
    """Which requests get a line: all, a share of them (errors always), or errors."""


class Telemetry(Settings):
    """Traces and logs; metrics are always at /metrics."""

    traces: Traces = Traces()
    """Spans of requests."""
    logs: Logs = Logs()
    """Standard output."""


class Configuration(Settings):
    """All of a gateway. Everything has a good default but `providers` and `placements`."""

    revision: str | None = None
    """A label of yours, shown beside the epoch."""
    server: Server = Server()
    """The listeners and what every request is held to."""
    auth: Auth | None = None
    """Absent: only this machine may call, and may do everything."""
    state: State = State()
    """What the gateway keeps."""
    defaults: ProviderSettings = ProviderSettings()
    """What every provider inherits."""
    providers: dict[Name, ConfiguredProvider] = Field(min_length=1)
    """The accounts at vendors, by names of yours."""
    placements: dict[Name, Placement] = Field(min_length=1)
    """The spots that ask. `default` serves the callers that name none."""
    events: Events = Events()
    """Where events go."""
    catalog: Catalog = Catalog()
    """Where users' and items' records go."""
    cache: CacheSettings = CacheSettings()
    """The answers that are kept, for all placements."""
    telemetry: Telemetry = Telemetry()
    """Traces and logs."""
