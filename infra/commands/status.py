"""`tapewatch status`: what runs in the data folder, where, and how it is."""

import argparse

import msgspec

from infra import embedded
from infra.embedded import elasticsearch
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `status`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.epilog = "example: tapewatch status --json\nexit status: 0 all parts healthy, 1 not running or not healthy"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print every part; 0 where all are healthy."""
    addresses = embedded.running(settings.data_path)
    parts = elasticsearch.parts(addresses) if addresses else []
    healthy = bool(parts) and all(part.healthy for part in parts)
    if args.json:
        document = {
            "data": str(settings.data_path),
            "running": addresses is not None,
            "healthy": healthy,
            "parts": {part.name: part for part in parts},
        }
        print(msgspec.json.encode(document).decode())
    elif parts:
        print("\n".join(map(_line, parts)))
    else:
        print(f"nothing runs in {settings.data_path}")
    return 0 if healthy else 1


def _line(part: elasticsearch.PartHealth) -> str:
    """One part: name, state, process, memory, address."""
    state = "healthy" if part.healthy else "FAILING"
    return f"{part.name:<14}{state}  pid {part.pid:<9}{part.memory_mb:>6.0f} MiB  {part.address}".rstrip()
