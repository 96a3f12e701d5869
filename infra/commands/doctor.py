"""`tapewatch doctor`: what is amiss with this machine, its servers and what lies in them, and what to do."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from tapewatch import doctor
from tapewatch.doctor import FAIL, PARTS, WARN, Check, CheckContext
from tapewatch.settings import Settings

_MARKS = {WARN: "warn", FAIL: "FAIL"}
USUAL_FILE = Path("tapewatch.toml")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `doctor`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--part", action="append", choices=list(PARTS), metavar="PART",
        help=f"only this, or these: {', '.join(PARTS)} (default: all)",
    )  # fmt: skip
    parser.epilog = (
        "examples:\n"
        "  tapewatch doctor\n"
        "  tapewatch doctor --part kafka --part topics --json\n"
        "exit status: 0 nothing fails (warnings may stand), 1 something does"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print every check; 1 where one fails."""
    file = args.settings or USUAL_FILE
    asked = CheckContext(settings, file if file.exists() else None)
    found: list[tuple[str, Check]] = []
    for part in args.part or PARTS:
        for check in doctor.examined(asked, part):
            found.append((part, check))
            if not args.json:
                print(_line(check), flush=True)
    counts = Counter(check.state for _, check in found)
    if args.json:
        print(msgspec.json.encode(_document(found, counts)).decode())
    else:
        print("ready" if not counts[FAIL] else "not ready", end="")
        print(f": {counts[FAIL]} failing, {counts[WARN]} warnings, {len(found)} checks")
    return 1 if counts[FAIL] else 0


def _document(found: list[tuple[str, Check]], counts: Counter[str]) -> dict[str, Any]:
    checks = [{"part": part, "state": check.state, **msgspec.structs.asdict(check)} for part, check in found]
    return {"ready": not counts[FAIL], "failing": counts[FAIL], "warnings": counts[WARN], "checks": checks}


def _line(check: Check) -> str:
    """Mark, name, finding and, where something is amiss, what to do."""
    hint = f"\n{'':29}{check.hint}" if check.hint else ""
    return f"{_MARKS.get(check.state, 'ok'):<5}{check.name:<24}{check.found}{hint}"
