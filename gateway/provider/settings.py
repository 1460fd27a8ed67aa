"""How a provider is asked, as the configuration says it: `defaults`, and every provider that inherits them.

What belongs to one policy alone stands beside that policy.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.policies.breaker import BreakerSettings
from gateway.policies.budget import BudgetSettings
from gateway.policies.bulkhead import BulkheadSettings
from gateway.policies.rate import RateSettings
from gateway.policies.settings import Settings
from gateway.units import Duration, Size


class PropertySettings(Settings):
    """How one property is called and stored at this vendor."""

    name: str = Field(min_length=1)
    """What the vendor calls it."""
    stored: Literal["date", "unix_s", "unix_ms"] | None = Field(None, alias="as")
    """How the vendor stores dates: `date` (RFC 3339 text), `unix_s` or `unix_ms` (a number)."""


class ProviderSettings(BudgetSettings, BulkheadSettings, RateSettings):
    """How one provider is asked; every provider inherits `defaults`."""

    timeout: Duration = Field("300ms", validate_default=True)
    """One attempt of a read, to the last byte. An attempt gets at most (time left - 20 ms) / tries left."""
    write_timeout: Duration = Field("10s", validate_default=True)
    """One attempt of event delivery, catalogue changes, rules, training."""
    connect_timeout: Duration = Field("500ms", validate_default=True)
    """Opening a connection."""
    attempts: int | None = Field(None, ge=1, le=10)
    """Attempts of one request; attempt n goes to host n. Default: 2, or the number of hosts if greater."""
    max_answer: Size = Field("4MiB", validate_default=True)
    """A longer answer, after decompression, counts as malformed."""
    breaker: BreakerSettings = BreakerSettings()
    """When the provider is left alone; one breaker for reads and one for writes."""
    pseudonymize: bool = False
    """True: users go to this vendor as keyed hashes (HMAC), from the first byte on."""
    properties: dict[str, PropertySettings] = Field(default_factory=dict)
    """How properties are called and stored at this vendor."""
