"""What one process serves with. A reload builds the new parts, swaps them at once, lets the old ones drain."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import structlog

from gateway import logs
from gateway.access import Access
from gateway.answering.second_level import SecondLevel
from gateway.config import Changes, Configuration, Loaded, diff, effective, epoch
from gateway.config.changes import RESTARTS
from gateway.config.secret_values import secret_values
from gateway.errors import ProviderError
from gateway.events.attribution import Signer
from gateway.events.writes import Writes
from gateway.experiments.exposures import Exposures
from gateway.experiments.phase import Phase
from gateway.memory import Memory
from gateway.pipeline import Pipeline
from gateway.place import ALONE, Place
from gateway.plan import Plan, build
from gateway.policies.cache import AnswerCache
from gateway.provider.account import Provider
from gateway.quota import Quotas
from gateway.server.workers.siblings import Siblings
from gateway.state.store import Store, StoreError
from gateway.telemetry.drift_lines import DriftLines
from gateway.telemetry.lately import Lately
from gateway.telemetry.lines import Lines
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.notes import Notes
from gateway.telemetry.sorts import Sorts
from gateway.telemetry.state import samples
from gateway.telemetry.tracing import Tracing
from gateway.training import LOOK, Trainer

T = TypeVar("T")

log = structlog.get_logger("gateway")

KEEP_WARM: Final = 5.0
"""Seconds between two looks at whether connections and tokens are there; also the most that having them takes."""
DRAIN_LOOK: Final = 0.1
"""Seconds between two looks at whether a replaced provider is idle."""


class Runtime:
    """The pipeline and what must be opened and closed around it."""

    def __init__(
        self,
        loaded: Loaded,
        store: Store,
        pipeline: Pipeline,
        memory: Memory,
        key: bytes,
        signing: bytes,
        place: Place = ALONE,
    ) -> None:
        self._loaded = loaded
        self._place = place
        self._store = store
        self._memory = memory
        self._key = key
        self._signing = signing
        self.pipeline = pipeline
        self.writes = Writes(
            pipeline.plan, store, pipeline.cache, pipeline.hidden, memory, key, lambda: self.pipeline.signer
        )
        self.ready = False
        self._started_with = effective(loaded)
        self._rejected: list[str] = []
        self._replaced: set[Provider] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.task_key = key
        """Signs the ids of tasks."""
        self.trainer = Trainer(store)
        self.quotas = Quotas()
        self.siblings: Siblings | None = None
        """The other processes that share the port."""
        self.notes = pipeline.notes
        self.taken_at = time.time()
        """Unix seconds: when the configuration in force was taken."""
        sorts = Sorts()
        self.metrics = Metrics(lambda: samples(self), sorts)
        """What `/metrics` shows."""
        self.lately = Lately(sorts)
        """What `/ui` shows of the last five minutes."""
        lines = Lines(lambda: self.configuration.telemetry.logs, sorts)
        self.notes.readers += [self.metrics, self.lately, DriftLines(), lines]
        self.tracing = Tracing(self.notes, logs.put, sorts)
        self.tracing.apply(self.configuration.telemetry.traces)
        self.notes.readers.append(self.tracing)
        logs.never_say(lambda: secret_values(self.configuration))

    @classmethod
    async def start(cls, loaded: Loaded, store: Store, place: Place = ALONE) -> Runtime:
        """Open everything that a configuration names; tokens are fetched in the background."""
        key = await store.secret("pseudonyms", lambda: secrets.token_bytes(32))
        made = await store.secret("signing", lambda: secrets.token_bytes(32))
        memory = Memory(store, time.monotonic)
        configuration = loaded.configuration
        notes = Notes()
        plan = build(configuration, epoch(loaded, key), store, memory, key, None, notes, place)
        rng = random.Random()  # noqa: S311  # jitter, not secrets
        cache = AnswerCache(place.bytes(configuration.cache.max_bytes), time.monotonic, rng)
        exposures = Exposures(store, key)
        signer = _signer(configuration, made)
        access = Access(configuration, workers=place.workers)
        shelf = store.shelf()
        second = None if shelf is None else SecondLevel(shelf, time.time)
        pipeline = Pipeline(plan, access, store, signer, cache, exposures=exposures, notes=notes, second=second)
        runtime = cls(loaded, store, pipeline, memory, key, made, place)
        if second is not None:
            runtime._share_answers()
            runtime.in_background(second.run(cache))
        runtime._welcome(plan.providers.values())
        runtime.in_background(runtime._keep_warm())
        runtime.in_background(runtime._keep_trained())
        runtime.in_background(exposures.run(runtime.phases))
        runtime.in_background(notes.run())
        runtime.in_background(memory.follow(lambda: _learns(runtime.pipeline.plan)))
        await pipeline.access.prepare()
        await runtime.writes.start()
        runtime.ready = True
        return runtime

    @property
    def store(self) -> Store:
        """What outlives this process."""
        return self._store

    def phases(self) -> list[Phase]:
        """Of the experiments in force."""
        placements = self.pipeline.plan.placements.values()
        return [placement.phase for placement in placements if placement.phase is not None]

    @property
    def configuration(self) -> Configuration:
        """What is in force."""
        return self._loaded.configuration

    def effective(self) -> dict[str, Any]:
        """The configuration in force, without secrets; what waits for a restart is as it was at the start."""
        shown = effective(self._loaded)
        for section, member in RESTARTS:
            shown[section][member] = self._started_with[section][member]
        return shown

    async def prepare(self, loaded: Loaded) -> Access:
        """What `apply` would have to wait for: the keys of an issuer of tokens."""
        access = Access(loaded.configuration, self.pipeline.access, workers=self._place.workers)
        await access.prepare()
        return access

    def apply(self, loaded: Loaded, access: Access | None = None) -> Changes:
        """Serve with another configuration from now on; what was replaced is closed when it is idle.

        access: what was prepared for it.
        """
        old = self.pipeline.plan
        configuration = loaded.configuration
        changes = diff(self.effective(), effective(loaded))
        plan = build(
            configuration,
            epoch(loaded, self._key),
            self._store,
            self._memory,
            self._key,
            old,
            self.notes,
            self._place,
        )
        before = self.pipeline.access
        access = access or Access(configuration, before, workers=self._place.workers)
        signer = _signer(configuration, self._signing)
        traced_before = self.tracing.apply(configuration.telemetry.traces)
        # Nothing below fails: either all of it is in force, or nothing.
        self.pipeline.plan, self.pipeline.access, self.pipeline.signer = plan, access, signer
        self.writes.apply(plan)
        self._loaded, self._rejected, self.taken_at = loaded, [], time.time()
        self._tell_otherwise(traced_before)
        self.in_background(access.prepare())
        self.in_background(before.close(access))
        self._forget_answers(old, plan)
        self._share_answers()
        self._welcome(one for key, one in plan.providers.items() if old.providers.get(key) is not one)
        replaced = {one for key, one in old.providers.items() if plan.providers.get(key) is not one}
        if replaced:
            self._replaced |= replaced
            self.in_background(self._close_when_idle(replaced, old))
        return changes

    def _tell_otherwise(self, traced_before: Callable[[], None] | None) -> None:
        """Logs and traces as they are wanted now."""
        telemetry = self.configuration.telemetry
        logs.never_say(lambda: secret_values(self.configuration))
        logs.follow(telemetry.logs)
        if traced_before is not None:
            self.in_background(asyncio.to_thread(traced_before))

    def _forget_answers(self, old: Plan, new: Plan) -> None:
        """Those of placements that are gone or answer otherwise now: nothing would find them again."""
        cache = self.pipeline.cache
        cache.resize(self._place.bytes(new.configuration.cache.max_bytes))
        for name, placement in old.placements.items():
            kept = new.placements.get(name)
            if kept is None or kept.fingerprint != placement.fingerprint:
                cache.drop(name)

    def _share_answers(self) -> None:
        """With the other processes, as the configuration in force wants it."""
        settings, second = self.configuration.cache, self.pipeline.second
        if second is not None:
            second.on, second.max_bytes = settings.shared, settings.max_bytes

    def reject(self, mistakes: Iterable[object]) -> None:
        """Remember what is wrong with a file that was not taken."""
        self._rejected = [str(mistake) for mistake in mistakes]

    def readiness(self) -> dict[str, Any]:
        """The body of /readyz."""
        config = {"status": "rejected" if self._rejected else "ok", "errors": self._rejected}
        return {"ready": self.ready, "epoch": self.pipeline.plan.epoch, "config": config}

    def _welcome(self, providers: Iterable[Provider]) -> None:
        """New providers: their incidents are logged, their tokens and connections had ahead of a request."""
        for provider in providers:
            provider.gates.reads.listen(_incident(provider.name, "reads"))
            provider.gates.writes.listen(_incident(provider.name, "writes"))
            self.metrics.counting.welcome(provider.name, provider.adapter_name)
            for operations, breaker in (("reads", provider.gates.reads), ("writes", provider.gates.writes)):
                breaker.listen(self.metrics.counting.breaker_changed(provider.name, operations))
            self.in_background(_warm(provider))

    async def _keep_trained(self) -> None:
        """Trainings that nobody need ask for, and the vendors' reports of quotas."""
        while True:
            self.in_background(self.quotas.refresh(self.pipeline.plan.providers.values()))
            try:
                await self.trainer.look(self.pipeline.plan.providers.values())
            except StoreError as error:
                log.warning("trainings not looked at", error=str(error))
            await asyncio.sleep(LOOK)

    async def _keep_warm(self) -> None:
        """After idle times too: connections that the other side closed are opened again, tokens renewed."""
        while True:
            await asyncio.sleep(KEEP_WARM)
            for provider in self.pipeline.plan.providers.values():
                if provider.gates.reads.state == "closed":
                    self.in_background(_warm(provider))

    async def _close_when_idle(self, replaced: set[Provider], plan: Plan) -> None:
        """Requests that began with the old plan may ask the old providers until their deadline is over."""
        await asyncio.sleep(plan.configuration.server.deadline)
        for provider in replaced:
            while provider.gates.bulkhead.in_flight:  # noqa: ASYNC110  # an event there would cost every request
                await asyncio.sleep(DRAIN_LOOK)
            await provider.close()
            self._replaced.discard(provider)

    def in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that goes on when whoever began it has gone; broken off when the runtime closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Let go of everything. Requests must have ended."""
        self.ready = False
        await self.writes.close(self.configuration.server.drain)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pipeline.access.close()
        await self.pipeline.close()
        for provider in {*self.pipeline.plan.providers.values(), *self._replaced}:
            await provider.close()
        self.notes.read()
        await asyncio.to_thread(self.tracing.close)
        await self._memory.close()
        if self.pipeline.exposures is not None:
            await self.pipeline.exposures.close()
        await self._store.close()


def _signer(configuration: Configuration, made: bytes) -> Signer:
    """With the configured keys, else with the one that was made."""
    keys = [key.get_secret_value().encode() for key in configuration.server.signing_keys]
    return Signer(keys or [made])


def _learns(plan: Plan) -> bool:
    """Does any provider answer from what the gateway itself has learned?"""
    return any(not provider.adapter.over_http for provider in plan.providers.values())


async def _warm(provider: Provider) -> None:
    try:
        async with asyncio.timeout(KEEP_WARM):
            await provider.warm()
    except ProviderError as error:
        log.debug("not warm", provider=provider.name, error=error.name, detail=str(error))
    except TimeoutError:
        log.debug("not warm", provider=provider.name, error="timed_out")


def _incident(provider: str, operations: str) -> Callable[[str, str, str], None]:
    """One line when a breaker opens or closes; that it tries in between is for who looks closely."""
    levels = {"open": log.warning, "closed": log.info, "half_open": log.debug}

    def changed(old: str, new: str, why: str) -> None:
        levels[new](f"breaker {new}", provider=provider, operations=operations, was=old, why=why)

    return changed
