"""The words that an adapter is declared in: operations, parts of a question, alphabets of ids; and which of the
vendor's own events are asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Operation = Literal[
    "recommend", "recommend_batch", "search", "track", "put_users", "put_items", "delete_items", "erase_user",
    "list_users", "list_items", "list_events", "profile", "forget_profile", "strategy", "put_strategy",
    "put_rules", "rule", "delete_rule", "search_rules", "task", "train", "usage",
]  # fmt: skip
How = Literal["native", "made"]
Part = Literal["exclude_items", "exclude_seen", "include_seen", "contexts", "hybrid", "history", "snippets"]


class Alphabet(msgspec.Struct, frozen=True):
    """Which ids a vendor can take. Others are spelled reversibly by the dialect (`gateway.provider.dialect`)."""

    pattern: str = ""
    """A regular expression that a whole id must match; empty: any text."""
    max_bytes: int = 256


ANY_TEXT = Alphabet()


class EventQuery(msgspec.Struct, frozen=True):
    """Which of the vendor's own events are asked for."""

    user: str | None = None
    item: str | None = None
    type: str | None = None
    since: datetime | None = None
    """Not before."""
    until: datetime | None = None
    """Before."""
    limit: int = 100
