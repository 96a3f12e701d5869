"""The protocol of a rescaling, step by step (docs/rescale.md tells what is found after a death at each):

1 check that nobody writes and that the engine has come to the end; 2 record `closing`; 3 the cut into every partition;
4 the engine passes it; 5 the states at the cut, dealt out anew, as opening snapshots; 6 record `opening`: from here on
the new generation is what the feed goes on with; 7 its topic, what is in force, its first records; 8 record `open`.

What stands in the way of a rescaling: readers that cannot follow, writers at work, states that do not agree.
"""

import hashlib
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from confluent_kafka import KafkaException, Producer, TopicPartition

from streams.engine.build import build_hash
from streams.engine.model_store import KafkaModelStore
from streams.engine.recovery import Recovery
from streams.engine.snapshots import OPENING, Pointers, dump, put
from streams.engine.task import Task
from streams.rescaling.splitting import differences, second_of, split
from streams.verifying.feed import await_engine
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import canaries, frames, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import heartbeat_rows
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows, generations
from tapewatch.market_log.admission import ASIDE, CLOSES, OPENS
from tapewatch.market_log.generations import Generation, InitialSnapshot
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings


def refuse_readers(settings: Settings, feed: str, topic: str, count: int) -> None:
    """TapewatchError where a reader or the feed's own producer cannot go on in another topic."""
    if feed == canaries.FEED:
        raise TapewatchError("the canaries' feed is not rescaled", "Its producer chooses names by partition.")
    group = kafka.consumer(settings, settings.paper.group)
    try:
        places = group_offsets.committed(group, [TopicPartition(topic, partition) for partition in range(count)])
    finally:
        group.close()
    if any(place.offset >= 0 for place in places):
        raise TapewatchError(
            f"the paper broker trades on {topic}: its books and open orders do not go on in another topic",
            "Stop it and take another paper.group for what comes after, or leave the feed as it is.",
        )


def standing_still(settings: Settings, topic: str, count: int, quiet_s: float, clock: Clock) -> list[int]:
    """The log's ends by partition, once nothing was written for so long; a writer whose session is open sends every
    second, heartbeats at least. TapewatchError where something was.
    """
    before = _ends(settings, topic, count)
    clock.sleep(quiet_s)
    if _ends(settings, topic, count) != before:
        raise TapewatchError(
            f"{topic} is being written", "Stop its producer; start it again when the rescaling is done."
        )
    return before


def _ends(settings: Settings, topic: str, count: int) -> list[int]:
    reader = kafka.consumer(settings, isolation_level="read_uncommitted")
    try:
        return [kafka.watermarks(reader, topic, partition)[1] for partition in range(count)]
    finally:
        reader.close()


def refuse_states(settings: Settings, topic: str, tasks: Sequence[Task]) -> None:
    """TapewatchError where the partitions' states cannot be dealt out anew, or a source cannot go on."""
    wrong = differences(tasks)
    if wrong:
        raise TapewatchError(
            f"{topic} cannot be rescaled: {'; '.join(wrong)}",
            "Run the last `models promote` or `config apply` again, or wait for the session's end.",
        )
    if all(task.clock_ns < 0 for task in tasks):
        raise TapewatchError(f"nothing was sent into {topic} yet", "Delete it; name the partitions when it is made.")
    kept = _with_positions(settings)
    for source, (epoch, _) in {
        source: newest for each in tasks for source, newest in each.admission.sources.items()
    }.items():
        if source in (*ASIDE, OPENS, CLOSES):
            continue
        if epoch == 0:
            raise TapewatchError(
                f"{topic} holds a recording ({source}): sent again, its frames would not be known elsewhere",
                "Replay it into another feed: `tapewatch produce replay --feed NAME --partitions N`.",
            )
        if source in kept:
            raise TapewatchError(
                f"{source} keeps its place beside {topic}, which it reads when it starts",
                "Sources that pull (tables, topics, charts) are not rescaled yet.",
            )


def _with_positions(settings: Settings) -> set[str]:
    """Names of sources that keep on a topic how far they have come."""
    found: set[str] = set()
    if topics.PRODUCER_STATE in kafka.existing_topics(kafka.admin(settings)):
        kafka.read_all(
            settings,
            topics.PRODUCER_STATE,
            lambda each: found.add((each.key() or b"").decode("utf-8", "replace")),
        )
    return found


MOST_CUTS = 5
"""How often the cut is made later because a partition's clock was found beyond it."""

Say = Callable[[str], None]


class RescalingResult(msgspec.Struct, frozen=True):
    """What was done. seconds : from the record `closing` to the record `open`, in which nothing could be sent

    instruments : by new partition; snapshot_bytes : of all openings
    """

    feed: str
    topic: str
    partitions: int
    before: str
    cut: list[int]
    at: int
    instruments: list[int]
    snapshot_bytes: int
    seconds: float


class Rescaling:
    """One feed's way into another number of partitions.

    quiet_s : how long the log's ends have to stand still; wait_s : how long the engine is waited for
    step : told the name of each step when it is done
    """

    def __init__(
        self,
        settings: Settings,
        feed: str,
        partitions: int,
        quiet_s: float = 3.0,
        wait_s: float = 60.0,
        say: Say = lambda text: None,
        step: Say = lambda name: None,
        clock: Clock = WALL,
    ) -> None:
        self._settings, self._partitions = settings, partitions
        self._quiet_s, self._wait_s, self._say, self._step, self._clock = quiet_s, wait_s, say, step, clock
        self._feed = generations.read(settings).base(feed)
        self._registry = Registry(settings)
        self._recovery = Recovery(settings, self._registry, KafkaModelStore(settings), build_hash())

    def close(self) -> None:
        """Give the clients back."""
        self._recovery.close()
        self._registry.close()

    def check(self) -> None:
        """Step 1 alone. TapewatchError says what stands in the way."""
        self._registry.read_whole()
        if generations.read(self._settings).under_way(self._feed) is None:
            self._begun()

    def run(self) -> RescalingResult:
        """Begin, or go on where a rescaling of this feed was left. TapewatchError where something stands in the way:
        the same command again goes on from there.
        """
        self._registry.read_whole()
        # What comes into force meanwhile waits: it has to find either the old topic alone, or the new one too.
        with control_rows.exclusive(self._settings):
            making = generations.read(self._settings).under_way(self._feed)
            if making is not None and making.partitions != self._partitions:
                raise TapewatchError(
                    f"{self._feed} is on its way into {making.partitions} partitions",
                    f"Finish that: tapewatch rescale {self._feed} --partitions {making.partitions}",
                )
            begun = self._clock.elapsed()
            size = 0
            if making is None:
                making = self._recorded(self._begun(), "closing")
                begun = self._clock.elapsed()
            if making.state == generations.CLOSING:
                making, tasks = self._cut(making)
                making, size = self._dealt_out(making, tasks)
            making = self._opened(making)
        return RescalingResult(
            feed=self._feed,
            topic=making.topic,
            partitions=making.partitions,
            before=making.before,
            cut=making.cut,
            at=making.at,
            instruments=[each.instruments for each in making.openings],
            snapshot_bytes=size,
            seconds=round((self._clock.elapsed() - begun) / NANOS, 3),
        )

    def _recorded(self, generation: Generation, step: str) -> Generation:
        generations.write(self._settings, generation)
        self._step(step)
        return generation

    # Step 1.

    def _begun(self) -> Generation:
        """What is about to be made, once nothing stands in the way. Nothing is written."""
        settings = self._settings
        standing = generations.read(settings)
        feed = standing.current(self._feed)
        number, name = generations.next_after(self._feed, standing)
        known, before = kafka.existing_topics(kafka.admin(settings)), topics.market(feed)
        if before not in known:
            raise TapewatchError(
                f"there is no feed {self._feed}", "See `tapewatch partitions` for the feeds there are."
            )
        if known[before] == self._partitions:
            raise TapewatchError(f"{before} has {self._partitions} partitions", "Name another number.")
        if topics.market(name) in known:
            raise TapewatchError(
                f"there is a topic {topics.market(name)} already, which is no generation of {self._feed}",
                "Names that end in -g2 and so on are kept for later generations: delete it, or rename that feed.",
            )
        refuse_readers(settings, self._feed, before, known[before])
        ends = standing_still(settings, before, known[before], self._quiet_s, self._clock)
        self._await_engine(feed, known[before])
        tasks = self._tasks(before, ends)
        refuse_states(settings, before, tasks)
        newest = max(task.clock_ns for task in tasks)
        at = (newest // NANOS + 1) * NANOS
        topic = topics.market(name)
        return Generation(self._feed, number, topic, self._partitions, generations.CLOSING, before, at)

    def _await_engine(self, feed: str, count: int) -> None:
        _, left = await_engine(self._settings, feed, range(count), self._wait_s)
        if left:
            raise TapewatchError(
                f"the engine has {left:,} frames of {feed} before it after {self._wait_s:.0f} s",
                "Let it come to the end (`tapewatch run engine`), then give the same command again.",
            )

    def _tasks(self, topic: str, ends: Sequence[int]) -> list[Task]:
        """The state of each partition before these offsets, by snapshot and log, as the engine recovers it."""
        group = kafka.consumer(self._settings, self._settings.engine.group)
        try:
            places = group_offsets.committed(
                group, [TopicPartition(topic, partition) for partition in range(len(ends))]
            )
        finally:
            group.close()
        tasks = []
        for partition, (place, end) in enumerate(zip(places, ends, strict=True)):
            self._say(f"  state of {topic}[{partition}] at offset {end:,}")
            tasks.append(self._recovery.nearest(topic, partition, end, Pointers.decoded(place.metadata)))
        return tasks

    # Steps 3 and 4.

    def _cut(self, making: Generation) -> tuple[Generation, list[Task]]:
        """Close every partition at the same second, and let the engine pass it; the states behind it."""
        feed = topics.feed_of(making.before)
        for _ in range(MOST_CUTS):
            cut = self._closed(making)
            self._step("cut")
            self._await_engine(feed, len(cut))
            self._step("passed")
            tasks = self._tasks(making.before, [offset + 1 for offset in cut])
            second = max(map(second_of, tasks))
            if {second_of(task) for task in tasks} == {making.at // NANOS}:
                wrong = differences(tasks)
                if wrong:
                    raise TapewatchError(f"{making.before} is closed, but {'; '.join(wrong)}", "Tell its maintainers.")
                return msgspec.structs.replace(making, cut=cut), tasks
            # Rows slipped in before the first cut; behind it none counts, so that a later one finds all standing still.
            making = msgspec.structs.replace(making, at=max((second + 1) * NANOS, making.at))
        raise TapewatchError(f"the partitions of {making.before} do not come to one second", "Run the command again.")

    def _closed(self, making: Generation) -> list[int]:
        """Write the cut into every partition; its offsets."""
        count = kafka.existing_topics(kafka.admin(self._settings))[making.before]
        return self._heartbeats(making.before, count, CLOSES, making.at)

    def _heartbeats(self, topic: str, count: int, source: str, at: int) -> list[int]:
        """One heartbeat in each partition; their offsets. Written twice they count once, but for the cut's."""
        epoch = self._clock.now() if source == CLOSES else 0
        value = frames.encode(heartbeat_rows(np.full(1, at, dtype=np.int64)))
        headers = FrameHeaders("status", source, epoch, 0, self._clock.now()).to_kafka()
        return list(kafka.write_each(self._settings, {topic: range(count)}, value, headers)[topic].values())

    # Steps 5 and 6.

    def _dealt_out(self, making: Generation, tasks: Sequence[Task]) -> tuple[Generation, int]:
        """Write the openings, then the record that names them."""
        new = split(tasks, making.partitions, lambda each: self._recovery.empty_task(making.topic, each))
        count = kafka.existing_topics(kafka.admin(self._settings))[topics.SNAPSHOTS]
        producer = kafka.producer(self._settings, linger_ms=1)
        openings, size = [], 0
        for task in new:
            data = dump(task)
            openings.append(self._opening(producer, task, data, task.partition % count))
            size += len(data)
            self._say(f"  {making.topic}[{task.partition}] begins with {len(task.admission.names):,} instruments")
        self._step("snapshots")
        opening = msgspec.structs.replace(making, state=generations.OPENING, openings=openings)
        return self._recorded(opening, "opening"), size

    def _opening(self, producer: Producer, task: Task, data: bytes, partition: int) -> InitialSnapshot:
        try:
            pointer = put(producer, partition, task, OPENING, data)
        except KafkaException as error:
            raise TapewatchError(
                f"the broker did not take a snapshot: {error.args[0]}", "Run the command again."
            ) from error
        digest = hashlib.sha256(data).hexdigest()
        return InitialSnapshot(pointer.partition, pointer.offset, pointer.chunks, digest, len(task.admission.names))

    # Steps 7 and 8.

    def _opened(self, making: Generation) -> Generation:
        """Make the topic, with what is in force and its first records; from then on it may be written."""
        specs = topics.market_topics(making.name, self._settings.topics, making.partitions)
        kafka.create_topics(self._settings, specs)
        self._step("topic")
        control_rows.seed_new_feed(self._settings, making.topic, self._clock)
        self._heartbeats(making.topic, making.partitions, OPENS, making.at)
        self._step("begun")
        return self._recorded(msgspec.structs.replace(making, state=generations.OPEN), "open")
