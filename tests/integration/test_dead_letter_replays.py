"""Dead letters on real servers: shown, replayed in order, and none twice whatever dies and whoever does it beside."""

import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest

from streams.driver import table
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import frames, messages, topics
from tapewatch.contract.checks import Reason
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Coverage, to_rfc3339
from tapewatch.dlq import replaying
from tapewatch.dlq.letter import Selection, found
from tapewatch.dlq.replaying import Order
from tapewatch.errors import TapewatchError
from tapewatch.market_log import dead_letters
from tapewatch.market_log.registry import register
from tapewatch.proof import audit
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually, runs
from tests.integration.dead_letters_at_hand import bury, call, printed, replayed, strangers, told
from tests.integration.elasticsearch_kept import IndexReader, alert, own, run_sink, send
from tests.integration.engine_feed import Feed
from tests.integration.postgres_kept import environment, keep, query, superuser
from tests.unit import engine_market as m
from tests.unit.engine_market import heartbeats, quote

ORDER = Order("ann", "registered since", {})


@pytest.fixture
def market(settings: Settings) -> str:
    """A market topic of the test's own."""
    feed = f"t{uuid.uuid4().hex[:10]}"
    kafka.create_topics(settings, topics.market_topics(feed, settings.topics, 3))
    return topics.market(feed)


@pytest.fixture
def names(settings: Settings) -> list[str]:
    """Two registered instruments of the test's own."""
    mark = uuid.uuid4().hex[:6].upper()
    made = [f"A{mark}.XDLQ", f"B{mark}.XDLQ"]
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    register(settings, [Instrument(name) for name in made])
    return made


def values_by_instrument(settings: Settings, topic: str) -> dict[str, list[float]]:
    """Last prices of the replayed quotes, in their order."""
    found_: dict[str, list[float]] = {}
    for message in replayed(settings, topic):
        rows = frames.to_rows(message.value() or b"")
        found_.setdefault(rows.instruments[0], []).append(float(rows.columns["last_price"][0]))
    return found_


def in_order(names: list[str], count: int) -> dict[str, list[float]]:
    return {name: [1.0 + number for number in range(place, count, 2)] for place, name in enumerate(names)}


def test_rows_of_an_instrument_registered_later_count_in_the_open_second_and_are_stored_of_sealed_ones(ours, capsys):
    stranger = f"S{uuid.uuid4().hex[:6].upper()}.XDLQ"
    feed = Feed(ours, ["AAA.XDLQ"])
    feed.names.append(stranger)
    letters = topics.dead_letters(feed.topic)
    with feed.engine():
        feed.send([quote("AAA.XDLQ", 0.1, 99, 101), quote(stranger, 0.2, 99, 101), quote(stranger, 0.3, 99, 101)])
        feed.send(heartbeats(3))
        feed.send([quote(stranger, 3.2, 99, 101), quote("AAA.XDLQ", 3.3, 99, 101)])
        feed.wait()
        assert call(ours, capsys, "replay", "--topic", letters, "--why", "too early", "--yes")[1]["replayed"] == 0
        register(ours, [Instrument(stranger)])
        code, done = call(ours, capsys, "replay", "--topic", letters, "--why", "registered since", "--yes")
        assert (code, done["replayed"], done["refused"]) == (0, 3, [])
        # The transaction's marker comes after the answer: not behind the heartbeats, whose offset the engine commits.
        eventually(lambda: len(replayed(ours, feed.topic)) >= 3, what="three rows are replayed", pause=0.0)
        feed.send(heartbeats(6, since=4))
        feed.wait()
        # Everything behind it is taken as before.
        feed.send([quote(stranger, 6.5, 99, 101)])
        feed.send(heartbeats(8, since=7))
    features = table(feed.rows(topics.FEATURES), "features")
    mine = features["instrument"] == stranger
    seconds = (features["ts"][mine] // NANOS - m.START - 1).tolist()
    rates = dict(zip(seconds, features["quote_rate_1s"][mine].tolist(), strict=True))
    assert {second: rate for second, rate in rates.items() if rate} == {3: 1.0, 6: 1.0}
    assert min(rates) >= 3
    assert len(feed.written(letters)) == 3
    keep(ours)
    kept = query(ours, "SELECT ts_recv FROM v_quotes WHERE instrument = %s AND topic = %s", stranger, feed.topic)
    assert len(kept) == 4


def test_letters_are_counted_shown_and_found_by_every_filter(settings, market, names, capsys):
    letters = topics.dead_letters(market)
    hostile = dead_letters.of_record((market, 1, 7), "unreadable", "\x1b[2J evil", b"\x1b]0;owned\x07", "engine")
    bury(settings, *strangers(market, names, 4), hostile)
    before = to_rfc3339(WALL.now() + 60 * NANOS)
    _, listed = call(settings, capsys, "list", "--topic", market)
    counted = {(each["by"], each["reason"]): (each["letters"], each["replayed"]) for each in listed["groups"]}
    assert counted == {("engine", "unregistered_instrument"): (4, 0), ("engine", "unreadable"): (1, 0)}
    filters = {
        ("--reason", "unread*"): 1,
        ("--instrument", names[0]): 2,
        ("--by", "postgres"): 0,
        ("--since", before): 0,
        ("--until", before): 5,
    }
    for (option, value), count in filters.items():
        assert len(call(settings, capsys, "show", "--topic", market, option, value)[1]["letters"]) == count, option
    _, shown = call(settings, capsys, "show", f"{letters}@0.1")
    (one,) = shown["letters"]
    assert one["content"][0]["last_price"] == 2.0
    assert (one["instrument"], one["origin"]) == (names[1], {"topic": market, "partition": 0, "offset": 1})


def test_show_writes_no_control_character_to_the_terminal(settings, market, capsys):
    evil = "\x1b[2J\u202eevil\n"
    bury(settings, dead_letters.of_record((market, 0, 7), "unreadable", evil, evil.encode(), "engine"))
    out = printed(settings, capsys, "show", "--topic", market)
    assert "evil" in out
    assert not {"\x1b", "\u202e"} & set(out)


def test_replay_keeps_each_instruments_order_and_a_second_one_sends_nothing(settings, market, names, capsys):
    letters = topics.dead_letters(market)
    # As several writers would leave them: not in the order of their origins.
    bury(settings, *strangers(market, names, 500)[::-1])
    _, dry = call(settings, capsys, "replay", "--topic", market, "--why", "registered since", "--dry-run")
    assert (dry["replayed"], replayed(settings, market)) == (500, [])
    _, first = call(settings, capsys, "replay", "--topic", market, "--why", "registered since", "--who", "ann", "--yes")
    _, second = call(settings, capsys, "replay", "--topic", market, "--why", "again", "--yes")
    assert (first["replayed"], second["replayed"], second["before"]) == (500, 0, 500)
    assert values_by_instrument(settings, market) == in_order(names, 500)
    assert len(told(settings, letters)) == 500
    entry = audit.entries(audit.folder(settings.data_path))[-1]
    assert (entry.action, entry.who, entry.why, entry.details["letters"]) == (
        "dlq.replay", "ann", "registered since", 500,
    )  # fmt: skip
    _, shown = call(settings, capsys, "show", "--topic", market, "--count", "1")
    assert shown["letters"][0]["replayed"]["audit"] == entry.hash


def test_rows_of_one_letter_are_replayed_together_in_their_order(settings, market, names, capsys):
    events = [quote(names[number % len(names)], number / 1000, 99, 101, last=1.0 + number) for number in range(2_000)]
    reasons = np.full(2_000, int(Reason.UNREGISTERED_INSTRUMENT), dtype=np.uint8)
    letters = list(dead_letters.of_refused((market, 0, 3), m.rows_of(events, names), reasons, 200_000))
    bury(settings, *letters[::-1])
    assert 1 < len(letters) < 10
    _, done = call(settings, capsys, "replay", "--topic", market, "--why", "registered since", "--yes")
    _, again = call(settings, capsys, "replay", "--topic", market, "--why", "registered since", "--yes")
    assert (done["replayed"], again["replayed"], again["before"]) == (len(letters), 0, len(letters))
    sent = [frames.to_rows(message.value()).columns["last_price"] for message in replayed(settings, market)]
    assert np.concatenate(sent).tolist() == [1.0 + number for number in range(2_000)]


def test_what_cannot_become_good_is_refused_with_its_reason(settings, market, names, capsys):
    crossed = m.rows_of([quote(names[0], 1, 102, 101)], names)
    nobody = m.rows_of([quote("NOBODY.XDLQ", 1, 9, 10)], ["NOBODY.XDLQ"])
    origin = (market, 0, 3)
    bury(
        settings,
        dead_letters.of_rows(origin, "crossed_quote", crossed.type, [0], frames.encode(crossed)),
        dead_letters.of_rows(origin, "unregistered_instrument", nobody.type, [0], frames.encode(nobody)),
        dead_letters.of_record(origin, "oversized", "too large", bytes(100_000), "engine"),
        dead_letters.of_record(origin, "unreadable", "no frame", b"no frame", "engine"),
        dead_letters.of_record((market, -1, -1), "bad_price", "x.csv line 3", b"1,2,x", "producer"),
        dead_letters.of_record(origin, "wrong_schema", "", b"x", "postgres"),
    )
    code, done = call(settings, capsys, "replay", "--topic", market, "--why", "try", "--yes")
    assert (code, done["replayed"]) == (0, 0)
    assert {each["id"][-1]: each["why"] for each in done["refused"]} == {
        "0": "it would be refused again: crossed_quote",
        "1": "it would be refused again: unregistered_instrument",
        "2": "only its first 64 KiB were kept",
        "3": "it would be refused again: unreadable",
        "4": "it never was a record: mend the source, and send its data again",
        "5": "a market frame is taken in its order in the log alone",
    }
    code, _ = call(settings, capsys, "replay", f"{topics.dead_letters(market)}@0.0", "--why", "try", "--yes")
    assert code == 1


def test_killed_replay_is_finished_by_the_next_one_and_nothing_is_sent_twice(settings, market, names):
    bury(settings, *strangers(market, names, 4_000))
    words = [sys.executable, "-P", "-m", "tapewatch", "dlq", "replay", "--topic", market, "--why", "killed", "--yes"]
    path = {"PYTHONPATH": str(Path.cwd())}
    going = subprocess.Popen(words, env={**environment(settings), **path}, stdout=subprocess.DEVNULL)
    reader = kafka.consumer(settings, isolation_level="read_uncommitted")

    def is_at_work() -> bool:
        return runs(going) and sum(kafka.watermarks(reader, market, partition)[1] for partition in range(3)) >= 300

    eventually(is_at_work, what="some letters are sent", seconds=120, pause=0.0)
    going.send_signal(signal.SIGKILL)
    going.wait()
    reader.close()
    letters = list(found(settings, Selection(topic=market)))
    done = replaying.replay(settings, letters, ORDER)
    assert done.letters + len(done.done) == 4_000
    assert values_by_instrument(settings, market) == in_order(names, 4_000)


def test_two_replays_at_once_send_nothing_twice(settings, market, names):
    bury(settings, *strangers(market, names, 2_000))
    letters = list(found(settings, Selection(topic=market)))
    stopped: list[TapewatchError] = []

    def work() -> None:
        try:
            replaying.replay(settings, letters, ORDER)
        except TapewatchError as error:
            stopped.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stopped) < 3
    replaying.replay(settings, letters, ORDER)
    assert {name: sorted(values) for name, values in values_by_instrument(settings, market).items()} == in_order(
        names, 2_000
    )


def test_message_that_the_database_refused_is_stored_once_when_it_is_replayed(ours, capsys):
    mark = uuid.uuid4().hex[:8].upper()
    change(
        ours,
        f"ALTER TABLE alerts ADD CONSTRAINT none CHECK (scenario <> 'x{mark}')",
        "ALTER TABLE coverage ADD CONSTRAINT none CHECK (seconds <> 4711)",
    )
    moment = to_rfc3339(m.START * NANOS)
    stretch = Coverage(
        instrument="AAA.XTST", start=moment, end=moment, reason="gap", seconds=4711,
        cause=messages.Cause("market.test", 0, 1),
    )  # fmt: skip
    send(ours, [alert(1, 0, mark), alert(1, 1, mark), alert(1, 2, mark, scenario=f"x{mark}")])
    send(ours, [stretch], topics.COVERAGE)
    keep(ours)
    assert refused_by_table(ours) == {("alerts", "not_storable"): 1, ("coverage", "not_storable"): 1}
    words = ("replay", "--by", "postgres", "--reason", "not_storable", "--why", "constraint dropped", "--yes")
    # While the constraint stands, the record becomes a dead letter again, which can be replayed again.
    assert call(ours, capsys, *words)[1]["by_target"] == {"retry.postgres": 2}
    keep(ours)
    assert refused_by_table(ours) == {("alerts", "not_storable"): 1, ("coverage", "not_storable"): 1}
    change(ours, "ALTER TABLE alerts DROP CONSTRAINT none", "ALTER TABLE coverage DROP CONSTRAINT none")
    assert call(ours, capsys, *words)[1]["replayed"] == 2
    assert call(ours, capsys, *words)[1]["replayed"] == 0
    keep(ours)
    keep(ours)
    assert refused_by_table(ours) == {}
    assert query(ours, "SELECT count(*) FROM coverage WHERE seconds = 4711") == [(1,)]
    assert query(ours, "SELECT revision FROM alerts WHERE scenario = %s", f"x{mark}") == [(2,)]


def change(settings: Settings, *statements: str) -> None:
    """Run statements and commit."""
    with superuser(settings) as cursor:
        for statement in statements:
            cursor.execute(statement)


def refused_by_table(settings: Settings) -> dict[tuple[str, str], int]:
    rows = query(
        settings,
        "SELECT topic, reason, count(*) FROM dead_letters WHERE reason = 'not_storable' "
        "AND topic IN ('alerts', 'coverage') GROUP BY 1, 2",
    )
    return {(topic, reason): count for topic, reason, count in rows}


def test_document_that_elasticsearch_refused_is_put_once_when_it_is_replayed(settings, elasticsearch, capsys):
    mine = own(settings, elasticsearch)
    blocked, asked = alert(2, mark="SHUT"), IndexReader(mine)
    index = f"{asked.prefix}-alerts"
    # Somebody made the index by hand: a sentence is no number, which the server refuses for good.
    asked.client.indices.create(index=index, mappings={"properties": {"message": {"type": "long"}}})
    send(mine, [blocked])
    summary = run_sink(mine)
    assert summary.dead_letters["not_storable"] == 1
    asked.client.indices.delete(index=index)
    words = ("replay", "--by", "elasticsearch", "--instrument", blocked.instrument, "--why", "index made anew", "--yes")
    assert call(mine, capsys, *words)[1]["by_target"] == {"retry.elasticsearch": 1}
    run_sink(mine)
    assert blocked.id in asked.documents("alerts")
    assert call(mine, capsys, *words)[1]["replayed"] == 0


def test_reader_is_not_offered_another_record_that_lies_at_the_origin_now(settings, capsys):
    kafka.create_topics(settings, topics.case_topics(settings.topics))
    send(settings, [alert(3, mark="OTHER")], topics.LABELS)
    reason = f"r{uuid.uuid4().hex[:8]}"
    reader = kafka.consumer(settings)
    place = (topics.LABELS, 0, kafka.watermarks(reader, topics.LABELS, 0)[1] - 1)
    reader.close()
    bury(settings, dead_letters.of_record(place, reason, "", b"{}", "postgres"))
    _, done = call(settings, capsys, "replay", "--reason", reason, "--why", "x", "--dry-run")
    assert [each["why"] for each in done["refused"]] == [
        "another record lies at its origin now: the topic was made anew"
    ]
