"""The paper broker's books again from the log alone, without its process, and whether the topics hold the same."""

from collections import Counter
from typing import Protocol

import msgspec
from confluent_kafka import Message

from streams.engine.task import Outgoing, ReferenceData
from streams.members import Key
from streams.paper.task import PaperTask
from tapewatch import kafka, messages, topics
from tapewatch.errors import TapewatchError
from tapewatch.messages import Cause, PaperCommit, Taken
from tapewatch.paper_settings import PaperSettings
from tapewatch.settings import Settings

WRITTEN = (topics.ORDERS, topics.FILLS, topics.POSITIONS)


class Verdict(msgspec.Struct, frozen=True):
    """What a comparison of topics and log found for one market partition; records by topic.

    lost : in the log's books alone; doubled : more often in the topic; foreign : in the topic alone
    in_order : whether each partition of a topic holds its records in the order of the books
    """

    topic: str
    partition: int
    next_offset: int
    records: dict[str, int]
    lost: int
    doubled: int
    foreign: int
    in_order: bool

    @property
    def holds(self) -> bool:
        """Whether all is as it should be."""
        return self.in_order and not (self.lost or self.doubled or self.foreign)


class _Caused(Protocol):
    """A message of an order, a fill or an account."""

    cause: Cause | None


def written(settings: Settings, topic: str) -> list[tuple[int, bytes]]:
    """Partition and value of every committed record of a topic."""
    found: list[tuple[int, bytes]] = []

    def keep(message: Message) -> None:
        found.append((message.partition() or 0, message.value() or b""))

    kafka.read_all(settings, topic, keep)
    return found


def commits(settings: Settings) -> dict[Key, list[PaperCommit]]:
    """The paper broker's commit records by market partition, in their order."""
    found: dict[Key, list[PaperCommit]] = {}
    for _, value in written(settings, topics.PAPER_COMMITS):
        commit = messages.decode(PaperCommit, value)
        found.setdefault((commit.topic, commit.partition), []).append(commit)
    return found


def replayed(settings: Settings, registry: ReferenceData, told: list[PaperCommit]) -> list[Outgoing]:
    """Everything that the broker should have written for a market partition up to its last commit record.

    TapewatchError where the market log no longer begins where the broker began.
    """
    market, end = (told[0].topic, told[0].partition), told[-1].next_offset
    taken = [each for commit in told for each in commit.taken]
    task = _begun(market, registry, taken)
    for _, value in written(settings, topics.COMMITS):
        task.commit(value)
    for _, value in written(settings, topics.SIGNALS):
        task.signal(value)
    reader = kafka.consumer(settings)
    try:
        if kafka.watermarks(reader, *market)[0] > task.begin:
            raise TapewatchError(
                f"the log of {market[0]}[{market[1]}] no longer begins at offset {task.begin}",
                "What is older than topics.market_retention_hours cannot be compared.",
            )
        for message in kafka.read_range(reader, *market, task.begin, end):
            task.market(message.offset(), message.value(), message.headers(), message.timestamp()[1] * 1_000_000)
    finally:
        reader.close()
    task.read_to(end)
    return task.take()


def _begun(market: Key, registry: ReferenceData, taken: list[Taken]) -> PaperTask:
    """A task as the broker's first transaction found it, that takes again what the broker took."""
    if not taken or taken[0].action != "settings":
        raise TapewatchError(
            f"the commit records of {market[0]}[{market[1]}] no longer begin where the broker began",
            "What is older than topics.market_retention_hours cannot be compared.",
        )
    task = PaperTask(*market, registry, msgspec.convert(taken[0].settings, PaperSettings))
    task.start_at(taken[0].before)
    for each in taken[1:]:
        task.repeat(each)
    return task


def verify(settings: Settings, registry: ReferenceData, told: list[PaperCommit]) -> Verdict:
    """Compare the topics with the log for one market partition, up to its last commit record."""
    market, end = (told[0].topic, told[0].partition), told[-1].next_offset
    count = kafka.existing_topics(kafka.admin(settings))
    wanted: dict[tuple[str, int], list[bytes]] = {}
    for record in replayed(settings, registry, told):
        wanted.setdefault((record.topic, record.target(market[1], count[record.topic])), []).append(record.value)
    found: dict[tuple[str, int], list[bytes]] = {}
    for topic in WRITTEN:
        for partition, value in written(settings, topic):
            if _is_of(topic, value, market, end):
                found.setdefault((topic, partition), []).append(value)
    books, kept = _counted(wanted), _counted(found)
    return Verdict(
        *market, end,
        records={topic: sum(len(each) for (name, _), each in found.items() if name == topic) for topic in WRITTEN},
        lost=(books - kept).total(),
        doubled=sum(count - books[value] for value, count in kept.items() if count > books[value] > 0),
        foreign=sum(count for value, count in kept.items() if not books[value]),
        in_order=wanted == found,
    )  # fmt: skip


def _counted(records: dict[tuple[str, int], list[bytes]]) -> Counter[tuple[str, int, bytes]]:
    return Counter((*place, value) for place, values in records.items() for value in values)


def _is_of(topic: str, value: bytes, market: Key, end: int) -> bool:
    """Whether a market record before `end` caused this message."""
    message: _Caused = messages.decode(messages.BY_TOPIC[topic], value)  # type: ignore[assignment]
    cause = message.cause
    return cause is not None and (cause.topic, cause.partition) == market and cause.offset < end
