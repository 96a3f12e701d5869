"""The newest commit records of engine and paper broker: rates of the last half hour, and where partitions stand; and
how the canaries of a day fared.

How long the logs are, and who reads them: asked of the broker in a few calls, however many partitions there are.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import OFFSET_END, Consumer, ConsumerGroupTopicPartitions, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec

from tapewatch.contract import messages, topics
from tapewatch.contract.canaries import Canary, since
from tapewatch.contract.messages import Commit, PaperCommit
from tapewatch.errors import ContractError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

Log = tuple[str, int]
_MARKET = re.compile(topics.MARKET_PATTERN)
OURS = re.compile(r"^tapewatch")


class Ends(NamedTuple):
    """ends : next offset of each partition; dead : records that lie in each dead-letter topic"""

    ends: dict[Log, int]
    dead: dict[str, int]


class Group(NamedTuple):
    """A consumer group. state : stable, empty, ...; lag : records it has not committed, None where it keeps none"""

    name: str
    state: str
    members: int
    lag: int | None


class LogEnds:
    """Asks with one administrative client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = kafka.admin(settings)

    def look(self) -> Ends:
        """Ends of all partitions. KafkaException where the broker does not answer."""
        there = self._admin.list_topics(timeout=kafka.TIMEOUT_S).topics
        logs = [
            TopicPartition(name, number)
            for name, topic in there.items()
            if not name.startswith("__")
            for number in topic.partitions
        ]
        ends = self._offsets(logs, OffsetSpec.latest())
        letters = [log for log in logs if log.topic.endswith(".dlq")]
        begins = self._offsets(letters, OffsetSpec.earliest())
        dead: dict[str, int] = {}
        for log, begin in begins.items():
            dead[log[0]] = dead.get(log[0], 0) + ends.get(log, begin) - begin
        return Ends(ends, dead)

    def _offsets(self, logs: list[TopicPartition], which: OffsetSpec) -> dict[Log, int]:
        if not logs:
            return {}
        asked = self._admin.list_offsets(dict.fromkeys(logs, which), request_timeout=kafka.TIMEOUT_S)
        found: dict[Log, int] = {}
        for log, future in asked.items():
            try:
                found[log.topic, log.partition] = int(future.result().offset)
            except KafkaException:
                # A partition whose topic has just gone is no reason to tell nothing of the others.
                continue
        return found

    def groups(self, ends: dict[Log, int]) -> list[Group]:
        """Our consumer groups with what they have not read."""
        listed = self._admin.list_consumer_groups(request_timeout=kafka.TIMEOUT_S).result().valid
        names = sorted(group.group_id for group in listed if OURS.match(group.group_id))
        if not names:
            return []
        described = self._admin.describe_consumer_groups(names, request_timeout=kafka.TIMEOUT_S)
        found = []
        for name in names:
            try:
                group = described[name].result()
            except KafkaException:
                continue
            found.append(Group(name, group.state.name.lower(), len(group.members), self._lag(name, ends)))
        return found

    def _lag(self, name: str, ends: dict[Log, int]) -> int | None:
        """Records behind the group's committed offsets; None where it has none."""
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(name)], request_timeout=kafka.TIMEOUT_S
        )
        try:
            committed = asked[name].result().topic_partitions or []
        except KafkaException:
            return None
        behind = [
            max(ends.get((each.topic, each.partition), each.offset) - each.offset, 0)
            for each in committed
            if each.offset >= 0
        ]
        return sum(behind) if behind else None


def is_market(topic: str) -> bool:
    """Whether a topic is a feed's."""
    return _MARKET.fullmatch(topic) is not None


WINDOW_S, STEP_S = 1800, 10
CANARIES_S = 86_400
"""So far back canaries are read."""
LEAST_RECORDS = 200
"""Records of each partition that are read however old they are: so a broker that stands still is seen too."""


@dataclass(slots=True)
class Work:
    """What the engine did in one step of time, all partitions together."""

    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    transactions: int = 0
    frames: int = 0
    duplicates: int = 0
    scores: int = 0
    alerts: int = 0
    signals: int = 0


@dataclass(slots=True)
class NewestCommit:
    """A market partition's newest engine commit. at_ms : when it was written, by the broker's clock"""

    commit: Commit
    at_ms: int


class CommitTail:
    """Reads on whenever it is asked; lives in one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: Consumer | None = None
        self._assigned: set[Log] = set()
        self.engine: dict[Log, NewestCommit] = {}
        self.paper_commits: dict[Log, PaperCommit] = {}
        self.steps: dict[int, Work] = {}
        self.canaries: dict[str, Canary] = {}

    def read(self, now_ms: int) -> None:
        """Take what has come. KafkaException or TapewatchError where the broker does not answer."""
        reader = self._reader = self._reader or kafka.consumer(self._settings, "tapewatch-console-health")
        self._assign(reader, now_ms)
        while messages_there := reader.consume(2000, timeout=0.05):
            for message in messages_there:
                if not message.error():
                    self._take(message)
        oldest = (now_ms // 1000 - WINDOW_S) // STEP_S
        for step in [step for step in self.steps if step < oldest]:
            del self.steps[step]
        kept = since(self.canaries.values(), (now_ms - CANARIES_S * 1000) * 1_000_000)
        self.canaries = {each.id: each for each in kept}

    def _assign(self, reader: Consumer, now_ms: int) -> None:
        """Take up partitions that have appeared, from half an hour ago."""
        there = reader.list_topics(timeout=kafka.TIMEOUT_S).topics
        wanted = {
            (name, number)
            for name in (topics.COMMITS, topics.PAPER_COMMITS, topics.CANARIES)
            if name in there
            for number in there[name].partitions
        }
        fresh = sorted(wanted - self._assigned)
        if not fresh:
            return
        asked = [
            TopicPartition(*log, now_ms - (CANARIES_S if log[0] == topics.CANARIES else WINDOW_S) * 1000)
            for log in fresh
        ]
        starts = []
        for found in kafka.offsets_at(reader, asked):
            low, high = kafka.watermarks(reader, found.topic, found.partition)
            at = high if found.offset in (OFFSET_END, -1) else int(found.offset)
            starts.append(TopicPartition(found.topic, found.partition, max(low, min(at, high - LEAST_RECORDS))))
        reader.incremental_assign(starts)
        self._assigned.update(fresh)

    def _take(self, message: Message) -> None:
        at_ms = int(message.timestamp()[1])
        try:
            if message.topic() == topics.PAPER_COMMITS:
                paper = messages.decode(PaperCommit, message.value() or b"")
                self.paper_commits[paper.topic, paper.partition] = paper
                return
            if message.topic() == topics.CANARIES:
                canary = messages.decode(Canary, message.value() or b"")
                if canary.id not in self.canaries or self.canaries[canary.id].revision < canary.revision:
                    self.canaries[canary.id] = canary
                return
            commit = messages.decode(Commit, message.value() or b"")
        except ContractError:
            return
        self.engine[commit.topic, commit.partition] = NewestCommit(commit, at_ms)
        work = self.steps.setdefault(at_ms // 1000 // STEP_S, Work())
        work.rows += sum(commit.rows.values())
        work.refused.update(commit.refused)
        work.transactions += 1
        work.frames += commit.frames
        work.duplicates += commit.duplicates
        work.scores += commit.scores
        work.alerts += commit.alerts
        work.signals += commit.signals

    def paper(self) -> Sequence[PaperCommit]:
        """The newest commit of each partition of the paper broker."""
        return [commit for _, commit in sorted(self.paper_commits.items())]

    def close(self) -> None:
        """Give the consumer back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
