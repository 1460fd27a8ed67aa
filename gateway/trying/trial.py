"""One provider, opened as a running gateway opens it, and asked one question."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import BaseModel, SecretStr

from gateway.access import OPEN
from gateway.answering.asked import Asked, asked_for_recommendations, asked_for_search
from gateway.answering.asker import Asker
from gateway.answering.rendering import render
from gateway.answering.tailoring import Tailor
from gateway.config import Loaded, epoch
from gateway.config.mistakes import Path as ConfigPath
from gateway.config.model import State
from gateway.deadline import Deadline
from gateway.errors import ProviderError, Unsupported
from gateway.events.attribution import Signer
from gateway.masking import Mask, credential, is_secret
from gateway.memory import Memory
from gateway.model.wire import RecommendationRequest, SearchRequest
from gateway.plan import Placement, build, candidates
from gateway.provider.account import Provider
from gateway.server.mistakes import decode
from gateway.state.opening import open_at
from gateway.state.store import Store
from gateway.transport import LeanTransport
from gateway.trying.recording import Exchange, Recording

ONLY_IN_SEARCHES: Final = {*SearchRequest.__struct_fields__} - {*RecommendationRequest.__struct_fields__}
"""The members by which a search is known: `query`, `item`, `hybrid`."""


class Trial:
    """See `opened`."""

    def __init__(self, loaded: Loaded, name: str, store: Store, key: bytes, signer: Signer) -> None:
        configuration = loaded.configuration
        settings = configuration.providers[name]
        memory = Memory(store, time.monotonic)
        self._store = store
        self._signer = signer
        self._plan = build(configuration, epoch(loaded, key), store, memory, key, None)
        self._recording = Recording(
            LeanTransport(
                connect_timeout=settings.connect_timeout,
                max_answer=settings.max_answer,
                max_connections=settings.max_in_flight,
            )
        )
        # forced_open keeps traffic away; whoever tries the provider wants to know whether it could come back
        breaker = settings.breaker.model_copy(update={"mode": "observe"})
        self.provider = Provider(
            name,
            settings.options,
            settings.model_copy(update={"breaker": breaker}),
            store,
            key=key,
            memory=memory,
            transport=self._recording,
        )
        if self.provider.token is not None:
            self.provider.token.share_with_nobody()  # whoever tries it wants to see the login

    @property
    def exchanges(self) -> list[Exchange]:
        """What was said so far."""
        return self._recording.exchanges

    @property
    def mask(self) -> Mask:
        """Of every secret that is known by now."""
        known = {text for _, text, secret in options_of(self.provider.adapter) if secret}
        known |= {
            credential(value)
            for exchange in self.exchanges
            for name, value in exchange.request.headers
            if is_secret(name)
        }
        token = self.provider.token.current() if self.provider.token else None
        return Mask(known | {token or ""})

    def read(self, body: bytes) -> Asked:
        """The question of a request's body. Raises GatewayError."""
        if _is_search(body, self._plan.placements):
            return asked_for_search(decode(body, SearchRequest), self._plan, OPEN, self._signer, {})
        request = decode(body, RecommendationRequest)
        return asked_for_recommendations(request, self._plan, OPEN, self._signer, {})

    async def answer(self, asked: Asked) -> bytes:
        """The normalized answer, as the API gives it. Raises ProviderError."""
        if not candidates(asked.kind, [self.provider]).providers:
            adapter = type(self.provider.adapter)
            served = [*adapter.kinds, *(["search"] if adapter.has("search") else [])]
            raise Unsupported(f"cannot serve {asked.kind}; its adapter serves {', '.join(served) or 'neither'}")
        await self._made_ready()
        deadline = Deadline.within(time.monotonic, self._plan.configuration.server.deadline)
        said = await Tailor(asked, self.provider).answer(Asker().ask, self._store, deadline)
        answer = render(asked, self.provider.name, said, fallback=False, signer=self._signer, now=time.time())
        return answer.body

    async def _made_ready(self) -> None:
        """Token and connections ahead of the request, as a gateway that serves has them."""
        try:
            await self.provider.login()
        finally:
            self._recording.mark_logins()
        try:
            await self.provider.warm()
        except ProviderError:
            return  # the question itself will say what is wrong

    async def close(self) -> None:
        """Let go of the connections."""
        await self.provider.close()


@asynccontextmanager
async def opened(loaded: Loaded, name: str) -> AsyncIterator[Trial]:
    """The provider of that name, until the end of the block. Raises StoreError."""
    store = await open_at(_place(loaded.configuration.state))
    try:
        key = await store.secret("pseudonyms", lambda: secrets.token_bytes(32))
        made = await store.secret("signing", lambda: secrets.token_bytes(32))
        signing = [one.get_secret_value().encode() for one in loaded.configuration.server.signing_keys]
        trial = Trial(loaded, name, store, key, Signer(signing or [made]))
        try:
            yield trial
        finally:
            await trial.close()
    finally:
        await store.close()


def _place(state: State) -> str:
    """The gateway's own store where there is one, for its id maps and records; else one in memory."""
    return state.url if state.path is None or Path(state.path).is_file() else "sqlite::memory:"


def _is_search(body: bytes, placements: Mapping[str, Placement]) -> bool:
    """By the members that only a search has, else by the placement's kind."""
    try:
        members = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return False  # whatever decodes it next says what is wrong
    if not isinstance(members, dict):
        return False
    if members.keys() & ONLY_IN_SEARCHES:
        return True
    placement = placements.get(str(members.get("placement")))
    return placement is not None and placement.settings.kind == "search"


def options_of(value: Any, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, str, bool]]:
    """Every text among an adapter's options: its path, the text, whether it is a secret."""
    match value:
        case SecretStr():
            yield path, value.get_secret_value(), True
        case str():
            yield path, value, False
        case BaseModel():
            for name, field in type(value).model_fields.items():
                yield from options_of(getattr(value, name), (*path, field.alias or name))
        case dict():
            for name, one in value.items():
                yield from options_of(one, (*path, str(name)))
        case list() | tuple():
            for index, one in enumerate(value):
                yield from options_of(one, (*path, index))
