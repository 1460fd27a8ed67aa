"""Weighted rendezvous hashing: shares, stability, and that no unit moves that need not."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from hashlib import blake2b
from math import log
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.policies.split import Arm, Experiment, Split, moved

UNITS = [f"user-{n}" for n in range(4000)]
FEW = UNITS[:200]
names = st.text(min_size=1, max_size=8)
weights = st.floats(0.01, 1000)
some_arms = st.dictionaries(names, weights, min_size=1, max_size=5)

VECTORS = {
    "u1": "control",
    "u2": "challenger",
    "u3": "control",
    "u9": "challenger",
    "u15": "challenger",
    "ünïcode": "control",
    "": "control",
}
"""Computed once, checked against the formula (`by_hand`), then frozen."""


def by_hand(key: str, salt: str, arms: dict[str, float], unit: str) -> str:
    """The docstring's formula, written a second time and otherwise."""

    def score(arm: str, weight: float) -> float:
        text = b""
        for part in (salt, key, arm):
            text += bytes([0, 0, len(part.encode()) // 256, len(part.encode()) % 256]) + part.encode()
        h = int(blake2b(text + unit.encode(), digest_size=8).hexdigest()[:13], 16)
        return -weight / log(Fraction(2 * h + 1, 2**53))

    return max(arms, key=lambda arm: score(arm, arms[arm]))


@pytest.mark.parametrize("unit", VECTORS)
def test_agrees_with_its_documented_formula(unit: str) -> None:
    arms = {"control": 90.0, "challenger": 10.0}
    assert Split("home-2026-11", "autumn", arms).arm(unit) == by_hand("home-2026-11", "autumn", arms, unit)


def test_fixed_vectors() -> None:
    """A change of these moves every shop's users: never change them."""
    split = Split("home-2026-11", "autumn", {"control": 90, "challenger": 10})
    assert {unit: split.arm(unit) for unit in VECTORS} == VECTORS


def test_is_the_same_in_another_process() -> None:
    program = (
        "import json; from gateway.policies.split import Split;"
        "s = Split('k', 's', {'a': 1, 'b': 2, 'c': 3});"
        "print(json.dumps([s.arm(f'user-{n}') for n in range(200)]))"
    )
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        split = Split("k", "s", {"a": 1, "b": 2, "c": 3})
        assert json.loads(run.stdout) == [split.arm(unit) for unit in FEW]


@settings(max_examples=30)
@given(some_arms, st.integers())
def test_the_order_of_arms_is_irrelevant(arms: dict[str, float], seed: int) -> None:
    shuffled = list(arms.items())
    Random(seed).shuffle(shuffled)
    there, here = Split("k", "", arms), Split("k", "", dict(shuffled))
    assert [there.arm(unit) for unit in FEW] == [here.arm(unit) for unit in FEW]


@given(some_arms, st.data())
def test_a_changed_weight_moves_units_only_to_or_from_its_arm(arms: dict[str, float], data: st.DataObject) -> None:
    changed = data.draw(st.sampled_from(sorted(arms)))
    weight = data.draw(weights)
    before, after = Split("k", "", arms), Split("k", "", {**arms, changed: weight})
    for unit in FEW:
        old, new = before.arm(unit), after.arm(unit)
        if old != new:
            assert (new if weight > arms[changed] else old) == changed


@given(some_arms, names, weights)
def test_a_new_arm_takes_from_others_and_moves_none_between_them(
    arms: dict[str, float], name: str, weight: float
) -> None:
    assume(name not in arms)
    before, after = Split("k", "", arms), Split("k", "", {**arms, name: weight})
    assert all(after.arm(unit) in (before.arm(unit), name) for unit in FEW)


@pytest.mark.parametrize("arms", [{"a": 1, "b": 1}, {"a": 90, "b": 10}, {"a": 5, "b": 3, "c": 2}])
def test_shares_are_the_weights(arms: dict[str, float]) -> None:
    split = Split("key", "salt", arms)
    won = [split.arm(unit) for unit in UNITS]
    for name, weight in arms.items():
        share = weight / sum(arms.values())
        deviation = (share * (1 - share) / len(UNITS)) ** 0.5
        assert abs(won.count(name) / len(UNITS) - share) < 4 * deviation


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 90, "b": 10}, {"a": 50, "b": 50}),
        ({"a": 90, "b": 10}, {"a": 9, "b": 1}),
        ({"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 1}),
        ({"a": 1, "b": 1}, {"c": 1}),
        ({"a": 1, "b": 1}, {"a": 1, "b": 0}),
        ({"a": 5, "b": 3, "c": 2}, {"a": 2, "b": 3, "c": 5}),
    ],
)
def test_the_share_that_moves(before: dict[str, float], after: dict[str, float]) -> None:
    old, new = Split("k", "", before), Split("k", "", after)
    seen = sum(old.arm(unit) != new.arm(unit) for unit in UNITS) / len(UNITS)
    assert moved(before, after) == pytest.approx(seen, abs=0.035)
    assert moved(before, before) == pytest.approx(0, abs=1e-12)


def test_one_changed_weight_moves_the_least_possible_share() -> None:
    """No assignment can move fewer units than the shares themselves differ."""
    assert moved({"a": 90, "b": 10}, {"a": 90, "b": 30}) == pytest.approx(0.25 - 0.10)


def test_key_and_salt_assign_anew() -> None:
    arms = {"a": 1.0, "b": 1.0}
    first = [Split("k", "s", arms).arm(unit) for unit in UNITS]
    for other in (Split("k2", "s", arms), Split("k", "s2", arms), Split("ks", "", arms)):
        same = sum(arm == other.arm(unit) for arm, unit in zip(first, UNITS, strict=True)) / len(UNITS)
        assert 0.45 < same < 0.55


def test_weight_0_gets_nobody() -> None:
    split = Split("k", "", {"a": 1, "b": 0, "c": 2})
    assert {split.arm(unit) for unit in UNITS} == {"a", "c"}
    with pytest.raises(ValueError, match="above 0"):
        Split("k", "", {"a": 0, "b": 0})


def test_any_text_is_a_unit() -> None:
    assert Split("k", "", {"a": 1, "b": 1}).arm("\udce4 from a header") in ("a", "b")


def test_settings_refuse_an_experiment_for_nobody() -> None:
    arm = {"weight": 0, "providers": ["x"]}
    with pytest.raises(ValidationError, match="above 0"):
        Experiment.model_validate({"key": "k", "arms": {"a": arm, "b": arm}})
    with pytest.raises(ValidationError):
        Arm.model_validate({"weight": float("nan"), "providers": ["x"]})
    with pytest.raises(ValidationError):
        Arm.model_validate({"weight": 1, "providers": []})
