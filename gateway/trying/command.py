"""The command: exit codes 0 answered, 1 no answer, 2 usage, configuration or request not valid."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gateway.answering.asked import Asked
from gateway.config import Loaded, load
from gateway.config.wording import did_you_mean
from gateway.errors import GatewayError, InvalidRequest, NoAnswer, ProviderError
from gateway.state.store import StoreError
from gateway.trying.advice import Advice
from gateway.trying.telling import Line, pretty, printable, told, writer
from gateway.trying.trial import Trial, opened

ANSWERED: Final = 0
FAILED: Final = 1
USAGE: Final = 2


def try_(args: argparse.Namespace) -> int:
    """`gateway try`. Raises ConfigError, which the command line has its own words for."""
    loaded = load(args.config, os.environ)
    providers = loaded.configuration.providers
    if args.provider not in providers:
        _complain(f"there is no provider `{args.provider}`: {did_you_mean(args.provider, providers)}")
        return USAGE
    try:
        body = Path(args.request).read_bytes()
    except OSError as error:
        _complain(f"{args.request} cannot be read: {error.strerror}")
        return USAGE
    try:
        return asyncio.run(_try(loaded, args.provider, args.request, body))
    except StoreError as error:
        _complain(str(error))
        return FAILED


async def _try(loaded: Loaded, name: str, file: Path, body: bytes) -> int:
    async with opened(loaded, name) as trial:
        try:
            asked = trial.read(body)
        except GatewayError as error:
            _refuse(file, error)
            return USAGE
        return await _put(loaded, trial, asked, writer())


def _refuse(file: Path, error: GatewayError) -> None:
    """All mistakes of a request."""
    if isinstance(error, InvalidRequest):
        for mistake in error.mistakes:
            _complain(f"{file}: {mistake.pointer or '/'}: {mistake.message}")
    else:
        _complain(f"{file}: {error.detail}")


async def _put(loaded: Loaded, trial: Trial, asked: Asked, write: Callable[[Line], None]) -> int:
    provider = trial.provider
    adapter = loaded.configuration.providers[provider.name].adapter
    write(("plain", f"{provider.name} ({adapter}): {asked.kind}, placement {asked.placement.name}"))
    write(("plain", ""))
    try:
        answer = await trial.answer(asked)
    except ProviderError as error:
        _tell(trial, write)
        _tell_error(error, Advice(loaded, provider, trial.exchanges), trial, write)
        return FAILED
    _tell(trial, write)
    write(("good", "= the answer"))
    for line in pretty(trial.mask.value(msgspec.json.decode(answer))).splitlines():
        write(("plain", printable(line)))
    return ANSWERED


def _tell(trial: Trial, write: Callable[[Line], None]) -> None:
    for line in told(trial.exchanges, trial.mask):
        write(line)


def _tell_error(error: ProviderError, advice: Advice, trial: Trial, write: Callable[[Line], None]) -> None:
    mask = trial.mask
    kind = "" if isinstance(error, NoAnswer) else f" ({error.name.replace('_', ' ')})"
    write(("bad", f"= no answer{kind}: {printable(mask.text(str(error)))}"))
    if error.vendor_message:
        write(("plain", f"the vendor says: {printable(mask.text(error.vendor_message))}"))
    for line in advice.lines(error):
        write(("plain", line))


def _complain(line: str) -> None:
    sys.stderr.write(f"gateway: {line}\n")
