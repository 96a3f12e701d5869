"""`tapewatch up`: start the embedded Kafka and PostgreSQL, Elasticsearch too if asked, or find them running."""

import argparse
import json
import os
import sys

import msgspec

from infra import embedded
from tapewatch.clock import WALL
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `up`."""
    parser.add_argument(
        "--foreground", action="store_true", help="stay attached; the stack ends with this command, however that ends"
    )
    parser.add_argument("--json", action="store_true", help="print the addresses as one JSON document")
    parser.add_argument(
        "--with", dest="extra", choices=["elasticsearch"], help="start this too (as embedded.elasticsearch = true)"
    )
    parser.add_argument(
        "--secure",
        action="store_true",
        help="Kafka asks who comes: TLS, an account and the least rights for each service (as embedded.secure = true)",
    )
    parser.epilog = "example: tapewatch up --with elasticsearch && tapewatch status"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Start or find the stack and print its addresses."""
    asked = {"elasticsearch": bool(args.extra), "secure": args.secure}
    changes = {name: True for name, wanted in asked.items() if wanted}
    settings = msgspec.structs.replace(settings, embedded=msgspec.structs.replace(settings.embedded, **changes))
    before = embedded.running(settings.data_path)
    with embedded.shown() as report:
        addresses = embedded.start(settings, report, owner_pid=os.getpid() if args.foreground else None)
    if before is not None:
        print("already running", file=sys.stderr)
    _show(addresses, args.json)
    return _attached(settings, addresses) if args.foreground and before is None else 0


def _show(addresses: Addresses, as_json: bool) -> None:
    """Print where the servers are."""
    if as_json:
        found = {"bootstrap": addresses.bootstrap, "postgres_url": addresses.postgres_url}
        if addresses.elasticsearch_url:
            found["elasticsearch_url"] = addresses.elasticsearch_url
        if addresses.kafka_accounts:
            found["kafka_accounts"] = addresses.kafka_accounts
        print(json.dumps(found))
    else:
        print(f"kafka          {addresses.bootstrap}\npostgres       {addresses.postgres_url}")
        if addresses.elasticsearch_url:
            print(f"elasticsearch  {addresses.elasticsearch_url}")
        if addresses.kafka_accounts:
            print(f"accounts       {addresses.kafka_accounts}: `kafka.user` names one, `admin` is taken otherwise")
    sys.stdout.flush()


def _attached(settings: Settings, addresses: Addresses) -> int:
    """Wait until interrupted, or until the stack ends by itself, which is a failure."""
    try:
        while addresses.lives("supervisor"):
            WALL.sleep(0.2)
    except KeyboardInterrupt:
        embedded.stop(settings.data_path)
        return 0
    print(f"the stack has ended; see {settings.data_path / 'logs'}", file=sys.stderr)
    return 1
