"""The six things to try: lines to be pasted into a shell, in the directory where the demo was started."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gateway.config import Configuration
from gateway.demo.data import Data
from gateway.demo.places import CONFIGURATION, Ports
from gateway.model.activity import Change

RECOMMENDATIONS: Final = "/v1/recommendations"
SWITCHED: Final = "discover"
"""The placement whose vendors are exchanged: it is not cached and has no experiment."""
BROKEN: Final = "recomendo"
FAILING_OVER: Final = "default"
"""A placement that the vendor to be broken is first in, not cached either."""
PLAIN: Final = re.compile(r"[A-Za-z0-9 ]+")
"""Texts that need no quoting inside quotes, so that the lines stay readable."""
KEY: Final = "GATEWAY_KEY"
"""The shell's variable with the key, where one is needed."""
USUAL: Final = 60
"""Ratings of somebody who is worth recommending to."""


class Known(msgspec.Struct, frozen=True):
    """Whom and what every vendor knows."""

    user: str
    item: str
    title: str
    """The item's."""
    genre: str
    """One of the item's."""


class Try(msgspec.Struct, frozen=True):
    """One thing to try."""

    about: str
    lines: tuple[str, ...]


def known(data: Data) -> Known:
    """Somebody with an ordinary history, and a popular item that a line can name."""
    buyers = {
        user: ratings for user, ratings in data.people.items() if sum(one.stars >= 4 for one in ratings) >= 5
    }
    user = min(buyers or data.people, key=lambda user: (abs(len(data.people[user]) - USUAL), user))
    records = {item.id: item for item in data.items}
    item = next(record for id_ in data.popular() if _is_plain(record := records[id_]))
    spread = Counter(genre for one in data.items for genre in one.properties["genre"])
    genre = max(filter(PLAIN.fullmatch, item.properties["genre"]), key=lambda genre: (spread[genre], genre))
    return Known(user, item.id, item.properties["title"], genre)


def _is_plain(item: Change) -> bool:
    genres = item.properties["genre"]
    return PLAIN.fullmatch(item.properties["title"]) is not None and any(map(PLAIN.fullmatch, genres))


def tries(known: Known, ports: Ports, configuration: Configuration) -> list[Try]:
    """The six, for a gateway and vendors at these ports."""
    shell = _Shell(ports)
    home: dict[str, Any] = {"placement": "home", "user": {"id": known.user}}
    cart: dict[str, Any] = {"placement": "cart", "items": [known.item]}
    few = {"count": 3, "include": ["properties"]}
    batch = [{**one, "count": 2} for one in (home, cart, {"placement": "trending"})]
    discover = shell.who({**home, "placement": SWITCHED})
    default = shell.who({**home, "placement": FAILING_OVER})
    return [
        Try(f"What the home page shows {known.user}, with titles", (shell.post(RECOMMENDATIONS, home | few),)),
        Try(
            f'What is like "{known.title}", but {known.genre} and from 1980 on, by GET',
            (shell.similar(known.item, known.genre),),
        ),
        Try("A search", (shell.post("/v1/search", {"query": known.title, **few}),)),
        Try("Three placements in one call", (shell.post(f"{RECOMMENDATIONS}/batch", {"requests": batch}),)),
        Try(
            "Switch a vendor: who answers now, and who after an edit, which the running gateway takes by itself",
            (discover, f"{_exchange(configuration)} && sleep 2 && {discover}"),
        ),
        Try(
            f"Break a vendor ({BROKEN}): another answers the same request; the last line heals it",
            (default, shell.fault({"status": 503}) + default, shell.fault({}) + default),
        ),
    ]


class _Shell:
    """Writes lines for a shell."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        python = "python3" if shutil.which("python3") else shlex.quote(sys.executable)
        self._pretty = f"| {python} -m json.tool"
        self._key = "" if ports.key is None else f'-H "Authorization: Bearer ${KEY}" '

    def post(self, path: str, body: dict[str, Any]) -> str:
        """Asks, and shows the whole answer."""
        return f"{self._asked(path, body)} {self._pretty}"

    def who(self, body: dict[str, Any]) -> str:
        """Asks, and shows of the answer who gave it."""
        return f"{self._asked(RECOMMENDATIONS, body)} | grep -o '\"source\":{{[^}}]*}}'"

    def similar(self, item: str, genre: str) -> str:
        """The form for those who prefer a URL."""
        wanted = [{"property": "genre", "eq": genre}, {"property": "year", "gte": 1980}]
        parameters = f"-d placement=product_page -d item={item} -d count=3 -d include=properties"
        tree = shlex.quote(f"filter={_json({'all': wanted})}")
        url = f"{self._ports.url}{RECOMMENDATIONS}"
        return f"curl -sG {url} {self._key}{parameters} --data-urlencode {tree} {self._pretty}"

    def fault(self, members: dict[str, Any]) -> str:
        """Breaks or heals a vendor, and goes on."""
        url = f"http://{self._ports.vendor_at(BROKEN)}/_faults"
        return f"curl -s -o /dev/null -X PUT {url} -d {shlex.quote(_json(members))} && "

    def _asked(self, path: str, body: dict[str, Any]) -> str:
        json_ = "-H 'Content-Type: application/json'"
        return f"curl -s {self._ports.url}{path} {self._key}{json_} -d {shlex.quote(_json(body))}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _exchange(configuration: Configuration) -> str:
    """Exchanges the first two vendors of a placement in the file. `-i.bak`, as BSD's sed wants an ending too."""
    first, second, *rest = configuration.placements[SWITCHED].providers or ()
    before, after = _list((first, second, *rest)), _list((second, first, *rest))
    return f"sed -i.bak '/^  {SWITCHED}:/,/providers:/s/\\[{before}\\]/[{after}]/' {CONFIGURATION}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def shown(all_: Iterable[Try]) -> str:
    """As it is printed."""
    parts = []
    for number, one in enumerate(all_, 1):
        lines = "\n".join(f"    {line}" for line in one.lines)
        parts.append(f"{number}. {one.about}:\n{lines}\n")
    return "\n".join(parts)
