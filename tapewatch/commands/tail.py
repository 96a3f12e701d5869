"""`tapewatch tail TOPIC`: show any topic readably, frames included; only what committed transactions wrote is shown."""

import argparse
import json
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from tapewatch.clock import NANOS, WALL
from tapewatch.contract import readable
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

DEFAULT_COUNT = 10
DEFAULT_ROWS = 10
PATIENCE_S = 30
NEVER = 2**63 - 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch tail`."""
    parser.add_argument("topic", metavar="TOPIC", help="topic name, such as alerts or market.synthetic")
    parser.add_argument("--partition", type=int, metavar="N", help="only this partition")
    parser.add_argument(
        "--from",
        dest="start",
        default="end",
        metavar="beginning|end|OFFSET",
        help="where to begin; end (the default) shows the newest records, with --follow only new ones",
    )
    parser.add_argument("--count", type=int, metavar="N", help="stop after N records (default: 10, with --follow none)")
    parser.add_argument("--rows", type=int, metavar="N", help="rows of a frame at most (default: 10, with --json all)")
    parser.add_argument("--instrument", default="", metavar="ID", help="only rows and messages of this instrument")
    parser.add_argument("--follow", action="store_true", help="go on as records arrive")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = "example: tapewatch tail alerts --from beginning --count 5"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print records until there are no more, or enough."""
    _check(args)
    partitions = _partitions(args, settings)
    reader = kafka.consumer(settings, "tapewatch-tail", enable_partition_eof=True)
    try:
        found = _select(reader, args, partitions)
        if args.json:
            print(json.dumps({"topic": args.topic, "records": [_tree(*item) for item in found]}))
            return 0
        width = shutil.get_terminal_size((160, 24)).columns
        for record, content in found:
            print("\n".join(_text(record, content, width)), flush=True)
        return 0
    finally:
        reader.close()


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record. at : UTC nanoseconds, to the millisecond."""

    topic: str
    partition: int
    offset: int
    at: int
    key: str | None
    headers: dict[str, str]
    value: bytes | None


Found = tuple[Record, readable.Content]


def _check(args: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other."""
    if args.start not in ("beginning", "end") and not args.start.isdecimal():
        raise TapewatchError(f"--from {args.start} is no place in a log", "Give beginning, end or an offset.")
    if args.count is not None and args.count < 1:
        raise TapewatchError("--count is 1 or more", "Give the number of records to show.")
    if args.json and args.follow and args.count is None:
        raise TapewatchError("--json with --follow would never end its document", "Give --count N as well.")


def _partitions(args: argparse.Namespace, settings: Settings) -> list[int]:
    """The partitions to read; an unknown topic's error lists those that exist."""
    known = kafka.existing_topics(kafka.admin(settings))
    if args.topic not in known:
        names = sorted(name for name in known if not name.startswith("__"))
        hint = f"There are: {', '.join(names)}." if names else "There are none yet: run `tapewatch demo`."
        raise TapewatchError(f"there is no topic {printable(args.topic)}", hint)
    if args.partition is None:
        return list(range(known[args.topic]))
    if not 0 <= args.partition < known[args.topic]:
        raise TapewatchError(
            f"{args.topic} has no partition {args.partition}", f"Its partitions are 0 to {known[args.topic] - 1}."
        )
    return [args.partition]


def _select(reader: Consumer, args: argparse.Namespace, partitions: list[int]) -> Iterator[Found]:
    """The records to show, in the order in which to show them."""
    bounds = {partition: kafka.watermarks(reader, args.topic, partition) for partition in partitions}
    count = args.count or (NEVER if args.follow else DEFAULT_COUNT)
    if args.start == "end" and not args.follow:
        return iter(_newest(reader, args, bounds, count))
    starts = {partition: _start(args.start, *bound) for partition, bound in bounds.items()}
    ends = {partition: NEVER if args.follow else high for partition, (_, high) in bounds.items()}
    return _first(_matching(reader, args, starts, ends), count)


def _start(place: str, low: int, high: int) -> int:
    """The offset to begin with, within the partition's bounds."""
    if place in ("beginning", "end"):
        return low if place == "beginning" else high
    return min(max(int(place), low), high)


def _first(found: Iterator[Found], count: int) -> Iterator[Found]:
    """At most `count` of them, without waiting for one more."""
    for number, item in enumerate(found, start=1):
        yield item
        if number >= count:
            return


def _newest(reader: Consumer, args: argparse.Namespace, bounds: dict[int, tuple[int, int]], count: int) -> list[Found]:
    """The newest `count` matching records, oldest first; looks further back while there are too few."""
    back = count + 8
    while True:
        starts = {partition: max(low, high - back) for partition, (low, high) in bounds.items()}
        ends = {partition: high for partition, (_, high) in bounds.items()}
        kept: dict[int, deque[Found]] = {partition: deque(maxlen=count) for partition in bounds}
        for record, content in _matching(reader, args, starts, ends):
            kept[record.partition].append((record, content))
        settled = all(
            len(kept[partition]) >= count or starts[partition] <= low for partition, (low, _) in bounds.items()
        )
        if settled:
            # Stable: within one millisecond the records of a partition stay in their order.
            merged = sorted((item for each in kept.values() for item in each), key=lambda item: item[0].at)
            return merged[-count:]
        back *= 8


def _matching(
    reader: Consumer, args: argparse.Namespace, starts: dict[int, int], ends: dict[int, int]
) -> Iterator[Found]:
    """Records that the arguments ask for, with their contents."""
    limit = args.rows if args.rows is not None or args.json else DEFAULT_ROWS
    for record in _records(reader, args.topic, starts, ends):
        content = readable.read(record.value, args.instrument, limit or None)
        if content is not None:
            yield record, content


def _records(reader: Consumer, topic: str, starts: dict[int, int], ends: dict[int, int]) -> Iterator[Record]:
    """Committed records from `starts` until every partition has reached its end (exclusive, NEVER for none)."""
    unfinished = {partition for partition in starts if starts[partition] < ends[partition]}
    if not unfinished:
        return
    reader.assign([TopicPartition(topic, partition, starts[partition]) for partition in unfinished])
    last_move = WALL.elapsed()
    while unfinished:
        for message in reader.consume(200, timeout=0.1):
            last_move = WALL.elapsed()
            partition = int(message.partition() or 0)
            if _is_end(message):
                if ends[partition] != NEVER:
                    unfinished.discard(partition)
                continue
            record = _record(message)
            if partition in unfinished and record.offset < ends[partition]:
                yield record
            if record.offset >= ends[partition] - 1:
                unfinished.discard(partition)
        if NEVER not in ends.values() and WALL.elapsed() - last_move > PATIENCE_S * NANOS:
            raise TapewatchError(f"{topic} does not answer for {PATIENCE_S} s", "Run `tapewatch status`.")


def _record(message: Message) -> Record:
    """What tail needs of a record."""
    return Record(
        str(message.topic()),
        int(message.partition() or 0),
        int(message.offset() or 0),
        int(message.timestamp()[1]) * 1_000_000,
        readable.key_text(message.key()),
        readable.header_texts(message.headers()),
        message.value(),
    )


def _is_end(message: Message) -> bool:
    """Whether this is the mark of a partition's end; any other error is raised."""
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    raise TapewatchError(f"cannot read {message.topic()}: {error.str()}", "Run `tapewatch status`.")


def _tree(record: Record, content: readable.Content) -> dict[str, Any]:
    """A record as JSON."""
    tree: dict[str, Any] = {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": to_rfc3339(record.at),
        "key": record.key,
        "headers": record.headers,
        "kind": content.kind,
        "bytes": content.size,
    }
    if content.kind == "frame":
        return {**tree, "rows_total": content.total, "rows": content.rows}
    return {**tree, "value": content.tree, **({"note": content.note} if content.note else {})}


def _text(record: Record, content: readable.Content, width: int) -> list[str]:
    """A record as lines: where it lies, its headers, why it was refused, and what it holds."""
    headers = dict(record.headers)
    reason, detail = headers.pop("reason", ""), headers.pop("detail", "")
    words = [f"{record.topic}[{record.partition}]@{record.offset}", to_rfc3339(record.at)[:23] + "Z"]
    words += [f"key={record.key}"] if record.key is not None else []
    words += [f"{name}={value}" for name, value in headers.items()]
    refused = [f"  refused: {reason}{f': {detail}' if detail else ''}"] if reason else []
    return [*(printable(line) for line in (" ".join(words), *refused)), *readable.lines(content, width), ""]
