"""Counts that follow each event are the counts that one would make afresh."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.algolia.behaviour import Pairs

STEPS = st.lists(
    st.tuples(st.sampled_from(["add"] * 4 + ["ask"] * 4 + ["forget"]), st.integers(0, 1), st.integers(0, 2)),
    max_size=60,
)


@given(STEPS)
def test_pairs_kept_up_to_date_are_pairs_counted_afresh(steps: list[tuple[str, int, int]]) -> None:
    kept = Pairs()
    did: dict[str, set[str]] = {}
    for step, person, thing in steps:
        user, item = f"u{person}", f"i{thing}"
        if step == "add":
            kept.add(user, item)
            did.setdefault(user, set()).add(item)
        elif step == "forget":
            kept.forget(user)
            did.pop(user, None)
        else:
            afresh: dict[str, int] = {}
            for other in (other for mine in did.values() if item in mine for other in mine if other != item):
                afresh[other] = afresh.get(other, 0) + 1
            assert dict(kept.both(item)) == afresh
            assert kept.people(item) == sum(item in mine for mine in did.values())
