"""The single words of a rule, from Algolia's JSON and to it; reading raises one of `MISFITS` where a word is none.

condition(raw) ─▸ Condition          wire_condition(Condition) ─▸ raw          and so on for each word
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import msgspec

from gateway.adapters.algolia_recommend.filters import clauses, printed
from gateway.adapters.algolia_recommend.grammar import tree_of
from gateway.adapters.algolia_recommend.places import Json
from gateway.errors import Unsupported
from gateway.model.control import Condition, FacetMatch, Period, Promotion
from gateway.model.filters import Filter
from gateway.model.ids import id_complaint

T = TypeVar("T")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)
CONTEXT: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
SCORED: Final = re.compile(r"(?P<facet>[^<>-][^<>]*)(<score=(?P<score>\d+)>)?")
MISFITS: Final = (LookupError, TypeError, ValueError, ArithmeticError, Unsupported)
"""What reading may end in where our words cannot say what stands there: then it is carried as it is."""

# --- the shapes on the wire -----------------------------------------------------------------------------------


class _Condition(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    context: str | None = None
    filters: str | None = None


class _Promotion(msgspec.Struct, forbid_unknown_fields=True, rename={"item": "objectID", "items": "objectIDs"}):
    position: Annotated[int, msgspec.Meta(ge=0)]
    item: str | msgspec.UnsetType = msgspec.UNSET
    items: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class _Hidden(msgspec.Struct, forbid_unknown_fields=True, rename={"item": "objectID"}):
    item: str


class _Range(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    from_: int
    until: int


# --- words ----------------------------------------------------------------------------------------------------


def itself(said: T) -> T:
    """A word that is spelled alike on both sides."""
    return said


def text(raw: object) -> str:
    """A string."""
    return msgspec.convert(raw, str)


def mapping(raw: object) -> Json:
    """An object."""
    return msgspec.convert(raw, Json)


def tree(raw: object) -> Filter:
    """A filter that ours can say in the same letters."""
    said = tree_of(text(raw))
    if said is None:
        raise ValueError("a filter that ours cannot say")
    return said


def filters(said: Filter) -> str:
    """A filter as Algolia writes it."""
    return printed(clauses(said))


def condition(raw: object) -> Condition:
    """A condition with a context, a filter or both."""
    said = msgspec.convert(raw, _Condition)
    if said.context is None and said.filters is None:
        raise ValueError("an empty condition has no word")
    if said.context is not None and not CONTEXT.fullmatch(said.context):
        raise ValueError("not a context")
    return Condition(said.context, None if said.filters is None else tree(said.filters))


def wire_condition(said: Condition) -> Any:
    """Raises Unsupported for a filter with `not`, which Algolia's conditions do not know."""
    if said.filter is None:
        return msgspec.to_builtins(_Condition(said.context))
    filtered = clauses(said.filter)
    if any(term.text.startswith("NOT ") for clause in filtered for term in clause):
        raise Unsupported("a rule's conditions know no `not`")
    return msgspec.to_builtins(_Condition(said.context, printed(filtered)))


def promotions(raw: object) -> tuple[Promotion, ...]:
    """Items at positions, one by one or as groups."""
    return tuple(
        Promotion(_sayable((one.item,) if isinstance(one.item, str) else one.items or ()), one.position)
        for one in msgspec.convert(raw, tuple[_Promotion, ...])
    )


def _sayable(items: tuple[str, ...]) -> tuple[str, ...]:
    """Ids, one at least, that our API can carry. ValueError for others, which stay with the vendor."""
    if not items or any(id_complaint(item) for item in items):
        raise ValueError("an id that our API cannot carry")
    return items


def wire_promotions(said: Sequence[Promotion], groups: object = None) -> list[Any]:
    """`groups`: single items that are written as groups all the same."""
    as_groups = groups if isinstance(groups, list) else []
    return [msgspec.to_builtins(_promotion(one, as_groups)) for one in said]


def _promotion(said: Promotion, groups: list[Any]) -> _Promotion:
    if len(said.items) == 1 and said.items[0] not in groups:
        return _Promotion(said.position, item=said.items[0])
    return _Promotion(said.position, items=said.items)


def lone_groups(raw: object) -> list[str]:
    """Single items that are promoted as groups."""
    entries = raw if isinstance(raw, list) else []
    groups = [one.get("objectIDs") for one in entries if isinstance(one, dict)]
    return [group[0] for group in groups if isinstance(group, list) and len(group) == 1]


def hidden(raw: object) -> tuple[str, ...]:
    """Items that are hidden."""
    found = tuple(one.item for one in msgspec.convert(raw, tuple[_Hidden, ...]))
    return found and _sayable(found)


def wire_hidden(items: Sequence[str]) -> list[Any]:
    """Items to hide."""
    return [msgspec.to_builtins(_Hidden(item)) for item in items]


def matches(raw: object) -> tuple[FacetMatch, ...]:
    """Facets, each as an object or as `brand`, `brand<score=5>`."""
    entries = msgspec.convert(raw, list)
    found = tuple(_scored(one) if isinstance(one, str) else msgspec.convert(one, FacetMatch) for one in entries)
    if not all(one.facet for one in found):
        raise ValueError("a facet without a name")
    return found


def wire_matches(said: Sequence[FacetMatch], texts: object = None) -> list[Any]:
    """`texts`: what is written as strings; all else becomes objects."""
    known = texts if isinstance(texts, list) else []
    return [spelled if (spelled := _scored_text(one)) in known else _facet_object(one) for one in said]


def _scored(spelled: str) -> FacetMatch:
    found = SCORED.fullmatch(spelled)
    if found is None:
        raise ValueError("not a facet's name, nor one with a score")
    return FacetMatch(found["facet"], score=None if found["score"] is None else int(found["score"]))


def _scored_text(said: FacetMatch) -> str | None:
    """How a match is written as a string; None where no string can say it."""
    if said.disjunctive is not None or said.negative is not None:
        return None
    return said.facet if said.score is None else f"{said.facet}<score={said.score}>"


def _facet_object(said: FacetMatch) -> Json:
    return {name: value for name, value in msgspec.to_builtins(said).items() if value is not None}


def periods(raw: object) -> tuple[Period, ...]:
    """Spans of time, from Unix seconds."""
    said = msgspec.convert(raw, tuple[_Range, ...])
    if any(one.from_ >= one.until for one in said):
        raise ValueError("a period without a moment in it has no word")
    return tuple(Period(EPOCH + one.from_ * SECOND, EPOCH + one.until * SECOND) for one in said)


def wire_periods(said: Sequence[Period]) -> list[Any]:
    """Unix seconds; fractions are cut off."""
    seconds = [_Range((one.from_ - EPOCH) // SECOND, (one.until - EPOCH) // SECOND) for one in said]
    return [msgspec.to_builtins(one) for one in seconds]
