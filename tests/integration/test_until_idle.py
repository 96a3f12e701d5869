"""An engine that is to end once nothing comes reads all there is first, however long the first fetch takes."""

import threading

import msgspec

from streams.engine.process import Engine
from tests.integration.engine_feed import Feed
from tests.unit import engine_market as m

SHORTER_THAN_ANY_FETCH_MS = 0.1


def test_engine_that_ends_when_idle_reads_the_whole_log_first(settings):
    feed = Feed(settings, ["IDLE.XTST"])
    for second in range(1, 6):
        feed.send([m.quote("IDLE.XTST", second, 99.0, 101.0)])
    feed.flush()
    hasty = msgspec.structs.replace(feed.settings.engine, poll_ms=SHORTER_THAN_ANY_FETCH_MS)
    engine = Engine(msgspec.structs.replace(feed.settings, engine=hasty))
    engine.run(threading.Event(), until_idle_s=SHORTER_THAN_ANY_FETCH_MS / 1000)
    assert engine.totals.by_type == {"quote": 5}
    assert feed.committed().offset == feed.end()
