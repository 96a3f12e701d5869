"""The coin desk on the real broker: each minute's ranking once, the same however often it was stopped."""

import threading
import uuid
from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.ranking import model as ranking_model
from detectors.regime import model as regime_model
from streams.coin_ranking.minute_buffer import Bar
from streams.coin_ranking.process import CoinRankingProcess, Options, Totals
from streams.coin_ranking.ranking import MINUTE_NS, CoinRanking, Question
from streams.engine.output_frames import BARS, SEALED_MINUTES, FrameWriter
from tapewatch.contract import messages, topics
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.unit.coin_market import START, coin

QUESTION = Question(0.005, -0.005, 1.0)
COINS = {0: ("CALM.X", 0.0003), 1: ("LIVELY.X", 0.001)}
"""By the feed's partition: a coin and its volatility."""


class Market:
    """A feed of two partitions whose engine has written minutes up to where the test wants them."""

    def __init__(self, settings: Settings, rows: int) -> None:
        self.feed = f"d{uuid.uuid4().hex[:10]}"
        kafka.create_topics(
            settings, [*topics.market_topics(self.feed, settings.topics, 2), *topics.shared_topics(settings.topics)]
        )
        self._producer = kafka.producer(settings)
        for partition in COINS:
            # Something must lie in a partition for the desk to await it.
            self._producer.produce(topics.market(self.feed), b"", partition=partition)
        self._producer.flush(30)
        self.coins = {place: coin(rows, seed=place, volatility=each) for place, (_, each) in COINS.items()}
        self._partitions = kafka.existing_topics(kafka.admin(settings))[topics.BARS]

    def write(self, start: int, stop: int, partitions: Sequence[int] = (0, 1)) -> None:
        """Bars of these minutes, five a frame, each frame followed by its marker, as the engine writes them."""
        for partition in partitions:
            for first in range(start, stop, 5):
                rows = np.arange(first, min(first + 5, stop))
                self._frame(partition, rows)
        assert self._producer.flush(30) == 0

    def _frame(self, partition: int, rows: np.ndarray) -> None:
        high, low, close, *counts = self.coins[partition].bars[rows].T
        ends = (START + rows + 1) * MINUTE_NS
        zero = np.zeros(len(rows), dtype=np.int64)
        table = np.array([close, high, low, close, *counts])
        keys = [zero, ends, zero, np.full(len(rows), 60)]
        value = FrameWriter(BARS).write([COINS[partition][0]], keys, table, 0, len(rows))
        self._send("bars", partition, value)
        table = np.ones((1, len(rows)), dtype=np.int64)
        value = FrameWriter(SEALED_MINUTES).write(["*"], keys[:3], table, 0, len(rows))
        self._send("sealed-minutes", partition, value)

    def _send(self, kind: str, partition: int, value: bytes) -> None:
        origin = [("feed", self.feed.encode()), ("partition", str(partition).encode())]
        self._producer.produce(
            topics.BARS, value, partition=partition % self._partitions, headers=[("type", kind.encode()), *origin]
        )

    def expected(self, stop: int) -> list[bytes]:
        """What a desk without a broker makes of the minutes before `stop`."""
        desk = CoinRanking(ranking_model.shipped(), regime_model.shipped(), QUESTION, lambda _: "")
        found = []
        for row in range(stop):
            bars = [Bar(COINS[place][0], seen.bars[row], (0, 0)) for place, seen in self.coins.items()]
            desk.add(START + row, bars)
            found.append(messages.encode(desk.ranking(START + row)))
        return found


def run_desk(settings: Settings, market: Market, **options: object) -> Totals:
    """A desk that works until nothing comes any more."""
    chosen = Options(QUESTION, (market.feed,), market.feed, **options)  # type: ignore[arg-type]
    desk = CoinRankingProcess(settings, chosen)
    desk.run(threading.Event(), until_idle=2.0)
    return desk.totals


def rankings(settings: Settings, since: dict[str, int]) -> list[bytes]:
    """Committed rankings that were written since."""
    found: list[bytes] = []
    kafka.read_all(
        settings, topics.RANKINGS, lambda one: found.append(one.value()) if one.offset() >= since["offset"] else None
    )
    return found


def test_each_minute_is_ranked_once_however_often_the_desk_is_stopped(settings: Settings) -> None:
    market = Market(settings, 260)
    reader = kafka.consumer(settings)
    since = {"offset": kafka.watermarks(reader, topics.RANKINGS, 0)[1]}
    reader.close()
    market.write(0, 200)
    # A snapshot with every transaction: the next start lives through nothing again.
    assert run_desk(settings, market, snapshot_s=0.0).rankings == 200
    # Partition 1 is ahead: its minutes wait, and are read again by the next desk.
    market.write(200, 220)
    market.write(220, 240, partitions=(1,))
    assert run_desk(settings, market).rankings == 20
    # The last desk ended without a snapshot: the twenty minutes since are lived through again in silence.
    market.write(220, 240, partitions=(0,))
    totals = run_desk(settings, market)
    assert (totals.minutes, totals.rankings) == (40, 20)
    assert rankings(settings, since) == market.expected(240)
    last = msgspec.json.decode(rankings(settings, since)[-1], type=messages.Ranking)
    assert [one.instrument for one in last.ranked] == ["LIVELY.X", "CALM.X"]
    # An input that says nothing more is left out, and its coin with a reason.
    market.write(240, 260, partitions=(0,))
    assert run_desk(settings, market, silent_s=0.5).rankings == 20
    last = msgspec.json.decode(rankings(settings, since)[-1], type=messages.Ranking)
    assert last.excluded == {"LIVELY.X": "no bar for 20 minutes"}
