"""Registrations on a real broker: rows that come while one is under way count alike live, recomputed and stored."""

import threading
import uuid

import msgspec
import pytest

from streams.driver import table
from streams.engine.task import OutputRecord
from tapewatch.clock import LATEST_NS, NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.market_log.registry import BEGUN, REGISTRATION, Registry, register
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.integration.engine_feed import Feed
from tests.integration.postgres_kept import keep, query
from tests.unit.engine_market import heartbeats, quote

KNOWN = "AAA.XREG"


def stranger() -> str:
    return f"S{uuid.uuid4().hex[:8].upper()}.XREG"


def refused(records: list[OutputRecord], topic: str) -> int:
    return len([record for record in records if record.topic == topic])


def test_rows_that_race_their_registration_count_alike_live_recomputed_and_stored(ours) -> None:
    name = stranger()
    feed = Feed(ours, [KNOWN])
    feed.names.append(name)
    sent = 0

    def quotes(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            sent += 1
            feed.send([quote(KNOWN, sent / 1_000, 99, 101), quote(name, sent / 1_000, 99, 101)])
            feed.flush()

    with feed.engine():
        quotes(20)
        # A store that looked for it in vain looks again later.
        keep(ours)
        registering = threading.Thread(target=register, args=(ours, [Instrument(name, kind="spot")]))
        registering.start()
        while registering.is_alive():
            quotes(1)
        before = sent
        quotes(20)
        feed.send(heartbeats(3))
    letters = topics.dead_letters(feed.topic)
    live, driven = len(feed.written(letters)), feed.driven()
    assert live == refused(driven, letters)
    # What came before it does not count, what was sent after it does.
    assert 20 <= live <= before
    keep(ours)
    stored = query(ours, "SELECT count(*) FROM v_quotes WHERE instrument = %s AND topic = %s", name, feed.topic)
    assert stored == [(sent - live,)]
    for kind in ("features", "scores"):
        of_live, of_log = table(feed.rows(kind), kind), table([each for each in driven if each.topic == kind], kind)
        assert {key: values.tobytes() for key, values in of_live.items() if key != "instrument"} == {
            key: values.tobytes() for key, values in of_log.items() if key != "instrument"
        }
        assert of_live["instrument"].tolist() == of_log["instrument"].tolist()


def test_registration_whose_writer_died_is_finished_by_who_waits_for_it(settings) -> None:
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    name, producer = stranger(), kafka.producer(settings)
    value = msgspec.json.encode(Instrument(name, kind="etf", registered_at=1))
    producer.produce(topics.INSTRUMENTS, value, key=name, headers=[(REGISTRATION, BEGUN)])
    assert producer.flush(30) == 0
    begun = WALL.now()
    answers = [_asked(settings, name, at) for at in (LATEST_NS, begun)]
    assert answers == ["etf", None]
    assert _asked(settings, name, WALL.now()) == "etf"


def _asked(settings: Settings, name: str, at: int) -> str | None:
    registry = Registry(settings)
    try:
        return registry.kind(name, at)
    finally:
        registry.close()


@pytest.mark.parametrize("first", [{}, {"kind": "spot"}])
def test_registering_again_or_all_at_once_leaves_the_time_from_which_rows_count(settings, first) -> None:
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    name = stranger()
    threads = [threading.Thread(target=register, args=(settings, [Instrument(name, **first)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = []
    for lot in (1.0, 5.0, 9.0):
        written = register(settings, [Instrument(name, lot=lot, **first)])
        registry = Registry(settings)
        registry.refresh()
        registry.close()
        since = registry.since(name)
        assert since is not None
        times.append(since)
        assert registry.instruments[name].lot == lot
        assert written == (lot != 1.0)
    assert times == [times[0]] * 3
    assert WALL.now() - 60 * NANOS < times[0] <= WALL.now()


def test_row_sent_right_after_its_registration_counts(settings) -> None:
    feed = Feed(settings, [KNOWN])
    for _ in range(5):
        name = stranger()
        register(settings, [Instrument(name)])
        feed.send([quote(name, 0.1, 99, 101)], [name])
        feed.flush()
    assert refused(feed.driven(), topics.dead_letters(feed.topic)) == 0
