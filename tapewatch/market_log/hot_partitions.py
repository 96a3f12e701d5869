"""Which partitions of a feed carry how much, and which instruments make them hot: from the log's newest frames and the
engine's commit records.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
from confluent_kafka import Consumer, Message, TopicPartition

from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.frames import Decoder, FrameHeaders
from tapewatch.contract.messages import Commit
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import EVERY_INSTRUMENT
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log.admission import ASIDE
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

SAMPLE_FRAMES = 2_000
"""Newest frames of a partition that are opened at most."""
CANDIDATES = (2, 3, 4, 6, 8)
"""Multiples of the present number of partitions that are tried on the sampled rows."""
EVEN = 1.25
"""A partition with no more than this many times the mean is no hot one."""


class HotInstrument(msgspec.Struct, frozen=True):
    """An instrument. share : of the feed's sampled rows"""

    instrument: str
    partition: int
    rows_per_s: float
    share: float


class PartitionLoad(msgspec.Struct, frozen=True):
    """One partition.

    rows_per_s, bytes_per_s, instruments : of the sampled frames, by the rows' own time; share : of the feed's rows
    engine_share : of the time that the engines computed on this feed; NaN where no commit record tells
    engine_us_per_row : of computing; behind : records not committed by the engine yet; instance : engine process
    """

    partition: int
    rows_per_s: float
    bytes_per_s: float
    share: float
    instruments: int
    engine_share: float | None
    engine_us_per_row: float | None
    behind: int
    instance: str


class RepartitionEstimate(msgspec.Struct, frozen=True):
    """What another number of partitions would give. skew : heaviest partition over the mean"""

    partitions: int
    skew: float


class FeedLoad(msgspec.Struct, frozen=True):
    """The report of one feed. sampled_s : of the market's own time; skew : heaviest partition over the mean, by rows"""

    feed: str
    topic: str
    sampled_s: float
    rows_per_s: float
    skew: float
    partitions: list[PartitionLoad]
    hottest: list[HotInstrument]
    others: list[RepartitionEstimate]
    advice: list[str]


@dataclass(slots=True)
class _Sample:
    """Of one partition's newest frames. first, last : ts_recv, UTC ns"""

    rows: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    first: int = 2**62
    last: int = 0


@dataclass(slots=True)
class _CommitTotals:
    """Of one partition's commit records."""

    us: int = 0
    rows: int = 0
    next_offset: int = 0
    instance: str = ""
    appended: int = -1


def look(settings: Settings, feed: str, seconds: float, top: int, clock: Clock = WALL) -> FeedLoad:
    """Report on a feed. seconds : how far back, by the broker's append time; top : instruments named

    TapewatchError where there is no such feed, or nothing was appended in that time.
    """
    topic = topics.market(feed)
    count = kafka.existing_topics(kafka.admin(settings)).get(topic, 0)
    if not count:
        raise TapewatchError(f"there is no feed {feed}", "See `tapewatch partitions` for the feeds there are.")
    since_ms = int(clock.now() / 1e6 - seconds * 1000)
    reader = kafka.consumer(settings)
    try:
        places = _since(reader, topic, count, since_ms)
        samples = [_sampled(reader, topic, number, *place) for number, place in enumerate(places)]
        worked = _worked(reader, settings, topic, count, since_ms)
    finally:
        reader.close()
    if not any(sample.rows for sample in samples):
        raise TapewatchError(
            f"nothing was sent into {topic} in the last {seconds:.0f} s", "Look further back with --seconds."
        )
    return _report(feed, samples, worked, [high for _, high in places], top)


def feeds(settings: Settings) -> list[str]:
    """Every feed there is."""
    known = kafka.existing_topics(kafka.admin(settings))
    return sorted(topics.feed_of(name) for name in known if topics.is_market(name))


def _since(reader: Consumer, topic: str, count: int, since_ms: int) -> list[tuple[int, int]]:
    """The first offset to look at and the log's end, by partition."""
    asked = [TopicPartition(topic, partition, since_ms) for partition in range(count)]
    found = {each.partition: each.offset for each in kafka.offsets_at(reader, asked)}
    places = []
    for partition in range(count):
        low, high = kafka.watermarks(reader, topic, partition)
        start = found.get(partition, -1)
        places.append((max(low, start if start >= 0 else high), high))
    return places


def _sampled(reader: Consumer, topic: str, partition: int, start: int, high: int) -> _Sample:
    """Rows by instrument of the newest frames; what cannot be read counts by its bytes alone."""
    sample, decoder = _Sample(), Decoder()
    for message in kafka.read_range(reader, topic, partition, max(start, high - SAMPLE_FRAMES), high):
        value = message.value() or b""
        sample.bytes += len(value)
        try:
            if FrameHeaders.from_kafka(message.headers()).source in ASIDE:
                continue
            view = decoder.open(value)
        except ContractError:
            continue
        times = view.column("ts_recv")
        sample.first, sample.last = min(sample.first, int(times.min())), max(sample.last, int(times.max()))
        codes, rows = np.unique(view.column("instrument"), return_counts=True)
        names = view.names()
        for code, number in zip(codes.tolist(), rows.tolist(), strict=True):
            if names[code] != EVERY_INSTRUMENT:
                sample.rows[names[code]] += number
    return sample


def _worked(reader: Consumer, settings: Settings, topic: str, count: int, since_ms: int) -> list[_CommitTotals]:
    """What the engine's commit records say of each partition."""
    found = [_CommitTotals() for _ in range(count)]
    for message in _commits(reader, settings, since_ms):
        if message.key() != topic.encode():
            continue
        commit = msgspec.json.decode(message.value() or b"", type=Commit)
        if commit.partition >= count:
            continue
        one = found[commit.partition]
        one.us += commit.worked_us
        one.rows += sum(commit.rows.values())
        one.next_offset = max(one.next_offset, commit.next_offset)
        if message.timestamp()[1] >= one.appended:
            one.appended, one.instance = message.timestamp()[1], commit.instance
    return found


def _commits(reader: Consumer, settings: Settings, since_ms: int) -> Iterator[Message]:
    count = kafka.existing_topics(kafka.admin(settings)).get(topics.COMMITS, 0)
    if count:
        for partition, (start, high) in enumerate(_since(reader, topics.COMMITS, count, since_ms)):
            yield from kafka.read_range(reader, topics.COMMITS, partition, start, high)


def skew_with(rows: Mapping[str, int], partitions: int) -> float:
    """The heaviest partition over the mean, were these rows (by instrument) spread over so many partitions."""
    loads = [0] * partitions
    for instrument, number in rows.items():
        loads[partition_for(instrument, partitions)] += number
    return max(loads) * partitions / max(sum(loads), 1)


def _report(feed: str, samples: list[_Sample], worked: list[_CommitTotals], ends: list[int], top: int) -> FeedLoad:
    rates = [_rates(sample) for sample in samples]
    rows_per_s = sum(rows for rows, _ in rates)
    told = sum(one.us for one in worked)
    partitions = [
        PartitionLoad(
            partition=number,
            rows_per_s=round(rows, 1),
            bytes_per_s=round(size, 1),
            share=round(rows / rows_per_s, 4) if rows_per_s else 0.0,
            instruments=len(sample.rows),
            engine_share=round(one.us / told, 4) if told else None,
            engine_us_per_row=round(one.us / one.rows, 3) if one.us and one.rows else None,
            behind=max(end - one.next_offset, 0) if one.appended >= 0 else end,
            instance=one.instance,
        )
        for number, (sample, (rows, size), one, end) in enumerate(zip(samples, rates, worked, ends, strict=True))
    ]
    # Rows by instrument as rates: partitions are sampled over different stretches.
    weights = Counter[str]()
    for sample, (rows, _) in zip(samples, rates, strict=True):
        whole = sum(sample.rows.values())
        for instrument, number in sample.rows.items():
            weights[instrument] = round(1e6 * rows * number / whole)
    hottest = [
        HotInstrument(
            name, partition_for(name, len(samples)), round(weight / 1e6, 2), round(weight / max(weights.total(), 1), 4)
        )
        for name, weight in weights.most_common(top)
    ]
    skew = max(rows for rows, _ in rates) * len(rates) / rows_per_s if rows_per_s else 1.0
    others = [
        RepartitionEstimate(len(samples) * times, round(skew_with(weights, len(samples) * times), 3))
        for times in CANDIDATES
    ]
    return FeedLoad(
        feed=feed,
        topic=topics.market(feed),
        sampled_s=round(max((s.last - s.first) / NANOS for s in samples if s.rows), 1),
        rows_per_s=round(rows_per_s, 1),
        skew=round(skew, 3),
        partitions=partitions,
        hottest=hottest,
        others=others,
        advice=advice(feed, partitions, hottest, skew, others),
    )


def _rates(sample: _Sample) -> tuple[float, float]:
    """Rows and bytes a second of the market's own time; a sample within one second counts as one."""
    seconds = max((sample.last - sample.first) / NANOS, 1.0)
    return sum(sample.rows.values()) / seconds, sample.bytes / seconds if sample.rows else 0.0


def advice(
    feed: str,
    partitions: list[PartitionLoad],
    hottest: list[HotInstrument],
    skew: float,
    others: list[RepartitionEstimate],
) -> list[str]:
    """What to do about it, a sentence each."""
    said = []
    count, heaviest = len(partitions), max(partitions, key=lambda each: each.rows_per_s)
    single = hottest[0]
    more = next((each for each in others if each.skew / each.partitions < 0.75 * skew / count), None)
    if count > 1 and single.share * count > EVEN:
        said.append(
            f"{single.instrument} alone is {single.share:.0%} of the rows, {single.share * count:.1f} times what a "
            "partition has on average: no number of partitions splits one instrument."
        )
    elif skew > EVEN and more is not None:
        said.append(
            f"partition {heaviest.partition} has {skew:.2f} times the mean. With {more.partitions} partitions the "
            f"heaviest would carry {more.skew / more.partitions:.0%} of the rows instead of {skew / count:.0%}: "
            f"tapewatch rescale {feed} --partitions {more.partitions}"
        )
    instances = {each.instance for each in partitions if each.instance}
    if len(instances) >= count and max(each.behind for each in partitions) > SAMPLE_FRAMES and more is not None:
        said.append(
            "every partition has an engine process of its own, and the engine is behind: only more partitions let more "
            f"processes work: tapewatch rescale {feed} --partitions {more.partitions}"
        )
    elif max(each.behind for each in partitions) > SAMPLE_FRAMES:
        said.append(f"the engine is behind: start more processes, up to {count} (`tapewatch run engine`).")
    return said or [f"the partitions are even ({skew:.2f} times the mean at most), the engine keeps up."]
