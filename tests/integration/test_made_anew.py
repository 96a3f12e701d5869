"""Topics that somebody deleted and made anew, with more in them: nobody reads on at the old one's offset."""

import threading

import pytest

from sinks.log_reader import Reader
from sinks.postgres import PostgresSink
from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.runtime.topic_ids import TopicRecreatedError
from tapewatch.settings import Settings
from tests.integration.made_anew import id_of, make_anew
from tests.integration.postgres_kept import Sender, counted, keep, query


def begin_anew(settings: Settings, feed: str) -> None:
    PostgresSink(settings).run(threading.Event(), until_idle=0.2, begin_anew=[topics.market(feed)])


def test_postgres_sink_passes_over_nothing_of_a_topic_that_was_made_anew(ours, feed):
    old = Sender(ours, feed).quotes(4, 10)
    keep(ours)
    before, after = make_anew(ours, feed, 2)
    new = Sender(ours, feed).quotes(10, 10)
    with pytest.raises(TopicRecreatedError) as error:
        keep(ours)
    said = f"market.{feed} was made anew: its id is {after}, and tapewatch-sink-postgres keeps offsets of {before}"
    assert error.value.message == said
    assert f"`tapewatch sink postgres --begin-anew market.{feed}`" in error.value.hint
    assert counted(ours, "quotes", feed) == old
    begin_anew(ours, feed)
    assert counted(ours, "quotes", feed) == new
    of_log = "SELECT count(*) FROM quotes q JOIN logs l ON l.id = q.log_id WHERE l.topic = %s"
    assert query(ours, of_log, f"market.{feed}@{before}") == [(old,)]


def test_topic_that_was_begun_anew_is_not_read_again_by_a_sink_that_is_told_so_twice(ours, feed):
    Sender(ours, feed).quotes(2, 10)
    keep(ours)
    make_anew(ours, feed, 2)
    new = Sender(ours, feed).quotes(4, 10)
    begin_anew(ours, feed)
    begin_anew(ours, feed)
    assert counted(ours, "quotes", feed) == new


def test_database_that_knows_no_ids_takes_up_the_present_ones(ours, feed):
    sent = Sender(ours, feed).quotes(4, 10)
    keep(ours)
    of_feed = "SELECT DISTINCT topic_id FROM sink_offsets WHERE topic = %s"
    assert query(ours, of_feed, topics.market(feed)) == [(id_of(ours, topics.market(feed)),)]
    query(ours, "WITH forgotten AS (UPDATE sink_offsets SET topic_id = '' RETURNING 1) SELECT count(*) FROM forgotten")
    keep(ours)
    assert counted(ours, "quotes", feed) == sent
    # Those of topics of which nothing more came too.
    assert query(ours, "SELECT topic, topic_id FROM sink_offsets WHERE topic_id = ''") == []


def test_group_keeps_the_ids_of_its_topics_and_goes_on_with_no_other(settings: Settings) -> None:
    name = f"anew{threading.get_native_id()}"
    topic = topics.market(name)
    kafka.create_topics(settings, topics.market_topics(name, settings.topics, 1))
    kafka.write_each(settings, {topic: [0] * 5}, b"", ())
    reader = Reader(settings, f"{name}-group", lambda name: name == topic, "Look at {topic}.")
    try:
        reader.restart(*reader.kept())
        reader.keep({(topic, 0): 3})
        before = id_of(settings, topic)
        assert reader.kept() == ({(topic, 0): 3}, {topic: before})
        offsets, ids = reader.kept()
        _, after = make_anew(settings, name, 1)
        kafka.write_each(settings, {topic: [0] * 9}, b"", ())
        with pytest.raises(TopicRecreatedError) as error:
            reader.restart(offsets, ids)
        kept = f"{name}-group keeps offsets of {before}"
        assert error.value.message == f"{topic} was made anew: its id is {after}, and {kept}"
        assert error.value.hint == f"Look at {topic}."
    finally:
        reader.close()
