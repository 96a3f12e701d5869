"""Control rows: how a change of model or configuration enters the market log, and what a new market topic begins with.

What is in force by order lies in the compacted topic `models`, one record a subject (a detector's name, or `config`). A
control row carries all of it, so that every row alone says what holds from there on, and a row that is written twice
changes nothing: its epoch is that of the newest record, and readers drop what they have seen of a source.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Message

from tapewatch.clock import WALL, Clock
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import EVERY_INSTRUMENT, Column, Rows, RowType, StatusKind
from tapewatch.market_log.admission import CONTROL_SOURCE
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

CONFIG = "config"
"""The subject of the detector configuration; every other subject is a detector."""
HISTORY = 32
"""Earlier values that a record remembers."""

_PREFIX = "in-force|"
_LOCK_FILE = "control.lock"


class Order(msgspec.Struct, frozen=True):
    """What is in force for one subject.

    subject : detector, or `config`; value : content hash; content : the configuration itself, None for a detector
    epoch : of the control rows written for it; at : RFC 3339; who, why : as in the audit log; audit : hash of the entry
    there
    previous : the values before, newest first
    """

    subject: str
    value: str
    epoch: int
    at: str
    who: str
    why: str
    audit: str
    content: dict[str, Any] | None = None
    previous: tuple[str, ...] = ()


def orders(settings: Settings) -> dict[str, Order]:
    """What is in force by subject; nothing where all is as shipped."""
    found: dict[str, Order] = {}

    def take(message: Message) -> None:
        key, value = (message.key() or b"").decode("utf-8", "replace"), message.value()
        if key.startswith(_PREFIX) and not value:
            found.pop(key.removeprefix(_PREFIX), None)
        elif key.startswith(_PREFIX) and value:
            order = msgspec.json.decode(value, type=Order)
            found[order.subject] = order

    if topics.MODELS in kafka.existing_topics(kafka.admin(settings)):
        kafka.read_all(settings, topics.MODELS, take)
    return found


def record(order: Order) -> tuple[bytes, bytes]:
    """Key and value of the order on the topic `models`."""
    return f"{_PREFIX}{order.subject}".encode(), msgspec.json.encode(order)


def next_epoch(standing: Mapping[str, Order], clock: Clock = WALL) -> int:
    """An epoch above every earlier one: the clock's nanoseconds, or one more than the newest."""
    return max([clock.now(), *(order.epoch + 1 for order in standing.values())])


def detail(standing: Mapping[str, Order]) -> str:
    """The detail of a control row that says all that is in force."""
    said: dict[str, Any] = {"models": {name: order.value for name, order in standing.items() if name != CONFIG}}
    if CONFIG in standing:
        said["config"] = standing[CONFIG].content
    return msgspec.json.encode(said, order="deterministic").decode()


def frame(said: str, at_ns: int) -> bytes:
    """A frame with one control row for every instrument. at_ns : its times, UTC ns; they do not move the partition's
    clock.
    """
    stamp = np.full(1, at_ns, dtype=np.int64)
    columns: dict[str, Column] = {
        "instrument": np.zeros(1, dtype=np.int32),
        "ts_event": stamp,
        "ts_recv": stamp,
        "kind": np.full(1, int(StatusKind.CONTROL), dtype=np.int8),
        "detail": np.array([said], dtype=object),
    }
    return frames.encode(Rows(RowType.STATUS, [EVERY_INSTRUMENT], columns))


def write(
    settings: Settings, standing: Mapping[str, Order], places: Mapping[str, list[int]], clock: Clock = WALL
) -> dict[str, dict[int, int]]:
    """Write what is in force into the partitions `places[topic]`; returns the row's offset by topic and partition.

    DeliveryError where a partition did not take its row: writing again is safe.
    """
    said, epoch, now = detail(standing), max(order.epoch for order in standing.values()), clock.now()
    headers = FrameHeaders("status", CONTROL_SOURCE, epoch, 0, now).to_kafka()
    return kafka.write_each(settings, places, frame(said, now), headers)


def market_partitions(settings: Settings) -> dict[str, list[int]]:
    """Every partition of every market topic."""
    known = kafka.existing_topics(kafka.admin(settings))
    return {name: list(range(count)) for name, count in sorted(known.items()) if topics.is_market(name)}


def seed_new_feed(settings: Settings, topic: str, clock: Clock = WALL) -> int:
    """Let the empty partitions of a market topic begin with what is in force; returns how many rows were written.

    To be called when the topic has been created, before its first row. Nothing is written where all is as shipped.
    """
    standing = orders(settings)
    if not standing:
        return 0
    reader = kafka.consumer(settings)
    try:
        count = kafka.existing_topics(kafka.admin(settings)).get(topic, 0)
        empty = [partition for partition in range(count) if kafka.watermarks(reader, topic, partition)[1] == 0]
    finally:
        reader.close()
    if empty:
        write(settings, standing, {topic: empty}, clock)
    return len(empty)


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Hold this data folder's lock, so that two changes take effect in the same order everywhere."""
    settings.data_path.mkdir(parents=True, exist_ok=True)
    with (settings.data_path / _LOCK_FILE).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
