"""A configuration: read whole with its defaults, or refused with every mistake at its line and no secret in it."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr, ValidationError

from gateway.config import ConfigError, effective, epoch
from gateway.config.mistakes import dotted
from gateway.config.wording import did_you_mean
from gateway.config.words import Address
from tests.configs import MINIMAL, Vendor, complaints, read

VENDOR = """
providers:
  vendor: {adapter: vendor, options: {url: http://x, token: "${TOKEN}"}}
  local: {adapter: local}
placements:
  default: {providers: [vendor, local]}
"""
TOKEN = {"TOKEN": "hunter2hunter2"}
HEX = "ab" * 32


def test_only_providers_and_placements_are_needed(tmp_path: Path) -> None:
    configuration = read(tmp_path, MINIMAL).configuration
    assert configuration.server.listen == Address("127.0.0.1", 8080)
    assert configuration.server.deadline == 0.8
    assert configuration.auth is None
    assert configuration.state.path == "./state.db"
    assert configuration.state.retention == 30 * 86400
    assert configuration.placements["default"].providers == ("local",)
    assert configuration.events.providers == ("local",)
    assert configuration.catalog.providers == ("local",)


def test_default_lists_hold_those_that_can_take_something(tmp_path: Path) -> None:
    text = VENDOR.replace("  local:", "  profiler: {adapter: profiler}\n  local:")
    configuration = read(tmp_path, text, TOKEN).configuration
    assert configuration.events.providers == ("vendor", "local")
    assert configuration.catalog.providers == ("local",)


def test_what_a_provider_sets_is_merged_deeply_over_defaults(tmp_path: Path) -> None:
    text = """
    defaults:
      timeout: 200ms
      rate: 10/s
      breaker: {consecutive: 7, min_calls: 9}
      properties: {genre: {name: category}}
    providers:
      a: {adapter: local, timeout: 100ms, rate: null, breaker: {consecutive: 3}, properties: {year: {name: y}}}
      b: {adapter: local}
    placements: {default: {providers: [a, b]}}
    """
    a, b = read(tmp_path, text).configuration.providers.values()
    assert (a.timeout, a.rate, a.breaker.consecutive, a.breaker.min_calls) == (0.1, None, 3, 9)
    assert sorted(a.properties) == ["genre", "year"]
    assert (b.timeout, b.rate, b.breaker.consecutive) == (0.2, 10, 7)


def test_options_are_what_the_adapter_makes_of_them(tmp_path: Path) -> None:
    options = read(tmp_path, VENDOR, TOKEN).configuration.providers["vendor"].options
    assert isinstance(options, Vendor)
    assert options.token == SecretStr("hunter2hunter2")
    assert options.every == 1800


def test_the_configuration_is_frozen(tmp_path: Path) -> None:
    configuration = read(tmp_path, MINIMAL).configuration
    with pytest.raises(ValidationError):
        configuration.server.workers = 2  # type: ignore[misc]  # that is the point


def test_everything_that_is_wrong_is_said_at_once_where_it_stands(tmp_path: Path) -> None:
    text = """\
    revision: 5
    server:
      listen: 8080
      deadlin: 1s
      workers: none
    defaults:
      timeout: 300
      breaker: {mode: off}
    providers:
      vendor:
        adapter: vendor
        options: {url: 5, refresh: soon, tokn: x}
      odd: {adapter: vendr}
      lost: {options: {}}
      torn: {adapter: broken}
      local: {adapter: local, attempts: 0}
    placements:
      default: {providers: [vendr, local, local]}
      home:
        providers: [local]
        experiment: {key: k, arms: {a: {weight: 0, providers: [local]}}}
        min_score: {locl: 1}
        shadow: {provider: shadow}
      Bad name: {providers: [local]}
      none: {count: 101}
    events: {providers: [nobody]}
    auth: {api_keys: {k: {scopes: [read]}}}
    server: {}
    """
    said = complaints(tmp_path, text)
    duration = "must be a duration such as 250ms, 30s, 5m, 24h (units: ms, s, m, h, d)"
    no_text = "must be text (a number or a truth value needs quotation marks)"
    installed = "installed are local, vendor, profiler, broken"
    providers = "there are vendor, odd, lost, torn, local"
    for expected in (
        f"1: revision: {no_text}",
        "3: server.listen: must be HOST:PORT such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080",
        "4: server.deadlin: is not a known key; did you mean deadline?",
        "5: server.workers: must be a whole number",
        f"7: defaults.timeout: {duration}",
        "8: defaults.breaker.mode: must be enforce, observe, forced_open or forced_closed",
        f"12: providers.vendor.options.url: {no_text}",
        "12: providers.vendor.options.token: is missing",
        f"12: providers.vendor.options.refresh: {duration}",
        "12: providers.vendor.options.tokn: is not a known key; did you mean token?",
        f"13: providers.odd.adapter: is not an installed adapter; {installed} (did you mean vendor?)",
        f"14: providers.lost.adapter: is missing; {installed}",
        (
            "15: providers.torn.adapter: is installed, but cannot be loaded: "
            "ModuleNotFoundError: No module named 'nowhere'"
        ),
        "16: providers.local.attempts: must be at least 1",
        "18: placements.default.providers[0]: vendr is not a configured provider; did you mean vendor?",
        "18: placements.default.providers[2]: names local twice; once is enough",
        "21: placements.home.experiment.arms: at least one arm must have a weight above 0",
        "22: placements.home.min_score.locl: locl is not a configured provider; did you mean local?",
        f"23: placements.home.shadow.provider: shadow is not a configured provider; {providers}",
        (
            '24: placements["Bad name"]: '
            "must begin with a letter or digit and hold only letters, digits, - _ and . (64 at most)"
        ),
        "25: placements.none.count: must be at most 100",
        f"26: events.providers[0]: nobody is not a configured provider; {providers}",
        "27: auth.api_keys.k.scopes[0]: must be recommend, events, catalog or ops",
        "28: server: is given twice (first in line 2); each key may stand once",
    ):
        assert expected in said
        said.remove(expected)
    assert said == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "server: {listen: 0.0.0.0:8080}",
            "server.listen: listens beyond this machine, so `auth` must be configured",
        ),
        ("server: {admin_listen: '[::]:9090'}", "server.admin_listen: listens beyond this machine"),
        ("server: {listen: shop.example:80}", "server.listen: listens beyond this machine"),
        ("server: {admin_listen: 127.0.0.1:8080, listen: 127.0.0.1:8080}", "server.admin_listen: has the port of"),
        ("server: {deadline: 10ms}", "server.deadline: must be 50ms or more"),
        ("server: {signing_keys: ['']}", "server.signing_keys[0]: must not be empty"),
        ("server: {cors: {origins: [https://shop.example/]}}", "server.cors.origins[0]: must be an origin"),
        ("server: {}\nauth: {}", "auth: must have `api_keys` or `jwt`"),
        (
            f"auth: {{api_keys: {{a: {{sha256: {HEX}, key: k, scopes: [ops]}}}}}}",
            "must have either `sha256` or `key`",
        ),
        (f"auth: {{api_keys: {{a: {{sha256: {HEX}, scopes: []}}}}}}", "scopes: must not be empty"),
        ("auth: {api_keys: {a: {sha256: abc, scopes: [ops]}}}", "sha256: must be a SHA-256 in hex"),
        (f"auth: {{api_keys: {{a: {{sha256: {HEX}, scopes: [ops], publishable: true}}}}}}", "is publishable, so"),
        (
            f"auth: {{api_keys: {{a: {{sha256: {HEX}, scopes: [ops], placements: [defalt]}}}}}}",
            "auth.api_keys.a.placements[0]: defalt is not a configured placement; did you mean default?",
        ),
        ("state: {url: postgres://x}", "state.url: must be sqlite:PATH"),
        ("state: {url: 'sqlite://host/x'}", "state.url: must be sqlite:PATH"),
        ("state: {url: 'valkey:h:6379'}", "state.url: must be sqlite:PATH"),
        ("state: {url: 'valkey+tcp://h:6379'}", "state.url: must be sqlite:PATH"),
        (
            "server: {workers: 2}\nstate: {url: 'sqlite::memory:'}",
            "state.url: keeps it in the memory of one process, and `server.workers` are several",
        ),
        ("telemetry: {logs: {requests: some}}", "telemetry.logs.requests: must be all, errors or a share"),
        ("telemetry: {traces: {endpoint: collector}}", "telemetry.traces.endpoint: must be an http or https URL"),
        ("defaults: {breaker: {open: 2m, max_open: 1m}}", "defaults.breaker: max_open must be at least as long"),
        ("defaults: {adapter: local}", "defaults.adapter: is not a known key"),
        ("defaults: 5", "defaults: must be a mapping"),
        ("server:", "server: must be a mapping"),
        ("events: []", "events: must be a mapping"),
    ],
)
def test_one_mistake_is_one_message(tmp_path: Path, more: str, said: str) -> None:
    (mistake,) = complaints(tmp_path, MINIMAL + more + "\n")
    assert said in mistake
    assert mistake.startswith(("6: ", "7: "))


SECRET = "s" * 32
RSA, SHORT = (
    json.dumps(
        generate_private_key(65537, bits)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    for bits in (2048, 1024)
)


@pytest.mark.parametrize(
    ("jwt", "said"),
    [
        ("jwks_url: 'https://x', algorithms: [RS256, ES256]", None),
        (f"secret: {SECRET}, algorithms: [HS256]", None),
        (f"public_key: {RSA}, algorithms: [RS256, PS512]", None),
        ("jwks_url: 'http://127.0.0.1:1/jwks', algorithms: [RS256]", None),
        ("jwks_url: 'http://x/jwks', algorithms: [RS256]", "auth.jwt: `jwks_url` must be https"),
        ("secret: s, algorithms: [HS256]", "auth.jwt: `secret` must have 32 bytes or more"),
        (f"secret: {SECRET}, algorithms: [HS256, HS512]", "auth.jwt: `secret` must have 64 bytes or more"),
        ("public_key: p, algorithms: [RS256]", "auth.jwt: `public_key` must be a public key in PEM"),
        (f"public_key: {RSA}, algorithms: [RS256, ES256]", "auth.jwt: `public_key` is no key for ES256"),
        (f"public_key: {SHORT}, algorithms: [RS256]", "auth.jwt: `public_key` must have 2048 bits or more"),
        ("algorithms: [RS256]", "auth.jwt: must have exactly one of `jwks_url`, `public_key` and `secret`"),
        ("secret: s, public_key: p, algorithms: [HS256]", "auth.jwt: must have exactly one of `jwks_url`"),
        ("public_key: p, algorithms: [HS256]", "auth.jwt: `algorithms` must be HS256"),
        ("secret: s, algorithms: [HS256, RS256]", "auth.jwt: `algorithms` must be HS256"),
        ("public_key: p, algorithms: [none]", "auth.jwt.algorithms[0]: must be RS256, "),
        ("public_key: p, algorithms: []", "auth.jwt.algorithms: must not be empty"),
    ],
)
def test_tokens_are_read_and_refused(tmp_path: Path, jwt: str, said: str | None) -> None:
    text = MINIMAL + f"auth: {{jwt: {{issuer: i, audience: a, {jwt}}}}}\n"
    if said is None:
        read(tmp_path, text)
        return
    (found,) = complaints(tmp_path, text)
    assert found.startswith(f"6: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("providers: {}\nplacements: {default: {providers: [local]}}", "providers: must not be empty"),
        ("placements: {default: {providers: [local]}}", "providers: is missing"),
        ("providers: [local]\nplacements: {default: {providers: [local]}}", "providers: must be a mapping"),
        (
            "providers: {local: local}\nplacements: {default: {providers: [local]}}",
            "providers.local: must be a mapp",
        ),
        (
            "providers: {local: {adapter: local, options: 5}}\nplacements: {default: {providers: [local]}}",
            "mapping",
        ),
        ("providers: {local: {adapter: local}}\nplacements: {default: {providers: []}}", "must not be empty"),
        ("providers: {local: {adapter: local}}\nplacements: {default: {providers: local}}", "must be a list"),
        ("providers: {local: {adapter: local}}\nplacements: {default: {}}", "must have either `providers` or an"),
    ],
)
def test_shapes_that_are_wrong_are_said_plainly(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in one for one in complaints(tmp_path, text))


def test_a_mistake_in_defaults_is_said_once_and_one_of_a_providers_own_there(tmp_path: Path) -> None:
    text = """\
    defaults: {timeout: fast, properties: {genre: {}}}
    providers: {a: {adapter: local}, b: {adapter: local, timeout: slow}}
    placements: {default: {providers: [a]}}
    """
    duration = "must be a duration such as 250ms, 30s, 5m, 24h (units: ms, s, m, h, d)"
    assert complaints(tmp_path, text) == [
        f"1: defaults.timeout: {duration}",
        "1: defaults.properties.genre.name: is missing",
        f"2: providers.b.timeout: {duration}",
    ]


def test_the_same_key_for_two_callers_is_a_mistake_however_it_is_given(tmp_path: Path) -> None:
    digest = sha256(b"open sesame").hexdigest().upper()
    keys = f"{{a: {{sha256: {digest}, scopes: [ops]}}, b: {{key: open sesame, scopes: [events]}}}}"
    text = f"{MINIMAL}auth: {{api_keys: {keys}}}"
    assert complaints(tmp_path, text) == ["6: auth.api_keys.b: is the same key as a; each caller needs its own"]


def test_two_experiments_with_one_key_are_a_mistake(tmp_path: Path) -> None:
    experiment = "experiment: {key: k, arms: {a: {weight: 1, providers: [local]}}}"
    text = f"providers: {{local: {{adapter: local}}}}\nplacements:\n  a: {{{experiment}}}\n  b: {{{experiment}}}\n"
    assert complaints(tmp_path, text) == [
        "4: placements.b.experiment.key: is the key of an experiment of the placement a too; each needs its own"
    ]


def test_off_loopback_is_fine_with_auth_and_port_0_twice_too(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + f"""
server: {{listen: 0.0.0.0:0, admin_listen: 0.0.0.0:0}}
auth: {{api_keys: {{a: {{sha256: {HEX}, scopes: [ops]}}}}}}
"""
    )
    assert not read(tmp_path, text).configuration.server.listen.loopback


def test_what_cannot_be_filled_in_is_one_mistake_and_no_more(tmp_path: Path) -> None:
    text = MINIMAL + "server: {deadline: '${UNSET}', workers: '${file:absent}'}"
    unset, absent = complaints(tmp_path, text)
    assert unset == "6: server.deadline: the environment variable UNSET is not set"
    assert absent == f"6: server.workers: the file {tmp_path}/absent is not there"


def test_values_from_outside_may_be_numbers_and_truth_values(tmp_path: Path) -> None:
    text = MINIMAL + "server: {deadline: '${D}'}\ncache: {shared: '${NO}'}\nevents: {batch: '${N}'}"
    configuration = read(tmp_path, text, {"D": "1s", "NO": "false", "N": "7"}).configuration
    assert (configuration.server.deadline, configuration.cache.shared, configuration.events.batch) == (1, False, 7)


def test_files_that_are_named_are_known(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2hunter2\n")
    loaded = read(tmp_path, VENDOR.replace("${TOKEN}", "${file:token}"))
    assert loaded.files == {tmp_path / "token"}
    assert ("providers", "vendor", "options", "token") in loaded.filled


def test_files_that_are_missing_are_known_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, VENDOR.replace("${TOKEN}", "${file:token}"))
    assert caught.value.files == {tmp_path / "token"}


def test_overrides_stand_above_the_file_and_are_named_in_mistakes(tmp_path: Path) -> None:
    listen = ("server", "listen")
    loaded = read(tmp_path, MINIMAL, overrides={listen: "127.0.0.1:0"})
    assert loaded.configuration.server.listen.port == 0
    said = complaints(tmp_path, MINIMAL, overrides={listen: "0.0.0.0:80", ("server", "workers"): 0})
    assert [one.partition(": ")[0] for one in said] == ["command line", "command line"]


# --- secrets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "environ"),
    [
        ("mood: '${TOKEN}'", TOKEN),
        ("mood: 'x-${TOKEN}-y'", TOKEN),
        ("mood: hunter2hunter2, token: hunter2hunter2", {}),
    ],
)
def test_an_adapters_own_words_do_not_give_a_secret_away(
    tmp_path: Path, more: str, environ: dict[str, str]
) -> None:
    options = more if "token:" in more else f"{more}, token: x"
    text = f"""
    providers: {{vendor: {{adapter: vendor, options: {{url: x, {options}}}}}}}
    placements: {{default: {{providers: [vendor]}}}}
    """
    (mistake,) = complaints(tmp_path, text, environ)
    assert "must be good, not" in mistake
    assert "**********" in mistake
    assert "hunter2" not in mistake


def test_secrets_in_wrong_places_are_not_repeated(tmp_path: Path) -> None:
    secret = "${TOKEN}"
    text = f"""
    revision: ["{secret}"]
    server: {{listen: "{secret}", deadline: "{secret}", cors: {{origins: ["{secret}"]}}, workers: "{secret}"}}
    state: {{url: "{secret}"}}
    providers: {{a: {{adapter: "{secret}"}}, b: {{adapter: vendor, options: {{url: ["{secret}"], token: 5}}}}}}
    placements: {{default: {{kind: "{secret}", providers: ["{secret}"], shadow: {{provider: "{secret}"}}}}}}
    auth:
      api_keys: {{a: {{key: ["{secret}"], sha256: "{secret}", placements: ["{secret}"], scopes: ["{secret}"]}}}}
    """
    said = complaints(tmp_path, text, TOKEN)
    assert len(said) >= 12
    assert "hunter2" not in "".join(said)


def test_nothing_that_is_shown_holds_a_secret(tmp_path: Path) -> None:
    text = (
        VENDOR
        + """
server: {signing_keys: ["${TOKEN}"]}
auth: {api_keys: {ops: {key: "${TOKEN}", scopes: [ops]}}}
telemetry: {traces: {endpoint: "http://user:hunter2hunter2@collector:4318"}}
"""
    )
    loaded = read(tmp_path, text, TOKEN)
    shown = effective(loaded)
    assert "hunter2" not in json.dumps(shown)
    assert "hunter2hunter2" not in repr(loaded).replace("user:hunter2hunter2@collector", "")
    assert shown["providers"]["vendor"]["options"]["token"] == "**********"
    assert shown["server"]["signing_keys"] == ["**********"]
    assert shown["telemetry"]["traces"]["endpoint"] == "http://**********@collector:4318"


def test_the_effective_configuration_says_defaults_in_the_files_words(tmp_path: Path) -> None:
    shown = effective(read(tmp_path, VENDOR, TOKEN))
    assert shown["server"]["listen"] == "127.0.0.1:8080"
    assert shown["providers"]["vendor"]["timeout"] == "300ms"
    assert shown["providers"]["vendor"]["options"]["refresh"] == "30m"
    assert shown["telemetry"]["logs"]["requests"] == "all"


def test_the_effective_configuration_without_secrets_can_be_read_again(tmp_path: Path) -> None:
    first = effective(read(tmp_path, VENDOR, TOKEN))
    assert effective(read(tmp_path, json.dumps(first))) == first


# --- epoch ------------------------------------------------------------------------------------------------------


def test_the_epoch_is_of_what_is_resolved(tmp_path: Path) -> None:
    key = b"k" * 32
    first = epoch(read(tmp_path, VENDOR, TOKEN), key)
    assert len(first) == 12
    assert int(first, 16) >= 0
    assert epoch(read(tmp_path, "# a comment\n" + VENDOR, TOKEN), key) == first
    assert epoch(read(tmp_path, VENDOR, {"TOKEN": "rotated"}), key) != first
    assert epoch(read(tmp_path, VENDOR, TOKEN), b"other") != first
    assert epoch(read(tmp_path, VENDOR, TOKEN, overrides={("server", "listen"): "127.0.0.1:1"}), key) != first
    assert epoch(read(tmp_path, VENDOR.replace("[vendor, local]", "[local, vendor]"), TOKEN), key) != first


# --- small parts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "host", "loopback"),
    [
        ("127.0.0.1:80", "127.0.0.1", True), ("127.9.9.9:80", "127.9.9.9", True), ("[::1]:80", "::1", True),
        ("localhost:80", "localhost", True), ("0.0.0.0:80", "0.0.0.0", False), ("[::]:80", "::", False),
        ("10.0.0.1:80", "10.0.0.1", False), ("localhost.example:80", "localhost.example", False),
    ],
)  # fmt: skip
def test_addresses(written: str, host: str, loopback: bool) -> None:
    address = Address.read(written)
    assert (address.host, address.port, address.loopback, str(address)) == (host, 80, loopback, written)


@pytest.mark.parametrize(
    "written", ["80", ":80", "h:", "h:65536", "::1:80", "h:80/", "http://h:80", "h:8 0", 80, None]
)
def test_what_is_no_address(written: object) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.read(written)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:./state.db", "./state.db"), ("sqlite:state.db", "state.db"), ("sqlite:/var/s.db", "/var/s.db"),
        ("sqlite:///var/s.db", "/var/s.db"),
    ],
)  # fmt: skip
def test_the_embedded_stores_path(tmp_path: Path, url: str, path: str) -> None:
    assert read(tmp_path, MINIMAL + f"state: {{url: '{url}'}}").configuration.state.path == path


def test_paths_are_written_as_people_write_them() -> None:
    assert dotted(("placements", "a b", "providers", 1, "x")) == 'placements["a b"].providers[1].x'


def test_mistakes_come_in_the_files_order(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "server: {x: 1}\nproviders: {}\nplacements: {}\ncache: {y: 1}\n")
    lines = [mistake.line for mistake in caught.value.mistakes]
    assert lines == sorted(lines) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("deadlin", "did you mean deadline?"),
        ("admin", "did you mean admin_listen?"),  # deadline is more like it
        ("urls", "did you mean url?"),  # a slip of the pen
        ("listening", "did you mean listen?"),
        ("bytes", "did you mean min_bytes or max_bytes?"),
        ("nothing like it", "there are deadline, listen, admin_listen, url, min_bytes, max_bytes"),
    ],
)
def test_what_was_meant(word: str, said: str) -> None:
    assert did_you_mean(word, ["deadline", "listen", "admin_listen", "url", "min_bytes", "max_bytes"]) == said
