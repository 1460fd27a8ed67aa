"""The gateway's own model of what is wanted: what the adapter `local` answers from.

    memory.py       follows the state store, and answers questions
    model.py        all that was learned, put together; what ranks for which question
      popularity.py what is wanted now: every deed fades
      together.py   what the same people want: cosine of items, shrunk where little is known
      catalogue.py  what items are: likeness of their properties, words to search for
    deeds.py        what a deed is worth

Nothing of it is kept but in the store: each process learns it from there, in the same order, so that all answer
alike. Bounded: `popularity.ITEMS`, `together.USERS`, `together.PAIRS`, `catalogue.RECORDS`.
"""

from __future__ import annotations

from gateway.memory.memory import Memory

__all__ = ["Memory"]
