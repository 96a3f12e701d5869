"""`python -m tests.golden` says where the outputs are not the golden ones; with `--write --why "..."` they become them.

`--rows TAPE/OUTPUT` prints the rows of one output, to be compared with another build's.
"""

import argparse
import sys
import textwrap
from pathlib import Path

from tapewatch.errors import TapewatchError
from tests.golden import outputs
from tests.golden.tape import NAMES

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
UNRELEASED, CHANGED = "## [Unreleased]\n", "### Changed\n"


def names(changelog: str, why: str) -> bool:
    """Whether the changelog has an entry of this text, however its lines are broken."""
    return f"- {why}" in " ".join(changelog.split())


def noted(changelog: str, why: str) -> str:
    """The changelog with an entry under Unreleased, Changed; the same where it has it."""
    if names(changelog, why):
        return changelog
    before, found, after = changelog.partition(UNRELEASED)
    if not found:
        raise TapewatchError("the changelog has no part Unreleased", "Begin one: ## [Unreleased]")
    part, released, rest = after.partition("\n## ")
    entry = textwrap.fill(why, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
    if CHANGED in part:
        part = part.replace(CHANGED, f"{CHANGED}\n{entry}", 1)
    else:
        part = f"{part.rstrip()}\n\n{CHANGED}\n{entry}\n" if part.strip() else f"\n{CHANGED}\n{entry}\n"
    return f"{before}{found}{part}{released}{rest}"


def compare() -> list[str]:
    """What differs, in words."""
    if not outputs.KEPT.exists():
        return ["there are no golden outputs yet"]
    kept, found = outputs.load(), outputs.compute()
    told = [] if kept.body == kept.head.digest else [f"{outputs.KEPT.name} was edited by hand"]
    for name, golden in kept.outputs.items():
        told += outputs.differences(name, golden, found[name]) if name in found else [f"{'/'.join(name)}: is gone"]
    return told + [f"{'/'.join(name)}: is new" for name in found if name not in kept.outputs]


def show(tape: str, output: str = "") -> int:
    """Print the rows of an output."""
    found = outputs.of_tape(tape) if tape in NAMES else {}
    if output not in found:
        known = ", ".join(found or NAMES)
        raise TapewatchError(f"there is no output {tape}/{output}", f"Name one of: {known}")
    print(*map(outputs.line, found[output]), sep="\n")
    return 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--write", action="store_true", help="make what comes out now the golden outputs")
    parser.add_argument("--why", default="", help="what changed for users, one line for the changelog")
    parser.add_argument("--rows", metavar="TAPE/OUTPUT", help="print the rows of one output")
    args = parser.parse_args(arguments)
    why = " ".join(args.why.split())
    if args.write and not why:
        raise TapewatchError("golden outputs change for a reason", 'Say it: --write --why "one line for the changelog"')
    if args.rows:
        return show(*args.rows.split("/", 1))
    told = compare()
    print("\n".join(told) or "all outputs are the golden ones")
    if args.write and told:
        outputs.keep(outputs.compute(), why)
        CHANGELOG.write_text(noted(CHANGELOG.read_text(encoding="utf-8"), why), encoding="utf-8")
        print(f"written, with a line in {CHANGELOG.name}")
        return 0
    return 1 if told else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except TapewatchError as error:
        print(f"{error.message}\n{error.hint}", file=sys.stderr)
        sys.exit(2)
