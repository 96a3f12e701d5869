"""Faults of a stranger, who writes into the market topic beside the feed's producer: frames that are far too much."""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from infra.chaos.faults.kind import (
    INPUT,
    BrokenPromiseError,
    Fault,
    Ground,
    Kind,
    NotInjectedError,
    Pause,
    asleep,
    comes,
)
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import REQUIRED, Column, Rows, RowType, numpy_dtype, schema
from tapewatch.dlq.letter import Letter, Selection, found
from tapewatch.market_log import dead_letters
from tapewatch.runtime import batches, group_offsets, kafka
from tapewatch.settings import Settings

Key = tuple[str, int]
"""Topic and partition."""

SOURCE = "stranger"
STORM_FRAMES, STORM_ROWS = 32, 8192
BOMB_COLUMNS, BOMB_ROWS, BOMB_WIDTH = 64, 65_536, 64
BOMB_RECORDS, BOMB_RECORD = 3, 40_000_000
WRITTEN_S = 20.0
SEEN_S = 15.0
"""How long the letters of a committed transaction may take to be seen."""
CLOCKS_NS = 2 * 3600 * NANOS
"""How far the engines' clock, which dates their letters, may be behind: step_engine_clock sets it back."""


def bomb() -> bytes:
    """A frame of less than 100 KB whose 64 columns unpack to 32 MiB of zeros each, 2 GiB together."""
    zeros = pa.array(np.zeros(BOMB_ROWS * BOMB_WIDTH))
    column = pa.FixedSizeListArray.from_arrays(zeros, BOMB_WIDTH)
    batch = pa.RecordBatch.from_arrays([column] * BOMB_COLUMNS, [f"c{number}" for number in range(BOMB_COLUMNS)])
    return frames.write_stream(batch.replace_schema_metadata(schema(RowType.TRADE).metadata), "zstd")


def append_bomb_batch(settings: Settings, topic: str, partition: int = 0, codec: str = "zstd") -> int:
    """Append a batch of 120 MB of zeros, in zstd some 4 KB, that the Kafka client does not unpack; its first offset."""
    sent = kafka.Deliveries(
        kafka.producer(
            settings, compression_type=codec, linger_ms=60_000, batch_size=200_000_000, message_max_bytes=200_000_000
        )
    )
    for _ in range(BOMB_RECORDS):
        sent.send(topic, bytes(BOMB_RECORD), partition=partition)
    sent.settle(60)
    return sent.offsets[topic, partition] - BOMB_RECORDS + 1


def storm() -> Iterable[bytes]:
    """Frames of trades, each row of an instrument that nobody registered and no other row has."""
    now = WALL.now()
    for number in range(STORM_FRAMES):
        columns: dict[str, Column] = {
            name: np.ones(STORM_ROWS, dtype=numpy_dtype(kind)) for name, kind in REQUIRED[RowType.TRADE]
        }
        columns["instrument"] = np.arange(STORM_ROWS, dtype=np.int32)
        columns["ts_event"] = columns["ts_recv"] = np.full(STORM_ROWS, now, dtype=np.int64)
        names = [f"GHOST{number}-{row}.NOWH" for row in range(STORM_ROWS)]
        yield frames.encode(Rows(RowType.TRADE, names, columns))


def bomb_frame(site: Ground, fault: Fault, pause: Pause) -> str:
    """Such a frame. Once the engines have passed it there is one dead letter of theirs, `oversized`."""
    letters = _refused(site, fault, pause, lambda log: _written(site, log, [bomb()]), bool)
    told = [(letter.kind, letter.reason) for letter in letters]
    if told != [("record", "oversized")]:
        raise BrokenPromiseError(f"a frame that unpacks to 2 GiB has the dead letters {told}")
    return "one record, oversized"


def bomb_batch(site: Ground, fault: Fault, pause: Pause) -> str:
    """Such a batch. Once the engines have passed it there is one dead letter of theirs, `unreadable_batch`."""

    def write(log: Key) -> set[int]:
        first = append_bomb_batch(site.settings, *log)
        return set(range(first, first + BOMB_RECORDS))

    letters = _refused(site, fault, pause, write, bool)
    told = [(letter.kind, letter.reason) for letter in letters]
    if told != [("record", batches.REASON)]:
        raise BrokenPromiseError(f"a batch that nobody can unpack has the dead letters {told}")
    return f"one record, {batches.REASON}"


def storm_of_refusals(site: Ground, fault: Fault, pause: Pause) -> str:
    """Such frames. Once the engines have passed them the dead letters tell of every row."""
    wanted = STORM_FRAMES * STORM_ROWS
    letters = _refused(
        site, fault, pause, lambda log: _written(site, log, storm()), lambda found: _rows(found) >= wanted
    )
    if _rows(letters) != wanted:
        raise BrokenPromiseError(f"{wanted:,} rows of nobody's instruments have dead letters of {_rows(letters):,}")
    return f"{wanted:,} rows in {len(letters):,} letters"


def _rows(letters: list[Letter]) -> int:
    """How many rows letters tell of: refused as nobody's, and those of another partition as such."""
    return sum(letter.rows for letter in letters)


def _refused(
    site: Ground,
    fault: Fault,
    pause: Pause,
    write: Callable[[Key], set[int]],
    is_whole: Callable[[list[Letter]], bool],
) -> list[Letter]:
    """Write records into a drawn partition; what the engines refused of them. NotInjectedError where they do not come
    to the last one in the fault's length.

    write : does so, given topic and partition; returns their offsets
    is_whole : whether nothing is missing. A transaction that is decided may not be visible in each topic yet.
    """
    topic, group = topics.market(site.feed), site.settings.engine.group
    reader = kafka.consumer(site.settings, group)
    try:
        log = topic, int(fault.draw * kafka.existing_topics(reader)[topic])
        began = WALL.now() - CLOCKS_NS
        offsets = write(log)
        last = max(offsets)
        if not comes(lambda: group_offsets.next_offsets(reader, [log]).get(log, 0) > last, pause, fault.length_s):
            raise NotInjectedError(f"the engines did not come to it in {fault.length_s:.0f} s")
    finally:
        reader.close()

    def letters() -> list[Letter]:
        chosen = found(site.settings, Selection(topic=topic, by=dead_letters.ENGINE, since=began))
        return [each for each in chosen if each.origin.partition == log[1] and each.origin.offset in offsets]

    comes(lambda: is_whole(letters()), asleep, SEEN_S)
    return letters()


def _written(site: Ground, log: Key, values: Iterable[bytes]) -> set[int]:
    """The offsets of records written by a source of its own. NotInjectedError where Kafka does not take them."""
    producer, epoch, offsets, count = kafka.producer(site.settings), WALL.now(), set[int](), 0
    for count, value in enumerate(values, 1):
        headers = FrameHeaders(RowType.TRADE.label, SOURCE, epoch, count - 1, epoch).to_kafka()
        kafka.enqueue(
            producer, log[0], value, None, headers, log[1],
            lambda error, message: offsets.add(message.offset()) if error is None else None,
        )  # fmt: skip
    producer.flush(WRITTEN_S)
    if len(offsets) < count:
        raise NotInjectedError(f"Kafka took {len(offsets)} of {count} records")
    return offsets


KINDS = (
    Kind("bomb_frame", "a frame of some KB comes that unpacks to 2 GiB", INPUT, bomb_frame, "", 75, 75, 2),
    Kind("bomb_batch", "a batch of some KB comes that no client unpacks", INPUT, bomb_batch, "", 75, 75, 2),
    Kind(
        "storm_of_refusals",
        "hundreds of thousands of rows come of instruments that nobody registered",
        INPUT,
        storm_of_refusals,
        "",
        75,
        75,
        2,
    ),
)
