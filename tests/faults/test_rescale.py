"""A feed goes on in a topic of other partitions while everything that can die does: nothing is lost, nothing is there
twice, and what comes out is what the brokerless driver makes of both logs.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import msgspec
import numpy as np
import pytest
from confluent_kafka import Message, TopicPartition

from benchmarks.parity_told import Facts, PartitionOutputs, driven, in_folder, on_topics
from producers.feed import FeedWriter, LiveWriter, feed_producer, open_feed, read_tail
from producers.live import SyntheticFeed, run_synthetic
from producers.synthetic import SyntheticConfig, SyntheticMarket
from streams.driver import Driver
from streams.engine.recovery import feed as feed_task
from streams.engine.task import Task
from streams.rescaling.protocol import Rescaling, RescalingResult
from streams.rescaling.splitting import split
from streams.spark import backfill, export, ranges
from streams.spark.backfill import Job, batches
from streams.spark.sessions import Session, Source, plan
from streams.spark.stage import ends
from streams.spark.stored_log import span
from streams.verifying.feed import verify_feed
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.market_log import generations
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import EngineSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.faults import engine_runs as runs

pytestmark = pytest.mark.slow  # real processes, killed and started again

FEED, GROUP = "rescaled", "group-rescaled"
BEFORE, AFTER = 3, 5
SECONDS = 130
START = 1_750_000_000
LONG = bool(os.environ.get("TAPEWATCH_TEST_LONG"))
EVERY = ("closing", "cut", "passed", "snapshots", "opening", "topic", "begun")
STEPS = EVERY if LONG else ("closing", "cut", "opening", "begun")
"""Behind each of them the command dies once; behind every one where there is time."""


class DiedError(Exception):
    """The command's process ended here."""


@dataclass(frozen=True)
class Site:
    """A feed before and behind its rescaling. left : what the command said when a writer had not ended"""

    settings: Settings
    done: RescalingResult
    left: str
    refused: list[str]


def market(start: int) -> SyntheticMarket:
    config = SyntheticConfig(
        instruments=20, rows_per_second=20 * 8.0, seconds=SECONDS, warmup_s=610.0, pump_per_hour=4.0, cooldown_s=120.0
    )
    return SyntheticMarket(config, 5, start * NANOS)


def send(settings: Settings, feed: str, partitions: int, start: int, epoch: int, seconds: int = SECONDS) -> int:
    """Seconds of a market into a feed, as its producer does; the second at which it ended."""
    made = market(start)
    name = generations.writable(settings, feed)
    count = open_feed(settings, name, made.instruments, partitions)
    names = [each.id for each in made.instruments]
    writer = FeedWriter(feed_producer(settings, 5), name, f"test-{feed}", epoch, count, names)
    live = LiveWriter(writer, read_tail(settings, name).newest_ns)
    for number, chunk in enumerate(made.chunks()):
        if number == seconds:
            break
        for half in range(2):
            until = chunk.end_ns - NANOS + (half + 1) * NANOS // 2
            for rows in chunk.rows:
                low, high = np.searchsorted(rows.ts_recv, [until - NANOS // 2, until])
                live.add(rows.take(slice(low, high)))
            live.flush(until - 1)
    live.close((start + seconds) * NANOS)
    return start + seconds


def rescale(
    settings: Settings, dying_behind: str = "", tell: list[str] | None = None, wait_s: float = 60.0
) -> RescalingResult:
    """The command, which may die behind a step."""

    def step(name: str) -> None:
        if tell is not None:
            tell.append(name)
        if name == dying_behind:
            raise DiedError(name)

    rescaling = Rescaling(settings, FEED, AFTER, quiet_s=0.2, wait_s=wait_s, step=step)
    try:
        return rescaling.run()
    finally:
        rescaling.close()


@pytest.fixture(scope="module")
def site(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two engines, a market, a rescaling that dies behind every step with an engine killed in the middle, a market."""
    settings = Settings(data=str(tmp_path_factory.mktemp("rescale")), engine=EngineSettings(group=GROUP))
    settings = msgspec.structs.replace(
        settings, kafka=msgspec.structs.replace(settings.kafka, bootstrap=stack.bootstrap)
    )
    ended = send(settings, FEED, BEFORE, START, 1)
    engines = runs.Engines(settings, FEED, GROUP, batch_frames=20)
    engines.start("a")
    engines.start("b")
    told: list[str] = []
    try:
        engines.wait(runs_of(settings, FEED))
        for place in STEPS:
            with pytest.raises(DiedError):
                rescale(settings, place, told)
            if place == "closing":
                engines.kill("b")
            if place == "cut":
                with pytest.raises(TapewatchError) as error:
                    send(settings, FEED, BEFORE, ended + 2, 2)
                engines.start("b")
        done = rescale(settings, tell=told)
        # A writer that had not ended: its frames lie behind the cut.
        late_frames(settings, ended)
        send(settings, FEED, AFTER, ended + 4, 3)
        end = runs_of(settings, topics.feed_of(done.topic))
        second = runs.Engines(settings, topics.feed_of(done.topic), GROUP, 20, processes=engines.processes)
        second.wait(end // 3)
        engines.kill("a")
        engines.start("a")
        second.wait(end)
    finally:
        engines.stop()
    yield Site(settings, done, error.value.message, told)


def runs_of(settings: Settings, feed: str) -> int:
    """Frames in a feed's log."""
    count = kafka.existing_topics(kafka.admin(settings))[topics.market(feed)]
    return sum(runs.end(settings, feed, partition) for partition in range(count))


def late_frames(settings: Settings, ended: int, epoch: int = 2) -> None:
    """What a writer sends that knows nothing of the rescaling."""
    made = market(ended + 1)
    names = [each.id for each in made.instruments]
    writer = FeedWriter(feed_producer(settings, 5), FEED, f"test-{FEED}", epoch, BEFORE, names)
    live = LiveWriter(writer, (ended + 1) * NANOS)
    chunk = next(iter(made.chunks()))
    for rows in chunk.rows:
        live.add(rows)
    live.flush(chunk.end_ns - 1)
    writer.flush()


def drivers(site: Site, topic: str, begin: dict[int, Task]) -> list[Driver]:
    """The brokerless driver over a topic's partitions, each with the state that it begins with."""
    registry, reader = Registry(site.settings), kafka.consumer(site.settings)
    found = []
    try:
        for partition in range(kafka.existing_topics(kafka.admin(site.settings))[topic]):
            driver = Driver(registry, topic, partition)
            driver.task = begin.get(partition, driver.task)
            low, high = kafka.watermarks(reader, topic, partition)
            for message in kafka.read_range(reader, topic, partition, low, high):
                feed_task(driver.task, message)
            found.append(driver)
    finally:
        reader.close()
    return found


def rows(made: list[Driver]) -> dict[int, runs.Rows]:
    found: dict[int, runs.Rows] = {}
    for partition, driver in enumerate(made):
        for record in driver.outgoing():
            if record.topic in runs.COMPARED:
                runs.collect(found.setdefault(partition, {}), record.topic, record.value, record.headers)
    return found


def test_rescaling_with_deaths_at_every_step_changes_no_bit(site: Site) -> None:
    before = drivers(site, topics.market(FEED), {})
    runs.assert_same(runs.written(site.settings, FEED), rows(before))
    fresh = Registry(site.settings)
    opened = split([each.task for each in before], AFTER, lambda number: Driver(fresh, site.done.topic, number).task)
    behind = drivers(site, site.done.topic, dict(enumerate(opened)))
    found = runs.written(site.settings, topics.feed_of(site.done.topic))
    runs.assert_same(found, rows(behind))
    assert sum(len(of.get("features/features", [])) for of in found.values()) > 20 * 100


def test_both_generations_are_verified_from_the_broker_alone(site: Site) -> None:
    for feed, partitions in ((FEED, BEFORE), (f"{FEED}-g2", AFTER)):
        report = verify_feed(site.settings, feed, range(partitions) if LONG else (1,), quiet=True)
        wrong = {name: found for name, found in msgspec.to_builtins(report).items() if name in ("lost", "different")}
        assert report.sound, wrong


def test_nothing_is_sent_while_the_feed_is_being_rescaled(site: Site) -> None:
    assert site.left == f"the feed {FEED} is being rescaled: nothing may be sent"


def test_every_step_was_done_and_none_of_the_first_again(site: Site) -> None:
    assert site.refused.count("closing") == 1
    assert site.refused.count("opening") == 1
    assert site.refused[-1] == "open"


def test_producers_go_on_in_the_new_generation_by_the_feeds_own_name(site: Site) -> None:
    assert generations.writable(site.settings, FEED) == f"{FEED}-g2"
    with pytest.raises(TapewatchError, match=f"goes on as {FEED}-g2"):
        open_feed(site.settings, FEED, [])


def test_what_a_forgotten_writer_sends_behind_the_cut_is_in_the_dead_letters(site: Site) -> None:
    letters: list[Message] = []
    kafka.read_all(site.settings, topics.dead_letters(topics.market(FEED)), letters.append)
    reasons = [dict(each.headers() or ())["reason"] for each in letters]
    assert reasons.count(b"closed") > 0


@pytest.fixture(scope="module")
def behind(site: Site) -> list[Facts]:
    """What the live engines have written in the new generation, by partition."""
    return on_topics(site.settings, f"{FEED}-g2", AFTER)


def sessions_of(settings: Settings, folder: str = "") -> list[Session]:
    source = Source(settings, folder)
    try:
        return plan(source, f"{FEED}-g2")
    finally:
        source.close()


def test_backfill_of_the_new_generation_begins_with_the_states_it_was_opened_with(
    site: Site, behind: list[Facts], tmp_path: Path
) -> None:
    sessions = sessions_of(site.settings)
    assert [(each.partition, each.first, each.opening) for each in sessions] == [(n, 0, True) for n in range(AFTER)]
    done = backfill.here(Job(site.settings, str(tmp_path)), sessions)
    assert sum(sum(each.accepted.values()) for each in done) > 0
    assert in_folder(tmp_path, sessions) == behind


def test_export_of_the_new_generation_has_its_first_states_and_one_without_them_is_refused(
    site: Site, behind: list[Facts], tmp_path: Path
) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    job, topic = export.Job(site.settings, str(log), "records"), topics.market(f"{FEED}-g2")
    for where in export.places(site.settings, [topic], "records"):
        export.export(job, where)
    sessions = sessions_of(site.settings, str(log))
    backfill.here(Job(site.settings, str(out), str(log)), sessions)
    assert in_folder(out, sessions) == behind
    # As an export of an earlier build is.
    rmtree(log / "openings")
    for without in (log / "openings", log / "ledger" / topics.GENERATIONS):
        rmtree(without, ignore_errors=True)
        with pytest.raises(TapewatchError, match="may go on where another topic ended") as error:
            sessions_of(site.settings, str(log))
        assert f"tapewatch export {topic} --as records" in error.value.hint


def test_spark_finds_all_generations_and_begins_the_new_one_with_its_states(site: Site, tmp_path: Path) -> None:
    settings = site.settings
    own = msgspec.structs.replace(settings.engine, group="spark-rescaled", feeds=(FEED,))
    spark = msgspec.structs.replace(settings.spark, parquet=str(tmp_path))
    settings = msgspec.structs.replace(settings, engine=own, spark=spark)
    found = ends(settings, settings.engine.feeds)
    assert {name.rpartition("/")[0] for name in found} == {topics.market(FEED), topics.market(f"{FEED}-g2")}
    assert len(found) == BEFORE + AFTER
    topic = topics.market(f"{FEED}-g2")
    with_rows = max(range(AFTER), key=lambda partition: found[f"{topic}/{partition}"])
    share = ranges.work(settings, topic, with_rows, found[f"{topic}/{with_rows}"])
    assert share.rows > 0
    told = PartitionOutputs()
    for place in tmp_path.glob(f"*/feed={FEED}-g2/partition={with_rows}"):
        for batch in batches(sorted(place.glob("[0-9]*.parquet"), key=span)):
            told.add(place.relative_to(tmp_path).parts[0], batch)
    assert told.facts() == driven(settings, f"{FEED}-g2", with_rows)


def test_engine_starts_though_the_closed_topics_log_is_gone(site: Site) -> None:
    topic = topics.market(FEED)
    ends = [TopicPartition(topic, partition, runs.end(site.settings, FEED, partition)) for partition in range(BEFORE)]
    client = kafka.admin(site.settings)
    for future in client.delete_records(ends).values():
        future.result(15)
    engines = runs.Engines(site.settings, FEED, GROUP, batch_frames=20)
    engines.start("late")
    try:
        assert engines.wait_for_members(1) == {"late": BEFORE + AFTER}
        late_frames(site.settings, START + SECONDS + 100, epoch=9)
        engines.wait(sum(end.offset for end in ends) + 1)
    finally:
        engines.stop()


class Meanwhile:
    """A clock that lets something happen while it is waited for."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def now(self) -> int:
        return WALL.now()

    def elapsed(self) -> int:
        return WALL.elapsed()

    def sleep(self, seconds: float) -> None:
        self._happens()


def test_command_refuses_a_feed_that_is_being_written_and_producers_write_the_newest_generation(site: Site) -> None:
    config = SyntheticConfig(instruments=5, rows_per_second=50.0, seconds=0, warmup_s=1.0)
    show = SyntheticFeed(config, feed=FEED, back_date_s=1, seconds=1)
    written = []
    writing = Meanwhile(lambda: written.append(run_synthetic(site.settings, show)))
    rescaling = Rescaling(site.settings, FEED, 2, wait_s=1.0, clock=writing)
    try:
        with pytest.raises(TapewatchError, match=f"market.{FEED}-g2 is being written"):
            rescaling.check()
    finally:
        rescaling.close()
    assert written[0].topic == f"market.{FEED}-g2"
    assert generations.read(site.settings).under_way(FEED) is None
