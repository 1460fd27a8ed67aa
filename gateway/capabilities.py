"""What each installed adapter can do, as a table: from what its class overrides and declares, so that it is true.

python -m gateway.capabilities                    prints it
python -m gateway.capabilities --write README.md  puts it between the marks there

native    one operation of the vendor's       made   composed of several
gateway   the vendor cannot, the gateway does it for every vendor       –   cannot
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from gateway.adapter import Adapter, Operation, Part, load
from gateway.model.filters import AnyOf, Compare, Filter, Ids, Not
from gateway.model.query import KINDS, Kind

BEGIN: Final = "<!-- capabilities -->"
END: Final = "<!-- /capabilities -->"
NO: Final = "–"
GATEWAY: Final = "gateway"

SEEDED: Final[tuple[Kind, ...]] = ("similar_items", "bought_together", "looking_similar")

Cell = Callable[[type[Adapter]], str]

OPERATIONS: Final[Mapping[str, Operation]] = {
    "several questions in one call": "recommend_batch",
    "events": "track",
    "users": "put_users",
    "items": "put_items",
    "delete items": "delete_items",
    "erase a user": "erase_user",
    "list users": "list_users",
    "list items": "list_items",
    "list events": "list_events",
    "profile": "profile",
    "forget a profile": "forget_profile",
    "strategy": "strategy",
    "change the strategy": "put_strategy",
    "write rules": "put_rules",
    "read a rule": "rule",
    "delete a rule": "delete_rule",
    "search rules": "search_rules",
    "tasks": "task",
    "training": "train",
    "quota": "usage",
}
PARTS: Final[Mapping[str, tuple[Part, str]]] = {
    "exclude_items": ("exclude_items", GATEWAY),
    "exclude_seen: true": ("exclude_seen", GATEWAY),
    "exclude_seen: false": ("include_seen", NO),
    "history without an id": ("history", NO),
    "context": ("contexts", NO),
    "hybrid": ("hybrid", NO),
    "seeds by the snippet shown": ("snippets", NO),
}
"""Parts of a question, and who does what the vendor cannot."""
FILTERS: Final[Mapping[str, Filter]] = {
    "filter: one of some values": Compare("genre", "in", ("Drama", "War")),
    "filter: not": Not(Compare("genre", "eq", "Drama")),
    "filter: a range of numbers": Compare("year", "gte", 1990),
    "filter: any of several": AnyOf((Compare("genre", "eq", "Drama"), Compare("genre", "eq", "War"))),
    "filter: ids": Ids(("i1", "i2")),
}
"""Samples: what an adapter says that it can express of each."""


def rows() -> Iterator[tuple[str, Cell]]:
    """What is asked of every adapter, in the order of the table."""
    yield from ((kind, partial(_kind, kind=kind)) for kind in KINDS)
    yield "search", partial(_operation, operation="search")
    yield "seeds in one question", _seeds
    yield "items in one answer", lambda adapter: str(adapter.max_count) if _answers(adapter) else NO
    yield "properties in answers", _properties
    yield from ((name, partial(_filter, sample=sample)) for name, sample in FILTERS.items())
    yield from ((name, partial(_part, part=part, instead=instead)) for name, (part, instead) in PARTS.items())
    yield "a caller's `options`", lambda adapter: ", ".join(sorted(adapter.caller_options)) or NO
    yield from ((name, partial(_operation, operation=operation)) for name, operation in OPERATIONS.items())
    yield "events no older than", _age


def _kind(adapter: type[Adapter], kind: Kind) -> str:
    return adapter.kinds.get(kind, NO)


def _operation(adapter: type[Adapter], operation: Operation) -> str:
    return adapter.has(operation) or NO


def _answers(adapter: type[Adapter]) -> bool:
    return bool(adapter.kinds) or adapter.has("search") is not None


def _seeds(adapter: type[Adapter]) -> str:
    kinds = [kind for kind in SEEDED if kind in adapter.kinds]
    return str(max(adapter.seeds.get(kind, 1) for kind in kinds)) if kinds else NO


def _properties(adapter: type[Adapter]) -> str:
    if not _answers(adapter):
        return NO
    return "native" if adapter.carries_properties else GATEWAY


def _filter(adapter: type[Adapter], sample: Filter) -> str:
    if not _answers(adapter):
        return NO
    if not adapter.over_http:  # its answers are the gateway's own
        return GATEWAY
    (can,) = adapter.model_construct().expressible([sample])
    return "native" if can else GATEWAY


def _part(adapter: type[Adapter], part: Part, instead: str) -> str:
    if part in adapter.says:
        return "native"
    return instead if _answers(adapter) else NO


def _age(adapter: type[Adapter]) -> str:
    if adapter.max_event_age is None:
        return NO
    return f"{adapter.max_event_age / 86_400:g} days"


def table(adapters: Mapping[str, type[Adapter]] | None = None) -> dict[str, dict[str, str]]:
    """`{row: {adapter's name: cell}}`; by default of the installed adapters."""
    chosen = load() if adapters is None else adapters
    names = sorted(chosen, key=lambda name: (not chosen[name].over_http, name))
    return {row: {name: cell(chosen[name]) for name in names} for row, cell in rows()}


def markdown(cells: Mapping[str, Mapping[str, str]]) -> str:
    """The table as Markdown."""
    columns = list(next(iter(cells.values())))
    lines = [["", *columns], *([row, *of.values()] for row, of in cells.items())]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns) + 1)]
    written = [_line(line, widths) for line in lines]
    return "\n".join([written[0], _line(["-" * width for width in widths], widths), *written[1:]]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def block(text: str) -> str:
    """What stands between the marks of a text. Raises ValueError where it has not one pair of them."""
    return _around(text)[1]


def put(text: str, written: str) -> str:
    """The text with this between its marks. Raises ValueError as above."""
    before, _, after = _around(text)
    return f"{before}{BEGIN}\n{written}{END}{after}"


def _around(text: str) -> tuple[str, str, str]:
    parts = re.split(f"{BEGIN}\n|{END}", text)
    if len(parts) != 3:
        raise ValueError(f"there must be one {BEGIN} and one {END}")
    return parts[0], parts[1], parts[2]


def main(arguments: Sequence[str]) -> int:
    """0, or 2 for arguments that it does not know."""
    written = markdown(table())
    match arguments:
        case []:
            sys.stdout.write(written)
        case ["--write", name]:
            file = Path(name)
            file.write_text(put(file.read_text(), written))
        case _:
            sys.stderr.write("usage: python -m gateway.capabilities [--write FILE]\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
