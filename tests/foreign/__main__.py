"""`python -m tests.foreign`: a feed's log, topics and stores against each other, by a program that shares no line with
the one that wrote them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.foreign.broker import Broker
from tests.foreign.documents import Documents
from tests.foreign.market import Market, Refusals
from tests.foreign.once import check_commits, check_counts, check_keys, check_revisions
from tests.foreign.outputs import Outputs
from tests.foreign.recount import recount
from tests.foreign.report import Report
from tests.foreign.scratch import Scratch
from tests.foreign.tables import Tables

_EPILOG = """example:
  python -m tests.foreign --bootstrap localhost:9092 --feed binance --postgres postgresql://localhost/tapewatch
  python -m tests.foreign --bootstrap kafka:9093 --properties client.properties --feed binance \\
      --elasticsearch http://localhost:9200 --prefix tapewatch

Everything has to be at rest: the engine has read the log to its end, the sinks the topics. The log must reach back to
its beginning. exit status: 0 nothing is lost, doubled or different; 1 something is.
"""


def main(words: Sequence[str] | None = None) -> int:
    """Check, print one JSON document on one line; exit status 1 where anything is wrong."""
    args = _parser().parse_args(words)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="foreign-", dir=args.scratch) as folder:
        report, rows = check(args, Path(folder))
    seconds = time.monotonic() - begun
    document = {
        "feed": args.feed,
        "rows": rows,
        **report.document,
        "seconds": round(seconds, 1),
        "rows_per_s": round(rows / max(seconds, 0.1)),
    }
    print(json.dumps(document, default=str))
    return 1 if any(report.total.values()) else 0


def check(args: argparse.Namespace, folder: Path) -> tuple[Report, int]:
    """All checks; what they found, and how many rows of the log there are."""
    properties = {"bootstrap.servers": args.bootstrap, **_properties(args.properties)}
    report, scratch, broker = Report(), Scratch(folder), Broker(properties)
    topic = f"market.{args.feed}"
    if topic not in broker.partitions:
        raise SystemExit(f"there is no topic {topic}")
    partitions = range(broker.partitions[topic])
    market, outputs = Market(scratch), Outputs(scratch, broker, args.feed)
    refused, letters = outputs.letters(report)
    ends = outputs.commits()
    for partition in partitions:
        _say(f"reading {topic}[{partition}]")
        market.take(
            partition, broker.read(topic, partition), refused.get(partition, Refusals()), ends.get(partition, 0)
        )
    _say("reading what was written")
    for each in ("features", "scores", "bars"):
        outputs.frames(each, report)
    of_alerts, of_signals = outputs.messages("alerts", "provenance"), outputs.messages("signals", "cause")
    alerts = [alert for _, alert in of_alerts]
    ids = {alert["id"] for alert in alerts}
    cases = outputs.cases(ids)
    written = {
        "alerts": Counter(partition for partition, _ in of_alerts),
        "signals": Counter(partition for partition, _ in of_signals),
    }
    check_keys(scratch, report)
    check_revisions("alerts", alerts, report)
    check_revisions("cases", cases, report)
    check_commits(scratch, broker.committed(args.group, topic), report)
    check_counts(scratch, market.repeats, written, report)
    for partition in partitions:
        _say(f"counting {topic}[{partition}] again")
        recount(scratch, partition, report)
    if args.postgres:
        tables = Tables(scratch, args.postgres.replace("+psycopg2", "", 1), args.feed)
        for partition in partitions:
            _say(f"PostgreSQL's rows of {topic}[{partition}]")
            tables.check_market(partition, report)
            tables.check_engine(partition, outputs, report)
        tables.check_alerts(alerts, report)
        tables.check_cases(cases, ids, report)
        tables.check_dead_letters(letters, outputs, report)
        tables.check_views(report)
        tables.close()
    if args.elasticsearch:
        _say("Elasticsearch's documents")
        documents = Documents(args.elasticsearch, args.prefix, _key(args.key_file))
        documents.check_alerts(alerts, topic, report)
        documents.check_cases(cases, ids, report)
    broker.close()
    scratch.close()
    return report, market.rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.foreign", description=__doc__, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--bootstrap", required=True, help="Kafka's HOST:PORT,...")
    parser.add_argument(
        "--properties", type=Path, help="librdkafka's properties, a file of NAME=VALUE lines: TLS, SASL"
    )
    parser.add_argument("--feed", required=True, help="NAME of market.NAME")
    parser.add_argument("--group", default="tapewatch-engine", help="of the engine (default: %(default)s)")
    parser.add_argument("--postgres", help="URL; a password is better left to PGPASSWORD or ~/.pgpass")
    parser.add_argument("--elasticsearch", help="URL")
    parser.add_argument("--prefix", default="tapewatch", help="of the indices (default: %(default)s)")
    parser.add_argument("--key-file", type=Path, help="of Elasticsearch's API key")
    parser.add_argument("--scratch", type=Path, help="folder for the scratch database, about 100 bytes a row")
    return parser


def _properties(path: Path | None) -> dict[str, str]:
    """Lines NAME=VALUE; empty ones and those that begin with # say nothing."""
    lines = [] if path is None else [line.strip() for line in path.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _key(path: Path | None) -> str:
    return path.read_text().strip() if path is not None else ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
