"""What parses but will hurt: `gateway check` prints it, and a gateway starts with it all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from gateway.adapter import Adapter, Operation
from gateway.config.loading import Loaded
from gateway.config.mistakes import Mistake, Path, Wrong
from gateway.config.model import ConfiguredProvider
from gateway.config.traffic import Placement
from gateway.config.words import without_credentials
from gateway.units import DURATION

RESERVE: Final = 0.020
"""Seconds before the deadline that no attempt gets."""
LEAST: Final = 0.050
"""Seconds that every attempt gets."""
SIGNING_KEY_BYTES: Final = 32
"""A key should have as many bits as the hash that it is used with (RFC 2104 §3): SHA-256."""


class Hazard(Mistake, frozen=True, order=True):
    """One of them."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: warning: {self.path}: {self.message}"


def warnings(loaded: Loaded) -> list[Hazard]:
    """All of them, in the file's order."""
    found = [wrong for check in CHECKS for wrong in check(loaded)]
    placed = (loaded.document.mistake(wrong) for wrong in found)
    return sorted(Hazard(one.file, one.line, one.column, one.path, one.message) for one in placed)


def _lists(loaded: Loaded) -> Iterator[tuple[Path, Placement, tuple[str, ...]]]:
    """Every placement's lists, an arm's too."""
    for name, placement in loaded.configuration.placements.items():
        path: Path = ("placements", name)
        if placement.providers is not None:
            yield (*path, "providers"), placement, placement.providers
        if placement.experiment is not None:
            for arm, settings in placement.experiment.arms.items():
                yield (*path, "experiment", "arms", arm, "providers"), placement, settings.providers


def _can_be_down(loaded: Loaded) -> Iterator[Wrong]:
    never_down = [one.options for one in loaded.configuration.providers.values() if not one.options.over_http]
    for path, placement, names in _lists(loaded):
        if _over_http(loaded, names[-1]):
            advice = "put a provider of the adapter local at the end"
            if never_down and not any(_serves(options, placement) for options in never_down):
                advice = f"nothing that is never down serves {placement.kind}, but `cache` can bridge an outage"
            yield Wrong(path, f"ends with {names[-1]}, which can be down; {advice}")


def _over_http(loaded: Loaded, name: str) -> bool:
    return loaded.configuration.providers[name].options.over_http


def _no_weight(loaded: Loaded) -> Iterator[Wrong]:
    for name, placement in loaded.configuration.placements.items():
        for arm, settings in placement.experiment.arms.items() if placement.experiment else ():
            if settings.weight == 0:
                path = ("placements", name, "experiment", "arms", arm, "weight")
                yield Wrong(path, "is 0: nobody gets this arm but requests without a unit, if it is the first")


def _too_slow(loaded: Loaded) -> Iterator[Wrong]:
    providers = loaded.configuration.providers
    deadline = loaded.configuration.server.deadline
    for path, _, names in _lists(loaded):
        vendors = [name for name in names if _over_http(loaded, name)]
        timeouts = sum(providers[name].timeout for name in vendors)
        tries = sum(_tries(providers[name]) for name in vendors)
        if timeouts > deadline - RESERVE + 1e-9:
            message = (
                f"has timeouts of {_said(timeouts)} in all, which cannot fit the deadline of {_said(deadline)}: "
                "when the first are slow, the last get less than their timeout"
            )
            yield Wrong(path, message)
        elif tries * LEAST > deadline - RESERVE + 1e-9:
            message = f"has {tries} attempts of 50ms at least, which cannot fit the deadline of {_said(deadline)}"
            yield Wrong(path, message)


def _tries(provider: ConfiguredProvider) -> int:
    hosts = max((len(urls) for urls in provider.options.hosts().values()), default=1)
    return provider.attempts or max(2, hosts)


def _said(seconds: float) -> str:
    return DURATION.write(seconds)


def _plain_secrets(loaded: Loaded) -> Iterator[Wrong]:
    for path in secrets(loaded.configuration):
        if path[:2] == ("auth", "api_keys"):
            yield Wrong(path, "is the key itself; better give its `sha256`, which opens nothing")
        elif path not in loaded.filled:
            yield Wrong(path, "is a secret in plain text; better ${NAME} or ${file:/path}")
    url = loaded.configuration.state.url
    if without_credentials(url) != url and ("state", "url") not in loaded.filled:
        yield Wrong(("state", "url"), "has a password in plain text; better ${NAME} or ${file:/path}")


def secrets(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where the secrets of a configuration stand."""
    match value:
        case SecretStr():
            yield path
        case BaseModel():
            for name, field in type(value).model_fields.items():
                yield from secrets(getattr(value, name), (*path, field.alias or name))
        case dict():
            for key, one in value.items():
                yield from secrets(one, (*path, key))
        case list() | tuple():
            for index, one in enumerate(value):
                yield from secrets(one, (*path, index))


def _shared_with_nobody(loaded: Loaded) -> Iterator[Wrong]:
    if loaded.configuration.cache.shared and loaded.configuration.state.path is not None:
        yield Wrong(("cache", "shared"), "has no effect with sqlite: answers are shared in valkey alone")


def _idle(loaded: Loaded) -> Iterator[Wrong]:
    configuration = loaded.configuration
    asked = {name for _, _, names in _lists(loaded) for name in names}
    asked |= {one.shadow.provider for one in configuration.placements.values() if one.shadow}
    # The lists that stand in the file; the default ones name everybody.
    asked.update(configuration.events.providers if "events" in loaded.written else ())
    asked.update(configuration.catalog.providers if "catalog" in loaded.written else ())
    for name, provider in configuration.providers.items():
        if name not in asked and _can(provider.options, LISTED):
            yield Wrong(("providers", name), "is in no list: nobody asks it", at_key=True)


LISTED: Final[tuple[Operation, ...]] = ("recommend", "search", "track", "put_users", "put_items")
"""The operations of providers that are in lists; profiles and rules are asked of any that is configured."""


def _can(options: Adapter, operations: Sequence[Operation]) -> bool:
    return any(type(options).has(operation) for operation in operations)


def _cannot(loaded: Loaded) -> Iterator[Wrong]:
    for path, placement, names in _lists(loaded):
        for index, name in enumerate(names):
            yield from _lacks(loaded, placement, (*path, index), name)
    for name, placement in loaded.configuration.placements.items():
        if placement.shadow:
            path = ("placements", name, "shadow", "provider")
            yield from _lacks(loaded, placement, path, placement.shadow.provider)
    configuration = loaded.configuration
    taken: tuple[tuple[str, tuple[str, ...], tuple[Operation, ...]], ...] = (
        ("events", configuration.events.providers, ("track",)),
        ("catalog", configuration.catalog.providers, ("put_users", "put_items")),
    )
    for section, names, operations in taken:
        for index, name in enumerate(names):
            if not _can(configuration.providers[name].options, operations):
                yield Wrong((section, "providers", index), f"{name} can take none of this")


def _lacks(loaded: Loaded, placement: Placement, path: Path, name: str) -> Iterator[Wrong]:
    if not _serves(loaded.configuration.providers[name].options, placement):
        yield Wrong(path, f"{name} does not serve {placement.kind}: it is always passed over here")


def _serves(options: Adapter, placement: Placement) -> bool:
    if placement.kind == "search":
        return _can(options, ("search",))
    return placement.kind is None or placement.kind in options.kinds


def _short_keys(loaded: Loaded) -> Iterator[Wrong]:
    for index, key in enumerate(loaded.configuration.server.signing_keys):
        if len(key.get_secret_value().encode()) < SIGNING_KEY_BYTES:
            yield Wrong(("server", "signing_keys", index), f"is shorter than {SIGNING_KEY_BYTES} bytes")


def _published_to_all(loaded: Loaded) -> Iterator[Wrong]:
    """A key that everybody can read should at least be of use to one's own pages alone, and only so often."""
    auth = loaded.configuration.auth
    for name, key in (auth.api_keys if auth else {}).items():
        lacking = [word for word, given in (("origins", key.origins), ("rate", key.rate)) if given is None]
        if key.publishable and lacking:
            what = " and no ".join(lacking)
            yield Wrong(("auth", "api_keys", name), f"is publishable and has no {what}: everybody can use it")


def _divided_too_far(loaded: Loaded) -> Iterator[Wrong]:
    workers, auth = loaded.configuration.server.workers, loaded.configuration.auth
    rates: dict[Path, float | None] = {
        ("providers", name): one.rate for name, one in loaded.configuration.providers.items()
    }
    rates |= {("auth", "api_keys", name): one.rate for name, one in (auth.api_keys if auth else {}).items()}
    for path, rate in rates.items():
        if rate is not None and rate < workers:
            message = (
                f"is less than one a second for each of {workers} workers: each lets one through at a time, so "
            )
            yield Wrong((*path, "rate"), message + f"up to {workers} may go at once; fewer workers keep it better")


CHECKS: Final[tuple[Callable[[Loaded], Iterator[Wrong]], ...]] = (
    _can_be_down, _no_weight, _too_slow, _plain_secrets, _idle, _cannot, _short_keys, _divided_too_far,
    _published_to_all, _shared_with_nobody,
)  # fmt: skip
