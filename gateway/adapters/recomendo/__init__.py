"""Recomendo: PredictionIO's event server and the Universal Recommender behind four hosts.

    adapter.py     the account: hosts, token, operations
    questions.py   a question ▸ a query; an answer ▸ recommendations; what of a filter can be said
    letters.py     events and records ▸ the vendor's events, one a letter
    post.py        letters ▸ calls, one by one or in batches
    stored.py      the vendor's own events: listed, deleted
    wire.py        the shapes of the vendor's answers

The vendor's document is damaged and says less than PredictionIO does; FACTS.md §1 completes it.
"""

from gateway.adapters.recomendo.adapter import Recomendo

__all__ = ["Recomendo"]
