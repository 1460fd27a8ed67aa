"""How a caller's words are spelled at one provider: ids, users' pseudonyms, names and dates of properties.

Every id that an adapter sees has been respelled here, and every id that it answers is read back:

    caller's id ─▸ as it is             where the vendor's alphabet takes it
                ─▸ g64-<base64url>      where it does not (also ids that look encoded, `.` and `..`)
                ─▸ gh-<keyed hash>      where that is too long; the id map knows the way back
    a user's id ─▸ <keyed hash>         where the provider is to see pseudonyms only

The spelling is injective: an id that begins like an encoded one is encoded.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from gateway.adapter import Alphabet, Entity
from gateway.model.activity import Activity, Change, Credit, Event, EventItem, Listed, Listing
from gateway.model.filters import All, AnyOf, Compare, Filter, Ids, Not, Op, instant
from gateway.model.query import Facet, FacetScore, Item, Recommend, Recommendations, Search, Seen, Snippet, User

ENCODED: Final = "g64-"
HASHED: Final = "gh-"
RESPELLED: Final = (ENCODED, HASHED)
"""How spelled ids begin that are not as the caller has them."""


class PropertyName(msgspec.Struct, frozen=True):
    """How one property is called and stored at a vendor."""

    name: str
    stored: Literal["date", "unix_s", "unix_ms"] | None = None


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Spelling:
    """The reversible spelling of one sort of id for one vendor."""

    def __init__(self, alphabet: Alphabet, key: bytes, *, plain: bool = False) -> None:
        self._takes = re.compile(alphabet.pattern or r"(?s:.*)").fullmatch
        self._any = not alphabet.pattern
        self._max = alphabet.max_bytes
        self._plain = plain
        self._key = key
        self.spell = lru_cache(maxsize=4096)(self._spell)

    def _spell(self, id_: str) -> str:
        if self._plain:
            return id_
        looks_encoded = id_.startswith(RESPELLED) or id_ in (".", "..")
        if not looks_encoded and self._takes(id_) and len(id_.encode()) <= self._max:
            return id_
        encoded = ENCODED + _base64url(id_.encode())
        if len(encoded) <= self._max:
            return encoded
        return HASHED + _base64url(hmac.digest(self._key, id_.encode(), "sha256"))

    def read(self, spelled: str) -> str:
        """The caller's id; a hashed one as it is (the id map must be asked)."""
        if self._plain or not spelled.startswith(ENCODED):
            return spelled
        packed = spelled[len(ENCODED) :]
        try:
            id_ = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
        except ValueError:
            return spelled
        return id_ if self.spell(id_) == spelled else spelled


def is_hashed(spelled: str) -> bool:
    """Must the id map be asked for the caller's id?"""
    return spelled.startswith(HASHED)


class Dialect:
    """One provider's spelling of everything. Pure: what needs the id map is said by `hashed`."""

    def __init__(
        self,
        user_ids: Alphabet,
        item_ids: Alphabet,
        key: bytes,
        *,
        properties: Mapping[str, PropertyName] | None = None,
        pseudonymize: bool = False,
        plain: bool = False,
    ) -> None:
        """`plain`: ids go as they are, because there is no vendor behind it (`local`)."""
        self._users = Spelling(user_ids, key, plain=plain)
        self._items = Spelling(item_ids, key, plain=plain)
        self._key = key
        self._pseudonymize = pseudonymize
        self._names = dict(properties or {})
        self._callers = {name.name: (caller, name) for caller, name in self._names.items()}

    # --- ids
    def user(self, id_: str) -> str:
        """A user's id as the vendor sees it."""
        if self._pseudonymize:
            return _base64url(hmac.digest(self._key, b"user\0" + id_.encode(), "sha256"))
        return self._users.spell(id_)

    def item(self, id_: str) -> str:
        """An item's id as the vendor sees it."""
        return self._items.spell(id_)

    def spell(self, entity: Entity, id_: str) -> str:
        """Either of them."""
        return self.user(id_) if entity == "user" else self.item(id_)

    def hashed(self, entity: Entity, ids: tuple[str, ...]) -> dict[str, str]:
        """Of these callers' ids the ones whose way back only the id map can know: `{vendor's: caller's}`."""
        spelled = {self.spell(entity, id_): id_ for id_ in ids}
        return {vendor: id_ for vendor, id_ in spelled.items() if is_hashed(vendor) and vendor != id_}

    def read_item(self, spelled: str, known: Mapping[str, str]) -> str:
        """The caller's id of a vendor's item id; `known` is what the id map says of the hashed ones."""
        return known.get(spelled) or self._items.read(spelled)

    def read_user(self, spelled: str, known: Mapping[str, str]) -> str | None:
        """The caller's id of a vendor's user id; None where it is a pseudonym."""
        if self._pseudonymize:
            return known.get(spelled)
        return known.get(spelled) or self._users.read(spelled)

    # --- properties
    def name(self, property_: str) -> str:
        """What the vendor calls a property."""
        found = self._names.get(property_)
        return found.name if found else property_

    def caller_name(self, vendor_name: str) -> str:
        """What callers call a vendor's property."""
        found = self._callers.get(vendor_name)
        return found[0] if found else vendor_name

    def value(self, property_: str, value: Any) -> Any:
        """A property's value as the vendor stores it: dates become numbers where `as` says so."""
        found = self._names.get(property_)
        if found is None or found.stored in (None, "date"):
            return value
        if isinstance(value, list | tuple):
            return type(value)(self.value(property_, one) for one in value)
        moment = instant(value)
        if moment is None:
            return value
        seconds = moment.timestamp()
        return round(seconds * 1000) if found.stored == "unix_ms" else _whole(seconds)

    def properties(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """A record in the vendor's words."""
        if not self._names:
            return dict(properties)
        return {self.name(key): self.value(key, value) for key, value in properties.items()}

    def read_properties(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """A vendor's record in the caller's words."""
        if not self._names:
            return dict(properties)
        return dict(self._read_property(key, value) for key, value in properties.items())

    def _read_property(self, key: str, value: Any) -> tuple[str, Any]:
        if key not in self._callers:
            return key, value
        caller, name = self._callers[key]
        if name.stored in ("unix_s", "unix_ms") and isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if name.stored == "unix_ms" else value
            with suppress(ValueError, OverflowError, OSError):  # no date of our calendar: the number says it
                return caller, datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
        return caller, value

    def filter(self, tree: Filter) -> Filter:
        """A filter in the vendor's words; of the same shape."""
        match tree:
            case Compare():
                return Compare(self.name(tree.property), tree.op, self.value(tree.property, tree.value))
            case Ids():
                return Ids(tuple(self.item(id_) for id_ in tree.ids))
            case All():
                return All(tuple(self.filter(part) for part in tree.of))
            case AnyOf():
                return AnyOf(tuple(self.filter(part) for part in tree.of))
            case Not():
                return Not(self.filter(tree.of))

    def read_filter(self, tree: Filter) -> Filter:
        """A vendor's filter in the caller's words."""
        match tree:
            case Compare():
                return Compare(*self._read_property_of(tree))
            case Ids():
                return Ids(tuple(self.read_item(id_, {}) for id_ in tree.ids))
            case All():
                return All(tuple(self.read_filter(part) for part in tree.of))
            case AnyOf():
                return AnyOf(tuple(self.read_filter(part) for part in tree.of))
            case Not():
                return Not(self.read_filter(tree.of))

    def _read_property_of(self, leaf: Compare) -> tuple[str, Op, Any]:
        values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        read = tuple(self._read_property(leaf.property, value)[1] for value in values)
        return self.caller_name(leaf.property), leaf.op, read if isinstance(leaf.value, tuple) else read[0]

    # --- questions and answers
    def question(self, query: Recommend) -> Recommend:
        """A question in the vendor's words; the same object where these are no others."""
        user = self._user(query.user)
        if not (query.items or query.facet or query.filter or query.exclude_items or query.recent):
            return query if user is query.user else replace(query, user=user)
        return replace(
            query,
            user=user,
            items=self._spelled(query.items),
            facet=query.facet and Facet(self.name(query.facet.name), query.facet.value),
            filter=None if query.filter is None else self.filter(query.filter),
            exclude_items=self._spelled(query.exclude_items),
            recent=self._spelled(query.recent),
            snippets=self._snippets(query.snippets),
        )

    def search(self, search: Search) -> Search:
        """A search in the vendor's words."""
        return replace(
            search,
            user=self._user(search.user),
            item=None if search.item is None else self.item(search.item),
            filter=None if search.filter is None else self.filter(search.filter),
            exclude_items=self._spelled(search.exclude_items),
            snippets=self._snippets(search.snippets),
        )

    def _spelled(self, items: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(self._items.spell, items)) if items else ()

    def _user(self, user: User | None) -> User | None:
        if user is None:
            return None
        id_ = None if user.id is None else self.user(user.id)
        if not user.history and id_ == user.id:
            return user
        return User(id_, tuple(Seen(self.item(seen.item), seen.time) for seen in user.history))

    def _snippets(self, snippets: tuple[Snippet, ...]) -> tuple[Snippet, ...]:
        return snippets and tuple(Snippet(self.item(snippet.item), snippet.part) for snippet in snippets)

    def reads_alike(self, said: Recommendations) -> bool:
        """Is a vendor's answer in the caller's words as it is? Most are."""
        return not (self._names or said.facets or [1 for item in said.items if item.id.startswith(RESPELLED)])

    def answer(self, said: Recommendations, known: Mapping[str, str]) -> Recommendations:
        """A vendor's answer in the caller's words."""
        items = tuple(self._item(item, known) for item in said.items)
        facets = tuple(FacetScore(self.caller_name(f.name), f.value, f.score) for f in said.facets)
        return replace(said, items=items, facets=facets)

    def _item(self, item: Item, known: Mapping[str, str]) -> Item:
        properties = None if item.properties is None else self.read_properties(item.properties)
        return Item(self.read_item(item.id, known), item.score, properties, item.snippet, item.part)

    # --- the write side
    def event(self, event: Event) -> Event:
        """An event in the vendor's words."""
        items = tuple(EventItem(self.item(one.id), one.quantity, one.price) for one in event.items)
        credit = event.credit and Credit(
            event.credit.query_id,
            {self.item(id_): position for id_, position in event.credit.positions.items()},
            self._snippets(event.credit.snippets),
        )
        return replace(event, user=self.user(event.user), items=items, credit=credit)

    def change(self, entity: Entity, change: Change) -> Change:
        """A record in the vendor's words."""
        unset = tuple(self.name(name) for name in change.unset)
        return Change(self.spell(entity, change.id), self.properties(change.properties), unset)

    def listing(self, entity: Entity, listing: Listing, known: Mapping[str, str]) -> Listing:
        """A vendor's list in the caller's words."""
        return Listing(tuple(self._listed(entity, one, known) for one in listing.entries))

    def _listed(self, entity: Entity, one: Listed, known: Mapping[str, str]) -> Listed:
        id_ = one.id
        if id_ is not None:
            id_ = self.read_user(id_, known) if entity == "user" else self.read_item(id_, known)
        return Listed(id_, one.provider_id, self.read_properties(one.properties))

    def activity(self, activity: Activity, known: Mapping[str, str]) -> Activity:
        """One of a vendor's own events in the caller's words; the vendor's stand beside them."""
        return replace(
            activity,
            provider_user=activity.provider_user or activity.user,
            provider_item=activity.provider_item or activity.item,
            user=None if activity.user is None else self.read_user(activity.user, known),
            item=None if activity.item is None else self.read_item(activity.item, known),
        )


def _whole(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds
