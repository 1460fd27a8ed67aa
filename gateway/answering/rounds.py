"""One way through a placement's providers, with a note of how it went.

one provider after the other ▸ tailoring ▸ provider    the first that answers
many seeds: their questions to one provider travel together
"""

from __future__ import annotations

from collections.abc import Awaitable

from gateway.answering.asked import Asked
from gateway.answering.asker import Asker, ask_alone
from gateway.answering.tailoring import Ask, Tailor
from gateway.deadline import Clock, Deadline
from gateway.events.hidden import Hidden
from gateway.model.query import Recommendations
from gateway.policies.failover import Attempt, Failover, NoneAnswered
from gateway.provider.account import Provider
from gateway.state.store import Store
from gateway.telemetry.notes import Notes, Round


class Rounds:
    """Of one pipeline."""

    def __init__(self, store: Store, hidden: Hidden, notes: Notes, clock: Clock) -> None:
        self._store = store
        self._hidden = hidden
        self._notes = notes
        self._clock = clock

    async def first(
        self, asked: Asked, ask: Ask | None, deadline: Deadline, attempts: list[Attempt]
    ) -> tuple[str, Recommendations]:
        """Name and answer of the first provider that has one; the attempts before it are added.

        `ask`: how providers are asked, where the questions of several requests travel together.
        Raises NoneAnswered.
        """
        ask = ask or (Asker().ask if _has_many_seeds(asked) else ask_alone)

        def one(provider: Provider, deadline: Deadline) -> Awaitable[Recommendations]:
            return Tailor(asked, provider, self._hidden).answer(ask, self._store, deadline)

        named = [(provider.name, provider) for provider in asked.candidates.providers]
        started = self._clock()
        try:
            name, said = await Failover(one, self._clock).first(named, deadline, attempts)
        except NoneAnswered:
            self._note(asked, attempts, None, (), started, deadline)
            raise
        self._note(asked, attempts, name, tuple([item.id for item in said.items]), started, deadline)
        return name, said

    def _note(
        self,
        asked: Asked,
        attempts: list[Attempt],
        name: str | None,
        items: tuple[str, ...],
        started: float,
        deadline: Deadline,
    ) -> None:
        ended = self._clock()
        self._notes.note(
            Round(
                asked.placement.name,
                asked.kind,
                asked.arm.name,
                asked.question.count,
                tuple(attempts),
                name,
                items,
                ended - started,
                asked.subject,
                asked.key,
                ended,
                deadline.trace,
                deadline.cause,
            )
        )


def _has_many_seeds(asked: Asked) -> bool:
    return len(getattr(asked.question, "items", ())) > 1
