"""A source's output and position in one transaction, on a real broker."""

import json
import uuid

import numpy as np
import pytest
from confluent_kafka import Message

from producers.base.collector import Collector
from producers.base.state import AbortedError, FencedError, Ledger, Transaction, committed_position, refused_letter
from producers.feed import read_tail
from tapewatch.clock import WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders, to_rows
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Factor, stable_id, to_rfc3339
from tapewatch.contract.rows import Rows, RowType
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

NAME = "2330.XTAI"


def source() -> str:
    return f"s-{uuid.uuid4().hex[:10]}"


def log(settings: Settings, topic: str) -> list[Message]:
    found: list[Message] = []
    kafka.read_all(settings, topic, found.append)
    return found


def trades(collector: Collector, count: int) -> None:
    now = WALL.now()
    code = collector.code(NAME)
    for n in range(count):
        collector.trades.append((code, now + n, now + n, 100.0 + n, 1.0, 1, 0, f"t{n}"))


def factor(name: str, period: str) -> Factor:
    return Factor(
        id=stable_id(name, period),
        source=name,
        series="close",
        period=period,
        published_at=to_rfc3339(WALL.now()),
        received=to_rfc3339(WALL.now()),
        value=1.0,
    )


def prices(settings: Settings, topic: str) -> list[float]:
    found: list[float] = []
    for message in log(settings, topic):
        rows: Rows = to_rows(message.value())
        if rows.type == RowType.TRADE:
            found += rows.columns["price"].tolist()
    return found


def test_rows_messages_letters_and_position_are_visible_together(settings: Settings) -> None:
    name = source()
    ledger = Ledger(settings, name, feed=name, partitions=2, instruments=[Instrument(NAME)])
    assert ledger.position() is None
    collector = Collector()
    trades(collector, 3)
    collector.refuse("no_price", "table trades, key 7", b"{}", WALL.now())
    rows, refused = collector.take(), collector.take_refused()

    def work(one: Transaction) -> None:
        for each in rows:
            one.rows(each)
        for refusal in refused:
            one.refuse(refused_letter(topics.market(name), name, refusal))
        one.message(factor(name, "2024-01-02"), b"close")
        one.position(b'{"key":7}')

    ledger.write(work)
    assert prices(settings, topics.market(name)) == [100.0, 101.0, 102.0]
    letters = log(settings, topics.dead_letters(topics.market(name)))
    assert [dict(letter.headers())["where"] for letter in letters] == [b"table trades, key 7"]
    sent = [messages.decode(Factor, message.value()) for message in log(settings, topics.FACTORS)]
    assert [each.period for each in sent if each.source == name] == ["2024-01-02"]
    assert json.loads(committed_position(settings, name) or b"") == {"key": 7}
    assert ledger.position() == b'{"key":7}'


def test_error_in_the_block_leaves_nothing_and_the_next_start_goes_on_from_the_committed_position(
    settings: Settings,
) -> None:
    name = source()
    ledger = Ledger(settings, name, feed=name, partitions=1, instruments=[Instrument(NAME)])
    ledger.position()
    collector = Collector()
    trades(collector, 1)
    with ledger.transaction() as one:
        one.take(collector, topics.market(name))
        one.position(b"1")
    epoch = ledger.live.writer.epoch if ledger.live else -1
    trades(collector, 5000)
    with pytest.raises(ZeroDivisionError), ledger.transaction() as one:
        one.take(collector, topics.market(name))
        one.message(factor(name, "2024-01-03"))
        one.position(b"2")
        raise ZeroDivisionError
    with pytest.raises(RuntimeError), ledger.transaction():
        pass
    assert ledger.position() == b"1"
    assert ledger.live is not None
    assert ledger.live.writer.epoch > epoch
    trades(collector, 2)
    with ledger.transaction() as one:
        one.take(collector, topics.market(name))
        one.position(b"3")
    assert prices(settings, topics.market(name)) == [100.0, 100.0, 101.0]
    assert not [each for each in log(settings, topics.FACTORS) if json.loads(each.value())["source"] == name]
    assert committed_position(settings, name) == b"3"


def test_second_instance_fences_the_first_and_aborts_what_it_has_begun(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A transaction that took most of its time may have been aborted for that: a starved one here must not.
    monkeypatch.setattr("producers.base.state.TRANSACTION_TIMEOUT_MS", 120_000)
    name = source()
    first = Ledger(settings, name, feed=name, partitions=1, instruments=[Instrument(NAME)])
    first.position()
    collector = Collector()
    second = Ledger(settings, name, feed=name)
    with pytest.raises(FencedError, match="taken over"), first.transaction() as one:
        trades(collector, 5000)
        one.take(collector, topics.market(name))
        assert second.position() is None
        one.position(b"1")
    trades(collector, 1)
    with second.transaction() as one:
        one.take(collector, topics.market(name))
        one.position(b"2")
    assert prices(settings, topics.market(name)) == [100.0]
    assert committed_position(settings, name) == b"2"


def test_transaction_that_takes_too_long_is_aborted_and_begun_again(settings: Settings) -> None:
    name = source()
    ledger = Ledger(settings, name)
    ledger.position()
    with pytest.raises(AbortedError), ledger.transaction() as one:
        one.message(factor(name, "2024-01-04"))
        one.position(b"1")
        # The broker looks for transactions that are over their 4 s once a second: no shorter wait can show it.
        WALL.sleep(7)
    assert ledger.position() is None
    with ledger.transaction() as one:
        one.position(b"2")
    assert ledger.position() == b"2"


def test_write_does_the_work_again_after_an_abort(settings: Settings) -> None:
    name, calls = source(), list[int]()
    ledger = Ledger(settings, name)

    def work(one: Transaction) -> None:
        one.message(factor(name, f"2024-02-0{len(calls) + 1}"))
        calls.append(1)
        if len(calls) < 3:
            raise AbortedError("as if the broker had said so")
        one.position(b"1")

    ledger.write(work)
    sent = [json.loads(each.value()) for each in log(settings, topics.FACTORS)]
    assert [each["period"] for each in sent if each["source"] == name] == ["2024-02-03"]


def test_receipt_times_never_go_back_over_a_restart(settings: Settings) -> None:
    name = source()
    first = Ledger(settings, name, feed=name, partitions=2, instruments=[Instrument(NAME)])
    first.position()
    with first.transaction() as one:
        now = WALL.now() + 300_000_000_000
        one.rows(_trade(now))
    first.close()
    second = Ledger(settings, name, feed=name)
    second.position()
    with second.transaction() as one:
        one.rows(_trade(WALL.now()))
    found = [to_rows(message.value()) for message in log(settings, topics.market(name))]
    times = [int(rows.ts_recv[0]) for rows in found if rows.type == RowType.TRADE]
    assert times[1] >= times[0]
    epochs = {FrameHeaders.from_kafka(message.headers()).epoch for message in log(settings, topics.market(name))}
    assert len(epochs) == 2
    assert read_tail(settings, name).newest_ns >= now


def test_instruments_that_appear_are_registered_before_their_rows(settings: Settings) -> None:
    name = source()
    ledger = Ledger(settings, name, feed=name, partitions=1)
    ledger.position()
    other = f"X{uuid.uuid4().hex[:8].upper()}.XTAI"
    ledger.register([Instrument(other)])
    with ledger.transaction() as one:
        one.rows(_trade(WALL.now(), other))
    assert other.encode() in [each.key() for each in log(settings, topics.INSTRUMENTS)]


def _trade(at: int, name: str = NAME) -> Rows:
    times = np.array([at], dtype=np.int64)
    return Rows(
        RowType.TRADE,
        (name,),
        {
            "instrument": np.zeros(1, np.int32),
            "ts_event": times,
            "ts_recv": times,
            "price": np.array([1.0]),
            "qty": np.array([1.0]),
            "aggressor_side": np.zeros(1, np.int8),
            "condition": np.zeros(1, np.int8),
        },
    )
