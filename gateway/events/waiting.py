"""The errands of one provider that are at hand, in order, and which of them may go next.

    oldest ─▸ [u1 e1] [u2 e1] [i9 put] [u1 e2] [u3 e1] …        a part of them; the rest is in the store
                 │       └ busy: under way, so all of u2 waits
                 └ due later: so all of u1 waits

Order is kept within a subject (a user, or an item): what one subject waits for holds up no other. Only that no
event overtakes an item that is on its way for the first time, because some vendors ignore what happens to items
that they do not know. And an erasure waits for nothing that was put off before it: what it follows is gone from
the store, as a courier finds out before it tells it. A load is one call's: errands of one kind, the oldest that
may go first. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from gateway.state.kept import Errand

ALONE: Final = 2
"""What failed so often goes alone, so that it can hold up or spoil no others."""


class Waiting:
    """Of one provider. Not for several threads."""

    def __init__(self) -> None:
        self._errands: OrderedDict[int, Errand] = OrderedDict()
        self._under_way: dict[int, Errand] = {}

    def __len__(self) -> int:
        """Those that are not under way."""
        return len(self._errands)

    def __iter__(self) -> Iterator[Errand]:
        return iter(self._errands.values())

    @property
    def busy(self) -> set[str]:
        """The subjects of what is under way."""
        return {errand.subject for errand in self._under_way.values()}

    def add(self, errands: Iterable[Errand]) -> None:
        """Those that follow, in order; what is at hand or under way already is not taken twice."""
        new = [one for one in errands if one.seq not in self._under_way and one.seq not in self._errands]
        if erased := {one.subject for one in new if one.kind == "erase_user"}:
            self._due_now(erased)
        self._errands.update((one.seq, one) for one in new)

    def take(self, most: int, now: float) -> list[Errand]:
        """The next load, of at most so many; empty when nothing may go. Under way until `over`."""
        held = self.busy
        load: list[Errand] = []
        refs: set[str] = set()
        new_item = min((one.seq for one in self._under_way.values() if _is_new_item(one)), default=None)
        for errand in self._errands.values():
            if errand.kind == "event" and new_item is not None and errand.seq > new_item:
                held.add(errand.subject)
            if errand.subject in held:
                continue
            if _is_new_item(errand) and new_item is None and not (load and load[0].kind == errand.kind):
                new_item = errand.seq
            fits = errand.due <= now and errand.ref not in refs and (not load or _together(load[0], errand))
            if not fits:
                held.add(errand.subject)
                continue
            load.append(errand)
            refs.add(errand.ref)
            if len(load) >= most or errand.attempts >= ALONE:
                break
        self._begin(load)
        return load

    def take_one(self) -> list[Errand]:
        """Whatever was tried least, due or not: to find out whether a provider that was down works again."""
        held = self.busy
        heads: dict[str, Errand] = {}
        for errand in self._errands.values():
            if errand.subject not in held:
                heads.setdefault(errand.subject, errand)
        load = [min(heads.values(), key=lambda one: (one.attempts, one.seq))] if heads else []
        self._begin(load)
        return load

    def _begin(self, load: Iterable[Errand]) -> None:
        for errand in load:
            del self._errands[errand.seq]
            self._under_way[errand.seq] = errand

    def over(self, load: Iterable[Errand], back: Iterable[Errand] = ()) -> None:
        """A load is no longer under way; these of it wait again, at their place."""
        for errand in load:
            self._under_way.pop(errand.seq, None)
        returned = list(back)
        if returned:
            whole = sorted((*self._errands.values(), *returned), key=lambda one: one.seq)
            self._errands = OrderedDict((errand.seq, errand) for errand in whole)

    def all_due(self) -> None:
        """What failed with the provider is no longer put off, so that the oldest goes first again."""
        self._due_now({errand.subject for errand in self._errands.values()})

    def _due_now(self, subjects: Container[str]) -> None:
        for seq, errand in self._errands.items():
            if errand.due and errand.subject in subjects:
                self._errands[seq] = replace(errand, due=0.0)

    def next_due(self, now: float) -> float | None:
        """When the next errand that was put off is due."""
        return min((errand.due for errand in self._errands.values() if errand.due > now), default=None)

    def clear(self) -> None:
        """Nothing is at hand any more; what is under way stays so."""
        self._errands.clear()


def _is_new_item(errand: Errand) -> bool:
    return errand.kind == "put_item" and not errand.attempts


def _together(first: Errand, errand: Errand) -> bool:
    return first.kind == errand.kind and first.attempts < ALONE and errand.attempts < ALONE
