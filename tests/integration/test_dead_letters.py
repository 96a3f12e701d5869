"""Whatever is wrong with a record, it ends in the feed's dead letters with its reason, once, and the stream goes on."""

import hashlib

import pytest

from streams.driver import table
from tapewatch.clock import NANOS
from tapewatch.contract import frames, topics
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.runtime import batches
from tapewatch.settings import Settings
from tests.faults.engine_runs import Engines
from tests.integration.engine_feed import Feed
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, heartbeats, quote

A, B = "AAA.XDLQ", "BBB.XDLQ"
TEN_MB = 10_000_000


def letters(feed: Feed) -> list[tuple[int, str, dict[str, bytes], bytes]]:
    """Origin offset, reason, headers and value of every dead letter."""
    found = []
    for message in feed.written(topics.dead_letters(feed.topic)):
        headers = dict(message.headers())
        assert headers["origin_topic"] == feed.topic.encode()
        assert headers["origin_partition"] == b"0"
        found.append((int(headers["origin_offset"]), headers["reason"].decode(), headers, message.value()))
    return found


def closed_quotes(feed: Feed) -> dict[tuple[str, int], float]:
    """Quotes of each instrument and second that the engine closed."""
    found = table(feed.rows(topics.FEATURES), "features")
    seconds = (found["ts"] // NANOS - m.START - 1).tolist()
    keys = zip(found["instrument"].tolist(), seconds, strict=True)
    return dict(zip(keys, found["quote_rate_1s"].tolist(), strict=True))


def send_everything_bad(feed: Feed) -> dict[int, list[str]]:
    """A log with one of everything that is wrong; the reasons by offset."""
    absurd = quote(A, 1.4, 99, 101)
    absurd = Event(absurd.type, A, absurd.at, absurd.values, absurd.at - MAX_SKEW_NS - 1)
    feed.send([quote(A, 0.1, 99, 101), quote(B, 0.2, 99, 101)])
    wanted = {feed.record(b"\xff\xff\xff\xffnot a frame"): ["unreadable"]}
    newer = m.frame([quote(A, 0.5, 1, 2)], feed.names).replace(b"1.0", b"2.0")
    wanted[feed.record(newer)] = ["unsupported_version"]
    bad = [quote(A, 1.1, 99, 101), quote(A, 1.2, m.NAN, 101, bid_qty=1.0), quote(A, 1.3, 102, 101), absurd]
    wanted[feed.send([*bad, quote(B, 1.5, 99, 101)])] = ["not_a_number", "crossed_quote", "absurd_ts_event"]
    strangers = [quote("NEW.XDLQ", 2.1, 99, 101), quote("not an id", 2.2, 99, 101), quote(A, 2.3, 99, 101)]
    names = [event.instrument for event in strangers]
    wanted[feed.send(strangers, names)] = ["unregistered_instrument", "malformed_instrument"]
    wanted[feed.record(bytes(TEN_MB))] = ["oversized"]
    feed.send(heartbeats(4, since=2))
    return wanted


def test_every_kind_of_bad_record_ends_in_the_dead_letters_and_the_stream_goes_on(settings: Settings) -> None:
    feed = Feed(settings, [A, B])
    with feed.engine():
        wanted = send_everything_bad(feed)
    found = letters(feed)
    by_offset = {offset: [reason for at, reason, *_ in found if at == offset] for offset, *_ in found}
    assert by_offset == wanted
    assert closed_quotes(feed) == {
        (A, 0): 1.0, (B, 0): 1.0, (A, 1): 1.0, (B, 1): 1.0, (A, 2): 1.0, (B, 2): 0.0, (A, 3): 0.0, (B, 3): 0.0,
    }  # fmt: skip


def test_dead_letters_hold_what_was_refused(settings: Settings) -> None:
    feed = Feed(settings, [A, B])
    with feed.engine():
        send_everything_bad(feed)
    by_reason = {reason: (headers, value) for _, reason, headers, value in letters(feed)}
    headers, value = by_reason["oversized"]
    assert len(value) == batches.KEPT_BYTES
    assert headers["bytes"] == str(TEN_MB).encode()
    assert headers["sha256"].decode() == hashlib.sha256(bytes(TEN_MB)).hexdigest()
    crossed = by_reason["crossed_quote"]
    assert frames.to_rows(crossed[1]).columns["bid_price"].tolist() == [102.0]
    assert (crossed[0]["kind"], crossed[0]["row"], crossed[0]["type"]) == (b"row", b"2", b"quote")
    assert frames.to_rows(by_reason["malformed_instrument"][1]).instruments == ["not an id"]
    assert by_reason["unreadable"][1] == b"\xff\xff\xff\xffnot a frame"


def test_dead_letters_stand_once_after_a_restart(settings: Settings) -> None:
    feed = Feed(settings, [A, B], snapshot_seconds=0.01)
    with feed.engine():
        wanted = send_everything_bad(feed)
    with feed.engine():
        later = feed.send([quote(A, 5.1, 102, 101), quote(A, 5.2, 99, 101)])
    found = [(offset, reason) for offset, reason, *_ in letters(feed)]
    assert found == [
        *((offset, reason) for offset, reasons in wanted.items() for reason in reasons),
        (later, "crossed_quote"),
    ]


def test_repeated_bad_frame_is_dropped_as_a_whole(settings: Settings) -> None:
    feed = Feed(settings, [A])
    with feed.engine() as engine:
        feed.send([quote(A, 0.1, 102, 101), quote(A, 0.2, 99, 101)])
        feed.sequence = 0
        feed.send([quote(A, 0.1, 102, 101), quote(A, 0.2, 99, 101)])
    assert [reason for _, reason, *_ in letters(feed)] == ["crossed_quote"]
    assert engine.totals.duplicates == 1


@pytest.mark.slow  # engine processes, one killed
def test_dead_letters_stand_once_after_a_kill(settings: Settings) -> None:
    feed = Feed(settings, [A])
    for number in range(200):
        feed.send([quote(A, number + 0.1, 102, 101), quote(A, number + 0.2, 99, 101)])
    feed.flush()
    engines = Engines(feed.settings, feed.name, feed.name, batch_frames=8)
    engines.start("a")
    try:
        engines.wait(40)
        engines.kill("a")
        engines.start("a")
        engines.wait(200)
    finally:
        engines.stop()
    assert [offset for offset, *_ in letters(feed)] == list(range(200))


def test_engine_refuses_what_the_driver_refuses(settings: Settings) -> None:
    feed = Feed(settings, [A, B])
    with feed.engine():
        send_everything_bad(feed)
    mine = [(record.value, record.headers) for record in feed.driven() if record.topic.endswith(".dlq")]
    assert [(message.value(), message.headers()) for message in feed.written(topics.dead_letters(feed.topic))] == mine
