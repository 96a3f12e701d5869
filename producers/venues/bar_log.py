"""Which bars a feed's log holds already, so that a restart sends none twice."""

from typing import Any

from confluent_kafka import Message, TopicPartition

from tapewatch.contract import topics
from tapewatch.contract.frames import Decoder, FrameHeaders
from tapewatch.contract.rows import RowType
from tapewatch.errors import ContractError
from tapewatch.market_log import generations
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


def latest_bars(settings: Settings, feed: str, since_ns: int) -> dict[str, int]:
    """Opening of the newest bar of each instrument among those appended since then; UTC nanoseconds."""
    standing = generations.read(settings)
    latest: dict[str, int] = {}
    decoder = Decoder()
    reader = kafka.consumer(settings)
    try:
        known = kafka.existing_topics(kafka.admin(settings))
        names = [topics.market(standing.base(feed)), *(each.topic for each in standing.of(feed))]
        for topic, partition in [(name, each) for name in names for each in range(known.get(name, 0))]:
            (found,) = kafka.offsets_at(reader, [TopicPartition(topic, partition, since_ns // 1_000_000)])
            low, high = kafka.watermarks(reader, topic, partition)
            start = max(low, found.offset) if found.offset >= 0 else high
            for message in kafka.read_range(reader, topic, partition, start, high):
                _take(message, decoder, latest)
    finally:
        reader.close()
    return latest


def _take(message: Message, decoder: Decoder, latest: dict[str, int]) -> None:
    """Look at one record; what is no frame of bars tells nothing."""
    headers: Any = message.headers()
    try:
        if FrameHeaders.from_kafka(headers).type != RowType.BAR.label:
            return
        view = decoder.open(message.value() or b"")
    except ContractError:
        return
    names = view.names()
    for code, opened in zip(view.column("instrument").tolist(), view.column("ts_open").tolist(), strict=True):
        latest[names[code]] = max(latest.get(names[code], 0), opened)
