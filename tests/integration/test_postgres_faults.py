"""The PostgreSQL sink on real servers: cut, killed, stopped, alone, and with new topics."""

import json
import signal
import subprocess
import threading
import time
import uuid

import pytest
from sqlalchemy.engine import make_url

from infra import migrations
from sinks.postgres import PostgresSink, tables
from sinks.postgres.database import claim, connect
from sinks.postgres.intake import TOPICS
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually
from tests.integration.postgres_kept import (
    Sender,
    counted,
    distinct,
    environment,
    importable,
    keep,
    query,
    superuser,
)


def test_tables_of_the_sink_are_those_of_the_newest_migration(ours):
    assert migrations.head() == tables.REVISION
    layouts = [tables.QUOTES, tables.TRADES, tables.BOOKS, tables.ORDERS, tables.STATUS, tables.BARS, tables.SCORES]
    wanted = {"i2": "smallint", "i4": "integer", "i8": "bigint", "f4": "real", "f8": "double precision"}
    for table in layouts:
        found = dict(
            query(
                ours, "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s", table.name
            )
        )
        assert found == {**{name: wanted[kind] for name, kind in table.fixed}, **dict.fromkeys(table.texts, "text")}


def test_second_sink_is_told_that_one_is_at_work(ours):
    first, second = connect(ours.postgres.url), connect(ours.postgres.url)
    assert claim(first, 0.0, threading.Event())
    with pytest.raises(TapewatchError, match="another PostgreSQL sink"):
        claim(second, 0.3, threading.Event())
    first.close()
    assert claim(second, 5.0, threading.Event())
    second.close()


def cut_connections(settings: Settings) -> int:
    """End every session of the sink, as a restart of the database does; how many there were."""
    with superuser(settings) as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'tapewatch sink postgres'"
        )
        return cursor.fetchone()[0]


def test_connections_cut_in_mid_load_lose_and_double_nothing(ours, feed):
    sent = Sender(ours, feed).quotes(400, 100)
    summaries = []
    sink = threading.Thread(target=lambda: summaries.append(keep(ours)))
    sink.start()
    cuts = 0
    while sink.is_alive():
        time.sleep(0.05)
        if cuts < 8 and counted(ours, "quotes", feed) > cuts * sent // 10:
            cuts += cut_connections(ours)
    sink.join()
    assert (counted(ours, "quotes", feed), distinct(ours, feed)) == (sent, sent)
    assert summaries[0].retries >= 2


def test_sink_waits_for_a_database_that_takes_no_connections(ours, settings, feed):
    name, stop, summaries, troubles = make_url(ours.postgres.url).database, threading.Event(), [], []
    sent = Sender(ours, feed).quotes(40, 100)
    sink = PostgresSink(ours)
    with superuser(settings) as cursor:
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        thread = threading.Thread(
            target=lambda: summaries.append(sink.run(stop, 0.2, lambda now: troubles.append(now.trouble)))
        )
        thread.start()
        eventually(lambda: sum(map(bool, troubles)) >= 3, what="three troubles are told", seconds=300)
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    thread.join()
    assert (counted(ours, "quotes", feed), distinct(ours, feed)) == (sent, sent)
    assert summaries[0].retries >= 3


def test_sink_killed_in_mid_load_again_and_again_keeps_every_row_once(ours, feed):
    sent = Sender(ours, feed).quotes(1200, 100)
    command = importable("sink", "postgres", "--until-idle", "0.5", "--json")
    for kill in range(1, 4):
        process = subprocess.Popen(command, env=environment(ours), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def is_at_work(process: "subprocess.Popen[bytes]" = process, goal: int = kill * sent // 5) -> bool:
            return process.poll() is not None or counted(ours, "quotes", feed) >= goal

        eventually(is_at_work, what="a fifth more of the rows", seconds=300, pause=0.01)
        process.kill()
        process.wait()
    assert counted(ours, "quotes", feed) < sent
    done = subprocess.run(command, env=environment(ours), capture_output=True, text=True, timeout=600, check=True)
    assert (counted(ours, "quotes", feed), distinct(ours, feed)) == (sent, sent), done.stdout + done.stderr
    assert json.loads(done.stdout)["lag"] == 0


def test_terminated_sink_commits_what_it_has_and_says_so(ours, feed):
    sent = Sender(ours, feed).quotes(20, 100)
    process = subprocess.Popen(
        importable("sink", "postgres", "--json"),
        env=environment(ours),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(
        lambda: process.poll() is not None or counted(ours, "quotes", feed) >= sent, what="every row", seconds=300
    )
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    assert json.loads(out)["rows"]["quotes"] >= sent


def test_topic_that_appears_while_the_sink_runs_is_taken_up(ours):
    stop = threading.Event()
    sink = threading.Thread(target=lambda: PostgresSink(ours).run(stop))
    sink.start()
    try:
        late = f"t{uuid.uuid4().hex[:10]}"
        kafka.create_topics(ours, topics.market_topics(late, ours.topics, 2))
        sent = Sender(ours, late).quotes(4, 10)
        eventually(lambda: counted(ours, "quotes", late) == sent, what="the late topic's rows", pause=0.1)
    finally:
        stop.set()
        sink.join()
    assert counted(ours, "quotes", late) == sent


def test_sink_reads_every_topic_that_has_a_table():
    engine = {"instruments", "features", "scores", "bars", "alerts", "signals", "coverage"}
    desk = {"cases", "case.answers", "suppressions", "labels", "proposals"}
    slow = {"predictions", "rankings", "news", "factors"}
    assert set(TOPICS) == engine | {"orders", "fills", "positions", "retry.postgres"} | desk | slow
