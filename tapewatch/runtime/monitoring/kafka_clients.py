"""What librdkafka tells of itself about once a second: lag by partition, brokers, round trips, what waits to be sent.

It is kept as it comes, in the loop that polls, and read only when somebody looks.
"""

from collections.abc import Callable, Mapping

import msgspec

from tapewatch.runtime.monitoring.metric import Metric, counter, gauge

LAG = gauge(
    "tapewatch_kafka_lag_records",
    "Records between what a consumer took and the end of what is committed in a partition.",
    "client",
    "topic",
    "partition",
)
BROKERS = gauge("tapewatch_kafka_brokers_up", "Brokers that a client is connected to.", "client")
ROUND_TRIP = gauge("tapewatch_kafka_round_trip_seconds", "Round trip to a broker, 99th percentile.", "client", "broker")
QUEUE = gauge("tapewatch_kafka_queue_records", "Records that a producer has not got acknowledged.", "client")
REBALANCES = counter("tapewatch_kafka_rebalances_total", "Times a consumer's group was shared out anew.", "client")
TIMEOUTS = counter("tapewatch_kafka_request_timeouts_total", "Requests that a broker did not answer.", "client")

_FETCHING = frozenset({"active", "offset-query", "offset-wait", "validate-epoch-wait"})


class _Window(msgspec.Struct):
    p99: int = 0


class _Broker(msgspec.Struct):
    nodeid: int = -1
    state: str = ""
    req_timeouts: int = 0
    rtt: _Window = msgspec.field(default_factory=_Window)


class _Partition(msgspec.Struct):
    fetch_state: str = ""
    fetchq_cnt: int = 0
    app_offset: int = -1
    next_offset: int = -1
    lo_offset: int = -1
    ls_offset: int = -1
    hi_offset: int = -1


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = {}


class _Group(msgspec.Struct):
    rebalance_cnt: int = 0


class _ClientStatistics(msgspec.Struct):
    """The part of STATISTICS.md (librdkafka 2) that is shown."""

    type: str = ""
    msg_cnt: int = 0
    brokers: dict[str, _Broker] = {}
    topics: dict[str, _Topic] = {}
    cgrp: _Group | None = None


class KafkaClients:
    """The clients of a process by name; a new one takes the place of its namesake."""

    def __init__(self, show: Callable[[Metric, Callable[[], Mapping[tuple[str, ...], float]]], None]) -> None:
        self._texts: dict[str, str] = {}
        for metric, read in (
            (LAG, _lags),
            (BROKERS, _brokers),
            (ROUND_TRIP, _round_trips),
            (QUEUE, _queue),
            (REBALANCES, _rebalances),
            (TIMEOUTS, _timeouts),
        ):
            show(metric, lambda read=read: self._read(read))  # type: ignore[misc]

    def listener(self, name: str) -> Callable[[str], None]:
        """What librdkafka is to call with its statistics (`stats_cb`)."""

        def tell(text: str) -> None:
            self._texts[name] = text

        return tell

    def _read(self, read: Callable[[_ClientStatistics], dict[tuple[str, ...], float]]) -> dict[tuple[str, ...], float]:
        """A metric of every client; the client's name is the first label."""
        return {
            (name, *labels): value
            for name, text in list(self._texts.items())
            for labels, value in read(msgspec.json.decode(text, type=_ClientStatistics)).items()
        }


def _lags(told: _ClientStatistics) -> dict[tuple[str, ...], float]:
    return {
        (topic, number): lag(partition)
        for topic, found in told.topics.items()
        for number, partition in found.partitions.items()
        if told.type == "consumer" and number != "-1" and partition.fetch_state in _FETCHING
    }


def lag(partition: _Partition) -> int:
    """Records from the consumer's place to the last stable offset.

    Ends of transactions take offsets too: where nothing is left to hand out, the place is what is fetched next.
    """
    end = partition.ls_offset if partition.ls_offset >= 0 else partition.hi_offset
    place = partition.app_offset if partition.fetchq_cnt and partition.app_offset >= 0 else partition.next_offset
    if place < 0:
        place = max(partition.lo_offset, 0)
    return max(end - place, 0)


def _brokers(told: _ClientStatistics) -> dict[tuple[str, ...], float]:
    return {(): sum(each.nodeid >= 0 and each.state == "UP" for each in told.brokers.values())}


def _round_trips(told: _ClientStatistics) -> dict[tuple[str, ...], float]:
    return {
        (str(each.nodeid),): each.rtt.p99 / 1e6 for each in told.brokers.values() if each.nodeid >= 0 and each.rtt.p99
    }


def _queue(told: _ClientStatistics) -> dict[tuple[str, ...], float]:
    return {(): told.msg_cnt} if told.type == "producer" else {}


def _rebalances(told: _ClientStatistics) -> dict[tuple[str, ...], float]:
    return {(): told.cgrp.rebalance_cnt} if told.cgrp is not None else {}


def _timeouts(told: _ClientStatistics) -> dict[tuple[str, ...], float]:
    return {(): sum(each.req_timeouts for each in told.brokers.values())}
