"""`tapewatch doctor`: what this machine lacks for the embedded stack, and how to get it."""

import argparse

import msgspec

from infra.embedded import checks
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `doctor`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.epilog = "example: tapewatch doctor\nexit status: 0 the stack can start, 1 something required is missing"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print every check; 1 where something required is missing."""
    found = list(checks.all_checks(settings))
    ready = all(check.ok or not check.required for check in found)
    if args.json:
        print(msgspec.json.encode({"ready": ready, "checks": found}).decode())
    else:
        for check in found:
            print(_line(check))
        print("ready" if ready else "not ready")
    return 0 if ready else 1


def _line(check: checks.Check) -> str:
    """Mark, name, finding and, where something lacks, what to do."""
    mark = "ok     " if check.ok else ("MISSING" if check.required else "warning")
    hint = f"\n{'':26}{check.hint}" if check.hint else ""
    return f"{mark} {check.name:<18}{check.found}{hint}"
