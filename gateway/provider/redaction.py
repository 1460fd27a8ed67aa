"""What is said of an account, without its secrets: a vendor may repeat what it was sent.

They are taken out of errors and refusals before these are shortened: half a secret would not be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr

from gateway.adapter import Adapter
from gateway.errors import ProviderError
from gateway.masking import SECRET, Mask

MOST_SAID: Final = 20_000
"""Characters of what a vendor says that are looked at."""
LONGEST: Final = 500
"""Characters of it that are kept."""
SHOWN: Final = 200
"""Characters of its message that are shown."""


class Redaction:
    """Of one account: no secret of its options, in whatever spelling, and no token."""

    def __init__(self, adapter: Adapter, tokens: Callable[[], Iterable[str]]) -> None:
        """`tokens`: those that it has or lately had."""
        self._adapter = adapter
        self._tokens = tokens

    @cached_property
    def _mask(self) -> Mask:
        """Made when something goes wrong for the first time."""
        return Mask(secrets_of(self._adapter), SECRET)

    def text(self, text: str) -> str:
        """A text of the vendor's."""
        text = text[:MOST_SAID]
        for token in self._tokens():
            if token:
                text = text.replace(token, SECRET).replace(quote(token, safe=""), SECRET)
        return self._mask.text(text)[:LONGEST]

    def error(self, error: ProviderError) -> None:
        """Take every secret out of what is said about an error."""
        error.detail = self.text(error.detail)
        if error.vendor_message:
            error.vendor_message = self.text(error.vendor_message)[:SHOWN]
        error.args = (error.detail,)


def secrets_of(adapter: Adapter) -> list[str]:
    """The secrets among an adapter's options."""
    return [secret.get_secret_value() for _, secret in adapter if isinstance(secret, SecretStr)]
