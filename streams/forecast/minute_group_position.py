"""Where the minute stage's group stands: by the offsets that it committed, and by what its own predictions say.

Predictions and the offset behind the bars that they answer are of one transaction. A group that stands before bars
that it answered lost its offsets (it was away for longer than the broker's `offsets.retention.minutes`), or somebody
set them: it would write those predictions and signals a second time.
"""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from tapewatch import logs
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings

log = logs.get("forecast")

_GROUP, _PARTITION, _NEXT = "group", "partition", "next_offset"
LONGEST_LOOK = 500_000
"""Predictions that are looked through, from the end of each partition's, where the group has an offset."""


def headers(group: str, partition: int, offset: int) -> Headers:
    """Headers of a prediction. partition, offset : of the record of bars that it answers"""
    return [(_GROUP, group.encode()), (_PARTITION, str(partition).encode()), (_NEXT, str(offset + 1).encode())]


def proved(settings: Settings, reader: Consumer, places: Sequence[TopicPartition]) -> list[TopicPartition]:
    """The places, each at least behind the bars that the group answered: TapewatchError where one is not, unless
    `forecast.restore_offsets` says so. What a place is restored to has no metadata: its windows are read from the
    beginning of the log.
    """
    newest = _newest(settings, reader, {place.partition: place.offset for place in places})
    return [_taken_up(settings, place, newest.get(place.partition, -1)) for place in places]


def _newest(settings: Settings, reader: Consumer, stands: Mapping[int, int]) -> dict[int, int]:
    """Behind which bars of each partition the group's newest prediction is."""

    def of(message: Message) -> int | None:
        told = dict(message.headers() or ())
        own = told.get(_GROUP) == settings.forecast.group.encode()
        return int(told[_PARTITION]) if own and {_PARTITION, _NEXT} <= told.keys() else None

    found: dict[int, int] = {}
    for number in range(kafka.existing_topics(reader).get(topics.PREDICTIONS, 0)):
        low, end = kafka.watermarks(reader, topics.PREDICTIONS, number)
        lows = {each: low if offset < 0 else max(low, end - LONGEST_LOOK) for each, offset in stands.items()}
        for each, message in kafka.newest(reader, topics.PREDICTIONS, number, lows, end, of).items():
            found[each] = max(found.get(each, -1), int(dict(message.headers() or ())[_NEXT]))
    return found


def _taken_up(settings: Settings, place: TopicPartition, answered: int) -> TopicPartition:
    """The place, or the one behind what was answered."""
    if answered <= max(place.offset, -1):
        return place
    group_offsets.restore(
        settings.forecast.group, place, answered, settings.forecast.restore_offsets, log,
        f"and answered up to {answered:,}: predictions and signals would be written again",
        "`tapewatch run forecast --restore-offsets` goes on behind what was answered; see docs/lstm.md.",
    )  # fmt: skip
    return TopicPartition(place.topic, place.partition, answered)
