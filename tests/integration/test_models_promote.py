"""Promotion, rollback and configuration against a real broker: the engine switches at the control row, and so does a
replay.
"""

import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException

from detectors.kmeans.model import KMeansModel
from streams.engine import control
from streams.engine.build import build_hash
from streams.engine.detector_config import DetectorConfig
from streams.engine.model_store import KafkaModelStore
from streams.engine.models import ActiveModels, shipped
from streams.engine.policy import SHADOW
from streams.engine.process import Engine
from streams.engine.recovery import feed
from streams.engine.task import Task
from tapewatch import cli
from tapewatch.clock import WALL
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.registry import FixedRegistry, register
from tapewatch.proof import audit
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.integration.in_force import forget
from tests.unit.virtual_policy import made

AT = 1_700_000_000_000_000_000
NANOS = 1_000_000_000
PARTITIONS = 2
IDS = [f"S{number}.SIMX" for number in range(6)]
DEADLINE_S = 180


def model(spread: float) -> bytes:
    """A model of one input that differs in its centre, and so in its hash and scores."""
    return KMeansModel(
        "kmeans", ("spread_bps",), (0.0,), (1.0,), 1e6, ((spread,),), (10,), (True,), ((0.0, 0.0), (100.0, 1.0)), 1e9
    ).encoded()


class Feed:
    """A feed that writes one quote an instrument and second."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.topic = topics.market(name)
        kafka.create_topics(settings, topics.market_topics(name, settings.topics, PARTITIONS))
        self._producer = kafka.producer(settings, linger_ms=0)
        self._second = 0
        self._sequence = [0] * PARTITIONS

    def write(self, seconds: int) -> None:
        for _ in range(seconds):
            for partition in range(PARTITIONS):
                self._send(partition)
            self._second += 1
        assert self._producer.flush(30) == 0

    def _send(self, partition: int) -> None:
        names = [name for name in IDS if partition_for(name, PARTITIONS) == partition]
        count = len(names)
        times = np.full(count, AT + self._second * NANOS, dtype=np.int64)
        bids = 100.0 + np.sin(self._second + np.arange(count))
        columns: dict[str, Any] = {
            "instrument": np.arange(count, dtype=np.int32),
            "ts_event": times,
            "ts_recv": times,
            "bid_price": bids,
            "bid_qty": np.full(count, 5.0),
            "ask_price": bids + 0.1,
            "ask_qty": np.full(count, 7.0),
            "last_price": np.full(count, np.nan),
            "volume": np.full(count, np.nan),
        }
        headers = FrameHeaders("quote", "test", 1, self._sequence[partition], AT).to_kafka()
        value = frames.encode(Rows(RowType.QUOTE, names, columns))
        self._producer.produce(self.topic, value, partition=partition, headers=headers)
        self._sequence[partition] += 1


@dataclass(frozen=True)
class ScoreRow:
    """A score row: the input offset that caused it, the model of its frame, the frame's own bytes of the row."""

    offset: int
    version: str
    row: tuple[Any, ...]


def scored(records: list[tuple[bytes, list[tuple[str, bytes]]]], topic: str) -> dict[int, list[ScoreRow]]:
    """Rows of detector kmeans by market partition, in order."""
    found: dict[int, list[ScoreRow]] = defaultdict(list)
    for value, headers in records:
        origin = dict(headers)
        if origin["type"] != b"scores" or f"market.{origin['feed'].decode()}" != topic:
            continue
        batch = frames.read_stream(value)
        versions = dict(text.split("=") for text in batch.schema.metadata[b"tapewatch.versions"].decode().split(","))
        for row in batch.to_pylist():
            if row["detector"] == 0:
                kept = tuple(str(row[name]) for name in ("instrument", "ts", "offset", "raw", "probability"))
                found[int(origin["partition"])].append(ScoreRow(row["offset"], versions["kmeans"], kept))
    return found


def live_scores(settings: Settings, topic: str) -> dict[int, list[ScoreRow]]:
    records: list[tuple[bytes, list[tuple[str, bytes]]]] = []
    kafka.read_all(settings, topics.SCORES, lambda m: records.append((m.value() or b"", m.headers() or [])))
    return scored(records, topic)


def replayed_scores(settings: Settings, topic: str) -> dict[int, list[ScoreRow]]:
    """The same log through tasks without an engine."""
    found: dict[int, list[ScoreRow]] = {}
    for partition in range(PARTITIONS):
        force = ActiveModels.default(KafkaModelStore(settings))
        task = Task(topic, partition, FixedRegistry([Instrument(name) for name in IDS]), force, build_hash())
        kafka_reader = kafka.consumer(settings)
        low, high = kafka.watermarks(kafka_reader, topic, partition)
        for message in kafka.read_range(kafka_reader, topic, partition, low, high):
            feed(task, message)
        kafka_reader.close()
        written = [(record.value, record.headers) for record in task.take()]
        found |= scored(written, topic)
    return found


@pytest.fixture
def clean(stack: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a data folder of the test's own; nothing is in force by order before it, nor after it."""
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", stack.bootstrap)
    settings = Settings(data=str(tmp_path), kafka=KafkaSettings(bootstrap=stack.bootstrap))
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    forget(settings)
    yield settings
    forget(settings)


def await_scores(settings: Settings, topic: str, count: int) -> None:
    """Wait until the engine has written that many score rows of the topic."""
    for _ in range(DEADLINE_S * 5):
        if sum(map(len, live_scores(settings, topic).values())) >= count:
            return
        WALL.sleep(0.2)
    pytest.fail("the engine did not write its scores")


def test_engine_switches_exactly_at_the_control_row_and_a_replay_does_too(clean: Settings) -> None:
    name = f"promote-{uuid.uuid4().hex[:8]}"
    register(clean, [Instrument(each) for each in IDS])
    market = Feed(clean, name)
    engine_settings = msgspec.structs.replace(clean.engine, group=name, instance=name, feeds=[name])
    engine, stop = Engine(msgspec.structs.replace(clean, engine=engine_settings)), threading.Event()
    thread = threading.Thread(target=engine.run, args=(stop,))
    thread.start()
    try:
        market.write(5)
        await_scores(clean, market.topic, 4 * len(IDS))
        first = control.promote(clean, model(1.0), "first", "ann")
        market.write(5)
        second = control.promote(clean, model(2.0), "second", "ben")
        market.write(5)
        back = control.rollback(clean, "kmeans", "worse than before", "ann")
        market.write(5)
        await_scores(clean, market.topic, 19 * len(IDS))
    finally:
        stop.set()
        thread.join(600)
    live = live_scores(clean, market.topic)
    assert live == replayed_scores(clean, market.topic)
    assert back.value == first.value != second.value
    shipped_version = control.models_in_force({})["kmeans"]
    for partition, rows in live.items():
        at = [change.rows[market.topic][partition] for change in (first, second, back)]
        for row in rows:
            due = [shipped_version, first.value, second.value, first.value][sum(offset < row.offset for offset in at)]
            assert row.version == due
        assert len({row.version for row in rows}) == 3
    acts = audit.entries(audit.folder(clean.data_path))
    assert [(entry.action, entry.who) for entry in acts] == [
        ("models.promote", "ann"), ("models.promote", "ben"), ("models.rollback", "ann"),
    ]  # fmt: skip
    assert audit.verify(audit.folder(clean.data_path)).intact


def test_engine_whose_question_for_a_model_is_not_answered_begins_again_and_refuses_nothing(
    clean: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, answered, refused = f"unasked-{uuid.uuid4().hex[:8]}", kafka.watermarks, list[str]()

    def watermarks(reader: Any, topic: str, partition: int) -> tuple[int, int]:
        if topic == topics.MODELS and threading.current_thread() is thread and len(refused) < 3:
            refused.append(topic)
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return answered(reader, topic, partition)

    register(clean, [Instrument(each) for each in IDS])
    market = Feed(clean, name)
    engine_settings = msgspec.structs.replace(clean.engine, group=name, instance=name, feeds=[name])
    engine, stop = Engine(msgspec.structs.replace(clean, engine=engine_settings)), threading.Event()
    thread = threading.Thread(target=engine.run, args=(stop,))
    thread.start()
    try:
        market.write(5)
        await_scores(clean, market.topic, 4 * len(IDS))
        monkeypatch.setattr(kafka, "watermarks", watermarks)
        change = control.promote(clean, model(1.5), "while nobody answers", "ann")
        market.write(5)
        await_scores(clean, market.topic, 9 * len(IDS))
    finally:
        stop.set()
        thread.join(600)
    live, switched = live_scores(clean, market.topic), change.rows[market.topic]
    assert len(refused) == 3
    assert {row.version == change.value for p, rows in live.items() for row in rows if row.offset > switched[p]} == {
        True
    }
    assert live == replayed_scores(clean, market.topic)
    letters = list[Any]()
    kafka.read_all(clean, topics.dead_letters(market.topic), letters.append)
    assert letters == []


def test_new_feed_begins_with_what_is_in_force_and_only_once(clean: Settings) -> None:
    before = Feed(clean, f"old-{uuid.uuid4().hex[:8]}")
    config = DetectorConfig()
    control.promote(clean, model(3.0), "for new feeds")
    wanted = msgspec.structs.replace(config, kmeans_anomaly=msgspec.structs.replace(config.kmeans_anomaly, hold_s=5.0))
    control.apply_config(clean, wanted, "longer hold")
    later = Feed(clean, f"new-{uuid.uuid4().hex[:8]}")
    assert control.seed_new_feed(clean, later.topic) == PARTITIONS
    assert control.seed_new_feed(clean, later.topic) == 0
    for topic in (before.topic, later.topic):
        force = ActiveModels.default(KafkaModelStore(clean))
        task = Task(topic, 0, FixedRegistry([]), force, build_hash())
        kafka.read_all(clean, topic, lambda message, task=task: message.partition() == 0 and feed(task, message))  # type: ignore[misc,func-returns-value]
        assert task.force.models["kmeans"] == control.models_in_force(control_rows.orders(clean))["kmeans"]
        assert task.force.config == wanted
        assert not task.tally.refused


def test_rollback_of_the_first_promotion_brings_the_shipped_model_back(clean: Settings) -> None:
    control.promote(clean, model(4.0), "try")
    assert control.rollback(clean, "kmeans", "no good").value == control.models_in_force({})["kmeans"]
    with pytest.raises(Exception, match="no earlier model"):
        control.rollback(clean, "kmeans", "further back")


def test_commands_promote_by_hash_and_apply_part_of_a_configuration(
    clean: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Feed(clean, f"commands-{uuid.uuid4().hex[:8]}")
    path = tmp_path / "model.json"
    path.write_bytes(model(5.0))
    data = ("--data", str(tmp_path))
    promoted = _json(capsys, *data, "models", "promote", str(path), "--why", "test", "--json")
    listed = _json(capsys, *data, "models", "list", "--json")["models"]
    assert [row["hash"] for row in listed if row["in_force"] and row["detector"] == "kmeans"] == [promoted["value"]]
    assert len(listed) >= len(shipped()) + 1
    assert _json(capsys, *data, "models", "show", promoted["value"], "--json")["model"]["detector"] == "kmeans"
    (tmp_path / "t.toml").write_text("[pump_and_dump]\nmin_rise = 0.03\n")
    _json(capsys, *data, "config", "apply", str(tmp_path / "t.toml"), "--why", "test", "--json")
    shown = _json(capsys, *data, "config", "show", "--json")["detectors"]
    assert shown["pump_and_dump"]["min_rise"] == 0.03
    assert shown["pump_and_dump"]["cooldown_s"] == DetectorConfig().pump_and_dump.cooldown_s
    (tmp_path / "bad.toml").write_text("[pump_and_dump]\nmin_raise = 0.03\n")
    assert cli.main([*data, "config", "apply", str(tmp_path / "bad.toml"), "--why", "test"]) == 1
    assert "min_raise" in capsys.readouterr().err


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(list(words)) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    tree: dict[str, Any] = json.loads(out)
    return tree


def test_a_policy_runs_as_a_shadow_until_it_is_taken_back(clean: Settings) -> None:
    first, second = made(1), made(2)
    market = Feed(clean, f"t{uuid.uuid4().hex[:10]}")
    for policy in (first, second):
        change = control.promote(clean, policy.encoded(), "on trial", shadow=True)
        assert (change.subject, change.value) == (SHADOW, policy.hash)
        assert len(change.rows[market.topic]) == PARTITIONS
    assert control.models_in_force(control_rows.orders(clean))[SHADOW] == second.hash
    assert control.rollback(clean, SHADOW, "no better").value == first.hash
    assert control.rollback(clean, SHADOW, "no better either").value == ""
    assert SHADOW not in control.models_in_force(control_rows.orders(clean))
    with pytest.raises(TapewatchError, match="no earlier model"):
        control.rollback(clean, SHADOW, "nothing left")
    market.write(2)
    assert cli.main(["--data", clean.data, "models", "list", "--json"]) == 0
    task = Task(market.topic, 0, FixedRegistry([]), ActiveModels.default(KafkaModelStore(clean)), build_hash())
    reader = kafka.consumer(clean)
    for message in kafka.read_range(reader, market.topic, 0, 0, 4):
        feed(task, message)
        task.take()
    reader.close()
    assert SHADOW not in task.force.models
    assert "bad_control" not in task.tally.refused
