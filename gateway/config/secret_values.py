"""The secrets that stand in a configuration, by value: for whoever must not say them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr


def secret_values(value: Any) -> Iterator[str]:
    """Of a configuration, or of any part of one; the passwords within its URLs too."""
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            for name in type(value).model_fields:
                yield from secret_values(getattr(value, name))
        case dict():
            for one in value.values():
                yield from secret_values(one)
        case list() | tuple():
            for one in value:
                yield from secret_values(one)
        case str() if "@" in value and "://" in value:
            password = urlsplit(value).password
            yield from {password, unquote(password)} if password else ()
