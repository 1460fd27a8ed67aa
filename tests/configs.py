"""What the tests of the configuration share: a small file, a vendor of their own, and reading with both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import pytest
from pydantic import ConfigDict, Field, SecretStr, field_validator

from gateway.adapter import Adapter, Flow, How
from gateway.adapters.local import Local
from gateway.config import ConfigError, Loaded, load
from gateway.config.installed import Find
from gateway.model.activity import Event
from gateway.model.query import Kind, Recommend, Recommendations
from gateway.units import Duration

MINIMAL = """
providers:
  local: {adapter: local}
placements:
  default: {providers: [local]}
"""


class Vendor(Adapter):
    """A vendor that serves one kind and takes events."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    url: str
    """Where it is."""
    token: SecretStr
    """Its credentials."""
    every: Duration = Field("30m", validate_default=True, alias="refresh")
    """How often."""
    mood: str = "good"
    """Refused where it is not good, in words that repeat it."""

    kinds: ClassVar[Mapping[Kind, How]] = {"for_you": "native"}

    @field_validator("mood")
    @classmethod
    def _good(cls, mood: str) -> str:
        if mood != "good":
            raise ValueError(f"must be good, not {mood}")
        return mood

    def recommend(self, query: Recommend) -> Flow[Recommendations]:
        raise NotImplementedError

    def track(self, events: Sequence[Event]) -> Flow[None]:
        raise NotImplementedError


class Profiler(Adapter):
    """A vendor that is in no list, because it can do nothing that lists are for."""


def _missing() -> type[Adapter]:
    raise ModuleNotFoundError("No module named 'nowhere'")


INSTALLED: Mapping[str, Find] = {
    "local": lambda: Local,
    "vendor": lambda: Vendor,
    "profiler": lambda: Profiler,
    "broken": _missing,
}


def read(directory: Path, text: str, environ: Mapping[str, str] | None = None, **more: Any) -> Loaded:
    """The configuration in a text, from a file called gateway.yaml."""
    file = directory / "gateway.yaml"
    file.write_text(dedent(text))
    return load(file, environ or {}, installed=INSTALLED, **more)


def complaints(directory: Path, text: str, environ: Mapping[str, str] | None = None, **more: Any) -> list[str]:
    """What is wrong with it: `line: path: message`, in order."""
    with pytest.raises(ConfigError) as caught:
        read(directory, text, environ, **more)
    start = len(str(directory / "gateway.yaml:"))
    return [str(mistake)[start:] if mistake.line else str(mistake) for mistake in caught.value.mistakes]
