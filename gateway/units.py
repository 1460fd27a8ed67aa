"""The units of the configuration: how `30s`, `64KiB`, `50%` and `100/s` are written, read and written back.

    Duration   float, seconds       250ms  30s  1.5m  24h  30d
    Size       int, bytes           512B  64KiB  1MiB  10GiB
    Share      float, 0..1          50%  0.5%
    Rate       float, per second    100/s  90/m

Each is an annotation for a pydantic field. A bare number is refused (of what unit would it be?), but for 0. In
JSON (the effective configuration) a value is written as it may be read again. A default is given as it is
written in YAML, so that the schema shows it so: `timeout: Duration = Field("300ms", validate_default=True)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

N = TypeVar("N", int, float)


class Unit(msgspec.Struct, frozen=True):
    """One way of writing a quantity: a decimal number and a suffix that says what it is multiplied by."""

    noun: str
    factors: Mapping[str, float]
    """By suffix, the smallest first."""
    example: str
    most: float | None = None

    @property
    def pattern(self) -> str:
        """The regular expression of every way to write it (ECMA 262 and Python alike)."""
        suffixes = "|".join(re.escape(suffix) for suffix in self.factors)
        return rf"^[0-9]{{1,15}}(\.[0-9]{{1,9}})?({suffixes})$"

    def read(self, value: object) -> float:
        """The quantity in its base unit; ValueError with what would be right."""
        if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
            return 0.0
        written = re.fullmatch(self.pattern.strip("^$"), value) if isinstance(value, str) else None
        if written is None:
            raise ValueError(f"must be {self.noun} such as {self.example} (units: {', '.join(self.factors)})")
        suffix = written.group(written.re.groups)
        quantity = round(float(written.group()[: -len(suffix)]) * self.factors[suffix], 12)
        if self.most is not None and quantity > self.most:
            raise ValueError(f"must be {self.noun} of at most {self.write(self.most)}")
        return quantity

    def write(self, quantity: float) -> str:
        """The shortest way to write it that `read` understands."""
        largest, factor = next(
            (
                (suffix, factor)
                for suffix, factor in reversed([*self.factors.items()])
                if _whole(quantity / factor)
            ),
            next(iter(self.factors.items())),
        )
        return f"{round(quantity / factor, 9):.15g}{largest}"

    def schema(self) -> dict[str, object]:
        """Its JSON Schema."""
        text = {"type": "string", "pattern": self.pattern, "examples": self.example.split(", ")}
        return {"description": self.noun[0].upper() + self.noun[1:], "anyOf": [text, {"const": 0}]}


def _whole(quantity: float) -> bool:
    return quantity >= 1 and abs(quantity - round(quantity)) < 1e-9 * quantity


DURATION: Final = Unit(
    "a duration", {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}, "250ms, 30s, 5m, 24h"
)
SIZE: Final = Unit(
    "a size in bytes",
    {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40},
    "64KiB, 1MiB, 10GiB",
)
SHARE: Final = Unit("a share", {"%": 0.01}, "50%", most=1.0)
RATE: Final = Unit("a rate", {"/m": 1 / 60, "/s": 1.0}, "100/s, 90/m")


def _read_size(value: object) -> int:
    return round(SIZE.read(value))


def _writer(unit: Unit) -> PlainSerializer:
    return PlainSerializer(unit.write, return_type=str, when_used="json")


Duration = Annotated[float, BeforeValidator(DURATION.read), _writer(DURATION), WithJsonSchema(DURATION.schema())]
"""Seconds."""
Size = Annotated[int, BeforeValidator(_read_size), _writer(SIZE), WithJsonSchema(SIZE.schema())]
"""Bytes."""
Share = Annotated[float, BeforeValidator(SHARE.read), _writer(SHARE), WithJsonSchema(SHARE.schema())]
"""0..1."""
Rate = Annotated[float, BeforeValidator(RATE.read), _writer(RATE), WithJsonSchema(RATE.schema())]
"""Per second."""
