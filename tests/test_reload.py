"""A changed configuration takes effect in a running gateway: at once, whole, and at no request's cost."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml

from gateway.config import ConfigError, load
from gateway.transport import LeanTransport
from tests.serving import Process, Relay, put, relays, serving, until
from tests.serving import providers as behind
from tests.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

U0: Final = {"id": "u0"}
LISTEN: Final = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain": "1s"}
HOUR: Final = {"ttl": "1h", "stale_if_error": "2h"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(directory: Path) -> AsyncIterator[World]:
    async with world(directory) as shop:
        yield shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def through(shop: World) -> AsyncIterator[dict[str, Relay]]:
    async with relays(shop) as through:
        yield through


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(directory: Path, through: dict[str, Relay]) -> AsyncIterator[Process]:
    async with serving(directory / "served.yaml", configuration(directory, through)) as process:
        yield process


def configuration(
    directory: Path,
    through: Mapping[str, Relay],
    *,
    placements: Mapping[str, Any] | None = None,
    providers: Mapping[str, Mapping[str, Any]] | None = None,
    server: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`placements` and `server` in place of what is there; `providers` over the settings of those named."""
    settings = behind(through)
    for name, own in (providers or {}).items():
        settings[name] = {**settings[name], **own}
    return {
        "server": {**LISTEN, "deadline": "20s", **(server or {})},
        "state": {"url": f"sqlite:{directory}/state.db"},
        "defaults": {"timeout": "10s", "breaker": {"consecutive": 3, "open": "5m"}},
        "providers": settings,
        "placements": {
            "home": {"providers": ["recomendo", "local"]},
            "recomendo": {"providers": ["recomendo"], "cache": HOUR},
            "xayn": {"providers": ["xayn"], "cache": HOUR},
            **(placements or {}),
        },
    }  # fmt: skip


# --- how a change is noticed ------------------------------------------------------------------------------------


async def test_another_vendor_by_an_edit(gateway: Process, directory: Path, through: dict[str, Relay]) -> None:
    await gateway.takes(configuration(directory, through))
    assert (await gateway.ask("home", user=U0)).provider == "recomendo"
    other = configuration(directory, through, placements={"home": {"providers": ["xayn", "local"]}})
    await gateway.takes(other, by_itself=True, within=4)  # 2 s by CONFIG.md; the machine may be busy
    assert (await gateway.ask("home", user=U0)).provider == "xayn"


async def test_at_once_after_sighup(gateway: Process, directory: Path, through: dict[str, Relay]) -> None:
    """With a change that no look at the file can see: of the same size, in place, its time set back."""
    await gateway.takes(
        configuration(directory, through, placements={"home": {"providers": ["local"], "count": 11}})
    )

    async def count() -> int:
        shown: int = (await gateway.get("/v1/config")).json["placements"]["home"]["count"]
        return shown

    before = gateway.file.stat()
    place = gateway.file.read_bytes().index(b"count: 11")
    with gateway.file.open("r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"count: 12", place)
        os.utime(file.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))
    await asyncio.sleep(1)
    assert await count() == 11
    gateway.hang_up()
    async with asyncio.timeout(60):
        while await count() == 11:  # noqa: ASYNC110  # as a caller would see it
            await asyncio.sleep(0.01)


async def test_a_swap_of_links_as_kubernetes_does(directory: Path, through: dict[str, Relay]) -> None:
    """The file is a link through `..data`, a link to a directory; what changes is where `..data` leads."""
    mounted = directory / "mounted"
    for name in ("one", "two"):
        (mounted / name).mkdir(parents=True)
    (mounted / "..data").symlink_to("one")
    (mounted / "gateway.yaml").symlink_to("..data/gateway.yaml")
    begin = configuration(directory, through)
    async with serving(mounted / "gateway.yaml", begin, target=mounted / "one" / "gateway.yaml") as process:
        revision = process.write(configuration(directory, through), file=mounted / "two" / "gateway.yaml")
        (mounted / "..tmp").symlink_to("two")
        (mounted / "..tmp").replace(mounted / "..data")
        await process.taken(revision, 4)


async def test_a_secret_in_a_file_of_its_own(gateway: Process, directory: Path, through: dict[str, Relay]) -> None:
    """And with another secret, which may be another account's, no answer of the old one is served."""
    secret = directory / "xayn-token"
    good = behind(through)["xayn"]["options"]
    put(secret, good["token"] + "\n")
    options = {**good, "token": f"${{file:{secret}}}"}
    await gateway.takes(configuration(directory, through, providers={"xayn": {"options": options}}))
    first = await gateway.ask("xayn", user=U0)
    assert (await gateway.ask("xayn", user=U0)).text == first.text

    async def status() -> int:
        return (await gateway.ask("xayn", user=U0)).status

    async def refused() -> bool:
        return await status() == 503

    async def answered() -> bool:
        return await status() == 200

    put(secret, "of-somebody-else")
    await until(refused, 4)
    assert (await gateway.state("xayn"))["last_problem"]["error"] in ("unauthenticated", "misconfigured")
    put(secret, good["token"])
    await until(answered, 4)


# --- a bad file -------------------------------------------------------------------------------------------------


async def rejected(gateway: Process) -> bool:
    state = (await gateway.get("/readyz", admin=True)).json
    return bool(state["config"]["status"] == "rejected")


async def accepted(gateway: Process) -> bool:
    return not await rejected(gateway)


async def test_a_bad_file_changes_nothing_and_shows_everywhere(
    gateway: Process, directory: Path, through: dict[str, Relay]
) -> None:
    good = configuration(directory, through)
    await gateway.takes(good)
    epoch = (await gateway.get("/readyz", admin=True)).json["epoch"]
    bad = configuration(
        directory, through, placements={"home": {"providers": ["nobody"]}, "other": {"kind": "for_me"}}
    )
    bad["providers"]["xayn"]["options"]["tokken"] = "geheim"
    bad["defaults"]["timeout"] = "soon"
    gateway.write(bad)
    gateway.hang_up()
    await until(lambda: rejected(gateway))

    ready = await gateway.get("/readyz", admin=True)
    assert ready.status == 200
    assert (ready.json["ready"], ready.json["epoch"]) == (True, epoch)
    mistakes = ready.json["config"]["errors"]
    for path in ("placements.home.providers[0]", "placements.other", "options.tokken", "defaults.timeout"):
        assert any(path in mistake and "served.yaml:" in mistake for mistake in mistakes), (path, mistakes)
    assert (await gateway.get("/v1/providers")).json["config"] == ready.json["config"]
    assert "gateway_config_last_reload_successful 0.0" in (await gateway.get("/metrics", admin=True)).text
    await until(lambda: len(gateway.said("configuration rejected")) >= len(mistakes))
    logged = {line["mistake"] for line in gateway.said("configuration rejected")}
    assert logged >= {*mistakes}
    assert "geheim" not in str(gateway.lines) + ready.text
    assert (await gateway.ask("home", user=U0)).provider == "recomendo"

    await gateway.takes(good)
    repaired = (await gateway.get("/readyz", admin=True)).json
    assert repaired["config"] == {"status": "ok", "errors": []}
    assert "gateway_config_last_reload_successful 1.0" in (await gateway.get("/metrics", admin=True)).text


@pytest.mark.parametrize("text", ["", "providers: [", "a: &a [*a, *a]\n", "\x00", "- 1\n", "\ufeff%YAML 9\n---\n"])
async def test_a_file_that_is_none(
    gateway: Process, directory: Path, through: dict[str, Relay], text: str
) -> None:
    good = configuration(directory, through)
    await gateway.takes(good)
    put(gateway.file, text)
    gateway.hang_up()
    await until(lambda: rejected(gateway))
    assert (await gateway.ask("home", user=U0)).status == 200
    await gateway.takes(good)


async def test_a_file_that_is_gone_and_comes_back(
    gateway: Process, directory: Path, through: dict[str, Relay]
) -> None:
    good = configuration(directory, through)
    await gateway.takes(good)
    text = gateway.file.read_text()
    gateway.file.unlink()
    await until(lambda: rejected(gateway))
    assert (await gateway.ask("home", user=U0)).status == 200
    put(gateway.file, text)
    await until(lambda: accepted(gateway))


async def test_a_secret_that_comes_later_mends_it(
    gateway: Process, directory: Path, through: dict[str, Relay]
) -> None:
    """Nobody touches the configuration again: the file that it lacked is watched."""
    secret = directory / "comes-later"
    secret.unlink(missing_ok=True)
    options = {**behind(through)["xayn"]["options"], "token": f"${{file:{secret}}}"}
    revision = gateway.write(configuration(directory, through, providers={"xayn": {"options": options}}))
    await until(lambda: rejected(gateway))
    put(secret, behind(through)["xayn"]["options"]["token"])
    await gateway.taken(revision)
    assert (await gateway.ask("xayn", user={"id": "u1"})).status == 200


# --- what waits, what lives on ----------------------------------------------------------------------------------


async def test_another_address_waits_for_a_restart_and_the_rest_does_not(
    gateway: Process, directory: Path, through: dict[str, Relay]
) -> None:
    await gateway.takes(configuration(directory, through))
    moved = configuration(
        directory, through, placements={"home": {"providers": ["local"]}}, server={"listen": "127.0.0.1:1"}
    )
    for _ in range(2):  # reported as long as it waits
        taken = len(gateway.said("configuration taken"))
        await gateway.takes(moved)
        await until(lambda before=taken: len(gateway.said("configuration taken")) > before)  # the line comes last
        assert (
            "server.listen: changed, which needs a restart" in gateway.said("configuration taken")[-1]["changes"]
        )
    assert (await gateway.ask("home", user=U0)).provider == "local"
    assert (await gateway.get("/v1/config")).json["server"]["listen"] == "127.0.0.1:0"
    gateway.file.with_name("moved.yaml").write_text(gateway.file.read_text())
    said = await checked(gateway, gateway.file.with_name("moved.yaml"))
    assert "server.listen: changed, which needs a restart" in said


async def checked(gateway: Process, file: Path) -> list[str]:
    """What `gateway check --against` says."""
    command = (sys.executable, "-m", "gateway", "check", "--config", str(file), "--against", gateway.url)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    said, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    return said.decode().splitlines()


async def test_check_against_says_what_would_change(
    gateway: Process, directory: Path, through: dict[str, Relay]
) -> None:
    def split(challenger: int) -> dict[str, Any]:
        arms = {"control": {"weight": 90, "providers": ["recomendo"]}}
        arms |= {"challenger": {"weight": challenger, "providers": ["xayn"]}}
        return {"experiment": {"key": "e", "arms": arms}}

    await gateway.takes(configuration(directory, through, placements={"split": split(10)}))
    file = directory / "wanted.yaml"
    file.write_text(gateway.file.read_text())
    assert (await checked(gateway, file))[0] == "nothing would change"
    placements = {"split": split(30), "new": {"providers": ["local"]}}
    wanted = configuration(directory, through, providers={"xayn": {"timeout": "1s"}}, placements=placements)
    del wanted["placements"]["home"]
    file.write_text(yaml.safe_dump({**wanted, "revision": "wanted"}))
    said = await checked(gateway, file)
    assert {"provider xayn: changed: timeout", "placement new: added", "placement home: removed"} <= {*said}
    assert any(line.startswith("placement split: 15.00% of the units get another arm") for line in said), said


async def test_what_did_not_change_lives_on(
    gateway: Process, shop: World, directory: Path, through: dict[str, Relay]
) -> None:
    """Token, breaker, connections and cached answers of one provider, while another one is replaced."""
    login = ("recomendo", "/v1/auth")
    await gateway.takes(configuration(directory, through))
    kept = await gateway.ask("recomendo", user=U0)
    changed = await gateway.ask("xayn", user=U0)
    before = (
        shop.calls[login],
        through["recomendo"].accepted,
        (await gateway.state("recomendo"))["token_expires_at"],
    )
    for seconds in (1, 2, 3):
        await gateway.takes(
            configuration(
                directory, through, providers={"xayn": {"properties": {"year": {"name": f"y{seconds}"}}}}
            )
        )
        asked = await gateway.ask("home", user={"id": f"u{seconds}"})
        assert asked.provider == "recomendo"
    after = (
        shop.calls[login],
        through["recomendo"].accepted,
        (await gateway.state("recomendo"))["token_expires_at"],
    )
    assert after == before
    again = await gateway.ask("recomendo", user=U0)
    assert (again.text, again.cache[:12]) == (kept.text, "gateway; hit")
    other = await gateway.ask("xayn", user=U0)
    assert (other.provider, other.cache) == ("xayn", "gateway; fwd=miss; stored")
    assert other.text != changed.text


async def test_an_open_breaker_stays_open(
    gateway: Process, shop: World, directory: Path, through: dict[str, Relay]
) -> None:
    await gateway.takes(configuration(directory, through, providers={"recomendo": {"rate": "999/s"}}))
    async with shop.broken("recomendo", status=500):
        for n in range(3):
            await gateway.ask("home", user={"id": f"u{n}"})
    assert (await gateway.state("recomendo"))["breaker"]["reads"] == "open"
    more = {"recomendo": {"rate": "999/s"}, "xayn": {"timeout": "1900ms"}}
    await gateway.takes(configuration(directory, through, providers=more))
    assert (await gateway.state("recomendo"))["breaker"]["reads"] == "open"
    assert (await gateway.ask("home", user=U0)).provider == "local"
    await gateway.takes(configuration(directory, through))  # its own change makes it anew
    assert (await gateway.state("recomendo"))["breaker"]["reads"] == "closed"
    assert (await gateway.ask("home", user=U0)).provider == "recomendo"


async def test_taking_a_vendor_out_keeps_its_cached_answers(
    gateway: Process, directory: Path, through: dict[str, Relay]
) -> None:
    """They are what is served while it is out."""
    short = {"providers": ["recomendo"], "cache": {"ttl": "20ms", "stale_if_error": "1h"}}
    await gateway.takes(configuration(directory, through, placements={"short": short}))
    fresh = await gateway.ask("short", user={"id": "u5"})
    assert (fresh.status, fresh.cache) == (200, "gateway; fwd=miss; stored")
    await asyncio.sleep(0.05)  # longer than its ttl
    out = {"recomendo": {"breaker": {"mode": "forced_open"}}}
    await gateway.takes(configuration(directory, through, placements={"short": short}, providers=out))
    stale = await gateway.ask("short", user={"id": "u5"})
    assert (stale.status, stale.text) == (200, fresh.text)
    assert "fwd=stale" in stale.cache
    assert (await gateway.ask("home", user=U0)).provider == "local"


async def test_a_request_under_way_ends_with_the_provider_that_it_began_with(
    gateway: Process, shop: World, directory: Path, through: dict[str, Relay]
) -> None:
    await gateway.takes(configuration(directory, through))
    async with shop.broken("xayn", delay="1800ms", path="users"):
        slow = asyncio.create_task(gateway.ask("xayn", user={"id": "u9"}))
        await until(lambda: shop.calls["xayn", "/users/u9/recommendations"])
        revision = gateway.write(configuration(directory, through, placements={"xayn": {"providers": ["local"]}}))
        gateway.hang_up()
        await gateway.taken(revision)
        assert not slow.done()
        reply = await slow
    assert (reply.status, reply.provider) == (200, "xayn")
    assert (await gateway.ask("xayn", user={"id": "u9"})).provider == "local"


async def test_answers_of_a_placement_that_is_gone_are_not_kept(
    gateway: Process, directory: Path, through: dict[str, Relay]
) -> None:
    await gateway.takes(configuration(directory, through))
    for n in range(5):
        await gateway.ask("recomendo", user={"id": f"u{n}"})
    without = configuration(directory, through)
    del without["placements"]["recomendo"]
    await gateway.takes(without)
    assert (await gateway.ask("recomendo", user=U0)).problem("not-found", 404)
    dropped = (await gateway.request("DELETE", "/v1/cache")).json["dropped"]
    assert dropped == 0


async def test_the_cache_shrinks_to_a_smaller_bound(
    gateway: Process, directory: Path, through: dict[str, Relay]
) -> None:
    await gateway.takes(configuration(directory, through))
    for n in range(5):
        await gateway.ask("recomendo", user={"id": f"u{n}"})
    await gateway.takes({**configuration(directory, through), "cache": {"max_bytes": "1B"}})
    assert "gateway_cache_bytes 0.0" in (await gateway.get("/metrics", admin=True)).text
    await gateway.takes(configuration(directory, through))
    await gateway.ask("recomendo", user=U0)
    assert (await gateway.ask("recomendo", user=U0)).cache.startswith("gateway; hit")


# --- many, under load -------------------------------------------------------------------------------------------

BAD: Final = ("providers: [", "{}", "placements: {home: {providers: [nobody]}}")


@pytest.mark.parametrize(
    "reloads", [50, pytest.param(1000, marks=[pytest.mark.more("long faults"), pytest.mark.timeout(600)])]
)
async def test_many_reloads_under_load(
    shop: World, directory: Path, through: dict[str, Relay], reloads: int
) -> None:
    """No failed request, no growth of memory, connections or tasks; every third file is a bad one."""
    await reload(shop, directory, through, 1)
    async with loaded(shop, traced=reloads > 50) as load_:
        await reload(shop, directory, through, reloads // 4)  # what grows only up to a bound has grown
        await settled(shop)
        before = await footprint(shop, through)
        await reload(shop, directory, through, reloads)
        await settled(shop)
        after = await footprint(shop, through)
    assert load_.failures == [] and load_.answered > reloads
    assert after.tasks <= before.tasks + 2
    assert after.connections <= before.connections + 3
    assert after.objects - before.objects < 2000 + reloads, f"{before.objects} -> {after.objects}"
    assert after.bytes - before.bytes < 200_000 + 100 * reloads, f"{before.bytes} -> {after.bytes}"
    assert shop.runtime.readiness()["config"]["status"] == ("rejected" if reloads % 3 == 0 else "ok")


class Footprint:
    """What must not grow."""

    def __init__(self, shop: World, through: Mapping[str, Relay]) -> None:
        gc.collect()
        self.objects = len(gc.get_objects())
        self.bytes = tracemalloc.get_traced_memory()[0]
        self.tasks = _tasks()
        self.connections = _strays(shop, through)


async def footprint(shop: World, through: Mapping[str, Relay]) -> Footprint:
    """What stays: requests and renewals come and go, so of several looks at them the least counts."""
    shop.metrics()  # durations wait to be counted until somebody looks
    shop.runtime.lately.told()
    found = Footprint(shop, through)
    for _ in range(20):
        await asyncio.sleep(0.02)
        found.tasks = min(found.tasks, _tasks())
        found.connections = min(found.connections, _strays(shop, through))
    return found


def _tasks() -> int:
    return len([task for task in asyncio.all_tasks() if not _of_a_server(task)])


def _strays(shop: World, through: Mapping[str, Relay]) -> int:
    """Connections but for those of the providers in force, which are as many as there were questions at once."""
    transports = [provider._transport for provider in shop.runtime.pipeline.plan.providers.values()]
    origins = [one for lean in transports if isinstance(lean, LeanTransport) for one in lean._origins.values()]
    return sum(relay.open for relay in through.values()) - sum(len(origin.pool) for origin in origins)


def _of_a_server(task: asyncio.Task[Any]) -> bool:
    """aiohttp and the relays have tasks for each connection, which are counted as such."""
    return any(word in repr(task.get_coro()) for word in ("RequestHandler", "_pass", "_copy"))


async def settled(shop: World) -> None:
    """The replaced providers are closed when the old deadline is over."""
    await until(lambda: not shop.runtime._replaced)
    await asyncio.sleep(0.3)  # what waited for that ends


class Load:
    """Callers who never stop asking."""

    def __init__(self) -> None:
        self.answered = 0
        self.failures: list[str] = []

    async def ask(self, shop: World, caller: int) -> None:
        for n in range(sys.maxsize):
            placement = ("home", "recomendo", "xayn")[n % 3]
            reply = await shop.ask(placement, user={"id": f"u{(n + caller) % 30}"})
            self.answered += 1
            if reply.status != 200 or not reply.ids:
                self.failures.append(reply.text)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def loaded(shop: World, *, traced: bool, callers: int = 3) -> AsyncIterator[Load]:
    """`traced`: memory to the byte, which makes everything a few times slower."""
    load_ = Load()
    tasks = [asyncio.create_task(load_.ask(shop, n)) for n in range(callers)]
    if traced:
        tracemalloc.start()
    try:
        yield load_
    finally:
        tracemalloc.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def reload(shop: World, directory: Path, through: Mapping[str, Relay], times: int) -> None:
    """One after the other, as fast as they go: changed providers, changed placements, bad files."""
    file = directory / "many.yaml"
    for n in range(times):
        if n % 3 == 2:
            file.write_text(BAD[n // 3 % len(BAD)])
        else:
            placements: dict[str, Any] = (
                {"home": {"providers": [("recomendo", "xayn")[n // 3 % 2], "local"]}} if n % 2 else {}
            )
            placements |= {"xayn": {"providers": ["xayn", "local"], "cache": HOUR}}
            placements |= {"recomendo": {"providers": ["recomendo", "local"], "cache": HOUR}}
            written = configuration(
                directory,
                through,
                placements=placements,
                providers={"xayn": {"timeout": f"{2 + n % 5}s"}},
                server={"deadline": "8s"},  # the machine may stand still for seconds
            )
            file.write_text(yaml.safe_dump(written))
        try:
            shop.runtime.apply(await asyncio.to_thread(load, file, {}))
        except ConfigError as error:
            shop.runtime.reject(error.mistakes)
            assert shop.runtime.readiness()["config"]["errors"]
