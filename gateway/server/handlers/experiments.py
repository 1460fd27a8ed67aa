"""`/v1/experiments`: what each arm of each experiment did."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from gateway.answering.delivery import Call, Delivery
from gateway.errors import NotFound
from gateway.experiments.counts import Tally
from gateway.experiments.phase import Phase
from gateway.experiments.results import ExperimentResult, ExperimentResults, PhaseQuery, result, table
from gateway.server.handlers.parts import Part

CSV = "text/csv"


class Experiments(Part):
    """Handlers."""

    async def experiments(self, request: web.Request, call: Call) -> Delivery:
        shown = await self.results()
        return _answered(request, ExperimentResults(shown), shown)

    async def experiment(self, request: web.Request, call: Call) -> Delivery:
        wanted = self.ask(request, call, PhaseQuery).query.phase
        key = request.match_info["key"]
        tallies = await self._tallies(key)
        if not tallies:
            raise NotFound(f"there is no experiment `{key}`")
        found = result(tallies, self._running().get(key), wanted)
        if found is None:
            raise NotFound(f"the experiment `{key}` has had no phase `{wanted}`")
        return _answered(request, found, [found])

    async def results(self) -> tuple[ExperimentResult, ...]:
        """Every experiment that ever counted, by key, in its present phase, else its last. Raises StoreError."""
        by_key: dict[str, list[Tally]] = {}
        for tally in await self._tallies(None):
            by_key.setdefault(tally.phase.experiment, []).append(tally)
        running = self._running()
        found = [result(tallies, running.get(key)) for key, tallies in sorted(by_key.items())]
        return tuple(one for one in found if one is not None)

    async def _tallies(self, experiment: str | None) -> list[Tally]:
        """What this process has noted so far is in them. Raises StoreError."""
        exposures = self.runtime.pipeline.exposures
        if exposures is not None:
            await exposures.open(self._running().values())
            await exposures.write()
        return await self.runtime.store.tallies(experiment)

    def _running(self) -> dict[str, Phase]:
        return {phase.experiment: phase for phase in self.runtime.phases()}


def _answered(request: web.Request, value: object, results: Iterable[ExperimentResult]) -> Delivery:
    """As JSON, or as a table where that is what the caller accepts rather."""
    as_table = prefers_csv(request.headers.get("Accept", ""))
    content = f"{CSV}; charset=utf-8; header=present" if as_table else "application/json"
    body = table(results).encode() if as_table else msgspec.json.encode(value)
    return Delivery(200, (("Content-Type", content), ("Cache-Control", "no-store"), ("Vary", "Accept")), body)


def prefers_csv(accept: str) -> bool:
    """Does this `Accept` name text/csv, and JSON no sooner (RFC 9110 §12.5.1)?"""
    qualities = dict(map(_quality, accept.split(",")))
    wanted = qualities.get(CSV, 0.0)
    return wanted > 0 and wanted >= qualities.get("application/json", 0.0)


def _quality(part: str) -> tuple[str, float]:
    name, *parameters = (one.strip() for one in part.lower().split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0
