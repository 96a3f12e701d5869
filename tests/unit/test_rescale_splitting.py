"""A feed's partitions dealt out anew at a cut: every instrument goes on bit for bit as if nothing had happened."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from producers.feed import FeedWriter, LiveWriter
from producers.synthetic import SyntheticConfig, SyntheticMarket
from streams.driver import TOPICS, Driver
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.snapshots import dump, restore
from streams.engine.task import OutputRecord, Task
from streams.rescaling.splitting import differences, split
from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import heartbeat_rows
from tapewatch.errors import TapewatchError
from tapewatch.market_log.admission import CLOSES, OPENS
from tapewatch.market_log.registry import FixedRegistry
from tests.unit.nervous_models import nervous

START = 1_750_000_000
SECONDS, CUT = 150, 83
Record = tuple[bytes, list[tuple[str, bytes]]]


class Logs:
    """A topic's partitions in memory: takes frames where a Kafka producer would."""

    def __init__(self, partitions: int) -> None:
        self.of: list[list[Record]] = [[] for _ in range(partitions)]

    def produce(self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Any) -> None:
        self.of[partition].append((value, headers))
        on_delivery(None, None)

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        return 0


@cache
def market() -> SyntheticMarket:
    config = SyntheticConfig(
        instruments=70, rows_per_second=70 * 6.0, seconds=SECONDS, warmup_s=20.0, pump_per_hour=40.0, cooldown_s=60.0
    )
    return SyntheticMarket(config, 5, START * NANOS)


@cache
def chunks() -> tuple[Any, ...]:
    return tuple(market().chunks())


def written(partitions: int, start: int, stop: int, epoch: int) -> Logs:
    """These seconds of the market as a feed's log."""
    logs = Logs(partitions)
    names = [each.id for each in market().instruments]
    live = LiveWriter(FeedWriter(logs, "rescaled", "live", epoch, partitions, names), (START + start) * NANOS - 1)
    for chunk in chunks()[start:stop]:
        for rows in chunk.rows:
            live.add(rows)
        live.flush(chunk.end_ns - 1)
    return logs


def heartbeat(source: str) -> Record:
    value = frames.encode(heartbeat_rows(np.full(1, (START + CUT) * NANOS, dtype=np.int64)))
    return value, FrameHeaders("status", source, 1, 0, 0).to_kafka()


@cache
def force() -> ActiveModels:
    """Models and thresholds under which a quiet market raises alerts of every kind, and two policies decide."""
    return nervous()


def driver(topic: str, partition: int) -> Driver:
    return Driver(FixedRegistry(market().instruments), topic, partition, force=force())


def fed(one: Driver, records: Iterable[Record]) -> Driver:
    for value, headers in records:
        one.record(value, headers)
    return one


def by_instrument(records: Iterable[OutputRecord]) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Every row of every instrument, as bytes, without what names places in a log."""
    found = defaultdict(list)
    for record in records:
        if record.topic not in TOPICS:
            continue
        kind = dict(record.headers).get("type", b"").decode()
        if not record.value.startswith(b"\xff\xff\xff\xff"):
            message = msgspec.json.decode(record.value)
            for place in ("provenance", "cause"):
                message.pop(place, None)
            found[kind, message["instrument"]].append((msgspec.json.encode(message),))
        elif not kind.startswith("sealed"):
            batch = frames.read_stream(record.value)
            columns = [raw(batch.column(name)) for name in batch.schema.names[1:] if name != "offset"]
            for name, *cells in zip(batch.column(0).to_pylist(), *columns, strict=True):
                found[kind, name].append(tuple(cells))
    return dict(found)


def raw(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
        return column.to_pylist()
    return [
        value.tobytes() for value in np.asarray(column.cast("int64") if pa.types.is_timestamp(column.type) else column)
    ]


@cache
def never_rescaled() -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """What one partition makes of the whole market."""
    return by_instrument(fed(driver("market.whole", 0), written(1, 0, SECONDS, 1).of[0]).outgoing())


def rescaled(before: int, after: int) -> tuple[list[Driver], list[Driver]]:
    """The same market, in so many partitions up to the cut and in so many behind it."""
    old = written(before, 0, CUT, 1)
    cut = [fed(driver("market.rescaled", number), [*log, heartbeat(CLOSES)]) for number, log in enumerate(old.of)]
    # What the old partitions had to say is said.
    for each in cut:
        each.outgoing()
    assert differences([each.task for each in cut]) == []
    opened = split([each.task for each in cut], after, lambda number: driver("market.rescaled-g2", number).task)
    new = written(after, CUT, SECONDS, 2)
    return cut, [fed(taken_up(task), [heartbeat(OPENS), *log]) for task, log in zip(opened, new.of, strict=True)]


def taken_up(task: Task) -> Driver:
    """A driver that begins with the task's snapshot."""
    one = driver(task.topic, task.partition)
    restore(one.task, dump(task), force()._shelf)
    return one


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(3, 5), (4, 1), (1, 8)])
def test_every_instrument_goes_on_bit_for_bit_behind_the_cut(before: int, after: int) -> None:
    old, new = rescaled(before, after)
    found = by_instrument(record for one in [*old, *new] for record in one.outgoing())
    wanted = never_rescaled()
    assert found.keys() == wanted.keys()
    assert {kind for kind, _ in wanted} >= {"features", "scores", "bars", "alert"}
    for key, rows in wanted.items():
        assert found[key] == rows, f"{key} differs"


@pytest.mark.slow
def test_alerts_span_the_cut_and_the_later_revisions_name_the_new_log_alone() -> None:
    old, new = rescaled(3, 5)
    alerts = defaultdict(list)
    for one in [*old, *new]:
        for record in one.collect().get("alerts", []):
            alert = msgspec.json.decode(record.value)
            alerts[alert["id"]].append(alert["provenance"])
    spanning = [said for said in alerts.values() if len({each["topic"] for each in said}) > 1]
    assert spanning, "no alert was open at the cut: the test would say nothing"
    for said in spanning:
        later = [each for each in said if each["topic"] == "market.rescaled-g2"]
        assert all(each["onset_offset"] == each["decided_offset"] == 0 for each in later)


@pytest.mark.slow
def test_each_instrument_lies_where_the_writer_will_send_it() -> None:
    old, new = rescaled(3, 5)
    for one in new:
        assert {partition_for(name, 5) for name in one.task.admission.names} <= {one.task.partition}
    assert sorted(name for one in new for name in one.task.admission.names) == sorted(
        name for one in old for name in one.task.admission.names
    )


@pytest.mark.slow
def test_behind_the_cut_the_old_partition_counts_nothing_and_buries_what_comes() -> None:
    old, _ = rescaled(3, 5)
    one = old[0]
    rows, letters = one.task.tally.rows.copy(), len(one.collect().get("market.rescaled.dlq", []))
    late = written(3, CUT, CUT + 1, 1).of[0]
    # As the writer's next frames: its sequences go on.
    count = len(written(3, 0, CUT, 1).of[0])
    for number, (value, headers) in enumerate(late):
        one.record(value, [*headers[:4], ("sequence", str(count + number).encode()), *headers[5:]])
    assert one.task.tally.rows == rows
    found = one.collect()["market.rescaled.dlq"][letters:]
    assert len(found) == len(late)
    assert {dict(each.headers)["reason"] for each in found} == {b"closed"}


def test_partitions_with_other_things_in_force_are_not_dealt_out() -> None:
    one, other = driver("market.a", 0), driver("market.a", 1)
    other.task.judge_by(ActiveModels(ModelStore(), {}, DetectorConfig()))
    assert differences([one.task, other.task]) == [
        "not the same models and configuration are in force in all partitions"
    ]


def test_instrument_in_two_partitions_is_not_dealt_out() -> None:
    log = written(1, 0, 2, 1).of[0]
    both = [fed(driver("market.a", number), log).task for number in range(2)]
    with pytest.raises(TapewatchError, match="lies in two partitions"):
        split(both, 3, lambda number: driver("market.a-g2", number).task)
