"""Recomendo, emulated: PredictionIO's event server and the Universal Recommender behind one port.

    app.py           the calls over HTTP, for all four hosts' /v1/… and PredictionIO's own paths
    auth.py          client id and secret ▸ token of an hour
    events.py        what an event is: the vendor's rules, and how it reads and writes times
    store.py         the events, and what follows from them: histories, popularity, properties
    cooccurrence.py  training: correlated cross-occurrence by log-likelihood ratio
    training.py      when it trains: in the background, one at a time
    query.py         the query language
    ranking.py       query + store + model ▸ items and scores

Written from `recomendo-api.txt` and the vendor facts, and from nothing of the gateway.
"""

from gateway.sandbox.recomendo.app import build

__all__ = ["build"]
