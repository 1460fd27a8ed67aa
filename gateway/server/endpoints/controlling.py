"""Operations that address one provider: rules, tasks, strategy, profiles and training."""

from __future__ import annotations

from typing import Any, Final

from gateway.errors import NoProviderCan, Unavailable
from gateway.model.control import RuleSearch, Strategy
from gateway.model.control_wire import (
    BatchQuery,
    ChangeBegun,
    ProfileForgotten,
    ProviderQuery,
    RuleBatch,
    TaskState,
    TrainingBegun,
    TrainingState,
    WireProfile,
    WireRule,
    WireRulePage,
)
from gateway.server.endpoints.endpoint import ANSWERS, BODIES, CALLS, Endpoint

RULE: Final[dict[str, Any]] = {
    "id": "drama-week",
    "description": "Drama first, for those who come by the campaign",
    "conditions": [{"context": "drama-week"}],
    "filter": {"property": "genre", "eq": "Drama"},
    "data": {"banner": "Drama week"},
}
KIND: Final = {"kind": "similar_items"}
NAMED_RULE: Final = {**KIND, "id": RULE["id"]}
SCORES: Final = (("view", "view", 5), ("add_to_cart", "conversion", 25), ("purchase", "conversion", 50))
STRATEGY: Final[dict[str, Any]] = {
    "events": [{"name": name, "type": type_, "score": score} for name, type_, score in SCORES],
    "facets": [{"name": "genre", "score": 100}],
    "impact": 50,
}


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        name="write_rules",
        method="POST",
        path="/v1/rules/{kind}/batch",
        scope="catalog",
        about="Write merchandising rules of one kind, in place of those of the same ids or of all.",
        takes=RuleBatch,
        in_query=BatchQuery,
        answers=ChangeBegun,
        statuses=(202,),
        problems=(*CALLS, *BODIES, *ANSWERS),
        example={"rules": [RULE]},
        given=KIND,
    ),
    Endpoint(
        name="rule",
        method="GET",
        path="/v1/rules/{kind}/{id}",
        scope="catalog",
        about="One rule. Sent back in a batch as it came, it stays what it is.",
        in_query=ProviderQuery,
        answers=WireRule,
        problems=(*CALLS, *ANSWERS),
        example=NAMED_RULE,
    ),
    Endpoint(
        name="search_rules",
        method="POST",
        path="/v1/rules/{kind}/search",
        scope="catalog",
        about="Rules by words, context and state; no words: all.",
        takes=RuleSearch,
        in_query=ProviderQuery,
        answers=WireRulePage,
        problems=(*CALLS, *BODIES, *ANSWERS),
        example={"query": "drama", "enabled": True, "count": 10},
        given=KIND,
    ),
    Endpoint(
        name="delete_rule",
        method="DELETE",
        path="/v1/rules/{kind}/{id}",
        scope="catalog",
        about="Delete a rule.",
        in_query=ProviderQuery,
        answers=ChangeBegun,
        statuses=(202,),
        problems=(*CALLS, *ANSWERS),
        example=NAMED_RULE,
    ),
    Endpoint(
        name="task",
        method="GET",
        path="/v1/tasks/{task_id}",
        scope="catalog",
        about="Has a change of rules taken effect?",
        in_query=ProviderQuery,
        answers=TaskState,
        problems=(*CALLS, *ANSWERS),
        from_answer=("write_rules", "task_id"),
    ),
    Endpoint(
        name="strategy",
        method="GET",
        path="/v1/personalization/strategy",
        scope="catalog",
        about="What makes profiles, and how much they weigh.",
        in_query=ProviderQuery,
        answers=Strategy,
        problems=(*CALLS, *ANSWERS),
    ),
    Endpoint(
        name="put_strategy",
        method="PUT",
        path="/v1/personalization/strategy",
        scope="catalog",
        about="Replace the strategy; profiles are made anew by it.",
        takes=Strategy,
        in_query=ProviderQuery,
        answers=Strategy,
        problems=(*CALLS, *BODIES, *ANSWERS),
        example=STRATEGY,
    ),
    Endpoint(
        name="profile",
        method="GET",
        path="/v1/users/{id}/profile",
        scope="catalog",
        about="What a vendor believes that a user likes. Waits its turn where the provider has a rate.",
        in_query=ProviderQuery,
        answers=WireProfile,
        problems=(*CALLS, *ANSWERS),
        example={"id": "u1"},
    ),
    Endpoint(
        name="forget_profile",
        method="DELETE",
        path="/v1/users/{id}/profile",
        scope="catalog",
        about="Delete a user's profile: what was done before no longer counts.",
        in_query=ProviderQuery,
        answers=ProfileForgotten,
        problems=(*CALLS, *ANSWERS),
        example={"id": "u1"},
    ),
    Endpoint(
        name="train",
        method="POST",
        path="/v1/training",
        scope="catalog",
        about="Let a vendor learn anew from all that it was told. Refused before the vendor's interval is over.",
        in_query=ProviderQuery,
        answers=TrainingBegun,
        statuses=(202,),
        problems=(*CALLS, *ANSWERS),
    ),
    Endpoint(
        name="training",
        method="GET",
        path="/v1/training",
        scope="catalog",
        about="When it last ran, when it may run next, and what has been told since.",
        in_query=ProviderQuery,
        answers=TrainingState,
        problems=(*CALLS, NoProviderCan, Unavailable),
    ),
)
