"""The paper broker's books again from the log alone, without its process, and whether the topics hold the same."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import msgspec
from confluent_kafka import Message

from streams.engine.task import OutputRecord, ReferenceData
from streams.members import Key
from streams.paper.task import PaperTask
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Cause, Commit, PaperCommit
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.paper import PaperSettings

WRITTEN = (topics.ORDERS, topics.FILLS, topics.POSITIONS)

M = TypeVar("M", bound=messages.Message)


class VerificationResult(msgspec.Struct, frozen=True):
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


class CausedRecord(NamedTuple):
    """A record of an output topic. cause : offset of the market record that caused it"""

    topic: str
    partition: int
    cause: int
    value: bytes


@dataclass
class Books:
    """What lies in the topics for one market partition, each in its order.

    told : the paper broker's commit records; commits, signals : the engine's; written : what the paper broker wrote
    """

    market: Key
    told: list[PaperCommit] = field(default_factory=list)
    commits: list[bytes] = field(default_factory=list)
    signals: list[bytes] = field(default_factory=list)
    written: list[CausedRecord] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Market offset up to which the paper broker has worked, exclusive."""
        return self.told[-1].next_offset


def records(settings: Settings, topic: str) -> list[tuple[int, bytes]]:
    """Partition and value of every committed record of a topic."""
    found: list[tuple[int, bytes]] = []

    def keep(message: Message) -> None:
        found.append((message.partition() or 0, message.value() or b""))

    kafka.read_all(settings, topic, keep)
    return found


def books(settings: Settings) -> list[Books]:
    """Every market partition that the paper broker has worked on."""
    found: dict[Key, Books] = {}
    for _, value in records(settings, topics.PAPER_COMMITS):
        told = messages.decode(PaperCommit, value)
        market = (told.topic, told.partition)
        found.setdefault(market, Books(market)).told.append(told)
    for _, value in records(settings, topics.COMMITS):
        commit = _read(Commit, value)
        if commit is not None and (commit.topic, commit.partition) in found:
            found[commit.topic, commit.partition].commits.append(value)
    for topic in (topics.SIGNALS, *WRITTEN):
        for partition, value in records(settings, topic):
            cause = _cause(topic, value)
            if cause is None or (cause.topic, cause.partition) not in found:
                continue
            place = found[cause.topic, cause.partition]
            if topic == topics.SIGNALS:
                place.signals.append(value)
            else:
                place.written.append(CausedRecord(topic, partition, cause.offset, value))
    return list(found.values())


def _cause(topic: str, value: bytes) -> Cause | None:
    """The market record that caused a message; None for that of a live order, and for what nobody can read."""
    cause: Cause | None = getattr(_read(messages.BY_TOPIC[topic], value), "cause", None)
    return cause


def _read(kind: type[M], value: bytes) -> M | None:
    """The message; None for what is none: the broker passes it over, and a record of its own in its place is missed."""
    try:
        return messages.decode(kind, value)
    except ContractError:
        return None


def replayed(settings: Settings, registry: ReferenceData, kept: Books) -> list[OutputRecord]:
    """Everything that the broker should have written for a market partition up to its last commit record.

    TapewatchError where the market log no longer begins where the broker began.
    """
    task = _begun(registry, kept)
    for value in kept.commits:
        task.commit(value)
    for value in kept.signals:
        task.signal(value)
    reader = kafka.consumer(settings)
    try:
        if kafka.watermarks(reader, *kept.market)[0] > task.begin:
            raise _cut(kept.market, "log")
        for message in kafka.read_range(reader, *kept.market, task.begin, kept.end):
            task.market(message.offset(), message.value(), message.headers(), message.timestamp()[1] * 1_000_000)
    finally:
        reader.close()
    task.read_to(kept.end)
    return task.take()


def _begun(registry: ReferenceData, kept: Books) -> PaperTask:
    """A task as the broker's first transaction found it, that takes again what the broker took."""
    taken = [each for commit in kept.told for each in commit.taken]
    if not taken or taken[0].action != "settings":
        raise _cut(kept.market, "commit records")
    task = PaperTask(*kept.market, registry, msgspec.convert(taken[0].settings, PaperSettings))
    task.start_at(taken[0].before)
    for each in taken[1:]:
        task.repeat(each)
    return task


def _cut(market: Key, what: str) -> TapewatchError:
    return TapewatchError(
        f"the {what} of {market[0]}[{market[1]}] no longer reach back to where the paper broker began",
        "What is older than topics.market_retention_hours cannot be compared.",
    )


def verify(settings: Settings, registry: ReferenceData, kept: Books) -> VerificationResult:
    """Compare the topics with the log for one market partition, up to its last commit record."""
    count = kafka.existing_topics(kafka.admin(settings))
    wanted: dict[tuple[str, int], list[bytes]] = {}
    for record in replayed(settings, registry, kept):
        wanted.setdefault((record.topic, record.target(kept.market[1], count[record.topic])), []).append(record.value)
    found: dict[tuple[str, int], list[bytes]] = {}
    for each in kept.written:
        if each.cause < kept.end:
            found.setdefault((each.topic, each.partition), []).append(each.value)
    right, there = _counted(wanted), _counted(found)
    return VerificationResult(
        *kept.market,
        kept.end,
        records={topic: sum(len(each) for (name, _), each in found.items() if name == topic) for topic in WRITTEN},
        lost=(right - there).total(),
        doubled=sum(count - right[value] for value, count in there.items() if count > right[value] > 0),
        foreign=sum(count for value, count in there.items() if not right[value]),
        in_order=wanted == found,
    )


def _counted(found: dict[tuple[str, int], list[bytes]]) -> Counter[tuple[str, int, bytes]]:
    return Counter((*place, value) for place, values in found.items() for value in values)
