"""What stands in the way of a rescaling: readers that cannot follow, writers at work, states that do not agree."""

from collections.abc import Sequence

from confluent_kafka import TopicPartition

from streams.engine.task import Task
from streams.rescaling.splitting import differences
from tapewatch import canaries, group_offsets, kafka, topics
from tapewatch.admission import ASIDE, CLOSES, OPENS
from tapewatch.clock import Clock
from tapewatch.errors import TapewatchError
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
