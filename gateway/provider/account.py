"""One configured account at a vendor: everything between "ask this" and bytes on the wire.

    call(operation, question)
      ▸ gates              throttle, bulkhead, breaker, rate: may it be asked at all?      (gates.py)
        ▸ translation      the vendor's spelling of ids, names, dates
          ▸ dialogue       the adapter's flow, effect by effect         (conversation.py)
            ▸ attempts     credentials, host by host, with its share of the time
              ▸ transport  one HTTP exchange
          ◂ translation    the caller's spelling again

One value or one ProviderError comes back. Its text is redacted: no secret of the options, no token.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from gateway.adapter import Adapter, Flow, Operation, Token
from gateway.deadline import Clock, Deadline
from gateway.errors import PassedOver, ProviderError
from gateway.memory import Memory
from gateway.model.activity import Receipt
from gateway.model.query import Recommendations
from gateway.place import ALONE, Place
from gateway.policies.budget import RetryBudget
from gateway.policies.hosts import HostOrder
from gateway.provider.attempts import Attempts
from gateway.provider.conversation import Conversation
from gateway.provider.dialect import Dialect, PropertyName
from gateway.provider.dialogue import converse
from gateway.provider.drift import Drift
from gateway.provider.gates import Gates
from gateway.provider.redaction import Redaction
from gateway.provider.settings import ProviderSettings
from gateway.provider.token import TokenKeeper
from gateway.provider.token_sharing import TokenSharing
from gateway.provider.translation import hashed_ids, read, speak, spoken_ids
from gateway.state.store import Store, StoreError
from gateway.telemetry.notes import Called, Notes
from gateway.transport import LeanTransport, Transport

READS: Final[frozenset[Operation]] = frozenset({"recommend", "recommend_batch", "search"})
"""The operations that answer a caller who waits: `timeout` holds for them, `write_timeout` for the rest."""
RECEIPTS: Final[frozenset[Operation]] = frozenset({"track", "put_users", "put_items", "delete_items"})
"""The operations whose result is what became of each event or change: those that write ids."""


class Provider:
    """Asks one vendor. All mutable state of an account lives in its parts: token, hosts, breakers, pool."""

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        settings: ProviderSettings,
        store: Store,
        *,
        key: bytes,
        memory: Memory,
        transport: Transport | None = None,
        clock: Clock = time.monotonic,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        longest_pause: float | None = None,
        notes: Notes | None = None,
        place: Place = ALONE,
    ) -> None:
        """`longest_pause`: seconds for which its breaker of writes may stay open; a backlog waits behind it.

        `place`: among the processes that divide its rate.
        """
        self.name = name
        self.adapter = adapter
        self.settings = settings
        self.adapter_name: str = getattr(settings, "adapter", type(adapter).__name__)
        """What `adapter:` says in the configuration."""
        self._notes = notes = notes or Notes()
        rng = rng or random.Random()  # noqa: S311  # jitter, not secrets
        self._store = store
        self._memory = memory
        self.clock = clock
        self.dialect = _dialect(adapter, settings, key)
        self._transport = transport or _transport(settings)
        hosts = {name: HostOrder(tuple(urls), rng, clock) for name, urls in adapter.hosts().items()}
        budget = RetryBudget(settings.retry_budget, clock)
        self._attempts = Attempts(
            adapter,
            self._transport,
            hosts,
            budget,
            provider=name,
            attempts=settings.attempts,
            rng=rng,
            clock=clock,
            sleep=sleep,
            notes=notes,
            drift=Drift(name, self.adapter_name, adapter.documented, notes) if adapter.documented else None,
        )
        self._primaries = tuple(urls[0] for urls in adapter.hosts().values())
        if adapter.over_http and (type(adapter).login is not Adapter.login):
            sharing = TokenSharing(name, adapter, key, store, clock=clock, sleep=sleep)
            self._attempts.token = TokenKeeper(self._login, clock, sharing)
        self.gates = Gates(settings, clock, rng, sleep, place=place, longest_pause=longest_pause)
        self._redaction = Redaction(adapter, lambda: self.token.recent if self.token else ())

    @property
    def token(self) -> TokenKeeper | None:
        """The access token's keeper, where the vendor has logins."""
        return self._attempts.token

    async def call(self, operation: Operation, *arguments: Any, deadline: Deadline) -> Any:
        """Perform one operation in the caller's words. Raises ProviderError, redacted.

        The last provider of a list waits for the end of a throttle, or for its turn within the rate that is set
        for it, where that fits the deadline.
        """
        started = self.clock()
        try:
            if self.adapter.over_http:
                result = await self.gates.through(
                    operation not in READS, deadline, lambda: self._converse(operation, arguments, deadline)
                )
            else:
                result = await self._unguarded(operation, arguments, deadline)
        except ProviderError as error:
            self._tell(operation, started, error=error)
            raise
        self._tell(operation, started, result)
        return result

    def _tell(
        self, operation: Operation, started: float, result: object = None, error: ProviderError | None = None
    ) -> None:
        seconds = self.clock() - started
        self._notes.note(Called(self.name, self.adapter_name, operation, seconds, result, error))

    async def _unguarded(self, operation: Operation, arguments: tuple[Any, ...], deadline: Deadline) -> Any:
        """No gates: nothing between it and the gateway can break (CONFIG.md, `local`)."""
        started = self.clock()
        result = await self._converse(operation, arguments, deadline)
        self.gates.health.note(self.clock() - started, None)
        return result

    async def _converse(self, operation: Operation, arguments: tuple[Any, ...], deadline: Deadline) -> Any:
        timeout = self.settings.timeout if operation in READS else self.settings.write_timeout
        conversation = Conversation(self.name, self._attempts, self._store, self._memory, deadline, timeout)
        callers: Mapping[str, str] = {}
        try:
            if operation in RECEIPTS:
                callers = await self._keep_way_back(operation, arguments)
            flow = getattr(self.adapter, operation)(*speak(self.dialect, operation, arguments))
            result = await converse(flow, conversation)
            if operation in RECEIPTS:
                return self._receipt(conversation, callers)
            if isinstance(result, Recommendations) and self.dialect.reads_alike(result):
                return result
            known = await self._owners(hashed_ids(result))
            return read(self.dialect, operation, arguments, result, known)
        except ProviderError as error:
            if operation in RECEIPTS:
                error.receipt = self._receipt(conversation, callers)
            self._redaction.error(error)
            raise
        except StoreError as error:  # ours, not the vendor's: nothing of it is held against the provider
            failure = PassedOver("the gateway's own store cannot serve this now")
            failure.receipt = self._receipt(conversation, callers) if operation in RECEIPTS else None
            raise failure from error

    async def _keep_way_back(self, operation: Operation, arguments: tuple[Any, ...]) -> Mapping[str, str]:
        """`{vendor's: caller's}` of what the operation writes; hashed ids go into the id map first."""
        callers: dict[str, str] = {}
        for entity, id_ in spoken_ids(operation, arguments):
            if operation != "track":  # a receipt for events names events, whose ids are not respelled
                callers[self.dialect.spell(entity, id_)] = id_
            if hashed := self.dialect.hashed(entity, (id_,)):
                await self._store.bind(self.name, entity, {id_: vendor for vendor, id_ in hashed.items()})
        return callers

    async def _owners(self, hashed: Sequence[tuple[Any, str]]) -> dict[str, str]:
        known: dict[str, str] = {}
        for entity in {entity for entity, _ in hashed}:
            known |= await self._store.owners(self.name, entity, [id_ for e, id_ in hashed if e == entity])
        return known

    def _receipt(self, conversation: Conversation, callers: Mapping[str, str]) -> Receipt:
        receipt = conversation.receipt(callers)
        refused = {id_: self._redaction.text(reason) for id_, reason in receipt.refused.items()}
        return Receipt(receipt.done, refused)

    async def login(self) -> None:
        """Have a token where the vendor has logins. Raises ProviderError."""
        if self.token is not None and self.token.current() is None:
            await self.token.fetched()

    async def warm(self) -> None:
        """Have a token and an open connection ahead of the next request. Raises ProviderError."""
        if self.adapter.over_http:
            await self.login()
            for url in self._primaries:
                await self._transport.open(url)

    async def _login(self) -> Token:
        flow: Flow[Token] | None = self.adapter.login()
        assert flow is not None  # noqa: S101  # there is a keeper only where there is a login
        deadline = Deadline.within(self.clock, self.settings.write_timeout)
        conversation = Conversation(
            self.name, self._attempts, self._store, self._memory, deadline, self.settings.write_timeout, plain=True
        )
        try:
            return await converse(flow, conversation)
        except ProviderError as error:
            self._redaction.error(error)
            raise

    async def close(self) -> None:
        """Let go of the connections and of a login that runs."""
        if self.token is not None:
            await self.token.close()
        await self._transport.close()


def _transport(settings: ProviderSettings) -> Transport:
    return LeanTransport(
        connect_timeout=settings.connect_timeout,
        max_answer=settings.max_answer,
        max_connections=settings.max_in_flight,
    )


def _dialect(adapter: Adapter, settings: ProviderSettings, key: bytes) -> Dialect:
    names = {caller: PropertyName(one.name, one.stored) for caller, one in settings.properties.items()}
    return Dialect(
        adapter.user_ids,
        adapter.item_ids,
        key,
        properties=names,
        pseudonymize=settings.pseudonymize,
        plain=not adapter.over_http,
    )
