"""Live engine, brokerless driver and Spark give the same rows bit for bit; a backfill may die, and be run again."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.parity_told import Facts, driven, in_folder, on_topics
from streams.spark import backfill, export
from streams.spark.backfill import Job
from streams.spark.sessions import Session, Source, plan
from tapewatch import cli
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses
from tests.integration.spark_market import DAYS, PARTITIONS, of_group, work, written
from tests.needs import needs

pytestmark = needs("pyspark")


@pytest.fixture(scope="module")
def live(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A feed that a live engine has worked on; it is the only one of the settings' group."""
    settings = Settings(
        data=str(tmp_path_factory.mktemp("backfill")),
        kafka=msgspec.structs.replace(Settings().kafka, bootstrap=stack.bootstrap),
    )
    settings = of_group(settings, written(settings), batch_frames=100)
    assert work(settings).totals.alerts > 0
    return settings


@pytest.fixture(scope="module")
def truth(live: Settings) -> list[Facts]:
    """What the brokerless driver makes of the log."""
    return [driven(live, feed_of(live), partition) for partition in range(PARTITIONS)]


def feed_of(settings: Settings) -> str:
    return settings.engine.feeds[0]


def sessions_of(settings: Settings, folder: str = "") -> list[Session]:
    source = Source(settings, folder)
    try:
        return plan(source, feed_of(settings))
    finally:
        source.close()


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.parquet")}


def test_live_engine_driver_and_spark_give_the_same_bits(
    live: Settings, truth: list[Facts], spark: Any, tmp_path: Path
) -> None:
    sessions = sessions_of(live)
    assert [(each.partition, each.day, each.opening) for each in sessions] == [
        (partition, day, day == DAYS[1]) for partition in range(PARTITIONS) for day in DAYS
    ]
    done = backfill.on_spark(spark, Job(live, str(tmp_path)), sessions)
    assert [(each.day, each.first, each.end) for each in done] == [(s.day, s.first, s.end) for s in sessions]
    assert {"features", "scores", "bars", "alerts", "sealed"} <= {table for facts in truth for table in facts}
    assert sum(facts["features"][0] for facts in truth) > 3000
    assert on_topics(live, feed_of(live), PARTITIONS) == truth
    assert in_folder(tmp_path, sessions) == truth


def test_exported_log_gives_the_same_bits_without_a_broker(live: Settings, truth: list[Facts], tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    job = export.Job(live, str(log), "records", stretch=700)
    places = export.places(live, [topics.market(feed_of(live))], "records")
    assert {topic for topic, _ in places} == {topics.market(feed_of(live)), topics.INSTRUMENTS, topics.MODELS}
    for where in places:
        export.export(job, where)
    nobody = Settings(data=str(tmp_path), kafka=msgspec.structs.replace(live.kafka, bootstrap="127.0.0.1:1"))
    offline = of_group(nobody, feed_of(live))
    sessions = sessions_of(offline, str(log))
    assert [each.day for each in sessions] == [*DAYS, *DAYS]
    backfill.here(Job(offline, str(out), str(log)), sessions)
    assert in_folder(out, sessions) == truth


def test_backfill_that_is_run_again_changes_nothing_and_mends_what_a_death_left(live: Settings, tmp_path: Path) -> None:
    session = sessions_of(live)[-1]
    job = Job(live, str(tmp_path))
    backfill.compute(job, session)
    whole = files(tmp_path)
    assert backfill.parted(tmp_path, [session], again=False) == ([], [session])
    # As a death leaves it: one file renamed, one on its way, nothing said to be whole.
    backfill.marker(tmp_path, session).unlink()
    first, second = sorted(tmp_path.rglob("*.parquet"))[:2]
    second.rename(second.with_name(".part.parquet.1"))
    first.with_name("part-9.parquet").write_bytes(b"of another build")
    assert backfill.parted(tmp_path, [session], again=False) == ([session], [])
    backfill.compute(job, session)
    assert files(tmp_path) == whole
    assert list(tmp_path.rglob(".part*")) == []


def test_command_computes_the_days_that_are_asked_for(
    live: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", live.kafka.bootstrap)
    monkeypatch.setenv("TAPEWATCH_ENGINE_GROUP", live.engine.group)
    words = ["backfill", "--feed", feed_of(live), "--out", str(tmp_path), "--engine", "here"]
    assert cli.main([*words, "--from", DAYS[1], "--partition", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["partition"], each["day"], each["opening"]) for each in told["sessions"]] == [(1, DAYS[1], True)]
    assert told["rows"]["features"] > 0
    assert cli.main([*words, "--from", DAYS[1], "--partition", "1"]) == 0
    assert "0 sessions, 1 were whole" in capsys.readouterr().out
    assert cli.main([*words, "--until", "2001-01-01"]) == 1
    assert "no session lies there" in capsys.readouterr().err


def test_another_groups_openings_are_not_taken(live: Settings) -> None:
    other = of_group(live, feed_of(live), "nobody-yet")
    assert [(each.day, each.opening) for each in sessions_of(other)] == [(DAYS[0], False)] * PARTITIONS


def test_feed_that_is_not_there_is_named(live: Settings) -> None:
    source = Source(live)
    with pytest.raises(TapewatchError, match="there is no feed"):
        plan(source, "nowhere")
    source.close()
