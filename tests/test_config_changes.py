"""What a running gateway would change, and how many units move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import Changes, diff, effective
from tests.configs import read

TEXT = """
providers:
  a: {adapter: local}
  b: {adapter: local, timeout: 100ms}
placements:
  default: {providers: [a, b]}
  home:
    experiment:
      key: k
      salt: autumn
      arms: {control: {weight: 90, providers: [a]}, challenger: {weight: 10, providers: [b, a]}}
"""


def change(directory: Path, *edits: tuple[str, str]) -> Changes:
    after = TEXT
    for old, new in edits:
        assert old in after
        after = after.replace(old, new)
    return diff(effective(read(directory, TEXT)), effective(read(directory, after)))


def test_the_same_changes_nothing(tmp_path: Path) -> None:
    assert [*change(tmp_path).lines()] == []


def test_providers_and_placements(tmp_path: Path) -> None:
    changes = change(
        tmp_path,
        ("  b: {adapter: local, timeout: 100ms}", "  c: {adapter: local}"),
        ("  a: {adapter: local}", "  a: {adapter: local, timeout: 200ms, breaker: {mode: forced_open}}"),
        ("default: {providers: [a, b]}", "other: {providers: [a]}"),
        ("[b, a]", "[c, a]"),
    )
    assert [*changes.lines()] == [
        "provider c: added",
        "provider b: removed",
        "provider a: changed: timeout, breaker.mode",
        "placement other: added",
        "placement default: removed",
        "placement home: changed: experiment.arms.challenger.providers",
        "events.providers: changed",
        "catalog.providers: changed",
    ]


@pytest.mark.parametrize(
    ("edits", "share"),
    [
        ((("weight: 90", "weight: 50"), ("weight: 10", "weight: 50")), 0.4),
        ((("weight: 90", "weight: 9"), ("weight: 10", "weight: 1")), None),
        ((("weight: 90", "weight: 0"),), 0.9),
        ((("challenger: {weight: 10", "newcomer: {weight: 10"),), 2 / 11),
        ((("autumn", "winter"),), 1 - (0.9**2 + 0.1**2)),
        ((("key: k", "key: l"),), 1 - (0.9**2 + 0.1**2)),
        ((("key: k", "key: k\n      unit: X-Device"),), 1 - (0.9**2 + 0.1**2)),
        ((("[b, a]", "[a]"),), None),
    ],
)
def test_units_that_move(tmp_path: Path, edits: tuple[tuple[str, str], ...], share: float | None) -> None:
    moves = change(tmp_path, *edits).moves
    assert [one.placement for one in moves] == ["home"] * (share is not None)
    assert [one.share for one in moves] == [pytest.approx(share)] * len(moves)


def test_what_moves_is_said_in_percent(tmp_path: Path) -> None:
    lines = [*change(tmp_path, ("weight: 90", "weight: 50"), ("weight: 10", "weight: 50")).lines()]
    assert "placement home: 40.00% of the units get another arm; a new phase begins" in lines


def test_an_experiment_that_ends_moves_nobody_between_arms(tmp_path: Path) -> None:
    old = effective(read(tmp_path, TEXT))
    text = TEXT[: TEXT.index("  home:")] + "  home: {providers: [a]}\n"
    changes = diff(old, effective(read(tmp_path, text)))
    assert changes.moves == ()
    assert changes.placements.changed == {"home": ("providers", "experiment")}


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ("server: {listen: 127.0.0.1:81}", "server.listen"),
        ("server: {admin_listen: 127.0.0.1:81}", "server.admin_listen"),
        ("state: {url: 'sqlite:other.db'}", "state.url"),
    ],
)
def test_what_needs_a_restart(tmp_path: Path, more: str, path: str) -> None:
    changes = diff(effective(read(tmp_path, TEXT)), effective(read(tmp_path, TEXT + more)))
    assert [*changes.lines()] == [f"{path}: changed, which needs a restart"]


def test_workers_need_a_restart() -> None:
    changes = diff({"server": {"workers": 1}}, {"server": {"workers": 2}})
    assert changes.restarts == ("server.workers",)


def test_everything_else_that_changed_is_named(tmp_path: Path) -> None:
    more = "cache: {max_bytes: 1MiB}\ntelemetry: {logs: {level: debug}}\nserver: {deadline: 1s}\nrevision: x\n"
    changes = diff(effective(read(tmp_path, TEXT)), effective(read(tmp_path, TEXT + more)))
    assert set(changes.others) == {"cache.max_bytes", "telemetry.logs.level", "server.deadline", "revision"}
    assert changes.restarts == ()


@pytest.mark.parametrize("running", [{}, {"providers": None}, {"server": 5, "placements": {"home": 5}}])
def test_another_versions_configuration_can_be_compared(tmp_path: Path, running: dict[str, Any]) -> None:
    assert [*diff(running, effective(read(tmp_path, TEXT))).lines()]
