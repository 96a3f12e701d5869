"""Taiwan's rows in the engine: none is refused, and a takeover counts each share that was traded once."""

from producers.base.decoder import DecoderRequest
from producers.venues.twse.arbiter import MIS, YAHOO
from producers.venues.twse.instruments import taiwan_instrument
from streams.driver import Driver, table
from tapewatch.clock import NANOS
from tapewatch.market_log.registry import FixedRegistry
from tests.unit.taiwan import BOTH, TSMC, VACCINE, Feed, at, chart_answer, mis_row, yahoo_quote


class EngineFeed:
    """A feed whose rows go into the engine second by second."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.driver = Driver(FixedRegistry([taiwan_instrument(name) for name in BOTH]))
        self._second = at("09:59:55") // NANOS

    def send(self, until: str) -> None:
        """Heartbeats up to a second of Taipei's day, and what the decoder has given since."""
        for second in range(self._second + 1, at(until) // NANOS + 1):
            self.driver.heartbeat(second)
        self._second = max(self._second, at(until) // NANOS)
        for rows in self.feed.decoder.collector.take():
            self.driver.send(rows)


def test_takeover_counts_each_share_once() -> None:
    watched = EngineFeed()
    feed = watched.feed
    feed.mis(at("10:00:01"), mis_row(v="500"), mis_row(VACCINE, a="-", f="-"))
    watched.send("10:00:01")
    feed.mis(at("10:00:06"), mis_row(event=at("10:00:05"), v="503", z="-"))
    watched.send("10:00:06")
    feed.mis_fails(at("10:00:23"))
    watched.send("10:00:23")
    feed.yahoo(at("10:00:25"), yahoo_quote(event=at("10:00:24"), regularMarketVolume=507_000))
    assert feed.decoder.arbiter.in_charge == YAHOO
    watched.send("10:00:25")
    feed.decoder.answer(DecoderRequest(YAHOO, TSMC), chart_answer(event=at("10:00:29"), volume=509_000), at("10:00:30"))
    watched.send("10:00:30")
    for second in (31, 36, 41, 46):
        feed.mis(at(f"10:00:{second}"), mis_row(event=at(f"10:00:{second}"), v=str(480 + second)))
        watched.send(f"10:00:{second}")
    assert feed.decoder.arbiter.in_charge == MIS
    watched.send("10:02:00")
    found = table(watched.driver.outgoing(), "bars")
    assert found["volume"][found["instrument"] == TSMC].sum() == 526_000.0 - 500_000.0
    assert not [topic for topic in watched.driver.collect() if topic.endswith(".dlq")]
    assert feed.accounted()
