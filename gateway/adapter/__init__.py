"""The protocol of adapters: a vendor's API as a pure dialogue.

An adapter is a frozen pydantic model whose fields are the provider's `options` in the configuration. Each of
its operations is a generator (a *flow*) that yields effects and is sent their results; it does no I/O itself:

    def recommend(self, query):
        answer = yield Request("POST", f"/users/{quoted(query.user.id)}/recommendations", json={"count": 10})
        return Recommendations(tuple(Item(d["id"], d["score"]) for d in answer.json["documents"]))

The core drives it (`gateway.provider.dialogue`): it finds hosts, adds credentials, keeps time, retries, traces.
What an adapter need not do, because the core does it for every adapter:

* ids: `user_ids` and `item_ids` declare what the vendor can take; others arrive encoded and leave decoded;
* property names and dates: respelled by the provider's `properties` setting;
* whatever `expressible`, `seeds`, `max_count` and `says` do not declare: taken out before, made up for after;
* duplicates, deleted items, `count`: mended after;
* defensive code: a LookupError, TypeError, ValueError or AttributeError after an answer becomes `Malformed`.

An answer outside 2xx is thrown into the flow as the `ProviderError` that `error()` makes of it; a flow that
knows better (a 409 that means "nothing yet") catches it at its `yield`.

protocol.py   the class to subclass: what it declares, its credentials, its operations
words.py      what declarations are made of: operations, parts of a question, alphabets of ids
effects.py    what a flow may yield, and what it is sent back
wire.py       requests, answers, tokens; ids in paths
statuses.py   what an answer outside 2xx means where the adapter knows no better
finding.py    which adapters are installed, and whether this gateway can work with them

Everything is imported from here; how the modules divide it may change (docs/versioning.md).
"""

from __future__ import annotations

from gateway.adapter.effects import (
    Done,
    Effect,
    Entity,
    Flow,
    Learn,
    Lookup,
    Owners,
    Recall,
    Refuse,
    Register,
)
from gateway.adapter.finding import Unusable, complaint_of, found, installed, load
from gateway.adapter.protocol import PROTOCOL, Adapter
from gateway.adapter.statuses import default_error, retry_after, vendor_message
from gateway.adapter.wire import Request, Response, Token, quoted
from gateway.adapter.words import ANY_TEXT, Alphabet, EventQuery, How, Operation, Part

__all__ = [
    "ANY_TEXT",
    "PROTOCOL",
    "Adapter",
    "Alphabet",
    "Done",
    "Effect",
    "Entity",
    "EventQuery",
    "Flow",
    "How",
    "Learn",
    "Lookup",
    "Operation",
    "Owners",
    "Part",
    "Recall",
    "Refuse",
    "Register",
    "Request",
    "Response",
    "Token",
    "Unusable",
    "complaint_of",
    "default_error",
    "found",
    "installed",
    "load",
    "quoted",
    "retry_after",
    "vendor_message",
]
