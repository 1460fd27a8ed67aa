"""The JSON Schema and the shipped files: they agree with each other, with the models and with the sandboxes."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.config import json_schema, load, warnings
from gateway.config.document import parse
from gateway.config.schema import written
from gateway.sandbox.credentials import OPTIONS
from gateway.sandbox.frame import NAMES
from tests.configs import INSTALLED, Vendor

CONFIG = Path(__file__).parent.parent / "config"
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
HEX = "ab" * 32


def shipped(name: str) -> dict[str, Any]:
    document, mistakes = parse((CONFIG / name).read_bytes(), name)
    assert mistakes == []
    value: dict[str, Any] = document.value
    return value


def environ_of(text: str) -> dict[str, str]:
    names = set(re.findall(r"^[^#\n]*?\$\{([A-Z0-9_]+)\}", text, re.MULTILINE))
    return {name: HEX if "SHA256" in name else f"{name}-{'x' * 32}" for name in names}


def test_the_schema_that_is_kept_is_the_schema() -> None:
    kept = (CONFIG / "schema.json").read_text()
    assert kept == written(SCHEMA), "run: gateway schema > config/schema.json"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    referenced = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(SCHEMA)))
    assert referenced == set(SCHEMA["$defs"])


@pytest.mark.parametrize("name", ["gateway.yaml", "demo.yaml"])
def test_shipped_files_satisfy_the_schema(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(shipped(name))] == []


def test_gateway_yaml_passes_with_the_environment_that_it_names_and_warns_of_what_is_to_come() -> None:
    file = CONFIG / "gateway.yaml"
    loaded = load(file, environ_of(file.read_text()))
    assert [str(hazard) for hazard in warnings(loaded) if "in this version" not in hazard.message] == []


def test_gateway_yaml_says_everything_that_can_be_said() -> None:
    text = (CONFIG / "gateway.yaml").read_text()
    names = {name for schema in [SCHEMA, *SCHEMA["$defs"].values()] for name in schema.get("properties", {})}
    # Members of what is `{…}` or said in a comment: only the names that a reader may need to find.
    unsaid = {name for name in names if not re.search(rf"\b{name}\b", text)}
    assert unsaid == set()


def test_demo_yaml_passes_with_no_environment() -> None:
    loaded = load(CONFIG / "demo.yaml", {})
    said = [hazard.message for hazard in warnings(loaded)]
    assert len([one for one in said if "plain text" in one]) == 7
    assert len([one for one in said if "looking_similar" in one]) == 1
    assert len(said) == 8


def test_demo_yaml_has_the_credentials_and_ports_of_the_sandboxes() -> None:
    providers = shipped("demo.yaml")["providers"].values()
    by_adapter = {one["adapter"]: one.get("options", {}) for one in providers}
    for number, name in enumerate(NAMES, 1):
        assert OPTIONS[name].items() <= by_adapter[name].items()
        urls = set(re.findall(r"https?://[^\"\]]+", json.dumps(by_adapter[name])))
        assert urls == {f"http://127.0.0.1:{9100 + number}"}


def test_every_demo_placement_ends_with_local_where_it_can() -> None:
    loaded = load(CONFIG / "demo.yaml", {})
    local = loaded.configuration.providers["local"].options
    for name, placement in loaded.configuration.placements.items():
        can = placement.kind in (None, "search", *local.kinds)
        assert all((names[-1] == "local") is can for names in placement.lists.values()), name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("colour",), "red"),
        (("providers",), None),
        (("placements",), {}),
        (("server", "deadline"), 800),
        (("server", "deadline"), "800"),
        (("server", "listen"), "8080"),
        (("server", "workers"), 0),
        (("server", "workers"), "two"),
        (("server", "cors", "origins", 0), "https://shop.example/"),
        (("auth", "api_keys", "storefront", "scopes", 0), "read"),
        (("auth", "api_keys", "storefront", "key"), "both"),
        (("auth", "api_keys", "storefront", "sha256"), "abc"),
        (("auth", "api_keys", "a b"), {"sha256": HEX, "scopes": ["ops"]}),
        (("state", "url"), "postgres://x"),
        (("defaults", "breaker", "mode"), "off"),
        (("defaults", "retry_budget"), 0.2),
        (("defaults", "rate"), 100),
        (("defaults", "properties"), {"genre": {"named": "category"}}),
        (("providers", "recomendo", "adapter"), "recomend"),
        (("providers", "recomendo", "adapter"), None),
        (("providers", "recomendo", "options", "client_secret"), None),
        (("providers", "recomendo", "options", "train"), "daily"),
        (("providers", "recomendo", "options", "index"), "products"),
        (("providers", "discerner", "options"), None),
        (("placements", "home", "providers"), ["local"]),
        (("placements", "home", "kind"), "for_me"),
        (("placements", "home", "count"), 101),
        (("placements", "home", "experiment", "arms", "control", "weight"), -1),
        (("placements", "home", "experiment", "arms", "control", "providers"), []),
        (("placements", "home", "shadow", "share"), "500"),
        (("placements", "default", "providers"), "local"),
        (("events", "retry", "first"), "soon"),
        (("cache", "max_bytes"), "256MB"),
        (("telemetry", "logs", "requests"), "some"),
        (("telemetry", "traces", "exporter"), "jaeger"),
    ],
)
def test_broken_samples_are_refused(path: tuple[Any, ...], value: Any) -> None:
    broken = copy.deepcopy(shipped("gateway.yaml"))
    *above, last = path
    holder: Any = broken
    for step in above:
        holder = holder[step]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    assert not VALIDATOR.is_valid(broken)


INTERPOLATED: Any = yaml.safe_load("""
server: {listen: "${X}", workers: "${X}", deadline: "${X}", cors: {origins: ["${X}"]}}
auth: {api_keys: {a: {sha256: "${file:/x}", scopes: ["${X}"], allow_options: "${X}", rate: "${X}"}}}
defaults: {timeout: "${X}", attempts: "${X}", rate: "${X}", breaker: {mode: "${X}", slow: "${X}"}}
providers: {a: {adapter: local}, r: {adapter: recomendo, options: {client_id: "${X}", client_secret: "${X}",
            batch_events: "${X}", train: "${X}", train_every: "${X}", auth_url: "${X}"}}}
placements: {p: {kind: "${X}", count: "${X}", providers: ["${X}"], min_score: {a: "${X}"}, cache: {ttl: "${X}"},
             shadow: {provider: "${X}", share: "${X}"}},
             q: {experiment: {key: "${X}", arms: {a: {weight: "${X}", providers: ["${X}"]}}}}}
telemetry: {traces: {exporter: "${X}", endpoint: "${X}"}, logs: {requests: "${X}"}}
cache: {max_bytes: "${X}", shared: "${X}"}
""")


def test_values_from_outside_may_stand_for_every_value() -> None:
    assert [error.json_path for error in VALIDATOR.iter_errors(INTERPOLATED)] == []


@pytest.mark.parametrize("section", ["server", "providers", "placements", "cache"])
def test_but_not_for_sections_and_lists(section: str) -> None:
    assert not VALIDATOR.is_valid({**INTERPOLATED, section: "${X}"})
    lists = copy.deepcopy(INTERPOLATED)
    lists["placements"]["p"]["providers"] = "${X}"
    assert not VALIDATOR.is_valid(lists)


def test_another_adapters_options_are_in_the_schema_of_where_it_is_installed() -> None:
    own = json_schema({"local": INSTALLED["local"], "vendor": INSTALLED["vendor"]})
    validator = jsonschema.Draft202012Validator(own)
    config: dict[str, Any] = {"placements": {"default": {"providers": ["v"]}}}
    good = {"adapter": "vendor", "options": {"url": "x", "token": "t", "refresh": "5m"}}
    assert validator.is_valid({**config, "providers": {"v": good}})
    assert not validator.is_valid({**config, "providers": {"v": {"adapter": "vendor"}}})
    assert not validator.is_valid({**config, "providers": {"v": {"adapter": "xayn"}}})
    assert own["$defs"]["Vendor"]["properties"]["url"]["description"] == "Where it is."
    assert own["$defs"][Vendor.__name__]["properties"]["refresh"]["default"] == "30m"


def test_every_setting_is_described() -> None:
    sections = {name: schema for name, schema in SCHEMA["$defs"].items() if "properties" in schema}
    ours = {"Server", "ApiKey", "State", "ConfiguredProvider", "Placement", "Experiment", "Caching", "Logs"}
    assert ours <= set(sections)
    for name in ours:
        undescribed = [key for key, one in sections[name]["properties"].items() if not one.get("description")]
        assert undescribed == [], name
