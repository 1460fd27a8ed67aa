"""Algolia, emulated: Recommend, its rules and tasks, the index batch and Insights on one application,
Personalization on another, over one shared world. Written from the vendor's documents and specification,
never from our adapters.

    recommend.py        HTTP ─┬─ queries, parameters ▸ answers ▸ models (behaviour, likeness), effects, profiles
                              ├─ rules, rule_search          filters, filter_lists ▸ conditions
                              ├─ feeding (index batch)
                              └─ insights
    personalization.py  HTTP ─── profiles
    world.py            the state; refusal.py, http.py: how it says no, and how it speaks
"""

from gateway.sandbox.algolia.personalization import build_personalization
from gateway.sandbox.algolia.recommend import build_recommend
from gateway.sandbox.algolia.world import World

__all__ = ["World", "build_personalization", "build_recommend"]
