"""The PostgreSQL sink on real servers: alerts, signals, own orders and other messages."""

import uuid
from typing import Any

import msgspec

from tapewatch.contract import messages, topics
from tapewatch.contract.messages import to_rfc3339
from tapewatch.runtime import kafka
from tests.integration.postgres_kept import START, Sender, counted, keep, query


def alert(instrument: str, revision: int, **changes) -> messages.Alert:
    sound = messages.Alert(
        id=messages.alert_id("pump_and_dump", instrument, START), scenario="pump_and_dump", instrument=instrument,
        onset=to_rfc3339(START), decided=to_rfc3339(START), updated=to_rfc3339(START + revision), state="open",
        revision=revision, severity="high", score=50.0, sentence="It rose.", data_tier="trades",
        provenance=messages.Provenance("market.x", 0, 1, 2, 3, "c", {}, "b"),
    )  # fmt: skip
    return msgspec.structs.replace(sound, **changes)


def buried(settings, topic: str, partition: int, start: int) -> list[int]:
    """The offsets of a topic's records, from `start` on, whose dead letters the database has."""
    where = "WHERE topic = %s AND partition = %s AND log_offset >= %s ORDER BY 1"
    found = query(settings, f"SELECT log_offset FROM dead_letters {where}", topic, partition, start)
    return [offset for (offset,) in found]


def test_newest_revision_of_an_alert_wins_and_history_keeps_all(ours):
    producer, instrument = kafka.producer(ours), f"A{uuid.uuid4().hex[:8].upper()}.XTST"
    for revision in (0, 2, 1, 2):
        producer.produce(topics.ALERTS, messages.encode(alert(instrument, revision)), partition=0)
    producer.flush()
    keep(ours)
    producer.produce(topics.ALERTS, messages.encode(alert(instrument, 1)), partition=0)
    producer.flush()
    keep(ours)
    found = query(ours, "SELECT id, revision FROM v_alerts WHERE instrument = %s", instrument)
    assert found == [(alert(instrument, 0).id, 2)]
    assert query(ours, "SELECT revision FROM alert_history WHERE id = %s ORDER BY 1", found[0][0]) == [(0,), (1,), (2,)]


def test_messages_that_cannot_be_kept_are_dead_letters_and_the_others_are_kept(ours):
    producer, instrument = kafka.producer(ours), f"B{uuid.uuid4().hex[:8].upper()}.XTST"
    sound = messages.encode(alert(instrument, 3))
    bad = [
        b"{", b"\xff", b'{"version":"2.0"}', sound.replace(b'"version":"1.0"', b'"version":"9.1"'),
        messages.encode(alert(instrument, 0, sentence="nul \0 here")),
        messages.encode(alert(instrument, 2**40)),
        messages.encode(alert("no instrument", 0)),
        messages.encode(alert(instrument, 0, onset="2024-02-31T00:00:00Z")),
        messages.encode(alert(instrument, 0, decided="9999-01-01T00:00:00Z")),
    ]  # fmt: skip
    _, high = kafka.watermarks(kafka.consumer(ours), topics.ALERTS, 1)
    for value in (*bad, sound):
        producer.produce(topics.ALERTS, value, partition=1)
    producer.flush()
    summary = keep(ours)
    assert buried(ours, topics.ALERTS, 1, high) == [*range(high, high + len(bad))]
    assert summary.dead_letters["not_storable"] >= 2
    assert query(ours, "SELECT revision, sentence FROM v_alerts WHERE instrument = %s", instrument) == [(3, "It rose.")]


def test_malformed_reference_data_is_a_dead_letter_and_stops_nobody(ours, feed):
    producer = kafka.producer(ours)
    producer.produce(topics.INSTRUMENTS, b"{", key=b"x")
    producer.produce(topics.INSTRUMENTS, b'{"id":"not an id"}', key=b"y")
    producer.produce(topics.INSTRUMENTS, None, key=b"x")
    producer.flush()
    sent = Sender(ours, feed).quotes(2, 10)
    summary = keep(ours)
    assert summary.dead_letters["malformed_message"] >= 1
    assert summary.dead_letters["malformed_instrument"] >= 1
    assert counted(ours, "quotes", feed) == sent


def test_signals_and_coverage_are_kept(ours, feed):
    producer, cause = kafka.producer(ours), messages.Cause(topics.market(feed), 1, 5)
    second = messages.Signal(
        id=messages.stable_id(feed), instrument="AAA.XTST", ts=to_rfc3339(START), policy="ddqn", model="m",
        action="buy", q_values={"buy": 1.0, "sell": None}, advantage=0.5, cause=cause,
    )  # fmt: skip
    stretch = messages.Coverage(
        instrument="*", start=to_rfc3339(START), end=to_rfc3339(START + 5), reason="gap", seconds=5, cause=cause
    )
    for message in (second, second, stretch):
        producer.produce(message.TOPIC, messages.encode(message), partition=0)
    producer.flush()
    keep(ours)
    where = f"WHERE topic = '{topics.market(feed)}'"
    assert query(ours, f"SELECT instrument, action, q_values, log_offset FROM v_signals {where}") == [
        ("AAA.XTST", "buy", {"buy": 1.0, "sell": None}, 5)
    ]
    assert query(ours, f"SELECT instrument, reason, seconds FROM v_coverage {where}") == [("*", "gap", 5)]


def test_a_cause_in_no_market_log_is_a_dead_letter(ours, feed):
    producer, instrument = kafka.producer(ours), f"C{uuid.uuid4().hex[:8].upper()}.XTST"
    causes = [messages.Cause(topics.ALERTS, 0, 1), messages.Cause(topics.market(feed), 2**31, 1)]
    sound = messages.Cause(topics.market(feed), 2**31 - 1, 1)
    _, high = kafka.watermarks(kafka.consumer(ours), topics.SIGNALS, 0)
    for number, cause in enumerate([*causes, sound]):
        signal = messages.Signal(
            id=messages.stable_id(f"{feed}{number}"), instrument=instrument, ts=to_rfc3339(START), policy="ddqn",
            model="m", action="buy", q_values={"buy": 1.0}, advantage=0.5, cause=cause,
        )  # fmt: skip
        producer.produce(topics.SIGNALS, messages.encode(signal), partition=0)
    producer.flush()
    assert keep(ours).dead_letters["malformed_message"] >= len(causes)
    assert buried(ours, topics.SIGNALS, 0, high) == [high, high + 1]
    found = query(ours, "SELECT topic, partition FROM v_signals WHERE instrument = %s", instrument)
    assert found == [(sound.topic, sound.partition)]


def own_order(feed: str, revision: int, **changes) -> messages.Order:
    at = to_rfc3339(START + revision)
    body: dict[str, Any] = {
        "id": messages.stable_id(feed), "revision": revision, "mode": "paper", "instrument": "AAA.XTST", "side": "buy",
        "kind": "limit", "price": 10.5, "qty": 3.0, "state": "open", "created": to_rfc3339(START), "updated": at,
        "cause": messages.Cause(topics.market(feed), 0, 7 + revision),
    }  # fmt: skip
    return messages.Order(**(body | changes))


def test_own_orders_fills_and_positions_are_kept(ours, feed):
    kafka.create_topics(ours, topics.paper_topics(ours.topics))
    producer, cause = kafka.producer(ours), messages.Cause(topics.market(feed), 0, 9)
    order = messages.stable_id(feed)
    fill = messages.Fill(
        id=messages.stable_id(order, 0), order=order, mode="paper", instrument="AAA.XTST", side="buy", price=10.5,
        qty=1.0, liquidity="maker", fee=0.01, currency="USD", at=to_rfc3339(START + 1), cause=cause,
    )  # fmt: skip
    account = messages.Position(
        instrument="AAA.XTST", ts=to_rfc3339(START), currency="USD", position=1.0, cost=10.5, cash=-10.51,
        realised=0.0, unrealised=-0.1, fees=0.01, taxes=0.0, result=-0.11, cause=cause,
    )  # fmt: skip
    newest = own_order(feed, 2, state="open", filled=1.0)
    live = own_order(feed, 0, id=messages.stable_id(feed, "live"), mode="live", cause=None, price=None, kind="market")
    for message in (own_order(feed, 0), newest, own_order(feed, 1, state="pending"), live, fill, fill, account):
        producer.produce(message.TOPIC, messages.encode(message), partition=0)
    producer.flush()
    summary = keep(ours)
    assert all(summary.rows[table] for table in ("own_orders", "own_fills", "own_positions"))
    where = f"WHERE topic = '{topics.market(feed)}'"
    assert query(ours, f"SELECT instrument, revision, state, filled, log_offset FROM v_own_orders {where}") == [
        ("AAA.XTST", 2, "open", 1.0, 9)
    ]
    assert query(ours, "SELECT mode, price, log_id FROM own_orders WHERE id = %s", live.id) == [("live", None, None)]
    assert query(ours, f"SELECT order_id, qty, fee, liquidity FROM v_own_fills {where}") == [
        (order, 1.0, 0.01, "maker")
    ]
    assert query(ours, f"SELECT position, cash, result FROM v_own_positions {where}") == [(1.0, -10.51, -0.11)]
    producer.produce(topics.ORDERS, messages.encode(own_order(feed, 1, state="pending")), partition=0)
    producer.flush()
    keep(ours)
    assert query(ours, f"SELECT revision FROM v_own_orders {where}") == [(2,)]
