"""The configuration's units: what is read, what is refused and with which words, and that it is written back."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from gateway import units
from gateway.units import Duration, Rate, Share, Size, Unit


class Settings(BaseModel):
    timeout: Duration = Field("300ms", validate_default=True)
    body: Size = Field("1MiB", validate_default=True)
    share: Share = Field("10%", validate_default=True)
    rate: Rate = Field("100/s", validate_default=True)


@pytest.mark.parametrize(
    ("unit", "text", "quantity"),
    [
        (units.DURATION, "250ms", 0.25),
        (units.DURATION, "30s", 30),
        (units.DURATION, "1.5m", 90),
        (units.DURATION, "24h", 86400),
        (units.DURATION, "30d", 2592000),
        (units.SIZE, "64KiB", 65536),
        (units.SIZE, "10GiB", 10 * 2**30),
        (units.SHARE, "50%", 0.5),
        (units.RATE, "100/s", 100),
        (units.RATE, "90/m", 1.5),
    ],
)
def test_reads_and_writes_back(unit: Unit, text: str, quantity: float) -> None:
    assert unit.read(text) == pytest.approx(quantity)
    assert unit.read(unit.write(quantity)) == pytest.approx(quantity)
    assert unit.read(0) == 0


@pytest.mark.parametrize("text", [30, 0.5, True, "30", "30 s", "-1s", "s", "1e3s", "1S", "30s\n", None, ["1s"]])
def test_refuses_what_has_no_unit(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 250ms, 30s, 5m, 24h"):
        units.DURATION.read(text)


def test_a_share_is_never_more_than_all() -> None:
    with pytest.raises(ValueError, match="at most 100%"):
        units.SHARE.read("101%")


@given(st.integers(0, 10**9))
def test_every_millisecond_and_byte_comes_back(count: int) -> None:
    assert units.DURATION.read(units.DURATION.write(count / 1000)) == pytest.approx(count / 1000)
    assert round(units.SIZE.read(units.SIZE.write(count))) == count


def test_in_a_model() -> None:
    settings = Settings()
    assert (settings.timeout, settings.body, settings.share, settings.rate) == (0.3, 2**20, 0.1, 100.0)
    written = settings.model_dump(mode="json")
    assert written == {"timeout": "300ms", "body": "1MiB", "share": "10%", "rate": "100/s"}
    assert Settings.model_validate(written) == settings
    jsonschema.validate(written, Settings.model_json_schema())
    assert Settings.model_json_schema()["properties"]["timeout"]["default"] == "300ms"
    with pytest.raises(ValidationError, match="must be a size in bytes such as 64KiB"):
        Settings.model_validate({"body": 65536})
