"""Machines, partitions, brokers, bytes and cost of a market, from the service times."""

import math

import msgspec
import numpy as np

from benchmarks.capacity.service import ServiceTimes, delay_ms, heaviest

GIB = 2**30


class Assumptions(msgspec.Struct, frozen=True):
    """What is not measured here, and can be given.

    cores : of a machine; use : share of its cores that are planned to work at the peak
    delay_ms : 99th percentile that a live row may wait for its micro-batch
    replication : copies of the log; follower_cpu : CPU of a follower's copy, over the leader's work
    network_mb_s : of a broker's machine, that are planned to be used; disk_gb : of a broker
    retention_h : how long market frames, features and scores stay on the brokers
    core_hour, gb_month : prices, in any currency
    """

    cores: int = 16
    use: float = 0.6
    delay_ms: float = 250.0
    replication: int = 3
    follower_cpu: float = 0.5
    network_mb_s: float = 750.0
    disk_gb: float = 8_000.0
    retention_h: float = 168.0
    core_hour: float = 0.05
    gb_month: float = 0.08


class Scenario(msgspec.Struct, frozen=True):
    """A market. names : instruments; peak_rows_s, mean_rows_s : of all together; hours_day : of trading

    zipf : how unequal instruments are: the n-th busiest has n ** -zipf of the busiest's rows; 0 for all alike
    live : rows have to be answered at once; otherwise only the throughput counts
    seconds_share : instruments' seconds that are closed, of names x seconds; days : trading days that are kept a year
    """

    name: str
    names: int
    peak_rows_s: float
    mean_rows_s: float
    hours_day: float
    zipf: float = 0.7
    live: bool = True


class Plan(msgspec.Struct, frozen=True):
    """What it takes.

    processes, partitions : of the engine; delay_ms : 99th percentile at the peak in the fullest process, None where
    nobody waits
    heaviest : share of the rows in the heaviest partition
    engine_cores, broker_cores, producer_cores : at the peak, at full use; machines : of all, at the planned use
    brokers : by processor, network and disk, the largest counts; bound : which of them
    log_gb, day_gb : on the brokers' disks, all copies; written a day, one copy
    network_mb_s : into and out of all brokers at the peak
    sink_processes : for every score row into PostgreSQL; a number to see that nobody does that
    cost_month : running through all hours, and disks; cost_run : of a run that ends, None for a live one
    """

    scenario: Scenario
    processes: int
    partitions: int
    delay_ms: float | None
    heaviest: float
    busiest_fits: bool
    engine_cores: float
    broker_cores: float
    producer_cores: float
    brokers: int
    bound: str
    machines: int
    log_gb: float
    day_gb: float
    network_mb_s: float
    sink_processes: int
    cost_month: float


SCENARIOS = (
    Scenario("one exchange, 2,000 names at 1 quote/s", 2_000, 2_000.0, 2_000.0, 6.5, zipf=0.0),
    Scenario("all US equities at full depth, 10 million messages/s at the peak", 11_000, 1e7, 1e6, 6.5),
    Scenario("100 venues of 2,000 names, 20 rows/s a name at the peak", 200_000, 4e6, 1e6, 24.0),
    Scenario(
        "a year of history (252 days, 2,000 names, 1 row/s) in an hour",
        2_000,
        252 * 6.5 * 2_000.0,
        252 * 6.5 * 2_000.0,
        1.0,
        0.0,
        False,
    ),
)
"""The four that the model is asked about."""


def plan(times: ServiceTimes, scenario: Scenario, given: Assumptions) -> Plan:
    """What a scenario takes."""
    rows, seconds = scenario.peak_rows_s, _seconds_s(scenario)
    main_s = rows * times.row_ns / 1e9 + seconds * times.second_ns / 1e9
    bytes_bench = times.log_bytes + times.written_bytes
    in_s, out_s = rows * times.log_bytes, seconds * times.written_bytes
    moved = (in_s + out_s) / bytes_bench
    engine_cores = main_s + moved * times.client_ns / 1e9
    broker_cores = moved * times.broker_ns / 1e9 * (1 + given.follower_cpu * (given.replication - 1))
    producer_cores = rows * times.message_us / 1e6 if scenario.live else 0.0
    processes, wait = _processes(times, scenario, given, main_s)
    partitions, share, fits = _partitions(times, scenario, processes)
    network = (in_s * (given.replication + 1) + out_s * (given.replication + 2)) / 1e6
    day_gb = (scenario.mean_rows_s * times.log_bytes + seconds * times.written_bytes) * scenario.hours_day * 3600 / GIB
    kept_gb = (
        day_gb * min(given.retention_h / 24, 7.0) * given.replication if scenario.live else day_gb * given.replication
    )
    needs = {
        "processor": broker_cores / (given.cores * given.use),
        "network": network / given.network_mb_s,
        "disk": kept_gb / given.disk_gb,
    }
    bound = max(needs, key=lambda name: needs[name])
    brokers = max(given.replication, math.ceil(needs[bound]))
    engines = math.ceil((engine_cores + producer_cores) / (given.cores * given.use))
    machines = engines + brokers
    hours = 730.0 if scenario.live else 1.0
    return Plan(
        scenario=scenario,
        processes=processes,
        partitions=partitions,
        delay_ms=wait,
        heaviest=round(share, 4),
        busiest_fits=fits,
        engine_cores=round(engine_cores, 1),
        broker_cores=round(broker_cores, 1),
        producer_cores=round(producer_cores, 1),
        brokers=brokers,
        bound=bound,
        machines=machines,
        log_gb=round(kept_gb, 1),
        day_gb=round(day_gb, 1),
        network_mb_s=round(network, 1),
        sink_processes=math.ceil(seconds / times.sink_rows_s),
        cost_month=round(
            machines * given.cores * given.core_hour * hours + kept_gb * given.gb_month * hours / 730.0, 2
        ),
    )


def _seconds_s(scenario: Scenario) -> float:
    """Instruments' seconds closed a second of wall time: a live market closes each name's once."""
    return float(scenario.names) if scenario.live else scenario.peak_rows_s


def _processes(times: ServiceTimes, scenario: Scenario, given: Assumptions, main_s: float) -> tuple[int, float | None]:
    """Engine processes: main threads at the planned use, more where a live row would wait too long."""
    count = max(1, math.ceil(main_s / given.use))
    if not scenario.live:
        return count, None
    while True:
        _, wait = delay_ms(times, scenario.peak_rows_s / count, scenario.names / count)
        if wait <= given.delay_ms or count > 100 * main_s + 100:
            return count, round(wait, 1)
        count = math.ceil(count * 1.25)


def _partitions(times: ServiceTimes, scenario: Scenario, processes: int) -> tuple[int, float, bool]:
    """Partitions, the share of the heaviest, and whether a process can carry it: doubled until one can, or until one
    instrument alone is too much.
    """
    weights = np.arange(1, scenario.names + 1, dtype=np.float64) ** -scenario.zipf
    draw = np.random.default_rng(1)
    partitions = 4
    while partitions < 2 * processes and partitions < scenario.names:
        partitions *= 2
    while True:
        share = heaviest(weights, partitions, draw)
        busy = share * scenario.peak_rows_s * times.row_ns / 1e9
        if busy <= 0.9 or partitions > 8 * processes or not scenario.live:
            return partitions, share, busy <= 0.9 or not scenario.live
        partitions *= 2
