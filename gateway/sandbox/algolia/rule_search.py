"""The search among recommend rules: by words, context and state, paged, with what matched highlighted."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.algolia.refusal import Refused, a_text, an_object, member_names, names, whole
from gateway.sandbox.algolia.rules import Rule
from gateway.sandbox.algolia.world import iso

MEMBERS = names("query context page hitsPerPage enabled filters facets maxValuesPerFacet requestOptions")
SEARCHED = ("objectID", "description", "condition", "conditions", "consequence")


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; every word has to begin a word somewhere in the rule."""

    words: tuple[str, ...]
    context: str | None
    enabled: bool | None
    page: int
    size: int

    @classmethod
    def read(cls, value: object) -> "Search":
        given = an_object(value, "body")
        member_names(given, MEMBERS, "body")
        enabled = given.get("enabled")
        if enabled is not None and not isinstance(enabled, bool):
            raise Refused(400, "enabled must be a boolean")
        context = given.get("context") or None
        return cls(
            words=tuple(a_text(given.get("query") or "", "query").casefold().split()),
            context=None if context is None else a_text(context, "context"),
            enabled=enabled,
            page=whole(given.get("page", 0), "page", 0),
            size=whole(given.get("hitsPerPage", 20), "hitsPerPage", 1, 1000),
        )

    def finds(self, rule: Rule) -> bool:
        if self.enabled is not None and rule.enabled is not self.enabled:
            return False
        if self.context is not None and self.context not in {one.context for one in rule.when}:
            return False
        texts = [text for name in SEARCHED for text in _texts(rule.sent.get(name))]
        return all(any(_begins(word).search(text) for text in texts) for word in self.words)


def search(rules: Iterable[Rule], wanted: Search) -> dict[str, Any]:
    """The page of hits, each with `_metadata` and `_highlightResult`."""
    found = sorted((rule for rule in rules if wanted.finds(rule)), key=lambda rule: rule.id)
    page = found[wanted.page * wanted.size : (wanted.page + 1) * wanted.size]
    return {
        "hits": [_hit(rule, wanted.words) for rule in page],
        "nbHits": len(found),
        "page": wanted.page,
        "nbPages": -(-len(found) // wanted.size),
    }


def _hit(rule: Rule, words: tuple[str, ...]) -> dict[str, Any]:
    highlighted = {name: _highlight(rule.sent.get(name), words) for name in SEARCHED}
    return {
        **rule.sent,
        "enabled": rule.enabled,
        "_metadata": {"lastUpdate": iso(rule.changed_at)},
        "_highlightResult": {name: one for name, one in highlighted.items() if one},
    }


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _begins(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}", re.IGNORECASE)


def _highlight(value: object, words: tuple[str, ...]) -> Any:
    """The tree of the value, cut down to the strings that matched."""
    if isinstance(value, str):
        return _marked(value, words)
    if isinstance(value, dict):
        inner = {name: _highlight(one, words) for name, one in value.items()}
        return {name: one for name, one in inner.items() if one}
    if isinstance(value, list):
        return [one for one in (_highlight(one, words) for one in value) if one]
    return None


def _marked(text: str, words: tuple[str, ...]) -> dict[str, Any] | None:
    matched = [word for word in words if _begins(word).search(text)]
    if not matched:
        return None
    either = "|".join(re.escape(word) for word in sorted(matched, key=len, reverse=True))
    marked = re.sub(rf"(?<!\w)({either})", r"<b>\1</b>", text, flags=re.IGNORECASE)
    return {
        "value": marked,
        "matchLevel": "full" if len(matched) == len(words) else "partial",
        "fullyHighlighted": re.fullmatch(r"(<b>[^<]*</b>\W*)+", marked) is not None,
        "matchedWords": matched,
    }
