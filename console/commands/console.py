"""`tapewatch console`: the web console and its HTTP API, until stopped."""

import argparse
import asyncio
import json
import sys

import msgspec

from tapewatch.access.check import check
from tapewatch.errors import TapewatchError
from tapewatch.runtime.monitoring import add_flag, asked
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch db migrate && tapewatch accounts add ann --role admin && tapewatch console
  tapewatch console --openapi > docs/openapi.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch console`."""
    parser.epilog = _EPILOG
    parser.add_argument("--host", metavar="NAME", help="where it listens (default: console.host)")
    parser.add_argument("--port", type=int, metavar="N", help="where it listens; 0 takes a free port")
    parser.add_argument(
        "--open-account",
        action="append",
        default=[],
        metavar="NAME:ROLE",
        help="make this account first, unless it is there; its generated password is printed once",
    )
    add_flag(parser)
    parser.add_argument("--openapi", action="store_true", help="print the OpenAPI document and end")
    parser.add_argument(
        "--json", action="store_true", help="address and new accounts as one JSON document, at the start"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the OpenAPI document, or serve."""
    try:
        from console import api, openapi, opening, serve
    except ImportError as error:
        raise TapewatchError(f"the console needs {error.name}", "pip install 'tapewatch[console]'") from error
    if args.openapi:
        print(openapi.text(api.routes()), end="")
        return 0
    settings = asked(settings, args.metrics)
    given = {"host": args.host, "port": args.port}
    wanted = msgspec.structs.replace(
        settings.console, **{key: value for key, value in given.items() if value is not None}
    )
    settings = msgspec.structs.replace(settings, console=wanted)
    serve.check(wanted)
    check(settings, "console")
    made = opening.open_accounts(settings, args.open_account)

    def opened(address: str) -> None:
        if args.json:
            print(json.dumps({"url": address, "accounts": made}), flush=True)
            return
        for each in made:
            print(f"account {each['name']} ({each['role']}), password {each['password']}", flush=True)
        print(f"console: {address}", flush=True)
        if not opening.anybody(settings):
            print("no accounts yet: tapewatch accounts add NAME --role admin", file=sys.stderr)

    asyncio.run(serve.serve(settings, opened))
    return 0
