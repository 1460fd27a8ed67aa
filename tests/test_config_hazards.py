"""What parses but will hurt is said, with its line; what is fine is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import warnings
from tests.configs import MINIMAL, read

HEX = "ab" * 32
TOKEN = {"TOKEN": "hunter2hunter2", "KEY": "k" * 32}
PROVIDERS = """
providers:
  vendor: {adapter: vendor, options: {url: x, token: "${TOKEN}"}}
  local: {adapter: local}
"""


def said(directory: Path, text: str) -> list[str]:
    start = len(str(directory / "gateway.yaml:"))
    return [str(hazard)[start:] for hazard in warnings(read(directory, text, TOKEN))]


def placed(placement: str, more: str = "") -> str:
    return f"{PROVIDERS}placements:\n  default: {placement}\n{more}"


def test_a_good_configuration_has_none(tmp_path: Path) -> None:
    assert said(tmp_path, MINIMAL) == []
    assert said(tmp_path, placed("{kind: for_you, providers: [vendor, local]}")) == []


def test_a_list_that_ends_with_what_can_be_down(tmp_path: Path) -> None:
    advice = "which can be down; put a provider of the adapter local at the end"
    assert said(tmp_path, placed("{providers: [local, vendor]}")) == [
        f"6: warning: placements.default.providers: ends with vendor, {advice}"
    ]
    arms = "{a: {weight: 1, providers: [local]}, b: {weight: 1, providers: [vendor]}}"
    assert said(tmp_path, placed(f"{{experiment: {{key: k, arms: {arms}}}}}")) == [
        f"6: warning: placements.default.experiment.arms.b.providers: ends with vendor, {advice}"
    ]


def test_where_nothing_local_serves_the_kind_no_such_advice_is_given(tmp_path: Path) -> None:
    idle, down, lacks = said(tmp_path, placed("{kind: looking_similar, providers: [vendor]}"))
    assert "local: is in no list" in idle
    assert "nothing that is never down serves looking_similar, but `cache` can bridge an outage" in down
    assert "vendor does not serve looking_similar" in lacks


def test_a_weight_of_0(tmp_path: Path) -> None:
    arms = "{a: {weight: 1, providers: [vendor, local]}, b: {weight: 0, providers: [local]}}"
    (hazard,) = said(tmp_path, placed(f"{{experiment: {{key: k, arms: {arms}}}}}"))
    assert hazard.startswith("6: warning: placements.default.experiment.arms.b.weight: is 0")


@pytest.mark.parametrize(
    ("deadline", "timeout", "attempts", "words"),
    [
        ("320ms", "300ms", 2, None),
        ("319ms", "300ms", 2, "timeouts of 300ms in all, which cannot fit the deadline of 319ms"),
        ("320ms", "50ms", 6, None),
        ("319ms", "50ms", 6, "has 6 attempts of 50ms at least, which cannot fit the deadline of 319ms"),
        ("320ms", "50ms", 7, "has 7 attempts of 50ms at least, which cannot fit the deadline of 320ms"),
    ],
)
def test_timeouts_that_cannot_fit_the_deadline(
    tmp_path: Path, deadline: str, timeout: str, attempts: int, words: str | None
) -> None:
    more = f"defaults: {{timeout: {timeout}, attempts: {attempts}}}\nserver: {{deadline: {deadline}}}"
    found = said(tmp_path, placed("{providers: [vendor, local]}", more))
    assert len(found) == (words is not None)
    assert all(str(words) in one for one in found)


def test_the_timeouts_of_a_list_are_added_but_for_what_is_never_slow(tmp_path: Path) -> None:
    other = "  other: {adapter: vendor, options: {url: x, token: '${TOKEN}'}}\n"
    text = PROVIDERS.replace("  local:", f"{other}  local:")
    text += "placements: {default: {providers: [vendor, other, local]}}\ndefaults: {timeout: 400ms}\n"
    (hazard,) = said(tmp_path, text)
    assert "timeouts of 800ms in all" in hazard


def test_secrets_in_plain_text(tmp_path: Path) -> None:
    text = placed(
        "{providers: [vendor, local]}",
        f"""
server: {{signing_keys: ["${{KEY}}", {"x" * 32}]}}
auth:
  api_keys:
    a: {{key: "${{KEY}}", scopes: [ops]}}
    b: {{sha256: {HEX}, scopes: [ops]}}
""",
    ).replace('"${TOKEN}"', "hunter2hunter2")
    found = said(tmp_path, text)
    assert found == [
        "3: warning: providers.vendor.options.token: is a secret in plain text; better ${NAME} or ${file:/path}",
        "8: warning: server.signing_keys[1]: is a secret in plain text; better ${NAME} or ${file:/path}",
        "11: warning: auth.api_keys.a.key: is the key itself; better give its `sha256`, which opens nothing",
    ]


def test_a_provider_in_no_list(tmp_path: Path) -> None:
    idle = "3: warning: providers.vendor: is in no list: nobody asks it"
    assert said(tmp_path, placed("{providers: [local]}")) == [idle]
    assert said(tmp_path, placed("{providers: [local]}", "events: {providers: [local]}")) == [idle]
    assert said(tmp_path, placed("{providers: [local]}", "events: {providers: [vendor]}")) == []
    assert said(tmp_path, placed("{providers: [local], shadow: {provider: vendor}}")) == []


def test_a_provider_that_no_list_could_use_need_not_be_in_one(tmp_path: Path) -> None:
    assert said(tmp_path, MINIMAL.replace("providers:\n", "providers:\n  p: {adapter: profiler}\n", 1)) == []


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        ("{kind: similar_items, providers: [vendor, local]}", "default.providers[0]: vendor does not serve"),
        ("{kind: search, providers: [vendor, local]}", "default.providers[0]: vendor does not serve search"),
        ("{kind: search, providers: [local], shadow: {provider: vendor}}", "default.shadow.provider: vendor does"),
    ],
)
def test_a_provider_that_lacks_the_kind(tmp_path: Path, placement: str, words: str) -> None:
    (hazard,) = said(tmp_path, placed(placement))
    assert f"placements.{words}" in hazard


def test_lists_of_what_a_provider_cannot_take(tmp_path: Path) -> None:
    text = MINIMAL.replace("providers:\n", "providers:\n  p: {adapter: profiler}\n", 1)
    found = said(tmp_path, text + "events: {providers: [p, local]}\ncatalog: {providers: [local, p]}\n")
    assert found == [
        "7: warning: events.providers[0]: p can take none of this",
        "8: warning: catalog.providers[1]: p can take none of this",
    ]


@pytest.mark.parametrize(
    ("more", "lacks"),
    [("", "origins and no rate"), (", rate: 5/s", "origins"), (", origins: ['https://x']", "rate")],
)
def test_a_key_for_pages_that_everybody_can_use(tmp_path: Path, more: str, lacks: str) -> None:
    key = f"{{sha256: {HEX}, scopes: [events], publishable: true{more}}}"
    (hazard,) = said(tmp_path, MINIMAL + f"auth: {{api_keys: {{beacon: {key}}}}}")
    assert hazard == f"6: warning: auth.api_keys.beacon: is publishable and has no {lacks}: everybody can use it"


def test_signing_keys_that_are_short(tmp_path: Path) -> None:
    (hazard,) = said(tmp_path, MINIMAL + 'server: {signing_keys: ["${KEY}", "${TOKEN}"]}')
    assert hazard == "6: warning: server.signing_keys[1]: is shorter than 32 bytes"


def test_answers_are_shared_in_valkey_alone(tmp_path: Path) -> None:
    (hazard,) = said(tmp_path, MINIMAL + "cache: {shared: true}")
    assert hazard == "6: warning: cache.shared: has no effect with sqlite: answers are shared in valkey alone"
    assert not [
        one for one in said(tmp_path, MINIMAL + "cache: {shared: true}\nstate: {url: valkey://h:6379}")
        if "cache.shared" in one
    ]  # fmt: skip


def test_asking_for_what_there_is_is_fine(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + f"""
auth: {{api_keys: {{a: {{sha256: {HEX}, scopes: [ops], publishable: false}}}}}}
cache: {{shared: false}}
telemetry: {{traces: {{exporter: otlp}}}}
server: {{workers: 1}}
"""
    )
    assert said(tmp_path, text) == []


def test_rates_that_cannot_be_divided_among_workers(tmp_path: Path) -> None:
    text = placed("{providers: [vendor, local]}", "server: {workers: 3}\n").replace(
        "{adapter: vendor,", "{adapter: vendor, rate: 2/s,"
    )
    (hazard,) = said(tmp_path, text)
    assert hazard.startswith("3: warning: providers.vendor.rate: is less than one a second for each of 3 workers")
    assert said(tmp_path, text.replace("2/s", "3/s")) == []
