"""The arguments of `gateway events`; what they run is imported when it is called for."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime
from pkgutil import resolve_name
from typing import Final

from gateway.units import DURATION

Commands = argparse._SubParsersAction  # its only name
USUAL_RATE: Final = 200.0
SHOWN: Final = 100


def add(commands: Commands[argparse.ArgumentParser]) -> tuple[argparse.ArgumentParser, ...]:
    """The command; its own commands, each of which takes a configuration."""
    events: argparse.ArgumentParser = commands.add_parser(
        "events", help="what waits for the providers, and replays"
    )
    own = events.add_subparsers(metavar="COMMAND", required=True)
    status = own.add_parser("status", help="what waits for each provider")
    dead = own.add_parser("dead-letters", help="what providers will never take, and why")
    retry = own.add_parser("retry", help="queue dead letters again")
    replay = own.add_parser("replay", help="feed a provider from the records and the log")
    for parser, run in ((status, "status"), (dead, "dead_letters"), (retry, "retry"), (replay, "replay")):
        parser.set_defaults(run=_command, events=run)
    for parser in (dead, retry):
        parser.add_argument("--provider", metavar="NAME", help="of this one alone")
    dead.add_argument("--limit", metavar="N", type=int, default=SHOWN, help=f"at most so many ({SHOWN})")
    retry.add_argument("--id", metavar="ID", help="of this event, user or item alone")
    replay.add_argument("--provider", metavar="NAME", required=True, help="who is fed")
    replay.add_argument(
        "--since", metavar="TIME", required=True, type=_since,
        help="no older events: RFC 3339 such as 2026-11-22T10:00:00Z, a date, or how long ago, such as 30d",
    )  # fmt: skip
    replay.add_argument(
        "--rate", metavar="N", type=_rate, default=USUAL_RATE, help=f"things a second at most ({USUAL_RATE:g})"
    )
    return status, dead, retry, replay


def _rate(written: str) -> float:
    try:
        rate = float(written.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError("must be a number above 0, such as 200")
    return rate


def _since(written: str) -> float:
    """Unix seconds."""
    if re.fullmatch(r"\d+(ms|s|m|h|d)", written):
        return time.time() - DURATION.read(written)
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a time such as 2026-11-22T10:00:00Z, or 30d") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _command(args: argparse.Namespace) -> int:
    code: int = resolve_name("gateway.events.cli:command")(args)
    return code
