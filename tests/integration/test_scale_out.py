"""What scaling out rests on, on a real broker: how topics are made, and which partitions and instruments are hot."""

import json
import uuid

import msgspec
import numpy as np
import pytest
from confluent_kafka.admin import ConfigResource

from producers.feed import FeedWriter, feed_producer, open_feed
from tapewatch import cli
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Commit
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Rows, RowType
from tapewatch.contract.topics import TopicSpec
from tapewatch.errors import TapewatchError
from tapewatch.market_log import hot_partitions
from tapewatch.runtime import kafka
from tapewatch.settings import Settings, TopicSettings

NAMES = [f"S{number:02d}.SIMX" for number in range(24)]
LOUD, PARTITIONS = NAMES[5], 3


@pytest.fixture
def feed(settings: Settings) -> str:
    """Ten seconds in which one instrument has fifty rows a second and every other one has one; the engine took half."""
    name = f"hot-{uuid.uuid4().hex[:8]}"
    open_feed(settings, name, [Instrument(each) for each in NAMES], PARTITIONS)
    writer = FeedWriter(feed_producer(settings, 1), name, "hot", 1, PARTITIONS, NAMES)
    now = WALL.now() // NANOS * NANOS - 10 * NANOS
    for second in range(10):
        for partition in range(PARTITIONS):
            own = [each for each in NAMES if partition_for(each, PARTITIONS) == partition]
            codes = [code for code, each in enumerate(own) for _ in range(50 if each == LOUD else 1)]
            writer.send(partition, quotes(own, codes, now + second * NANOS))
    writer.flush()
    producer = kafka.producer(settings)
    for partition in range(PARTITIONS):
        worked = 3_000 if partition == partition_for(LOUD, PARTITIONS) else 1_000
        commit = Commit(
            topic=topics.market(name), partition=partition, first_offset=0, next_offset=5, frames=5,
            rows={"quote": 100}, instance="e1", worked_us=worked,
        )  # fmt: skip
        producer.produce(topics.COMMITS, messages.encode(commit), topics.market(name).encode(), partition)
    assert producer.flush(15) == 0
    return name


def quotes(own: list[str], codes: list[int], at: int) -> Rows:
    count = len(codes)
    stamps = np.full(count, at, dtype=np.int64)
    columns = {name: np.full(count, 100.0) for name in ("bid_price", "bid_qty", "ask_qty", "last_price", "volume")}
    columns |= {"ask_price": np.full(count, 101.0), "ts_event": stamps, "ts_recv": stamps}
    return Rows(RowType.QUOTE, own, columns | {"instrument": np.array(codes, dtype=np.int32)})


def test_the_report_names_the_hot_partition_and_the_loud_instrument(settings: Settings, feed: str) -> None:
    found = hot_partitions.look(settings, feed, 600.0, 3)
    hot = max(found.partitions, key=lambda each: each.rows_per_s)
    assert hot.partition == partition_for(LOUD, PARTITIONS)
    assert found.hottest[0].instrument == LOUD
    assert found.hottest[0].share == pytest.approx(50 / 73, abs=0.01)
    assert sum(each.instruments for each in found.partitions) == len(NAMES)
    assert hot.engine_share == 0.6
    assert hot.engine_us_per_row == 30.0
    assert {each.behind for each in found.partitions} == {5}
    assert "no number of partitions splits one instrument" in found.advice[0]


def test_the_command_prints_one_document(settings: Settings, feed: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", settings.data, "partitions", feed]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", settings.bootstrap())
        assert cli.main([*arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["feeds"][0]["feed"] == feed
        assert cli.main(arguments) == 0
    assert LOUD in capsys.readouterr().out


def test_an_unknown_feed_and_a_silent_one_are_said(settings: Settings, feed: str) -> None:
    with pytest.raises(TapewatchError, match="there is no feed nobody"):
        hot_partitions.look(settings, "nobody", 600.0, 3)
    with pytest.raises(TapewatchError, match="nothing was sent"):
        hot_partitions.look(settings, feed, 0.0, 3)


def test_topics_are_made_with_the_least_number_of_replicas_in_sync(settings: Settings) -> None:
    asked = msgspec.structs.replace(settings, topics=TopicSettings(min_insync=1))
    name = f"insync-{uuid.uuid4().hex[:8]}"
    kafka.create_topics(asked, [TopicSpec(name, 1)])
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    client = kafka.admin(settings)
    found = client.describe_configs([resource])[resource].result(15)["min.insync.replicas"]
    assert (found.value, found.is_default) == ("1", False)


def test_more_replicas_than_brokers_are_said(settings: Settings) -> None:
    asked = msgspec.structs.replace(settings, topics=TopicSettings(replication=3, min_insync=2))
    with pytest.raises(TapewatchError, match=r"cannot create topic .*[Rr]eplication"):
        kafka.create_topics(asked, [TopicSpec(f"three-{uuid.uuid4().hex[:8]}", 1)])
