"""Xayn, emulated: front office 2.7.0 and back office on one app, with a real content model behind them.

    app          the API gateway in front: throttle ▸ token ▸ room ▸ errors as the vendor words them
      front_office   recommendations, interactions, search        ┐ wire      shapes, ids, timestamps
      back_office    documents, candidates, properties            ┘ filters   a filter, checked and compiled
        search       which snippets, in which order
          interests  a person's centres of interest
          index      TF-IDF vectors of snippets, inverted
        store        documents, snippets, candidates, schema, people
          text       words, splitting, summarizing

Sources: `xayn-front-office-api.txt`, FACTS §5, and the vendor's published OpenAPI and user guide for the
back office, whose words for kinds and details of errors are kept.
"""

from gateway.sandbox.xayn.app import build

__all__ = ["build"]
