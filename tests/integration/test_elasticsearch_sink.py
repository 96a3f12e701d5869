"""The Elasticsearch sink on real servers: each document once, in its place, searchable by its fields."""

from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException

from benchmarks.sinks.rates import bars, features, scores
from sinks.elasticsearch import mappings, retention, templates
from sinks.elasticsearch.client import connect
from sinks.log_reader import Reader
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert, Case, Cause, Commit, Position, Signal, encode, stable_id, to_rfc3339
from tapewatch.contract.rows import RowType
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import register
from tapewatch.runtime import kafka
from tests.integration.elasticsearch_kept import START, IndexReader, alert, own, run_sink, send, stand_at
from tests.integration.postgres_kept import NAMES, Sender, ends, rows

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x00'; DROP\n{{7*7}} ${jndi:ldap://x}"


@pytest.fixture
def mine(settings, elasticsearch):
    return own(settings, elasticsearch)


def test_alert_is_one_document_at_its_newest_revision_whatever_the_order(mine):
    said = [alert(1, revision) for revision in (0, 2, 1)]
    send(mine, said)
    run_sink(mine)
    asked = IndexReader(mine)
    kept = asked.documents("alerts", query={"term": {"event.id": said[0].id}})
    assert list(kept) == [said[0].id]
    document = kept[said[0].id]
    assert document["tapewatch"]["alert"]["revision"] == 2
    assert document["event"]["kind"] == "alert"
    assert document["event"]["risk_score"] == 52.0
    assert document["rule"]["name"] == "pump_and_dump"
    found = asked.documents(
        "alerts",
        query={
            "bool": {
                "filter": [
                    {"term": {"event.id": said[0].id}},
                    {"match": {"message": "happened"}},
                    {"range": {"event.severity": {"gte": 75}}},
                    {"term": {"tapewatch.venue": "XTST"}},
                    {"nested": {"path": "tapewatch.alert.evidence", "query": {"term": {
                        "tapewatch.alert.evidence.feature": "return_60s"}}}},
                ]
            }
        },
    )  # fmt: skip
    assert len(found) == 1


def test_reading_everything_again_doubles_nothing_and_moves_nothing_back(mine):
    said = [alert(10 + number % 5, number // 5, mark="AGAIN") for number in range(15)]
    before = ends(mine)
    send(mine, said)
    first = run_sink(mine)
    assert first.documents["alerts"] + first.conflicts >= 5
    stand_at(mine, before)
    run_sink(mine)
    assert set(IndexReader(mine).revisions(said).values()) == {2}
    assert len(IndexReader(mine).revisions(said)) == 5


def test_hostile_text_is_kept_as_it_is_and_a_long_one_spoils_nothing(mine):
    said = [
        alert(20, mark="EVIL", sentence=HOSTILE, scenario=HOSTILE),
        alert(21, mark="EVIL", scenario="x" * 40_000, data_tier="y" * 40_000, sentence="z" * 1_000_000),
    ]
    send(mine, said)
    summary = run_sink(mine)
    kept = IndexReader(mine).documents("alerts")
    assert kept[said[0].id]["message"] == HOSTILE
    assert kept[said[0].id]["rule"]["name"] == HOSTILE
    assert kept[said[1].id]["message"] == said[1].sentence
    assert not summary.dead_letters.get("not_storable")


def test_what_cannot_be_read_or_stored_is_a_dead_letter_and_its_neighbours_are_kept(mine):
    producer = kafka.producer(mine)
    good = alert(30, mark="GOOD")
    # A year that a date field takes, and a number that a float field does not.
    endless = encode(alert(31, mark="BIG")).replace(b'"probability":0.9', b'"probability":0.5')
    unstorable = msgspec.json.decode(endless)
    unstorable["provenance"]["onset_offset"] = 2**63
    for value in (b"{", encode(good), b"", msgspec.json.encode(unstorable)):
        producer.produce(topics.ALERTS, value, partition=0)
    producer.flush()
    summary = run_sink(mine)
    assert good.id in IndexReader(mine).documents("alerts")
    assert summary.dead_letters["malformed_message"] >= 2
    assert summary.dead_letters["not_storable"] >= 1
    letters: list[bytes] = []
    kafka.read_all(mine, topics.dead_letters(topics.ALERTS), lambda message: letters.append(message.value()))
    assert msgspec.json.encode(unstorable) in letters


def test_day_data_lands_in_daily_indices_with_ids_from_the_log(mine):
    ts = START // (60 * NANOS) * 60 * NANOS
    producer = kafka.producer(mine)
    header = [("feed", b"test"), ("partition", b"0")]
    for topic, kind, value in (
        (topics.BARS, b"bars", bars(NAMES, ts)),
        (topics.FEATURES, b"features", features(NAMES, [ts, ts + NANOS])),
        (topics.SCORES, b"scores", scores(NAMES, ts, [0.4, 0.9])),
    ):
        producer.produce(topic, value, partition=0, headers=[*header, ("type", kind)])
    cause = Cause("market.test", 0, 7)
    commit = Commit(topic="market.test", partition=0, first_offset=0, next_offset=9, frames=9, rows={"quote": 10},
                    refused={"late": 2}, clock=to_rfc3339(ts))  # fmt: skip
    signal = Signal(id=stable_id("s", ts), instrument=NAMES[0], ts=to_rfc3339(ts), policy="ddqn", model="m",
                    action="buy", q_values={"buy": 1.0}, advantage=0.5, cause=cause)  # fmt: skip
    accounts = [Position(instrument=NAMES[0], ts=to_rfc3339(ts + second * NANOS), currency="TWD", position=second,
                         cost=0, cash=0, realised=0, unrealised=0, fees=0, taxes=0, result=second, cause=cause)
                for second in (1, 2, 60, 61)]  # fmt: skip
    case = Case(id=stable_id("c", ts), revision=1, instrument=NAMES[0], state="assigned", owner="ann", risk=70.0,
                opened=to_rfc3339(ts), updated=to_rfc3339(ts), alerts=())  # fmt: skip
    kafka.create_topics(mine, topics.paper_topics(mine.topics))
    for topic, message in (
        (topics.COMMITS, commit),
        (topics.SIGNALS, signal),
        *((topics.POSITIONS, account) for account in accounts),
        (topics.CASES, case),
    ):
        producer.produce(topic, encode(message), partition=0)
    producer.flush()
    run_sink(mine)
    asked = IndexReader(mine)
    day = f"{mine.elasticsearch.prefix}-bars-2023.11.14"
    assert asked.client.indices.exists(index=day)
    own_bars = asked.documents("bars", query={"term": {"tapewatch.instrument": NAMES[0]}})
    assert {document["tapewatch"]["bar"]["close"] for document in own_bars.values()} >= {2.0}
    assert all(id_.count("-") == 2 for id_ in own_bars)
    kept = [each["tapewatch"] for each in asked.documents("features").values() if each["@timestamp"] == to_rfc3339(ts)]
    assert {"return_1s": 0.25} in [each["feature"] for each in kept]
    assert all(each["@timestamp"] != to_rfc3339(ts + NANOS) for each in asked.documents("features").values())
    floats = {round(each["tapewatch"]["score"]["probability"], 2) for each in asked.documents("scores").values()}
    assert 0.9 in floats
    assert 0.4 not in floats
    (health,) = [
        each for each in asked.documents("health").values() if each["tapewatch"]["health"]["topic"] == "market.test"
    ]
    assert health["tapewatch"]["health"]["refused"] == 2
    assert asked.documents("signals")[signal.id]["tapewatch"]["signal"]["action"] == "buy"
    results = {each["tapewatch"]["position"]["result"] for each in asked.documents("positions").values()}
    assert {60.0, 61.0} <= results
    assert not {1.0, 2.0} & results
    assert asked.documents("cases")[case.id]["tapewatch"]["case"]["owner"] == "ann"
    found = asked.documents("features", query={"range": {"tapewatch.feature.return_1s": {"gte": 0.2}}})
    assert found


def test_first_book_of_each_stretch_is_kept_by_the_rows_that_count(mine, feed_of_books):
    sender = Sender(mine, feed_of_books)
    crossed = np.full((4, 10), np.nan)
    crossed[:, 0] = 101.0
    for first in (0, 12_000, 13_000):
        sender.send(rows(RowType.BOOK, 4, first))
    sender.send(rows(RowType.BOOK, 4, 30_000, bid_price=crossed))
    sender.producer.produce(sender.topic, b"no", partition=0, headers=FrameHeaders("book", "y", 0, 0, 0).to_kafka())
    sender.producer.flush()
    run_sink(mine)
    kept = IndexReader(mine).documents("books", query={"terms": {"tapewatch.instrument": NAMES}})
    mine_of = {id_: each for id_, each in kept.items() if id_.startswith(f"{feed_of_books}-")}
    assert len(mine_of) == 4
    book = next(iter(mine_of.values()))["tapewatch"]["book"]
    assert book["bid_price"] == [99.0, 98.0, 97.0]
    assert book["mid"] == 99.5
    assert book["imbalance"] == 0.0


def test_feed_of_older_time_keeps_its_books_beside_a_newer_one(mine, feed_of_books):
    older = f"a{feed_of_books}"
    kafka.create_topics(mine, topics.market_topics(older, mine.topics, 1))
    for feed, first in ((feed_of_books, 86_400_000), (older, 0), (older, 86_400_000)):
        sender = Sender(mine, feed, f"from{first}")
        sender.send(rows(RowType.BOOK, 2, first))
        sender.producer.flush()
        run_sink(mine)
    kept = IndexReader(mine).documents("books", query={"terms": {"tapewatch.instrument": NAMES}})
    counts = Counter(id_.partition("-")[0] for id_ in kept)
    assert (counts[feed_of_books], counts[older]) == (2, 4)


def test_books_read_again_after_a_broker_failed_are_kept(mine, feed_of_books, monkeypatch):
    small = msgspec.structs.replace(mine, elasticsearch=msgspec.structs.replace(mine.elasticsearch, bulk_bytes=2_000))
    sender = Sender(small, feed_of_books)
    for number in range(30):
        sender.send(rows(RowType.BOOK, 2, 20_000 * number))
    sender.producer.flush()
    keep, failed = Reader.keep, list[int]()

    def failing(self: Reader, next_offsets: Mapping[tuple[str, int], int]) -> None:
        """Fails while a later batch is in the making, once."""
        if (sender.topic, 0) in next_offsets and not failed:
            failed.append(next_offsets[sender.topic, 0])
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        keep(self, next_offsets)

    monkeypatch.setattr(Reader, "keep", failing)
    run_sink(small)
    assert 0 < failed[0] < 30
    kept = IndexReader(small).documents("books", query={"terms": {"tapewatch.instrument": NAMES}})
    assert len([id_ for id_ in kept if id_.startswith(f"{feed_of_books}-")]) == 60


@pytest.fixture
def feed_of_books(mine):
    register(mine, [Instrument(id=name) for name in NAMES])
    name = f"b{mine.elasticsearch.prefix}"
    kafka.create_topics(mine, topics.market_topics(name, mine.topics, 1))
    return name


def test_templates_upgrade_in_place_and_a_later_builds_are_left_alone(mine, monkeypatch):
    said = alert(40, mark="UP")
    send(mine, [said])
    run_sink(mine)
    client, prefix = connect(mine), mine.elasticsearch.prefix
    assert client.indices.get_alias(name=f"{prefix}-alerts").body.keys() == {f"{prefix}-alerts-000001"}
    changed = {**mappings.OWN, mappings.ALERTS: {"alert": {"properties": {
        **mappings.OWN[mappings.ALERTS]["alert"]["properties"], "colour": {"type": "keyword"}}}}}  # fmt: skip
    monkeypatch.setattr(mappings, "OWN", changed)
    templates.install(client, mine)
    assert "colour" not in str(client.indices.get_mapping(index=f"{prefix}-alerts"))
    monkeypatch.setattr(mappings, "VERSION", mappings.VERSION + 1)
    templates.install(client, mine)
    assert "colour" in str(client.indices.get_mapping(index=f"{prefix}-alerts"))
    assert IndexReader(mine).documents("alerts")[said.id]
    monkeypatch.setattr(mappings, "VERSION", mappings.VERSION - 1)
    templates.install(client, mine)
    found = client.indices.get_index_template(name=f"{prefix}-alerts")["index_templates"][0]["index_template"]
    assert found["version"] == mappings.VERSION + 1


def test_retention_deletes_old_daily_indices_and_never_alerts(mine):
    send(mine, [alert(50, mark="OLD")])
    producer = kafka.producer(mine)
    headers = [("feed", b"test"), ("partition", b"0"), ("type", b"bars")]
    producer.produce(topics.BARS, bars(NAMES, START // (60 * NANOS) * 60 * NANOS), partition=0, headers=headers)
    producer.flush()
    run_sink(mine)
    client, prefix = connect(mine), mine.elasticsearch.prefix
    assert retention.old_indices(client, prefix, WALL.now() - retention.DAY) == []
    old = retention.old_indices(client, prefix, WALL.now() + retention.DAY)
    assert f"{prefix}-bars-2023.11.14" in [index.name for index in old]
    assert list(retention.delete(client, old)) == old
    assert IndexReader(mine).documents("alerts")
    assert not client.indices.exists(index=f"{prefix}-bars-2023.11.14")


def test_wrong_settings_are_errors_that_say_what_to_do(settings, tmp_path):
    bad = own(settings, "http://127.0.0.1:9", api_key_file=str(tmp_path / "none"))
    with pytest.raises(TapewatchError) as refusal:
        run_sink(bad)
    assert "api_key_file" in refusal.value.message


def test_documents_of_unknown_fields_do_not_grow_the_mapping():
    assert mappings.component("p")[1]["template"]["mappings"]["dynamic"] == "false"
    assert set(mappings.OWN) == {*mappings.LASTING, *mappings.DAILY}
    assert isinstance(alert(1), Alert)
