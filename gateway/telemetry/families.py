"""Every metric of the gateway's own: its name, what it is, its labels, and how processes add up to one.

    happened   counted as notes are read      (counting.py)     counters, histograms: processes are added
    state      read whenever somebody asks    (state.py)        gauges, a few counters: `merge` says how

Names and units follow OpenTelemetry's semantic conventions in Prometheus' spelling (seconds, `_total`); what they
have no name for begins with `gateway_`. Label values are words of the configuration, of the route table or of
this package: whatever callers send makes no new series. docs/metrics.md is made from this page.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max", "min", "one"]
"""How the values of several processes are one: added; the greatest; the least; the same in all, so any."""

SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""What semantic conventions advise for durations, and 1 and 2.5 ms below it: answers from the cache."""
SHARES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Family(NamedTuple):
    """One metric."""

    name: str
    """Without `_total` of a counter and `_bucket`, `_sum`, `_count` of a histogram."""
    kind: Kind
    labels: tuple[str, ...]
    what: str
    merge: Merge = "sum"
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names that stand in a scrape."""
        if self.kind == "counter":
            return (f"{self.name}_total",)
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


def _counter(name: str, what: str, *labels: str) -> Family:
    return Family(name, "counter", labels, what)


def _histogram(name: str, what: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Family:
    return Family(name, "histogram", labels, what, buckets=buckets)


def _gauge(name: str, what: str, *labels: str, merge: Merge = "sum") -> Family:
    return Family(name, "gauge", labels, what, merge)


# --- what happened ----------------------------------------------------------------------------------------------

SERVER: Final = _histogram(
    "http_server_request_duration_seconds",
    "Requests of callers. `error_type`: the problem's slug, or `hung-up` (status 499).",
    "http_request_method", "http_route", "http_response_status_code", "error_type",
)  # fmt: skip
CLIENT: Final = _histogram(
    "http_client_request_duration_seconds",
    "HTTP exchanges with vendors. `error_type`: the status, or what went wrong before there was one.",
    "gateway_provider", "http_request_method", "url_template", "server_address", "server_port",
    "http_response_status_code", "error_type",
)  # fmt: skip
ANSWERS: Final = _counter(
    "gateway_answers",
    "Answers that went out, cached ones too. `source`: `first` of its list, a `fallback`, or `none` (empty).",
    "placement", "provider", "source",
)  # fmt: skip
CACHE: Final = _counter(
    "gateway_cache_outcomes",
    "Answers by what the cache did: `hit`, `stale` (renewed meanwhile), `stale_if_error`, `miss`, `collapsed`"
    " (shared with another request), `bypass` (asked by ops), `off`.",
    "placement", "outcome",
)  # fmt: skip
ROUND: Final = _histogram(
    "gateway_round_duration_seconds",
    "Ways through a placement's providers, until one answered. `provider`: who did; empty: nobody.",
    "placement", "provider",
)  # fmt: skip
FAILOVERS: Final = _counter(
    "gateway_failovers",
    "Providers that a placement asked, or passed over, and went on from. `reason`: the error's name;"
    " `passed_over`: breaker, bulkhead or time.",
    "placement", "provider", "reason",
)  # fmt: skip
CALLS: Final = _counter(
    "gateway_provider_calls",
    "Operations of providers, refused ones too. `outcome`: `answered`, or the error's name.",
    "provider", "operation", "outcome",
)  # fmt: skip
TOLD: Final = _counter(
    "gateway_delivered", "Events and changes that have arrived at a provider.", "provider", "operation"
)
RETRIES: Final = _counter("gateway_retries", "Exchanges that were another try at the same request.", "provider")
THROTTLES: Final = _counter("gateway_throttles", "429 from a vendor.", "provider")
BREAKER_CHANGES: Final = _counter(
    "gateway_breaker_changes",
    "Changes of a breaker. `state`: what it became.",
    "provider", "operations", "state",
)  # fmt: skip
FLAWS: Final = _counter(
    "gateway_answer_flaws",
    "Answers of a provider, as a placement asked for them, that were `empty`, `short` (fewer than asked),"
    " `same_for_others` (personal, and the very list that somebody else got before) or `unchanged` (the very list"
    " that the same question got 10 min ago or longer). They are parts of gateway_round_duration_seconds_count,"
    " which `empty` ones add to; `unchanged` of gateway_answer_repeats_total.",
    "placement", "provider", "flaw",
)  # fmt: skip
REPEATS: Final = _counter(
    "gateway_answer_repeats",
    "Answers to a question that was answered 10 min ago or longer, among the 4096 that are remembered.",
    "placement", "provider",
)  # fmt: skip
DUPLICATES: Final = _counter(
    "gateway_answer_duplicates", "Answers of a vendor that named an item twice (mended).", "provider"
)
DRIFT: Final = _counter(
    "gateway_contract_drift",
    "Answers that are not as the vendor's documents say. `what`: `missing` (or of another type), `unreadable`"
    " (not whole, not JSON, too long), `unknown` (members that no document names; one answer of 64 is looked at).",
    "adapter", "provider", "what",
)  # fmt: skip
EXPOSURES: Final = _counter("gateway_exposures", "Answers that count for an experiment.", "experiment", "arm")
RATE_LIMITED: Final = _counter(
    "gateway_rate_limited", "Requests refused with 429, by the name of their key.", "key"
)
SHADOWS: Final = _counter(
    "gateway_shadow_requests",
    "Shadow requests. `outcome`: `answered`, `empty`, or the error's name.",
    "placement", "provider", "outcome",
)  # fmt: skip
SHADOW_OVERLAP: Final = _histogram(
    "gateway_shadow_overlap_ratio",
    "overlap@k of shadow answers with what was served.",
    "placement", "provider", buckets=SHARES,
)  # fmt: skip
SHADOW_DURATION: Final = _histogram(
    "gateway_shadow_duration_seconds", "How long shadow answers took.", "placement", "provider"
)
COUNTED: Final = (
    SERVER, CLIENT, ANSWERS, CACHE, ROUND, FAILOVERS, CALLS, TOLD, RETRIES, THROTTLES, BREAKER_CHANGES, FLAWS,
    REPEATS, DUPLICATES, DRIFT, EXPOSURES, RATE_LIMITED, SHADOWS, SHADOW_OVERLAP, SHADOW_DURATION,
)  # fmt: skip

# --- how it is --------------------------------------------------------------------------------------------------

BUILD: Final = _gauge("gateway_build_info", "The version that runs; 1.", "version", merge="one")
READY: Final = _gauge("gateway_ready", "1 while requests are welcome, as /readyz says.", merge="min")
CONFIG: Final = _gauge("gateway_config_info", "The configuration in force; 1.", "epoch", "revision", merge="one")
ACTIVE: Final = _gauge(
    "http_server_active_requests",
    "Requests of callers under way: all that wait for something, the scrape that asks among them. What the cache"
    " answers at once never is.",
    "http_request_method",
)
RELOADED: Final = _gauge(
    "gateway_config_last_reload_successful", "0 while a changed file is refused.", merge="min"
)
RELOADED_AT: Final = _gauge(
    "gateway_config_last_reload_success_timestamp_seconds",
    "Unix time at which the configuration in force was taken.",
    merge="min",
)
BREAKER: Final = _gauge(
    "gateway_breaker_state",
    "0 closed, 1 half open, 2 open (forced too); of several processes the worst.",
    "provider", "operations", merge="max",
)  # fmt: skip
IN_FLIGHT: Final = _gauge("gateway_in_flight", "Calls under way at a provider.", "provider")
IN_FLIGHT_LIMIT: Final = _gauge("gateway_in_flight_limit", "The most that may be (`max_in_flight`).", "provider")
THROTTLED: Final = _gauge(
    "gateway_throttled_seconds", "For how long a vendor wants to be left alone yet.", "provider", merge="max"
)
TOKEN: Final = _gauge(
    "gateway_token_expiry_timestamp_seconds",
    "Unix time at which a provider's token ends; absent where it has none, or no known end.",
    "provider", merge="min",
)  # fmt: skip
QUEUED: Final = _gauge(
    "gateway_queue_depth",
    "Events and changes that wait for a provider; counted every 5 s, for all processes.",
    "provider", merge="max",
)  # fmt: skip
OLDEST: Final = _gauge(
    "gateway_queue_oldest_seconds", "For how long the oldest of them has waited; 0: none waits.", "provider",
    merge="max",
)  # fmt: skip
DEAD: Final = _gauge(
    "gateway_dead_letters",
    "Events and changes that a provider will never take; counted every 5 s, for all processes.",
    "provider", merge="max",
)  # fmt: skip
CACHE_BYTES: Final = _gauge("gateway_cache_bytes", "Cached answers, overhead included.")
CACHE_LIMIT: Final = _gauge("gateway_cache_limit_bytes", "The most that they may take (`cache.max_bytes`).")
CACHE_ENTRIES: Final = _gauge("gateway_cache_entries", "Cached answers.")
EVICTIONS: Final = _counter("gateway_cache_evictions", "Answers that left the cache to make room.")
STORE_ERRORS: Final = _counter(
    "gateway_store_errors", "Looks at the state store that failed; there are two a second."
)
STORE_HEARD: Final = _gauge(
    "gateway_store_last_heard_timestamp_seconds",
    "Unix time at which the state store last answered such a look.",
    merge="min",
)
DROPPED: Final = _counter(
    "gateway_telemetry_dropped",
    "What could not be told of. `what`: `notes` (of these requests nothing is told anywhere), `exposures`"
    " (experiments lack them), `lines` of the log, `spans`.",
    "what",
)
STATE: Final = (
    BUILD, READY, ACTIVE, CONFIG, RELOADED, RELOADED_AT, BREAKER, IN_FLIGHT, IN_FLIGHT_LIMIT, THROTTLED, TOKEN,
    QUEUED, OLDEST, DEAD, CACHE_BYTES, CACHE_LIMIT, CACHE_ENTRIES, EVICTIONS, STORE_ERRORS, STORE_HEARD, DROPPED,
)  # fmt: skip

WORKERS: Final = _gauge(
    "gateway_workers",
    "With several processes: how many are `configured`, and how many were `answering` for this scrape.",
    "state", merge="max",
)  # fmt: skip
TOGETHER: Final = (WORKERS,)
"""Said by whoever adds processes up (gateway/server/workers/siblings.py)."""

FAMILIES: Final = (*COUNTED, *STATE, *TOGETHER)

PROCESS: Final[dict[str, Merge]] = {
    "process_virtual_memory_bytes": "sum",
    "process_resident_memory_bytes": "sum",
    "process_start_time_seconds": "min",
    "process_cpu_seconds": "sum",
    "process_open_fds": "sum",
    "process_max_fds": "min",
    "python_info": "one",
    "python_gc_objects_collected": "sum",
    "python_gc_objects_uncollectable": "sum",
    "python_gc_collections": "sum",
}
"""Those of prometheus_client: what the process and its Python take."""

MERGES: Final[dict[str, Merge]] = {family.name: family.merge for family in FAMILIES} | PROCESS
"""By the name of a family: how those of several processes become one."""
