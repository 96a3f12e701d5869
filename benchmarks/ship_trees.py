"""What the commands that make the shipped boosted trees share: their options, and where model and card are written."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from detectors.model_file import ModelFile

M = TypeVar("M", bound=ModelFile)

ROOT = Path(__file__).resolve().parent.parent


def ship(
    detector: str,
    parser: argparse.ArgumentParser,
    make: Callable[[argparse.Namespace], M],
    markdown: Callable[[M], str],
    arguments: Sequence[str] | None = None,
) -> int:
    """Make a detector's model and write it with its card; 1 where --check finds another than the shipped one.

    parser : with what `make` needs of the command line; markdown : the card as a page
    """
    shipped = ROOT / "detectors" / detector / "shipped" / f"{detector}.json"
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the model here, and no card")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 where the hash differs from the shipped one"
    )
    args = parser.parse_args(arguments)
    model = make(args)
    print(f"{detector} {model.hash}", file=sys.stderr)
    if args.check:
        return 0 if shipped.is_file() and shipped.read_bytes() == model.encoded() else 1
    (args.out or shipped).write_bytes(model.encoded())
    if not args.out:
        (ROOT / "docs" / "cards" / f"{detector}.md").write_text(markdown(model))
    return 0
