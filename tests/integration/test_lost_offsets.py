"""A group whose offsets were lost or set by somebody: no engine goes on from a place that its commit records belie."""

import threading

import msgspec
import numpy as np
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from streams.driver import table
from streams.engine.process import Engine
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.runtime.topic_ids import TopicRecreatedError
from tapewatch.settings import Settings
from tests.eventually import eventually
from tests.integration import group_places
from tests.integration.engine_feed import Feed
from tests.integration.made_anew import id_of, make_anew
from tests.unit import engine_market as m

NAMES = ["A.SIMX", "B.SIMX"]
SECONDS = 20


def worked(settings: Settings) -> Feed:
    """A feed of some seconds that an engine has worked on; the engine has ended."""
    feed = Feed(settings, NAMES)
    write(feed, 0)
    work(feed)
    return feed


def write(feed: Feed, first: int) -> None:
    for second in range(first, first + SECONDS):
        feed.send([m.quote(name, second + 0.2, 99, 101 + second % 3) for name in NAMES])
    feed.flush()


def work(feed: Feed, restore: bool = False) -> None:
    """An engine that ends when all is read."""
    settings = msgspec.structs.replace(feed.settings.engine, restore_offsets=restore)
    engine = Engine(msgspec.structs.replace(feed.settings, engine=settings))
    engine.run(threading.Event(), until_idle_s=1.0)


def closed(feed: Feed) -> list[tuple[str, int]]:
    """Instrument and second of every feature row on the topic, in order of the second."""
    found = table(feed.rows(topics.FEATURES), "features")
    return sorted(zip(found["instrument"].tolist(), found["ts"].tolist(), strict=True), key=lambda row: row[::-1])


def whole(seconds: int) -> list[tuple[str, int]]:
    """All but the last second is closed, once."""
    return [(name, (m.START + second + 1) * 1_000_000_000) for second in range(seconds - 1) for name in NAMES]


def stand_at(feed: Feed, offset: int, metadata: str = "") -> None:
    """Let the group stand elsewhere."""
    place = TopicPartition(feed.topic, 0, offset, metadata=metadata)
    group_places.stand_at(feed.settings, feed.settings.engine.group, place)


def test_group_whose_offsets_expired_writes_nothing_again_and_is_restored(settings: Settings) -> None:
    feed = worked(settings)
    reached = feed.end()
    group_places.forget(settings, feed.settings.engine.group)
    write(feed, SECONDS)
    with pytest.raises(TapewatchError, match=f"no offset for {feed.topic}.0., its own commit records end at {reached}"):
        work(feed)
    assert closed(feed) == whole(SECONDS)
    work(feed, restore=True)
    assert closed(feed) == whole(2 * SECONDS)
    assert feed.committed().offset == feed.end()
    # From here on it stands as if nothing had happened.
    write(feed, 2 * SECONDS)
    work(feed)
    assert closed(feed) == whole(3 * SECONDS)


def test_restored_offsets_stand_before_anything_is_computed(settings: Settings) -> None:
    feed = worked(settings)
    group_places.forget(settings, feed.settings.engine.group)
    work(feed, restore=True)
    assert feed.committed().offset == feed.end()
    work(feed)
    assert closed(feed) == whole(SECONDS)


@pytest.mark.parametrize(("moved", "risk"), [(-3, "would be written again"), (3, "would be passed over")])
def test_group_that_somebody_set_elsewhere_does_not_begin(settings: Settings, moved: int, risk: str) -> None:
    feed = worked(settings)
    reached = feed.end()
    write(feed, SECONDS)
    stand_at(feed, reached + moved)
    with pytest.raises(TapewatchError, match=risk):
        work(feed)
    assert closed(feed) == whole(SECONDS)
    work(feed, restore=True)
    assert closed(feed) == whole(2 * SECONDS)


def test_group_that_lost_what_it_kept_beside_its_offset_computes_its_state_from_a_whole_log(settings: Settings) -> None:
    feed = worked(settings)
    stand_at(feed, feed.end())
    write(feed, SECONDS)
    work(feed)
    assert closed(feed) == whole(2 * SECONDS)
    found, wanted = (table(rows, "features") for rows in (feed.rows(topics.FEATURES), feed.driven()))
    assert found.keys() == wanted.keys()
    for name, column in wanted.items():
        np.testing.assert_array_equal(found[name], column, name)


def test_group_without_offsets_takes_up_its_newest_snapshot_where_the_log_before_it_is_gone(settings: Settings) -> None:
    feed = Feed(settings, NAMES, snapshot_seconds=0.01)
    for first in (0, SECONDS):
        write(feed, first)
        work(feed)
    newest = feed.pointers().snapshots[0]
    group_places.forget(settings, feed.settings.engine.group)
    place = TopicPartition(feed.topic, 0, newest.next_offset)
    client = kafka.admin(settings)  # held, or its answer never comes
    client.delete_records([place])[place].result(60)
    write(feed, 2 * SECONDS)
    work(feed, restore=True)
    assert closed(feed) == whole(3 * SECONDS)


def test_another_group_begins_at_the_logs_beginning_whatever_the_first_one_wrote(settings: Settings) -> None:
    feed = worked(settings)
    feed.join(f"{feed.settings.engine.group}-second")
    work(feed)
    assert closed(feed) == sorted(2 * whole(SECONDS), key=lambda row: row[::-1])


def test_topic_that_somebody_gave_more_partitions_is_not_worked_on(settings: Settings) -> None:
    feed, client = worked(settings), kafka.admin(settings)
    for future in client.create_partitions([NewPartitions(feed.topic, 3)]).values():
        future.result()
    eventually(lambda: kafka.existing_topics(client)[feed.topic] == 3, what="the topic has three partitions")
    write(feed, SECONDS)
    with pytest.raises(TapewatchError, match=f"{feed.topic} has 3 partitions, and had 1 when the group") as refusal:
        work(feed)
    assert f"tapewatch rescale {feed.name} --partitions 3" in refusal.value.hint
    assert closed(feed) == whole(SECONDS)


def test_engine_begins_with_no_topic_that_was_made_anew(settings: Settings) -> None:
    feed = worked(settings)
    before, after = make_anew(settings, feed.name, 1)
    write(feed, 0)
    write(feed, 20)
    for restore in (False, True):
        with pytest.raises(TopicRecreatedError) as error:
            work(feed, restore)
        kept = f"the group {feed.name} keeps offsets of {before}"
        assert error.value.message == f"{feed.topic} was made anew: its id is {after}, and {kept}"
    assert closed(feed) == whole(20)


def test_engine_whose_offset_outlived_its_topic_does_not_go_on_in_the_next_one(settings: Settings) -> None:
    feed = worked(settings)
    reached, kept = feed.end(), feed.committed().metadata
    make_anew(settings, feed.name, 1)
    write(feed, 0)
    write(feed, 20)
    stand_at(feed, reached, kept)
    with pytest.raises(TopicRecreatedError):
        work(feed)
    assert closed(feed) == whole(20)


def test_group_of_an_engine_that_knows_no_id_takes_up_the_present_one(settings: Settings) -> None:
    feed = worked(settings)
    present = id_of(settings, feed.topic)
    assert feed.pointers().topic_id == present
    stand_at(feed, feed.end(), msgspec.structs.replace(feed.pointers(), topic_id="").encoded())
    write(feed, 20)
    work(feed)
    assert closed(feed) == whole(40)
    assert feed.pointers().topic_id == present
