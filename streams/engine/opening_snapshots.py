"""Opening snapshots: a partition's state as each UTC day of its clock begins, so that days can be computed beside each
other.

They lie on `engine.snapshots` in slots of their own, one a day, behind the two running ones; the slots come round again
when the log of their day is gone. An opening is written in the first transaction whose records moved the clock into the
day, so a session is what lies between two of them. A later generation of a feed has one more, with which it begins.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from confluent_kafka import Consumer

from streams.engine.snapshots import GROUP, OPENING, Pointer, chunk_key
from streams.engine.task import Task
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.market_log import generations
from tapewatch.market_log.generations import Generations
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

DAY_NS = 86_400 * NANOS
FIRST_SLOT = OPENING + 1
"""The slots before it are those of the running snapshots and of a generation's first state."""
DAY = "day"
"""Header of an opening's chunks, by which they are told."""
_SPARE = 2
"""Days that an opening outlives its log."""


class OpeningSnapshot(msgspec.Struct, frozen=True):
    """A day's opening. day : whole UTC days since the epoch; pointer : where its state lies"""

    day: int
    pointer: Pointer


def day_of(task: Task) -> int:
    """The UTC day of a task's clock, since the epoch; -1 before the first row."""
    return task.clock_ns // DAY_NS if task.clock_ns >= 0 else -1


def name_of(day: int) -> str:
    """A day as people write it: 2026-01-31."""
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def slot_of(day: int, retention_hours: int) -> int:
    """The slot that a day's opening is kept in. retention_hours : of the market log"""
    return FIRST_SLOT + day % (-(-retention_hours // 24) + _SPARE)


def stored(settings: Settings, reader: Consumer, task: Task) -> list[OpeningSnapshot]:
    """All openings of a task's partition, by offset: the one that it begins with, in a later generation of a feed, and
    those of the engine group's days. reader : a consumer nothing else uses meanwhile
    """
    later = generations.named(topics.feed_of(task.topic)) is not None
    first = beginning(generations.read(settings), task.topic, task.partition) if later else None
    return [*([first] if first else []), *find(reader, task, settings.engine.group)]


def beginning(standing: Generations, topic: str, partition: int) -> OpeningSnapshot | None:
    """What a partition of a later generation of a feed begins with; None for every other."""
    generation, first = standing.by_topic.get(topic), standing.opening(topic, partition)
    if generation is None or first is None:
        return None
    return OpeningSnapshot(generation.at // DAY_NS, Pointer(first.partition, first.offset, first.chunks, 0, OPENING))


def find(reader: Consumer, task: Task, group: str) -> list[OpeningSnapshot]:
    """The whole openings of a task's partition on the topic, by offset. reader : a consumer nothing else uses meanwhile

    group : whose state is wanted: another group may have begun elsewhere in the log
    """
    # A later day in the same slot: compaction takes the chunks of the one before.
    found = {
        each.slot: OpeningSnapshot(int(told[DAY]), each) for told, each in _whole(reader, task, group) if DAY in told
    }
    return sorted(found.values(), key=lambda opening: opening.pointer.next_offset)


def newest(reader: Consumer, task: Task, group: str, upto: int) -> tuple[Pointer, ...]:
    """A group's two newest whole snapshots of a task's partition, running ones and openings alike, newest first; those
    beyond offset `upto` are left out.
    """
    found = [pointer for _, pointer in _whole(reader, task, group) if pointer.next_offset <= upto]
    return tuple(sorted(found, key=lambda pointer: -pointer.next_offset)[:2])


def _whole(reader: Consumer, task: Task, group: str) -> Iterator[tuple[dict[str, bytes], Pointer]]:
    """Headers and place of every snapshot whose chunks are all there, as they follow each other."""
    partitions = kafka.existing_topics(reader).get(topics.SNAPSHOTS, 0)
    if not partitions:
        return
    place = task.partition % partitions
    chunks: dict[tuple[int, int], list[int]] = {}
    for offset, slot, told in _chunks(reader, task, place, group):
        next_offset = int(told["next_offset"])
        known = chunks.setdefault((slot, next_offset), [])
        known.append(offset)
        if len(known) == int(told["chunks"]):
            yield told, Pointer(place, min(known), len(known), next_offset, slot)


def _chunks(reader: Consumer, task: Task, place: int, group: str) -> Iterator[tuple[int, int, dict[str, bytes]]]:
    """Offset, slot and headers of every chunk of a group's snapshots."""
    prefix = chunk_key(task, 0, 0).rsplit(b"|", 2)[0] + b"|"
    low, high = kafka.watermarks(reader, topics.SNAPSHOTS, place)
    for message in kafka.read_range(reader, topics.SNAPSHOTS, place, low, high):
        key: bytes = message.key() or b""
        given: Headers = message.headers() or []
        told = dict(given)
        if key.startswith(prefix) and message.value() and told.get(GROUP) == group.encode():
            yield message.offset(), int(key.split(b"|")[2]), told
