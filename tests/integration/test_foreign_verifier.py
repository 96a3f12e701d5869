"""The second verifier on real servers: a feed that engine and sinks worked on is sound, and every breakage is named."""

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
import pyarrow as pa
import pytest

from infra.chaos.faults.stranger import append_bomb_batch
from sinks.elasticsearch import ElasticsearchSink
from sinks.postgres import PostgresSink
from streams.cases.process import CaseStage
from streams.engine.process import Engine
from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.faults.engine_runs import write_market
from tests.integration.elasticsearch_kept import IndexReader, own
from tests.integration.elasticsearch_node import Node
from tests.integration.postgres_kept import dsn, ends, migrated, stand_at_the_ends

TREE = Path(__file__).parents[2]
SECONDS = 730


@dataclass
class Site:
    """A feed, and where it is kept."""

    settings: Settings
    feed: str

    def verify(self) -> tuple[int, dict[str, Any]]:
        """Exit status and document of the verifier, a program of its own."""
        chosen = self.settings
        words = ["--bootstrap", chosen.bootstrap(), "--feed", self.feed, "--group", chosen.engine.group]
        words += ["--postgres", dsn(chosen), "--elasticsearch", chosen.elasticsearch.url]
        words += ["--prefix", chosen.elasticsearch.prefix]
        properties = chosen.data_path / "client.properties"
        properties.parent.mkdir(parents=True, exist_ok=True)
        properties.write_text("# of librdkafka\nclient.id=second=verifier\n\n")
        words += ["--properties", str(properties)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.foreign", *words], capture_output=True, text=True, cwd=TREE, check=False
        )
        assert len(done.stdout.splitlines()) == 1, done.stderr[-3000:]
        return done.returncode, json.loads(done.stdout)

    def change(self, statement: str) -> None:
        """Change one row of the database by hand. `mine` stands for the feed's rows."""
        mine = f"log_id IN (SELECT id FROM logs WHERE topic = '{topics.market(self.feed)}')"
        with psycopg2.connect(dsn(self.settings)) as session, session.cursor() as cursor:
            cursor.execute(statement.replace("mine", mine))
            assert cursor.rowcount == 1, statement


@pytest.fixture(scope="module")
def site(stack: Addresses, elasticsearch_node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A synthetic market with pumps through engine, case stage and both sinks, to its end."""
    feed = f"t{uuid.uuid4().hex[:10]}"
    begun = Settings(
        data=str(tmp_path_factory.mktemp("foreign")),
        kafka=KafkaSettings(bootstrap=stack.bootstrap),
        postgres=PostgresSettings(url=stack.postgres_url),
    )
    with migrated(begun) as kept:
        stand_at_the_ends(kept)
        chosen = own(kept, elasticsearch_node.url)
        chosen = msgspec.structs.replace(
            chosen,
            engine=msgspec.structs.replace(chosen.engine, feeds=(feed,), group=feed, instance=feed),
            cases=msgspec.structs.replace(chosen.cases, group=f"cases-{feed}"),
        )
        reader = kafka.consumer(chosen, chosen.cases.group)
        read = [place for place in ends(chosen) if place.topic in (topics.ALERTS, topics.CASE_COMMANDS)]
        reader.commit(offsets=read, asynchronous=False)
        reader.close()
        write_market(chosen, feed, SECONDS, 2, instruments=6, flushes=2, pump_per_hour=60.0)
        append_bomb_batch(chosen, topics.market(feed))
        Engine(chosen).run(threading.Event(), until_idle_s=0.5)
        CaseStage(chosen).run(threading.Event(), until_idle_s=0.5)
        PostgresSink(chosen).run(threading.Event(), until_idle=0.3)
        ElasticsearchSink(chosen).run(threading.Event(), until_idle=0.3)
        yield Site(chosen, feed)


def wrong(document: dict[str, Any]) -> dict[str, dict[str, int]]:
    """What each check found."""
    kinds = ("lost", "doubled", "different")
    found = {name: {kind: told[kind] for kind in kinds if told[kind]} for name, told in document["checks"].items()}
    return {name: counts for name, counts in found.items() if counts}


def test_feed_of_engine_and_sinks_is_sound_and_what_is_broken_by_hand_is_named(site: Site) -> None:
    status, document = site.verify()
    assert (status, wrong(document)) == (0, {})
    assert document["rows"] > 50_000
    seen = {name: told["seen"] for name, told in document["checks"].items()}
    assert seen["features from the log"] == seen["features once"] == seen["table features"] > 6 * 600
    assert seen["table scores"] == seen["scores once"] > 6 * 600
    assert seen["table quotes"] + seen["table trades"] + seen["table books"] > 0.9 * document["rows"]
    assert min(seen["documents of alerts"], seen["table alerts"]) >= 3
    assert seen["documents of cases"] == seen["table cases"] > 0
    assert seen["dead letters"] == 1  # of the batch that none of ours unpacks
    doubled = break_topics(site)
    gone, behind = break_documents(site)
    break_tables(site)
    status, document = site.verify()
    assert status == 1
    assert wrong(document) == {
        "features once": {"doubled": doubled},
        "features behind their marker": {"different": 1},
        "alerts once": {"doubled": 1},
        "commit records": {"lost": 1, "doubled": 1},
        "counts": {"doubled": doubled + 1},
        "table quotes": {"lost": 1},
        "table trades": {"doubled": 1},
        "table status": {"lost": 1, "doubled": 1},
        "views": {"lost": 1},
        "table books": {"different": 1},
        "table features": {"lost": doubled, "different": 1},
        "table scores": {"lost": 1},
        "table bars": {"different": 1},
        "table alerts": {"different": 1},
        "table alert_history": {"lost": 1},
        "table cases": {"different": 1},
        "table case_alerts": {"doubled": 1},
        "table dead_letters": {"doubled": 1},
        "documents of alerts": {"lost": 1, "different": 1},
        "documents of cases": {"doubled": 1},
    }
    examples = {name: told.get("examples") for name, told in document["checks"].items()}
    assert examples["documents of alerts"]["lost"] == [{"id": gone}]
    assert examples["documents of alerts"]["different"][0]["id"] == behind
    (changed,) = examples["table features"]["different"]
    assert changed.keys() == {"partition", "offset", "instrument", "ts", "said", "kept"}
    assert all(len(places) <= 5 for told in examples.values() if told for places in told.values())


def break_topics(site: Site) -> int:
    """Write a frame of features, an alert and a market frame again, and a commit record that takes the log's first
    record twice; how many rows the first has.
    """
    producer, market = kafka.producer(site.settings), topics.market(site.feed)

    def again(topic: str, is_mine: Callable[[Any], bool]) -> bytes:
        found: list[Any] = []
        kafka.read_all(site.settings, topic, found.append)
        newest = [each for each in found if is_mine(each)][-1]
        producer.produce(topic, newest.value(), newest.key(), partition=newest.partition(), headers=newest.headers())
        return bytes(newest.value())

    def is_frame(record: Any) -> bool:
        headers = dict(record.headers())
        return (headers["feed"], headers["type"]) == (site.feed.encode(), b"features")

    frame = again(topics.FEATURES, is_frame)
    again(topics.ALERTS, lambda record: market.encode() in record.value())
    again(market, lambda _: True)
    said = {
        "version": "1.0",
        "topic": market,
        "partition": 0,
        "first_offset": 0,
        "next_offset": 1,
        "frames": 0,
        "rows": {},
    }
    producer.produce(topics.COMMITS, json.dumps(said).encode(), market.encode(), partition=0)
    assert producer.flush(30) == 0
    return int(pa.ipc.open_stream(frame).read_all().num_rows)


def break_documents(site: Site) -> tuple[str, str]:
    """Delete an alert's document, set another's revision back, add a case of nobody's; ids of the first two."""
    asked = IndexReader(site.settings)
    alerts, cases = asked.documents("alerts"), asked.documents("cases")
    gone, behind = sorted(alerts)[:2]
    asked.client.delete(index=f"{asked.prefix}-alerts", id=gone)
    alerts[behind]["tapewatch"]["alert"]["revision"] += 1
    asked.client.index(index=f"{asked.prefix}-alerts", id=behind, document=alerts[behind])
    asked.client.index(index=f"{asked.prefix}-cases", id="of-nobody", document=next(iter(cases.values())))
    return gone, behind


def break_tables(site: Site) -> None:
    """Delete, double and change rows of PostgreSQL."""

    def one(table: str) -> str:
        return f"(tableoid, ctid) IN (SELECT tableoid, ctid FROM {table} WHERE mine LIMIT 1)"

    def first(table: str) -> str:
        return f"ctid = (SELECT ctid FROM {table} ORDER BY id LIMIT 1)"

    for statement in (
        f"DELETE FROM quotes WHERE {one('quotes')}",
        f"INSERT INTO trades SELECT * FROM trades WHERE {one('trades')}",
        f"UPDATE status SET instrument_id = 2000000000 WHERE {one('status')}",
        f"UPDATE books SET ask_qty_5 = ask_qty_5 + 1 WHERE {one('books')}",
        f"UPDATE features SET spread_bps = spread_bps + 1 WHERE {one('features')}",
        f"DELETE FROM scores WHERE {one('scores')}",
        f"UPDATE bars SET close = close + 1 WHERE {one('bars')}",
        f"UPDATE alerts SET revision = revision + 1 WHERE {first('alerts')}",
        f"DELETE FROM alert_history WHERE {first('alert_history')}",
        f"UPDATE cases SET owner = 'nobody' WHERE {first('cases')}",
        'INSERT INTO case_alerts SELECT (jsonb_populate_record(c, \'{"alert_id": "none"}\')).* '
        "FROM case_alerts c LIMIT 1",
        f"INSERT INTO dead_letters VALUES ('{topics.market(site.feed)}', 0, 1, 'unreadable', 'said by hand')",
    ):
        site.change(statement)
