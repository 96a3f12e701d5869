"""`produce sql` against real MariaDB, PostgreSQL and Kafka: each row once over restarts, kills and late commits."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from producers.base.row_mapper import RowMap
from producers.venues.sql.command import follow_table, shown
from producers.venues.sql.table import TableMap, TableName
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.frames import Decoder, FrameHeaders
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually, runs
from tests.integration.postgres_kept import superuser
from tests.integration.price_table import COLUMNS, Prices
from tests.integration.sql_servers import ABSENT, mariadb


@pytest.fixture(scope="session")
def mariadb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if ABSENT:
        pytest.skip(ABSENT)
    with mariadb(tmp_path_factory.mktemp("mariadb")) as url:
        yield url


@pytest.fixture(params=["mariadb", "postgresql"])
def url(request: pytest.FixtureRequest, settings: Settings) -> Iterator[str]:
    """A database of the source's own."""
    if request.param == "mariadb":
        yield request.getfixturevalue("mariadb_url")
        return
    name = f"source_{uuid.uuid4().hex[:12]}"
    with superuser(settings) as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield make_url(settings.postgres.url).set(database=name).render_as_string(hide_password=False)
    with superuser(settings) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


ONE = pytest.mark.parametrize("url", ["postgresql" if ABSENT else "mariadb"], indirect=True)
"""For what does not depend on the database."""


@pytest.fixture
def prices(url: str) -> Iterator[Prices]:
    found = Prices(url)
    yield found
    found.engine.dispose()


def volumes(settings: Settings, feed: str) -> list[int]:
    """The bars' volumes, which are the records' numbers, in the order of the log; frames that readers drop left out."""
    found: list[int] = []
    seen: dict[tuple[int, str], tuple[int, int]] = {}
    decoder = Decoder()

    def take(message: Any) -> None:
        headers = FrameHeaders.from_kafka(message.headers())
        place = (message.partition(), headers.source)
        at = (headers.epoch, headers.sequence)
        if headers.type == "bar" and at > seen.get(place, (-1, -1)):
            seen[place] = at
            found.extend(int(volume) for volume in decoder.open(message.value()).column("volume"))

    kafka.read_all(settings, topics.market(feed), take)
    return found


def follow(settings: Settings, table_map: TableMap, prices: Prices) -> Any:
    return follow_table(settings, table_map, prices.url, threading.Event(), partitions=1, once=True)


def test_rows_come_once_over_restarts_with_signs_taken_off(settings: Settings, prices: Prices) -> None:
    table_map = prices.map()
    prices.add(range(1, 121))
    assert follow(settings, table_map, prices).rows == 120
    assert follow(settings, table_map, prices).rows == 0
    prices.add(range(121, 131))
    assert follow(settings, table_map, prices).rows == 10
    assert volumes(settings, table_map.feed) == list(range(1, 131))


def test_row_that_commits_after_a_higher_key_is_found(settings: Settings, prices: Prices) -> None:
    table_map = prices.map()
    with prices.engine.connect() as late:
        late.execute(text(prices.statement(range(5, 6))))
        prices.add(range(1, 5))
        prices.add(range(6, 9))
        assert follow(settings, table_map, prices).rows == 7
        late.commit()
    assert follow(settings, table_map, prices).late == 1
    assert sorted(volumes(settings, table_map.feed)) == list(range(1, 9))


@ONE
def test_kill_in_the_middle_loses_and_repeats_nothing(settings: Settings, prices: Prices) -> None:
    # Some seconds: a process of its own starts, and small transactions leave it time to be killed between two.
    table_map = prices.map(batch=5)
    prices.add(range(1, 2_001))
    work = (
        "import sys, threading, msgspec\n"
        "from producers.venues.sql.command import follow_table\n"
        "from producers.venues.sql.table import TableMap\n"
        "from tapewatch.settings import Settings\n"
        "settings, table_map = (msgspec.json.decode(text, type=kind) for text, kind in"
        " zip(sys.argv[1:3], (Settings, TableMap)))\n"
        "follow_table(settings, table_map, sys.argv[3], threading.Event(), partitions=1)\n"
    )
    words = [msgspec.json.encode(settings).decode(), msgspec.json.encode(table_map).decode(), prices.url]
    process = subprocess.Popen([sys.executable, "-c", work, *words], env={**os.environ, "PYTHONPATH": "."})

    def is_at_work() -> bool:
        there = topics.market(table_map.feed) in kafka.existing_topics(kafka.admin(settings))
        return runs(process) and there and len(volumes(settings, table_map.feed)) >= 100

    eventually(is_at_work, what="100 rows are sent", pause=0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(volumes(settings, table_map.feed)) < 2_000
    follow(settings, msgspec.structs.replace(table_map, batch=500), prices)
    assert volumes(settings, table_map.feed) == list(range(1, 2_001))


@ONE
def test_bad_records_go_to_the_dead_letters_and_the_others_on(settings: Settings, prices: Prices) -> None:
    table_map = prices.map()
    prices.add(range(1, 4))
    prices.run(f"UPDATE {prices.name} SET c = 'x' WHERE id = 2")
    summary = follow(settings, table_map, prices)
    assert (summary.rows, dict(summary.refused)) == (2, {"not_exact_float": 1})
    letters: list[Any] = []
    kafka.read_all(settings, topics.dead_letters(topics.market(table_map.feed)), letters.append)
    headers = dict(letters[0].headers())
    assert headers["reason"] == b"not_exact_float"
    assert headers["where"] == f"{prices.name}(id) (2,)".encode()


@ONE
def test_unknown_names_are_errors_that_say_what_may_be_meant(settings: Settings, prices: Prices) -> None:
    table_map = prices.map()
    wrong = msgspec.structs.replace(table_map.rows, columns={**COLUMNS, "volume": "vv"})
    with pytest.raises(TapewatchError, match="'vv'") as caught:
        follow(settings, msgspec.structs.replace(table_map, rows=wrong), prices)
    assert "'v'" in caught.value.hint
    table = TableName(prices.name[:-1], ("id",))
    with pytest.raises(TapewatchError, match="no table") as caught:
        follow(settings, msgspec.structs.replace(table_map, table=table), prices)
    assert prices.name in caught.value.hint
    for key, words in ((("idd",), "key column"), (("code",), "neither an integer"), (("v",), "unique")):
        with pytest.raises(TapewatchError, match=words):
            follow(settings, msgspec.structs.replace(table_map, table=TableName(prices.name, key)), prices)


@ONE
def test_live_feed_starts_now_and_refuses_what_is_long_over(settings: Settings, prices: Prices) -> None:
    table_map = prices.map(clock="receipt", start="now")
    prices.add(range(1, 11))
    assert follow(settings, table_map, prices).read == 0
    prices.add(range(11, 12))
    now = WALL.now() // NANOS
    prices.run(f"UPDATE {prices.name} SET at = '{now - 60}' WHERE id = 11")
    prices.add(range(12, 13))
    summary = follow(settings, table_map, prices)
    assert (summary.rows, dict(summary.refused)) == (1, {"too_old": 1})
    assert volumes(settings, table_map.feed) == [11]


def test_key_of_time_and_id_reads_a_table_in_the_order_of_time(settings: Settings, prices: Prices) -> None:
    name, time = f"{prices.name}_t", "TIMESTAMP(6)" if prices.engine.dialect.name == "postgresql" else "DATETIME(6)"
    prices.run(f"CREATE TABLE {name} (id BIGINT PRIMARY KEY, moment {time} NOT NULL, p DECIMAL(12, 4), q INT)")
    for number, second in ((3, 1), (1, 2), (2, 2)):
        moment = f"2026-01-05 09:00:0{second}.25"
        prices.run(f"INSERT INTO {name} VALUES ({number}, '{moment}', 10.5, {number})")
    rows = RowMap("trade", instrument="A.XNAS", columns={"time": "moment", "price": "p", "qty": "q"})
    table_map = prices.map()
    table_map = msgspec.structs.replace(table_map, table=TableName(name, ("moment", "id")), rows=rows, batch=1)
    assert follow(settings, table_map, prices).rows == 3
    assert follow(settings, table_map, prices).rows == 0
    found: list[float] = []
    decoder = Decoder()

    def take(message: Any) -> None:
        if FrameHeaders.from_kafka(message.headers()).type == "trade":
            found.extend(decoder.open(message.value()).column("qty").tolist())

    kafka.read_all(settings, topics.market(table_map.feed), take)
    assert found == [3.0, 1.0, 2.0]


@ONE
def test_dry_run_shows_records_and_their_rows(prices: Prices) -> None:
    prices.add(range(1, 2))
    (line,) = shown(prices.map(), prices.url)
    assert '"instrument": "005930.XKRX"' in line
    assert "[1758081660000000000, 60, 10.0, 12.0, 9.0, 11.0, 1.0, 0]" in line
