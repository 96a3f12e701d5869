"""What a rebalance costs a group that works in transactions, with Kafka's eager and with its cooperative protocol.

Two members read 8 partitions and commit offsets and outputs in transactions, each while the next batch is read, as an
engine does; a third comes and goes. With the eager protocol a member commits before it joins anew; with the cooperative
one it learns of a rebalance when that is over. `python -m benchmarks.rebalances --out docs/results/rebalances.json`
"""

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from benchmarks.document import give
from benchmarks.engine_run import own_stack
from benchmarks.figures import Figure, Machine, machine, versions
from streams import members
from tapewatch import logs, settings
from tapewatch.clock import NANOS, WALL
from tapewatch.contract.topics import TopicSpec
from tapewatch.errors import TapewatchError
from tapewatch.runtime import group_offsets, kafka, transactions
from tapewatch.settings import Settings

PARTITIONS, EVERY_S, SETTLED_S = 8, 0.005, 4.0
EAGER, COOPERATIVE = "roundrobin", "cooperative-sticky"
log = logs.get("bench")


class Protocol(msgspec.Struct, frozen=True):
    """One of the two.

    rebalances : of the group; committed, refused : transactions; refusals : the broker's words, and how often
    interrupted : rebalances in which a transaction was refused, whose member would have to compute its state anew
    unmoved_s, moved_s : longest time without a commit of a partition that stayed, or that moved, by rebalance
    """

    name: str
    rebalances: int
    committed: int
    refused: int
    refusals: dict[str, int]
    interrupted: int
    unmoved_s: Figure
    moved_s: Figure


class Rebalances(msgspec.Struct, frozen=True):
    """The document."""

    bench: str
    command: str
    protocols: list[Protocol]
    machine: Machine
    versions: dict[str, str]


class MemberTransaction(msgspec.Struct, frozen=True):
    """A transaction of a member. partitions : it was over; why : it was refused, empty for none"""

    at: int
    member: str
    partitions: tuple[int, ...]
    why: str = ""


class Member(threading.Thread):
    """Reads, and commits what it read while it reads on."""

    def __init__(
        self, own: Settings, topic: str, name: str, protocol: str, static: bool, done: list[MemberTransaction]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._own, self._topic, self._name, self._protocol, self._done = own, topic, name, protocol, done
        identity = {"group_instance_id": name} if static else {}
        self._consumer = kafka.consumer(
            own, topic, None, session_timeout_ms=members.SESSION_TIMEOUT_MS, heartbeat_interval_ms=500,
            partition_assignment_strategy=protocol, **identity,
        )  # fmt: skip
        self._writer = transactions.Writer(lambda: transactions.make_producer(own, f"{topic}-{name}"))
        self._committer = ThreadPoolExecutor(1)
        self._pending: tuple[Future[None], tuple[int, ...]] | None = None
        self.held: set[int] = set()
        self._ending = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        self._consumer.subscribe([self._topic], on_assign=self._given, on_revoke=self._taken, on_lost=self._taken)
        while not self._ending.is_set():
            batch = [each for each in self._consumer.consume(500, timeout=0.02) if not each.error()]
            self._settle()
            behind = {each.partition(): each.offset() + 1 for each in batch if each.partition() in self.held}
            if behind:
                self._begin(behind)
        self._settle()
        self._consumer.close()
        self._committer.shutdown()

    def end(self) -> None:
        """Leave the group."""
        self._ending.set()
        self.join()

    def _begin(self, behind: dict[int, int]) -> None:
        producer: Producer = self._writer.producer
        transactions.begin(producer)
        for partition, offset in behind.items():
            producer.produce(f"{self._topic}-out", str(offset).encode(), partition=partition)
        offsets = [TopicPartition(self._topic, *each) for each in behind.items()]
        member = self._consumer.consumer_group_metadata()
        self._pending = (self._committer.submit(transactions.commit, producer, offsets, member), tuple(behind))

    def _settle(self) -> None:
        """Wait for the open transaction; after a refusal read again from what is committed."""
        if self._pending is None:
            return
        (pending, partitions), self._pending = self._pending, None
        try:
            pending.result()
            self._done.append(MemberTransaction(WALL.now(), self._name, partitions))
        except KafkaException as error:
            self._done.append(MemberTransaction(WALL.now(), self._name, partitions, error.args[0].name()))
            self._writer.abort(error, log)
            for place in self._committed(self.held):
                self._consumer.seek(place)

    def _committed(self, partitions: Iterable[int]) -> list[TopicPartition]:
        asked = [TopicPartition(self._topic, each) for each in partitions]
        found = group_offsets.committed(self._consumer, asked) if asked else []
        return [TopicPartition(each.topic, each.partition, max(each.offset, 0)) for each in found]

    def _given(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        places = self._committed([each.partition for each in given])
        self.held |= {each.partition for each in places}
        (consumer.incremental_assign if self._protocol == COOPERATIVE else consumer.assign)(places)

    def _taken(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        self.held -= {each.partition for each in taken}
        self._settle()
        if self._protocol == COOPERATIVE:
            consumer.incremental_unassign(taken)
        else:
            consumer.unassign()


def _feed(own: Settings, topic: str, end: threading.Event) -> None:
    """A record into each partition every EVERY_S seconds."""
    producer = kafka.producer(own, linger_ms=0)
    while not end.wait(EVERY_S):
        for partition in range(PARTITIONS):
            producer.produce(topic, b"x", partition=partition)
        producer.poll(0)
    producer.flush(10)


def measure(own: Settings, protocol: str, name: str, times: int) -> Protocol:
    """A third member comes and goes so often."""
    topic = f"rebalances-{name}"
    kafka.create_topics(own, [TopicSpec(topic, PARTITIONS), TopicSpec(f"{topic}-out", PARTITIONS)])
    done: list[MemberTransaction] = []
    end = threading.Event()
    feeder = threading.Thread(target=_feed, args=(own, topic, end))
    feeder.start()
    two = [Member(own, topic, each, protocol, True, done) for each in ("a", "b")]
    for each in two:
        each.start()
    WALL.sleep(2 * SETTLED_S)
    moments, holders = [], [_holders(two)]
    for number in range(times):
        third = Member(own, topic, f"c{number}", protocol, False, done)
        moments.append(WALL.now())
        third.start()
        WALL.sleep(SETTLED_S)
        holders.append(_holders([*two, third]))
        moments.append(WALL.now())
        third.end()
        WALL.sleep(SETTLED_S)
        holders.append(_holders(two))
        print(f"{name}: {number + 1} of {times} came and went", file=sys.stderr, flush=True)
    moments.append(WALL.now())
    for each in two:
        each.end()
    end.set()
    feeder.join()
    return _judged(name, done, moments, holders)


def _holders(group: Iterable[Member]) -> dict[int, str]:
    found = {partition: each.name for each in group for partition in each.held}
    if len(found) < PARTITIONS:
        raise TapewatchError(f"the group holds {sorted(found)} alone", "Run it where nothing else runs.")
    return found


def _judged(name: str, done: list[MemberTransaction], moments: list[int], holders: list[dict[int, str]]) -> Protocol:
    stayed, moved, interrupted = [], [], 0
    for number, (since, until) in enumerate(pairwise(moments)):
        before, after = holders[number], holders[number + 1]
        within = [each for each in done if since <= each.at < until]
        interrupted += any(each.why for each in within)
        longest: dict[bool, float] = {True: 0.0, False: 0.0}
        for partition in range(PARTITIONS):
            times = [since, *sorted(each.at for each in within if not each.why and partition in each.partitions)]
            gap = max(later - earlier for earlier, later in pairwise(times)) / NANOS
            same = before[partition] == after[partition]
            longest[same] = max(longest[same], gap)
        stayed.append(longest[True])
        moved.append(longest[False])
    refused = [each.why for each in done if each.why]
    return Protocol(
        name=name,
        rebalances=len(moments) - 1,
        committed=sum(not each.why for each in done),
        refused=len(refused),
        refusals=dict(Counter(refused)),
        interrupted=interrupted,
        unmoved_s=Figure.of(stayed, 3),
        moved_s=Figure.of(moved, 3),
    )


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rebalances", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="how often the third comes and goes (default: 20)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the document to a file too")
    args = parser.parse_args()
    facts = machine()
    with own_stack(settings.load(environment={})) as own:
        found: list[Any] = [
            measure(own, protocol, name, args.times)
            for protocol, name in ((EAGER, "eager"), (COOPERATIVE, "cooperative"))
        ]
    words = f"python -m benchmarks.rebalances --times {args.times}"
    give(Rebalances("rebalances", words, found, facts, versions(("confluent-kafka",))), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
