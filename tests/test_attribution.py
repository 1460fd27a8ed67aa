"""Recommendation ids: read back by whoever has a key, and by nobody made up."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events.attribution import SIGNATURE, Credentials, Signer, credentials

KEY, OLD, OTHER = b"new" * 11, b"old" * 11, b"other" * 7
SIGNER = Signer([KEY, OLD])
NAMES = st.text(max_size=20)
IDS = st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=20)
MADE = st.builds(
    lambda items, part, **said: credentials(items=[(id_, part) for id_ in items], **said),
    items=IDS, part=st.none() | st.integers(0, 9), provider=NAMES, placement=NAMES, experiment=st.none() | NAMES,
    arm=st.none() | NAMES, query_id=st.none() | NAMES, made_at=st.floats(0, 4e9),
)  # fmt: skip


def made(**said: Any) -> Credentials:
    rest = {
        "provider": "p",
        "placement": "home",
        "experiment": None,
        "arm": None,
        "query_id": None,
        "made_at": 1.9,
    }
    return credentials(**{**rest, "items": [("a", None), ("b", 3)], **said})


@given(said=MADE)
def test_what_was_signed_is_read(said: Credentials) -> None:
    id_ = SIGNER.sign(said)
    assert SIGNER.read(id_) == said
    assert set(id_) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(items=IDS)
def test_positions_and_parts(items: list[str]) -> None:
    said = made(items=[(id_, n) for n, id_ in enumerate(items)])
    for n, id_ in enumerate(items):
        assert said.position(id_) == n + 1
        assert said.part(id_) == n
    assert said.position("\0no item") is None
    assert said.part("\0no item") is None
    assert made(items=[(id_, None) for id_ in items]).parts == ()


def test_two_answers_have_two_ids() -> None:
    assert SIGNER.sign(made()) != SIGNER.sign(made())
    assert made().made_at == 1


@given(said=MADE, at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_bit_changed_is_a_forgery(said: Credentials, at: int, bit: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(SIGNER.sign(said) + "=="))
    raw[at % len(raw)] ^= 1 << bit
    assert SIGNER.read(base64.urlsafe_b64encode(raw).rstrip(b"=").decode()) is None


@given(said=MADE, length=st.integers(0, 10_000))
def test_cut_short_is_a_forgery(said: Credentials, length: int) -> None:
    id_ = SIGNER.sign(said)
    assert SIGNER.read(id_[: length % len(id_)]) is None


@given(text=st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_anything_else_is_none(text: str) -> None:
    assert SIGNER.read(text) is None


def test_of_another_key() -> None:
    assert SIGNER.read(Signer([OTHER]).sign(made())) is None


def test_keys_rotate() -> None:
    """The first signs, all verify."""
    said = made()
    before = Signer([OLD]).sign(said)
    assert SIGNER.read(before) == said
    assert Signer([OLD]).read(SIGNER.sign(said)) is None
    assert Signer([KEY]).read(before) is None


@pytest.mark.parametrize(
    "content", [b"", b"\xc0", msgspec.msgpack.encode(["n", 1]), msgspec.msgpack.encode({"a": 1})]
)
def test_signed_but_no_credentials(content: bytes) -> None:
    """As an older or newer gateway might have signed it."""
    raw = Signer._mac(KEY, content) + content
    assert len(raw) == SIGNATURE + len(content)
    assert SIGNER.read(base64.urlsafe_b64encode(raw).decode()) is None
