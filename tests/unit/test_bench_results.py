"""Results: figures, the tables made of them, and when a soak counts as flat."""

import numpy as np
import pytest

from benchmarks.figures import Figure
from benchmarks.report import engine_table, filled, peers_table
from benchmarks.soak_market import judged

FACTS = {
    "versions": {"tapewatch": "0.1.0"},
    "machine": {"cpu": "Some CPU", "cores": 2, "python": "3.11.7", "load_before": 0.1},
}
FIGURE = {"min": 1.0, "median": 2000.0, "max": 3000.0}


def test_a_figure_states_least_median_and_most():
    assert Figure.of([3.0, 1.0, 2.0]) == Figure(1.0, 2.0, 3.0)


def test_a_table_replaces_what_stood_between_its_marks():
    page = "before\n<!-- x -->\nold\n<!-- end x -->\nafter\n"
    assert filled(page, "x", "new") == "before\n<!-- x -->\nnew\n<!-- end x -->\nafter\n"


def test_a_page_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="no place"):
        filled("nothing here", "x", "new")


def test_the_engine_table_has_a_row_for_each_number_of_instruments():
    size = {"input": {"rows": 4000000}, "quotes_per_s": FIGURE, "cpu_ns_per_quote": FIGURE, "engine_rss_mib": FIGURE}
    memory = {"bytes_per_instrument": FIGURE, "state_bytes_per_instrument": 10}
    result = {**FACTS, **memory, "runs": 3, "stages": "features", "instruments": {"2000": size, "100": size}}
    lines = engine_table(result).splitlines()
    assert lines[2].startswith("| 100 | 4,000,000 | 2,000 (1 to 3,000)")
    assert lines[3].startswith("| 2,000 |")


def test_the_peers_table_states_versions_and_ratios():
    run = {"version": "9.9", "guarantee": "exactly-once", "quotes": 5, "quotes_per_s": 10.0, "cpu_ns_per_quote": 7.0}
    ours = {"input": {"rows": 5}, "quotes_per_s": 100.0, "cpu_ns_per_quote": 1.0}
    result = {**FACTS, **ours, "peers": {"p": run}, "ratios": {"p": 10.0}}
    assert "| p | 9.9 | exactly-once | 5 | 10 | 7 | 10 times |" in peers_table(result)


def test_memory_that_settles_after_the_windows_are_full_is_flat():
    times = list(np.arange(0.0, 3600.0, 10.0))
    values = [min(200.0, 100.0 + second / 9.0) for second in times]
    assert judged(times, values).flat


def test_memory_that_keeps_growing_is_not_flat():
    times = list(np.arange(0.0, 3600.0, 10.0))
    memory = judged(times, [100.0 + second / 20.0 for second in times])
    assert not memory.flat
    assert memory.slope_mib_per_hour == pytest.approx(180.0)


def test_a_run_that_ends_before_windows_are_full_tells_nothing():
    assert judged([0.0, 10.0, 20.0], [100.0, 200.0, 300.0]).flat is None
