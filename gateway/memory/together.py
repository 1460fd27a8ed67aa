"""What the same people want: how alike two items are by who wanted them.

                      Σ_u w(u,i) · w(u,j)
    alike(i, j) = ─────────────────────────────          w: 0..1, the most that u did to the item
                   ‖w(·,i)‖ · ‖w(·,j)‖ + SHRINK

The cosine, shrunk where little is known: one person who bought both proves less than ten (the shrink term of
item-based neighbourhood models; Ferrari Dacrema, Cremonesi, Jannach, "Are We Really Making Much Progress?",
RecSys 2019, §4.1). All sums grow deed by deed: a deed adds to the pairs of its item with the user's last items.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

RECENT: Final = 30
"""A user's last items that are kept, and that a new one is paired with."""
USERS: Final = 50_000
"""Users whose last items are kept; who did nothing for longest is forgotten first."""
PARTNERS: Final = 200
"""Items that one item is paired with; where there are more, the weaker half is forgotten."""
PAIRS: Final = 1_000_000
"""Pairs in all, each counted in both directions (some 100 MB); beyond, one item after the other forgets its
weaker half."""
SHRINK: Final = 10.0
"""Ten people who bought both make half of full proof."""


class Together:
    """The sums, and every user's last items."""

    def __init__(self) -> None:
        self._users: dict[str, dict[str, float]] = {}
        self._partners: dict[str, dict[str, float]] = {}
        self._norms: dict[str, float] = {}
        self._pairs = 0
        self.forgot_users = False
        """Is there anybody whose last items are no longer here?"""

    def add(self, user: str, item: str, want: float) -> None:
        """The user wants the item so much, 0..1; no less than before."""
        recent = self._users.pop(user, None) or {}
        self._users[user] = recent  # last in order: dicts keep it
        before = recent.pop(item, 0.0)
        now = max(before, want)
        if now > before:
            self._norms[item] = self._norms.get(item, 0.0) + now * now - before * before
            self._pair(item, recent, now - before)
        recent[item] = now
        if len(recent) > RECENT:
            del recent[next(iter(recent))]
        if len(self._users) > USERS:
            del self._users[next(iter(self._users))]
            self.forgot_users = True
        while self._pairs > PAIRS:
            self._forget_some()

    def recent(self, user: str) -> dict[str, float]:
        """The user's last items with how much each was wanted, oldest first."""
        return self._users.get(user, {})

    def knows(self, user: str) -> bool:
        """Are this user's last items here?"""
        return user in self._users

    def alike(self, item: str) -> dict[str, float]:
        """The items that go with this one, 0..1."""
        norm = self._norms.get(item, 0.0)
        return {
            other: both / (sqrt(norm * self._norms[other]) + SHRINK)
            for other, both in self._partners.get(item, {}).items()
        }

    def forget_user(self, user: str) -> None:
        """Forget whose the sums are; the sums stay until all is learned anew."""
        self._users.pop(user, None)

    def _pair(self, item: str, recent: dict[str, float], risen: float) -> None:
        """The item with each of the others, both ways. The hottest loop of learning: no calls within."""
        own = self._partners.setdefault(item, {})
        for other, wanted in recent.items():
            if not wanted:
                continue
            theirs = self._partners.get(other)
            if theirs is None:
                theirs = self._partners[other] = {}
            more = risen * wanted
            if other in own:
                own[other] += more
            else:
                own[other] = more
                self._pairs += 1
            if item in theirs:
                theirs[item] += more
            else:
                theirs[item] = more
                self._pairs += 1
                if len(theirs) > PARTNERS:
                    self._keep_the_stronger(other)
        if len(own) > PARTNERS:
            self._keep_the_stronger(item)
        elif not own:
            del self._partners[item]

    def _forget_some(self) -> None:
        """One item forgets its weaker half and goes to the end of the row, so that each has its turn."""
        item = next(iter(self._partners))
        self._keep_the_stronger(item)
        if item in self._partners:
            self._partners[item] = self._partners.pop(item)

    def _keep_the_stronger(self, item: str) -> None:
        """At least one partner goes; which, depends on the sums alone and, among equals, on the ids."""
        partners = self._partners.pop(item)
        self._pairs -= len(partners)
        kept = sorted(partners.items(), key=lambda pair: (-pair[1], pair[0]))[: len(partners) // 2]
        if kept:
            self._partners[item] = dict(kept)
            self._pairs += len(kept)
