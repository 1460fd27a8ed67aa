"""Every operation: the one table that routes, scopes and the OpenAPI document are made from.

endpoint.py       what is said of each
recommending.py   recommendations, search
controlling.py    one provider: rules, tasks, strategy, profiles, training, vendors' own lists
operating.py      for ops: providers, configuration, cache
experimenting.py  for ops: what each arm of an experiment did
showing.py        for people who run it: the page at /ui; its words: ui_words.py
documents.py      without credentials: documents, the state of the process
"""

from __future__ import annotations

from typing import Final

from gateway.server.endpoints import (
    controlling,
    documents,
    experimenting,
    operating,
    recommending,
    showing,
    telling,
)
from gateway.server.endpoints.documents import Alive, ConfigState, Readiness
from gateway.server.endpoints.endpoint import Endpoint
from gateway.server.endpoints.operating import CacheQuery, Dropped
from gateway.server.endpoints.recommending import BatchAnswer

__all__ = [
    "ENDPOINTS",
    "Alive",
    "BatchAnswer",
    "CacheQuery",
    "ConfigState",
    "Dropped",
    "Endpoint",
    "Readiness",
]

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *recommending.ENDPOINTS,
    *telling.ENDPOINTS,
    *controlling.ENDPOINTS,
    *operating.ENDPOINTS,
    *experimenting.ENDPOINTS,
    *documents.ENDPOINTS,
    *showing.ENDPOINTS,
)
