"""The tape: last values per instrument as a plain loop would have them, what is pushed, and to whom."""

import asyncio
import json
import struct
from typing import Any

import numpy as np
import pytest

from console.identity import Account
from console.live.market import ACTIONS, DAY, Market
from console.live.tape import TapeReader
from console.live.tape_wire import COLUMNS, frame, head
from console.live.viewers import Group, Viewer
from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import Rows, RowType

NAMES = ["2330.TWSE", "2317.TWSE", "BTCUSDT.BINANCE", "*"]
NOW = 1_700_000_000 * NANOS
NAN = float("nan")


class Record:
    """A Kafka message as the reader sees it."""

    def __init__(self, topic: str, value: bytes, sequence: int = 0, at: int = NOW) -> None:
        self._topic, self._value, self._at = topic, value, at
        self._headers = FrameHeaders("quote", "test", 1, sequence, NOW).to_kafka()

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 2, self._at // 1_000_000


def rows(kind: RowType, instruments, times=None, **columns) -> Rows:
    count = len(instruments)
    times = np.array(times if times is not None else [NOW] * count, dtype=np.int64)
    codes = np.array([NAMES.index(name) for name in instruments], dtype=np.int32)
    return Rows(kind, NAMES, {"instrument": codes, "ts_event": times, "ts_recv": times, **columns})


def trades(instruments, prices, qty=None, condition=None, times=None) -> Rows:
    count = len(instruments)
    return rows(
        RowType.TRADE,
        instruments,
        times,
        price=np.array(prices, dtype=np.float64),
        qty=np.array(qty if qty is not None else [1.0] * count, dtype=np.float64),
        aggressor_side=np.ones(count, dtype=np.int8),
        condition=np.array(condition if condition is not None else [0] * count, dtype=np.int8),
    )


def quotes(instruments, bid, ask, last, volume) -> Rows:
    columns = {"bid_price": bid, "bid_qty": bid, "ask_price": ask, "ask_qty": ask, "last_price": last, "volume": volume}
    return rows(
        RowType.QUOTE, instruments, **{name: np.array(each, dtype=np.float64) for name, each in columns.items()}
    )


class Feed:
    """A reader that is handed one frame after the other."""

    def __init__(self) -> None:
        self.market = Market()
        self.reader = TapeReader(self.market)
        self._sequence = 0

    def send(self, *sent: Rows) -> "Feed":
        for each in sent:
            self._sequence += 1
            self.reader.take([Record("market.test", frames.encode(each), self._sequence)])
        return self

    def of(self, name: str, column: str) -> float:
        return getattr(self.market, column)[self.market.known[name]].item()


def plain(sent: list[Rows]) -> dict[str, list[float]]:
    """Last, first of the day and volume of trades, row by row."""
    found: dict[str, list[float]] = {}
    days: dict[str, int] = {}
    for each in sent:
        for row in range(len(each)):
            name = each.instruments[each.columns["instrument"][row]]
            if name == "*":
                continue
            day, price, qty = (int(each.ts_recv[row]) // DAY, *(float(each.columns[c][row]) for c in ("price", "qty")))
            state = found.setdefault(name, [NAN, NAN, NAN])
            if day > days.get(name, -1):
                days[name], state[1], state[2] = day, NAN, 0.0
            if each.columns["condition"][row] > 1 or not price > 0 or not np.isfinite(price) or not qty >= 0:
                continue
            state[0] = price
            state[1] = price if np.isnan(state[1]) else state[1]
            state[2] += qty
    return found


def test_arrays_hold_what_a_plain_loop_finds():
    rng = np.random.default_rng(7)
    sent = []
    for turn in range(40):
        count = int(rng.integers(1, 60))
        prices = rng.uniform(50, 150, count).round(2)
        prices[rng.random(count) < 0.05] = rng.choice([NAN, -1.0, 0.0, np.inf])
        chosen = [NAMES[code] for code in rng.integers(0, 4, count)]
        times = [NOW + turn * DAY // 16] * count
        sent.append(trades(chosen, prices, rng.integers(0, 9, count), rng.integers(0, 4, count), times))
    feed = Feed()
    late = [Record("market.test", frames.encode(each), number, NOW + 10 * DAY) for number, each in enumerate(sent)]
    for record in late:
        feed.reader.take([record])
    for name, (last, first, volume) in plain(sent).items():
        assert feed.of(name, "last") == last
        np.testing.assert_equal(feed.of(name, "first"), first)
        assert feed.of(name, "volume") == volume


def test_change_counts_from_the_first_price_of_the_day():
    feed = Feed().send(trades(["2330.TWSE"] * 2, [100, 110]))
    assert feed.market.change(np.array([0]))[0] == pytest.approx(0.1)
    tomorrow = Record("market.test", frames.encode(trades(["2330.TWSE"] * 2, [50, 100], times=[NOW + DAY] * 2)), 9)
    feed.reader.take([tomorrow])
    assert feed.market.change(np.array([0]))[0] == pytest.approx(1.0)


def test_frame_sent_twice_counts_once():
    feed = Feed()
    again = Record("market.test", frames.encode(trades(["2330.TWSE"], [100], [5])), 3)
    feed.reader.take([again, again])
    assert feed.of("2330.TWSE", "volume") == 5


def test_quotes_give_touch_last_and_the_session_s_volume():
    feed = Feed().send(quotes(["2330.TWSE"], [99], [101], [100.5], [1000]), trades(["2330.TWSE"], [100.6], [7]))
    assert [feed.of("2330.TWSE", name) for name in ("bid", "ask", "last", "volume")] == [99, 101, 100.6, 1000]


def test_feed_of_quotes_alone_is_priced_by_their_middle():
    feed = Feed().send(
        quotes(["2330.TWSE"], [99], [101], [NAN], [NAN]), quotes(["2330.TWSE"], [101], [103], [NAN], [NAN])
    )
    assert feed.of("2330.TWSE", "last") == 102


def test_rows_of_the_far_future_are_passed_over():
    feed = Feed().send(trades(["2330.TWSE"], [100]), trades(["2330.TWSE"], [5], times=[NOW + 900 * DAY]))
    assert feed.of("2330.TWSE", "last") == 100


@pytest.mark.parametrize("value", [b"", b"no frame", b"\xff" * 100, b"{}"])
@pytest.mark.parametrize("topic", ["market.test", "scores", "alerts", "signals"])
def test_bad_record_is_passed_over(topic, value):
    feed = Feed()
    feed.reader.take([Record(topic, value), Record("market.test", frames.encode(trades(["2330.TWSE"], [100])), 5)])
    assert feed.of("2330.TWSE", "last") == 100


def test_alerts_are_counted_until_they_close():
    feed = Feed()
    for alert, severity, state in (("a", "low", "open"), ("b", "critical", "open"), ("b", "critical", "closed")):
        value = json.dumps({"instrument": "2330.TWSE", "id": alert, "severity": severity, "state": state}).encode()
        feed.reader.take([Record("alerts", value)])
    assert (feed.of("2330.TWSE", "alerts"), feed.of("2330.TWSE", "severity")) == (1, 1)


def test_signals_give_the_newest_action():
    feed = Feed()
    for action in ("buy", "hold"):
        value = json.dumps({"instrument": "2330.TWSE", "action": action, "q_values": {}}).encode()
        feed.reader.take([Record("signals", value)])
    assert ACTIONS[int(feed.of("2330.TWSE", "action"))] == "hold"


def test_score_is_the_highest_of_the_detectors():
    market = Market()
    slots = market.slots(["2330.TWSE", "2317.TWSE"])
    chance = np.array([0.2, 0.9, NAN, 0.4], dtype=np.float32)
    market.take_scores(slots[[0, 0, 0, 1]], ["kmeans", "boosted"], np.array([0, 1, 1, 7]), chance)
    assert market.score[0] == pytest.approx(0.9)
    assert np.isnan(market.score[1])
    market.take_scores(slots[[0]], ["boosted"], np.array([0]), chance[:1])
    assert market.score[0] == pytest.approx(0.2)


def test_market_grows_and_keeps_what_it_knows():
    market = Market()
    slots = market.slots(f"S{number}.TWSE" for number in range(1000))
    market.last[slots] = np.arange(1000)
    market.slots(f"T{number}.TWSE" for number in range(2000))
    assert market.last[:1000].tolist() == list(range(1000))


def decoded(message: bytes) -> dict[str, list[Any]]:
    """A frame by its description."""
    kind, count, _ = struct.unpack_from("<IId", message)
    assert kind == 1
    found = {"row": np.frombuffer(message, "<u4", count, 16).tolist()}
    at = 16 + 4 * (count + count % 2)
    for name, dtype in COLUMNS:
        column = np.frombuffer(message, f"<{dtype}", count, at)
        assert at % column.itemsize == 0
        found[name], at = column.tolist(), at + column.nbytes
    assert at == len(message)
    return found


@pytest.mark.parametrize("count", [1, 2, 5])
def test_frame_reads_as_it_is_described(count):
    market = Market()
    slots = market.slots(f"S{number}.TWSE" for number in range(count))
    market.last[slots], market.first[slots] = np.arange(1, count + 1), 1.0
    market.take_alert("S0.TWSE", "a", "high", "open")
    found = decoded(frame(market, slots, slots + 10, 5.0))
    assert found["row"] == list(range(10, 10 + count))
    assert found["last"] == list(range(1, count + 1))
    assert found["change"] == list(range(count))
    assert (found["alerts"][0], found["severity"][0]) == (1, 3)


def test_group_sees_its_own_instruments_under_its_own_numbers():
    feed = Feed().send(trades(["BTCUSDT.BINANCE", "2330.TWSE", "2317.TWSE"], [1, 2, 3]))
    group = Group(Account("lee", "viewer", instruments=("*.TWSE",)), "")
    group.meet(feed.market)
    found = decoded(group.frame(feed.market, group.seen(feed.market.moved()), 0.0))
    assert [group.names[row] for row in found["row"]] == group.names
    assert set(group.names) == {"2330.TWSE", "2317.TWSE"}
    assert sorted(found["last"]) == [2, 3]


def test_only_what_moved_is_sent():
    feed = Feed().send(trades(["2330.TWSE", "2317.TWSE"], [1, 2]))
    feed.market.moved()
    feed.send(trades(["2317.TWSE"], [3]))
    assert feed.market.moved().tolist() == [feed.market.known["2317.TWSE"]]
    assert feed.market.moved().tolist() == []


def test_heads_follow_as_instruments_are_met():
    feed = Feed().send(trades(["2330.TWSE"], [1]))
    group, viewer = Group(Account("ann", "viewer"), ""), Viewer()
    group.meet(feed.market)
    assert json.loads(group.head(viewer))["instruments"] == ["2330.TWSE"]
    assert group.head(viewer) == b""
    feed.send(trades(["2317.TWSE"], [1]))
    group.meet(feed.market)
    again = json.loads(group.head(viewer))
    assert (again["first"], again["instruments"]) == (1, ["2317.TWSE"])
    assert json.loads(head([], 0))["instruments"] == []


def test_slow_viewer_gets_what_moved_meanwhile_once():
    async def scene():
        viewer = Viewer()
        viewer.offer(b"first", np.array([0]), 8)
        viewer.offer(b"second", np.array([1, 2]), 8)
        viewer.offer(b"third", np.array([2, 5]), 16)
        taken = viewer.taken()
        return taken, viewer.taken()

    (encoded, behind), again = asyncio.run(scene())
    assert encoded == b"first"
    assert behind.tolist() == [1, 2, 5]
    assert again == (b"", None)
