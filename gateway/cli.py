"""The command line. Exit codes: 0; 1 a failure (a port that is taken); 2 usage or configuration.

    serve      gateway.server.run       check, schema    here
    try        gateway.trying           sandbox          gateway.sandbox.frame
    events     gateway.events.cli       demo             gateway.demo

What runs a gateway, a demo or a sandbox is imported when it is called for: `gateway check` needs none of it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final

import aiohttp

from gateway.config import ConfigError, diff, effective, json_schema, load, warnings
from gateway.config.schema import written as schema_text
from gateway.config.words import Address
from gateway.events import arguments

KEY: Final = "GATEWAY_KEY"
"""The environment variable with the key that `check --against` sends."""
HOST: Final = "GATEWAY_HOST"
"""The environment variable with the host that `sandbox` and `demo` listen on; an image sets it."""
FETCH_SECONDS: Final = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Usage mistakes end in SystemExit(2), as argparse has it."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except ConfigError as error:
        return _refuse(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `gateway schema | head`
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway", description="One normalized REST API in front of many recommendation vendors."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="run the gateway")
    _takes_config(serve)
    serve.add_argument("--listen", metavar="HOST:PORT", type=_address, help="in place of server.listen")
    serve.add_argument("--admin-listen", metavar="HOST:PORT", type=_address, help="of server.admin_listen")
    serve.add_argument("--workers", metavar="N", type=int, help="of server.workers")
    serve.set_defaults(run=_serve)

    worker = commands.add_parser("worker")  # no help, so that it is not listed: a supervisor calls it
    worker.add_argument("channel", type=int)
    worker.set_defaults(run=_work)

    check = commands.add_parser("check", help="say all that is wrong with a configuration")
    _takes_config(check)
    check.add_argument(
        "--against", metavar="URL", type=_url,
        help=f"say what the gateway that runs there would change; a key with the scope ops in ${KEY}",
    )  # fmt: skip
    check.set_defaults(run=_check)

    commands.add_parser("schema", help="print the configuration's JSON Schema").set_defaults(run=_schema)

    trying = commands.add_parser("try", help="put one request to one provider and print the dialogue")
    _takes_config(trying)
    trying.add_argument("provider", metavar="PROVIDER", help="its name in the configuration")
    trying.add_argument("request", metavar="REQUEST.json", type=Path, help="as POST /v1/recommendations takes it")
    trying.set_defaults(run=_try)

    for own in arguments.add(commands):
        _takes_config(own)

    sandbox = commands.add_parser("sandbox", help="run emulated vendors")
    sandbox.add_argument("--port", type=int, default=9100, help="they listen on the ports after it (9100)")
    _takes_host(sandbox)
    sandbox.add_argument("--throttle", action="store_true", help="throttle as the vendors do")
    sandbox.add_argument("names", metavar="NAME", nargs="*", help="adapters' names; default: all")
    sandbox.set_defaults(run=_sandbox)

    demo = commands.add_parser("demo", help="run a gateway before emulated vendors that know people and items")
    demo.add_argument("--port", type=int, default=8080, help="of the API (8080)")
    demo.add_argument("--admin-port", type=int, default=9090, help="of the admin listener (9090)")
    demo.add_argument("--sandbox-port", type=int, default=9100, help="the vendors listen after it (9100)")
    _takes_host(demo)
    demo.set_defaults(run=_demo)
    return parser


def _takes_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration, YAML")


def _takes_host(parser: argparse.ArgumentParser) -> None:
    host = os.environ.get(HOST, "127.0.0.1")
    parser.add_argument("--host", default=host, help=f"where to listen (${HOST}, or 127.0.0.1)")


def _address(written: str) -> str:
    try:
        return str(Address.read(written))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _url(written: str) -> str:
    if not written.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError("must be an http or https URL such as http://127.0.0.1:8080")
    return written.rstrip("/")


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _refuse(error: ConfigError) -> int:
    """All mistakes, and the exit code for them."""
    for mistake in error.mistakes:
        _complain(str(mistake))
    _complain(_counted(len(error.mistakes), "mistake"))
    return 2


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# --- the commands -----------------------------------------------------------------------------------------------


def _serve(args: argparse.Namespace) -> int:
    """`args.overrides` is for `gateway.config.load`: the command line stands above the file, at reloads too."""
    given = {"listen": args.listen, "admin_listen": args.admin_listen, "workers": args.workers}
    args.overrides = {("server", name): value for name, value in given.items() if value is not None}
    return _elsewhere("gateway.server.run:serve", args)


def _work(args: argparse.Namespace) -> int:
    return _elsewhere("gateway.server.workers.worker:work", args)


def _check(args: argparse.Namespace) -> int:
    loaded = load(args.config, os.environ)
    hazards = warnings(loaded)
    for hazard in hazards:
        _complain(str(hazard))
    if args.against:
        try:
            running = asyncio.run(_running(args.against, os.environ.get(KEY)))
        except _Unreachable as error:
            _complain(f"gateway: {error}")
            return 1
        for line in [*diff(running, effective(loaded)).lines()] or ["nothing would change"]:
            _say(line)
    providers = _counted(len(loaded.configuration.providers), "provider")
    placements = _counted(len(loaded.configuration.placements), "placement")
    _say(f"{args.config}: ok: {providers}, {placements}, {_counted(len(hazards), 'warning')}")
    return 0


class _Unreachable(Exception):
    """Why there is no running gateway's configuration."""


async def _running(url: str, key: str | None) -> dict[str, Any]:
    """The effective configuration of the gateway at a URL. Raises _Unreachable."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(f"{url}/v1/config", allow_redirects=False) as answer,  # the key is for this host alone
        ):
            if answer.status in (401, 403):
                raise _Unreachable(f"{url} wants a key with the scope ops, in ${KEY}")
            if answer.status != 200:
                raise _Unreachable(f"{url}/v1/config answered {answer.status}")
            running = await answer.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise _Unreachable(f"{url} cannot be asked: {error or type(error).__name__}") from None
    if not isinstance(running, dict):
        raise _Unreachable(f"{url}/v1/config answered no configuration")
    return running


def _schema(args: argparse.Namespace) -> int:
    sys.stdout.write(schema_text(json_schema()))
    return 0


def _try(args: argparse.Namespace) -> int:
    return _elsewhere("gateway.trying:try_", args)


def _sandbox(args: argparse.Namespace) -> int:
    frame = resolve_name("gateway.sandbox.frame")
    try:
        asyncio.run(frame.run(args.port, args.names, args.throttle, host=args.host))
    except frame.SandboxError as error:
        _complain(f"gateway: {error}")
        return 2 if isinstance(error, frame.UnknownVendor) else 1
    return 0


def _demo(args: argparse.Namespace) -> int:
    return _elsewhere("gateway.demo:main", args)


def _elsewhere(place: str, args: argparse.Namespace) -> int:
    """Call `module:function`, imported only now."""
    command: Callable[[argparse.Namespace], int] = resolve_name(place)
    return command(args)
