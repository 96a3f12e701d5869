"""The capacity model against cases that can be worked out by hand, and what bounds a measured run."""

import math

import msgspec
import numpy as np
import pytest

from benchmarks.capacity.scenarios import Assumptions, Scenario, plan
from benchmarks.capacity.service import Backlog, ServiceTimes, delay_ms, heaviest
from benchmarks.scale import bound
from benchmarks.scale_run import GroupRun, Share
from benchmarks.soak_market import MachineTime

TIMES = ServiceTimes(
    row_ns=200.0,
    second_ns=1_000.0,
    bench_main_ns=1_000.0,
    client_ns=200.0,
    broker_ns=300.0,
    rows_per_transaction=10_000.0,
    log_bytes=60.0,
    written_bytes=220.0,
    message_us=20.0,
    sink_rows_s=100_000.0,
)


def rate(processes: int, cores: int, times: ServiceTimes = TIMES) -> float:
    return Backlog(times, processes, cores, 2_000_000.0).rate()


def test_one_process_with_cores_to_spare_goes_as_fast_as_its_main_thread() -> None:
    assert rate(1, 8) == pytest.approx(1e6, rel=0.02)


def test_many_processes_on_few_cores_share_all_of_them() -> None:
    # Every row takes 1.5 us of some core.
    assert rate(4, 2) == pytest.approx(2 / 1.5e-6, rel=0.05)


def test_processes_on_cores_of_their_own_add_up() -> None:
    assert rate(4, 64) == pytest.approx(4 * rate(1, 64), rel=0.01)


def test_a_process_waits_for_a_broker_that_is_slower_than_it() -> None:
    slow = msgspec.structs.replace(TIMES, broker_ns=5_000.0)
    assert rate(1, 8, slow) == pytest.approx(2e5, rel=0.02)


def test_an_uneven_share_holds_all_up_where_cores_do_not() -> None:
    uneven = Backlog(TIMES, 2, 64, 2_000_000.0, [0.75, 0.25]).rate()
    assert uneven == pytest.approx(1e6 / 0.75, rel=0.02)


@pytest.mark.slow
def test_a_row_waits_longer_the_more_the_process_has_to_do_and_for_ever_beyond_its_reach() -> None:
    waits = [delay_ms(TIMES, rows, 100.0, seconds=5)[1] for rows in (1e5, 2e6, 4e6)]
    assert waits == sorted(waits)
    assert waits[-1] < math.inf
    assert delay_ms(TIMES, 8e6, 100.0, seconds=5)[1] == math.inf


def test_closing_a_second_of_many_instruments_is_what_rows_wait_for() -> None:
    few, many = (delay_ms(TIMES, 1e5, instruments, seconds=5)[1] for instruments in (100.0, 100_000.0))
    assert many > few + 50.0


def test_the_heaviest_partition_carries_at_least_its_share_and_the_loudest_instrument() -> None:
    draw = np.random.default_rng(1)
    assert 1 / 8 <= heaviest(np.ones(4_000), 8, draw) < 1.2 / 8
    loud = np.ones(100)
    loud[0] = 300.0
    assert heaviest(loud, 8, draw) >= 300 / 399


@pytest.mark.slow
def test_a_larger_market_takes_no_less_of_anything() -> None:
    small, large = (plan(TIMES, Scenario("x", 2_000, rows, rows, 6.5), Assumptions()) for rows in (1e5, 2e6))
    for field in ("processes", "partitions", "engine_cores", "broker_cores", "machines", "log_gb", "cost_month"):
        assert getattr(large, field) >= getattr(small, field), field


def test_a_market_that_one_process_carries_is_planned_with_one() -> None:
    found = plan(TIMES, Scenario("x", 2_000, 2_000.0, 2_000.0, 6.5, zipf=0.0), Assumptions())
    assert found.processes == 1
    assert found.brokers == 3


def scaled(busy: float, main: float) -> GroupRun:
    share = Share("e", 1_000, 10, main + 1.0, main)
    return GroupRun(10.0, 1_000, 1, 1, 1, (share,), 5.0, {}, MachineTime(busy, 20.0 - busy, 0.0))


def test_a_run_is_bound_by_the_cores_or_by_a_thread_or_waits() -> None:
    told = "the cores (0.70 by engines, 0.50 by the broker, 0.75 by all else, of 2)"
    assert bound(scaled(19.5, 6.0), 2) == told
    assert bound(scaled(15.0, 9.5), 2) == "one thread of an engine (95% busy)"
    assert bound(scaled(12.0, 6.0), 2).startswith("waiting: the busiest thread worked 60%")
