"""What the policies' configuration models promise: strict, frozen, and documented once, in the code."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from pydantic import ValidationError

import gateway.policies
from gateway.policies.budget import BudgetSettings
from gateway.policies.bulkhead import BulkheadSettings
from gateway.policies.rate import RateSettings
from gateway.policies.settings import Settings

for module in pkgutil.iter_modules(gateway.policies.__path__, "gateway.policies."):
    importlib.import_module(module.name)
MODELS = sorted(
    (m for m in Settings.__subclasses__() if m.__module__.startswith("gateway.policies.")),
    key=lambda m: m.__name__,
)


class Limits(BulkheadSettings, BudgetSettings, RateSettings):
    """As a provider's settings are put together: the scalars of several policies side by side."""


def test_there_are_some() -> None:
    assert {"BreakerSettings", "Caching", "CacheSettings", "Experiment"} <= {model.__name__ for model in MODELS}


@pytest.mark.parametrize("model", [*MODELS, Limits])
def test_every_setting_is_described(model: type[Settings]) -> None:
    properties = model.model_json_schema()["properties"]
    assert [name for name, schema in properties.items() if not schema.get("description")] == []


@pytest.mark.parametrize("model", MODELS)
def test_an_unknown_key_is_an_error(model: type[Settings]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        model.model_validate({"no_such_setting": 1})


def test_they_are_written_back_as_they_may_be_read_again() -> None:
    for written in ({}, {"rate": "90/m", "retry_budget": "12.5%", "max_in_flight": 7}):
        limits = Limits.model_validate(written)
        assert Limits.model_validate_json(limits.model_dump_json()) == limits
    with pytest.raises(ValidationError, match="frozen"):
        limits.max_in_flight = 8  # type: ignore[misc]  # this is what must not be possible


def test_the_schema_shows_defaults_as_they_are_written() -> None:
    properties = Limits.model_json_schema()["properties"]
    assert properties["retry_budget"]["default"] == "20%"
