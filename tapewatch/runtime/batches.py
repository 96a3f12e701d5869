"""Record batches that the Kafka client cannot unpack: where in the log each one ends, and what lies there.

librdkafka refuses a batch that is damaged, or that unpacks to more than it may: it asks for the same place for ever,
and does not say where the batch ends. The batch's header does, which is never packed.
"""

import asyncio
import hashlib
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapewatch import logs
from tapewatch.errors import TapewatchError
from tapewatch.security import asyncio_client
from tapewatch.settings import Settings

REASON = "unreadable_batch"
"""Why its records are refused."""
KEPT_BYTES = 65_536
_REFUSALS = (KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG)
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_HEADER = struct.Struct(">qiibIhiqq")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset's delta, first and newest time: Kafka's record
batch, magic 2.
"""
_LENGTH_AT = 12
"""A batch's length counts from here."""
_ANSWER_S = 15

_log = logs.get("kafka")


@dataclass(frozen=True, slots=True)
class UnreadableBatch:
    """A batch that cannot be unpacked, in the shape of one record: whoever reads on does so behind its last offset.

    log : topic and partition; first, last : offsets; time : kind and UTC milliseconds of the newest record
    codec : by which it is packed; size : its bytes in the log; sha256 : of them, hex; head : the first 64 KiB
    """

    log: tuple[str, int]
    first: int
    last: int
    time: tuple[int, int]
    codec: str
    size: int
    sha256: str
    head: bytes

    @property
    def detail(self) -> str:
        """The reason in words."""
        return f"offsets {self.first} to {self.last}: {self.size} bytes, {self.codec}, cannot be unpacked"

    def topic(self) -> str:
        """Where it lies."""
        return self.log[0]

    def partition(self) -> int:
        """Where it lies."""
        return self.log[1]

    def offset(self) -> int:
        """The last one."""
        return self.last

    def error(self) -> None:
        """None: it lies in the log like any record."""

    def key(self) -> None:
        """None."""

    def value(self) -> bytes:
        """What lies there, the beginning of it: no record of any contract."""
        return self.head

    def headers(self) -> list[tuple[str, bytes]]:
        """Why there are no records."""
        return [("reason", REASON.encode()), ("detail", self.detail.encode())]

    def timestamp(self) -> tuple[int, int]:
        """When it was written: kind and UTC milliseconds."""
        return self.time


Record: TypeAlias = Message | UnreadableBatch


class PassingOver:
    """Lets one consumer pass over what it cannot unpack."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._refused: dict[tuple[str, int], int] = {}

    def read(self, consumer: Consumer, polled: Sequence[Message]) -> list[Record]:
        """What was polled, with a batch in the place of the error that tells of it; behind it the consumer reads on.

        Only what is refused twice counts: once may be the network's doing. A batch that nobody can be asked about now
        is refused again soon.
        """
        records: list[Record] = []
        moved: set[tuple[str, int]] = set()
        for message in polled:
            log, error = (message.topic(), message.partition()), message.error()
            if log in moved:
                # It is read again, from behind the batch.
                continue
            if error is None or error.code() not in _REFUSALS:
                records.append(message)
            elif self._refused.get(log) != message.offset():
                self._refused[log] = message.offset()
            elif (batch := self._passed(consumer, log, message.offset())) is not None:
                moved.add(log)
                records.append(batch)
        return records

    def _passed(self, consumer: Consumer, log: tuple[str, int], offset: int) -> UnreadableBatch | None:
        """The batch at an offset, with the consumer behind it; None where it cannot be told now."""
        try:
            batch = found(log, offset, fetched(self._settings, log, offset))
            consumer.seek(TopicPartition(*log, batch.last + 1))
        except (TapewatchError, KafkaException) as error:
            _log.warning("no way past a batch yet", topic=log[0], partition=log[1], offset=offset, problem=str(error))
            return None
        _log.error("a batch is passed over", topic=log[0], partition=log[1], batch=batch.detail)
        return batch


def found(log: tuple[str, int], offset: int, raw: bytes) -> UnreadableBatch:
    """The batch that holds an offset, by its header. raw : the log from its beginning on; TapewatchError without one"""
    if len(raw) >= _HEADER.size:
        first, length, _, magic, _, attributes, delta, _, newest_ms = _HEADER.unpack_from(raw)
        size, last = _LENGTH_AT + length, first + delta
        if magic == 2 and _HEADER.size <= size <= len(raw) and first <= offset <= last:
            codec, time = attributes & 7, (2 if attributes & 8 else 1, newest_ms)
            name = _CODECS[codec] if codec < len(_CODECS) else str(codec)
            digest = hashlib.sha256(memoryview(raw)[:size]).hexdigest()
            return UnreadableBatch(log, first, last, time, name, size, digest, raw[: min(size, KEPT_BYTES)])
    raise TapewatchError(
        f"{log[0]}[{log[1]}] has no sound batch header at offset {offset}",
        "Restore the partition from another replica: its log is damaged.",
    )


def fetched(settings: Settings, log: tuple[str, int], offset: int) -> bytes:
    """The log as it lies there, from the beginning of the batch that holds an offset. TapewatchError without answer."""
    # In a thread of its own: an event loop may be at work in the caller's.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _fetched(settings, log, offset)).result()


async def _fetched(settings: Settings, log: tuple[str, int], offset: int) -> bytes:
    # Its import takes a tenth of a second, and hardly anybody ever needs it.
    from aiokafka import TopicPartition as Place
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError as AskingError
    from aiokafka.errors import for_code
    from aiokafka.protocol.fetch import FetchRequest

    topic, partition = log
    client: Any = None
    try:
        async with asyncio.timeout(_ANSWER_S):
            client = AIOKafkaClient(
                bootstrap_servers=settings.bootstrap().split(","), **asyncio_client.properties(settings.kafka_login())
            )
            await client.bootstrap()
            await client.set_topics([topic])
            leader = client.cluster.leader_for_partition(Place(topic, partition))
            # The first batch comes whole, however few bytes are asked for, and then no other.
            asked = FetchRequest(500, 1, 1, 0, [(topic, [(partition, offset, 1)])])
            answer = (await client.send(leader, asked)).topics[0][1][0]
            if answer[1]:
                raise for_code(answer[1])()
            return bytes(answer[-1] or b"")
    except (AskingError, OSError, TimeoutError, AssertionError) as error:
        raise TapewatchError(f"the log was not shown: {error!r}", "Run `tapewatch status`.") from error
    finally:
        if client is not None:
            await client.close()
