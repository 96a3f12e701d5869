"""`tapewatch doctor` beside real servers, sound and broken ones."""

import json
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg2
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from sinks.elasticsearch import mappings, templates
from sinks.elasticsearch.client import connect
from streams.doctor import brokers, groups
from streams.doctor import topics as topics_checked
from tapewatch import doctor
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Commit, encode
from tapewatch.doctor import FAIL, OK, WARN, Check, CheckContext
from tapewatch.market_log.registry import register
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tests.integration.elasticsearch_kept import own
from tests.integration.made_anew import id_of, make_anew
from tests.integration.postgres_kept import dsn, superuser

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:1")


def found(settings: Settings, part: str) -> dict[str, Check]:
    return {check.name: check for check in doctor.examined(CheckContext(settings), part)}


def failing(settings: Settings, part: str) -> dict[str, Check]:
    return {name: check for name, check in found(settings, part).items() if check.state == FAIL}


@pytest.fixture
def market(settings: Settings) -> str:
    """A feed with its own topics as the contract has them, and an instrument."""
    name = f"doc{uuid.uuid4().hex[:8]}"
    kafka.create_topics(
        settings, [*topics.shared_topics(settings.topics), *topics.market_topics(name, settings.topics, 2)]
    )
    register(settings, [Instrument("DOC.XTST")])
    return topics.market(name)


def test_sound_stack_fails_in_nothing(ours: Settings, market: str) -> None:
    for part in ("machine", "embedded", "kafka", "postgres", "models"):
        assert failing(ours, part) == {}, part
    kafka_found = found(ours, "kafka")
    assert kafka_found["kafka"].found.startswith("1 broker at")
    assert kafka_found["transaction.max.timeout.ms"].state == OK
    assert found(ours, "postgres")["postgres revision"].state == OK
    assert abs(float(found(ours, "postgres")["postgres clock"].found.split()[0])) < 1
    assert found(ours, "topics")["registration"].state == OK
    assert market not in failing(ours, "topics")


def test_broker_that_does_not_answer_is_named_with_its_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (brokers, topics_checked, groups):
        monkeypatch.setattr(module, "PATIENCE_S", 1.0)
    away = msgspec.structs.replace(settings, kafka=NOWHERE)
    (check,) = failing(away, "kafka").values()
    assert "127.0.0.1:1 does not answer" in check.found
    assert "refused" in check.found.lower()
    assert check.hint
    assert list(failing(away, "topics")) == ["topics"]
    assert found(away, "groups")["groups"].state == WARN


def test_more_copies_than_brokers_fail(settings: Settings) -> None:
    wanted = msgspec.structs.replace(settings, topics=msgspec.structs.replace(settings.topics, replication=3))
    assert "there are 1 brokers" in failing(wanted, "kafka")["replication"].found
    assert found(settings, "kafka")["replication"].state == WARN


def test_market_topic_made_by_hand_is_named_with_each_difference(settings: Settings) -> None:
    name = f"market.hand{uuid.uuid4().hex[:8]}"
    config = {"cleanup.policy": "compact", "max.message.bytes": "1000000", "message.timestamp.type": "CreateTime"}
    client = kafka.admin(settings)
    client.create_topics([NewTopic(name, 1, 1, config=config)])[name].result()
    try:
        checks = [check for check in doctor.examined(CheckContext(settings), "topics") if check.name == name]
    finally:
        # Compacted, it takes no control row: later promotions on this broker would fail.
        client.delete_topics([name])[name].result()
    said = {check.found.partition(" is ")[0]: check for check in checks}
    assert said["message.timestamp.type"].state == said["max.message.bytes"].state == FAIL
    assert f"--topic {name}" in said["max.message.bytes"].hint


def test_group_that_nobody_works_for_is_said_to_be_behind(settings: Settings, market: str) -> None:
    group = f"g{uuid.uuid4().hex[:8]}"
    chosen = msgspec.structs.replace(settings, engine=msgspec.structs.replace(settings.engine, group=group))
    assert f"group {group}" not in found(chosen, "groups")
    producer = kafka.producer(settings)
    for _ in range(3):
        producer.produce(market, b"x", partition=0)
    assert producer.flush(30) == 0
    reader = kafka.consumer(settings, group)
    reader.commit(offsets=[TopicPartition(market, 0, 1)], asynchronous=False)
    reader.close()
    check = found(chosen, "groups")[f"group {group}"]
    assert check.state == WARN
    assert "0 members, 1 partitions, 2 records behind: nobody works" in check.found


def test_group_whose_offset_its_commit_records_belie_fails_with_the_remedy(settings: Settings, market: str) -> None:
    group = f"g{uuid.uuid4().hex[:8]}"
    engine = msgspec.structs.replace(settings.engine, group=group, feeds=(topics.feed_of(market),))
    chosen = msgspec.structs.replace(settings, engine=engine)
    said = Commit(
        topic=market, partition=0, first_offset=0, next_offset=2, frames=2, rows={}, group=group,
        topic_id=id_of(settings, market),
    )  # fmt: skip
    kafka.write_each(settings, {market: [0, 0, 0]}, b"x", ())
    kafka.write_each(settings, {topics.COMMITS: [0]}, encode(said), ())
    check = failing(chosen, "groups")[f"group {group} offsets"]
    assert check.found.startswith(f"the group {group} has no offset for {market}[0], its own commit records end at 2")
    assert "`tapewatch run engine --restore-offsets`" in check.hint
    reader = kafka.consumer(settings, group)
    reader.commit(offsets=[TopicPartition(market, 0, 2)], asynchronous=False)
    reader.close()
    assert f"group {group} offsets" not in found(chosen, "groups")
    before, after = make_anew(settings, topics.feed_of(market), 2)
    check = failing(chosen, "groups")[f"group {group} offsets"]
    assert check.found == f"{market} was made anew: its id is {after}, and the group {group} keeps offsets of {before}"


def test_stores_that_keep_offsets_of_another_topic_fail(ours: Settings, market: str) -> None:
    present = id_of(ours, market)
    for table in ("sink_offsets", "notify_offsets"):
        assert f"postgres {table}" not in failing(ours, "postgres")
        clock = ", clock_s" if table == "sink_offsets" else ""
        with closing(psycopg2.connect(dsn(ours))) as session, session, session.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (topic, partition, next_offset, topic_id{clock}) "
                f"VALUES (%s, 0, 7, 'another'{', -1' if clock else ''})",
                (market,),
            )
        check = failing(ours, "postgres")[f"postgres {table}"]
        assert check.found == f"{market} was made anew: its id is {present}, and {table} keeps offsets of another"
        assert "Topics that are made anew" in check.hint
    group = f"{ours.elasticsearch.group}-data"
    reader = kafka.consumer(ours, group)
    reader.commit(offsets=[TopicPartition(market, 0, 0, metadata="another")], asynchronous=False)
    reader.close()
    check = failing(ours, "groups")[f"group {group} topics"]
    assert check.found == f"{market} was made anew: its id is {present}, and {group} keeps offsets of another"


def test_database_is_held_against_this_builds_revision(settings: Settings, ours: Settings) -> None:
    name = f"doc_{uuid.uuid4().hex[:8]}"
    with superuser(settings) as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    empty = msgspec.structs.replace(
        settings, postgres=PostgresSettings(url=settings.postgres.url.replace("/tapewatch?", f"/{name}?"))
    )
    assert "no tables yet" in failing(empty, "postgres")["postgres revision"].found
    for revision, state in (("0001", FAIL), ("9999", WARN)):
        with superuser(ours) as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = %s", (revision,))
        check = found(ours, "postgres")["postgres revision"]
        assert check.state == state
        assert revision in check.found


def test_database_that_does_not_answer_is_named(settings: Settings) -> None:
    away = PostgresSettings(url="postgresql+psycopg2://nobody@127.0.0.1:1/none")
    (check,) = failing(msgspec.structs.replace(settings, postgres=away), "postgres").values()
    assert "refused" in check.found.lower()
    assert check.hint


def test_elasticsearch_is_held_against_this_builds_templates(settings: Settings, elasticsearch: str) -> None:
    mine = own(settings, elasticsearch)
    assert found(mine, "elasticsearch")["elasticsearch templates"].state == WARN
    templates.install(connect(mine), mine)
    sound = found(mine, "elasticsearch")
    assert {check.state for check in sound.values()} == {OK}
    assert f"version {mappings.VERSION}" in sound["elasticsearch templates"].found
    away = msgspec.structs.replace(
        mine, elasticsearch=msgspec.structs.replace(mine.elasticsearch, url="http://127.0.0.1:1")
    )
    assert failing(away, "elasticsearch").keys() == {"elasticsearch"}


def test_command_prints_what_it_found_and_ends_with_1_where_something_fails(tmp_path: Path) -> None:
    file = tmp_path / "tapewatch.toml"
    file.write_text(f'data = "{tmp_path}"\n[postgres]\nurl = "postgresql+psycopg2://nobody@127.0.0.1:1/none"\n')
    file.chmod(0o600)
    words = [sys.executable, "-m", "tapewatch", "--settings", str(file), "doctor"]
    words += ["--part", "postgres", "--part", "secrets"]
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["ready"] is False
    assert {check["part"]: check["state"] for check in document["checks"]} == {"postgres": "fail", "secrets": "ok"}
    shown = subprocess.run(words, capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert "FAIL postgres" in shown.stdout
    assert "not ready: 1 failing" in shown.stdout
