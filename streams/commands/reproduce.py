"""`tapewatch models reproduce`: make a shipped model again by the command on its card, and compare the hashes."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec

from detectors import registry
from detectors.model_file import content_hash
from tapewatch.errors import TapewatchError

_COMMAND = re.compile(r"python -m benchmarks\.[a-z_]+( .*)?")
_PLACE = "DIR"
"""Stands on a card for the folder of published data, which is no part of the repository."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch models reproduce`."""
    parser.epilog = "example: tapewatch models reproduce pumps --published pumps/"
    parser.add_argument("detector", choices=sorted(registry.shipped()), help="whose shipped model")
    parser.add_argument(
        "--published", type=Path, metavar=_PLACE, help=f"the published data that a card's command names {_PLACE}"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; 0 where the hash is the same, 1 where it is not."""
    data = registry.shipped()[args.detector]
    wanted, command = content_hash(data), words(registry.read(data).command, args.published)
    print(f"{shlex.join(command)}", file=sys.stderr)
    # The words come from the shipped card and this command line; no shell reads them.
    done = subprocess.run(  # noqa: S603
        [sys.executable, *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    made = made_hash(done.stderr, args.detector)
    if not made:
        raise TapewatchError(f"the model was not made: {done.stderr.strip()[-400:]}", "Run the command by itself.")
    same = made == wanted
    if args.json:
        print(msgspec.json.encode({"detector": args.detector, "hash": wanted, "made": made, "same": same}).decode())
    else:
        print(f"{args.detector}: shipped {wanted}, made {made}: {'the same' if same else 'NOT the same'}")
    return 0 if same else 1


def words(command: str, published: Path | None) -> list[str]:
    """The card's command as words that change nothing (`--check`); TapewatchError where it cannot be run here."""
    if not _COMMAND.fullmatch(command):
        raise TapewatchError(f"the card's command is {command!r}", "Run it yourself with the data that the card names.")
    found = shlex.split(command)
    if _PLACE in found and published is None:
        raise TapewatchError(f"{command} needs published data", f"Name its folder with --published {_PLACE}.")
    return [str(published) if word == _PLACE else word for word in found] + ["--check"]


def made_hash(said: str, detector: str) -> str:
    """The hash on the line `DETECTOR HASH` of what a training command said; empty where there is none."""
    found = re.findall(rf"^{re.escape(detector)} ([0-9a-f]{{16}})$", said, flags=re.MULTILINE)
    return str(found[-1]) if found else ""
