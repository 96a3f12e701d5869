"""The engine's Kafka client waits for ever in the middle of a transaction: the engine goes on with another."""

import threading
from typing import Any

import msgspec
import pytest

from streams.engine.process import Engine
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.faults import engine_runs as runs

pytestmark = pytest.mark.slow  # an engine of its own, twice through the log

FEED = "stuck"


def test_engine_takes_a_new_producer_where_its_own_does_not_come_back_and_changes_no_bit(
    stack: Addresses, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=str(tmp_path_factory.mktemp("stuck")), kafka=KafkaSettings(bootstrap=stack.bootstrap))
    runs.write_market(settings, FEED, seconds=120, partitions=2, instruments=8, flushes=2)
    engine_settings = msgspec.structs.replace(settings.engine, feeds=(FEED,), group="group-stuck", batch_frames=10)
    release, commits, usual = threading.Event(), list[object](), transactions.commit

    def stuck() -> None:
        release.wait()

    def commit(producer: Any, offsets: Any, member: object) -> None:
        commits.append(producer)
        if len(commits) == 4:
            producer.flush(10)
            kafka.in_time(stuck)
        usual(producer, offsets, member)

    monkeypatch.setattr(kafka, "STUCK_S", 2)
    monkeypatch.setattr(transactions, "commit", commit)
    engine = Engine(msgspec.structs.replace(settings, engine=engine_settings))
    try:
        engine.run(threading.Event(), until_idle_s=8)
    finally:
        release.set()
    assert engine.totals.aborted == engine.totals.fenced == 1
    assert commits[-1] is not commits[3]
    runs.assert_same(runs.written(settings, FEED), runs.expected(settings, FEED))
