"""`tapewatch down`: stop the embedded stack cleanly; its data stays."""

import argparse
import json
import sys

from infra import embedded
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `down`."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.epilog = "example: tapewatch down"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Stop the stack; none running is as good."""
    stopped = embedded.stop(settings.data_path)
    if args.json:
        print(json.dumps({"stopped": stopped}))
    else:
        print("stopped" if stopped else f"nothing runs in {settings.data_path}", file=sys.stderr)
    return 0
