"""The table of docs/reliability.md is what the result file says."""

import json
from pathlib import Path

from benchmarks import chaos_table

RESULT = {
    "minutes": 30.0,
    "seed": 1,
    "rows_in": 20_000_123,
    "lost": 0,
    "duplicated": 2,
    "different": 1,
    "late": 7,
    "longest_stall_s": 9.25,
    "beyond_faults_s": 4.0,
    "faults_in_all": 101,
    "by_fault": [
        {
            "kind": "kill_engine",
            "times": 12,
            "lost": 0,
            "duplicated": 2,
            "longest_stall_s": 9.25,
            "beyond_faults_s": 4.0,
        }
    ],
    "verified": {"topics": {"lost": 0, "duplicated": 2, "different": 1}},
    "where": {"cpu": "A", "cores": 2, "memory_gib": 23.5, "load_before": 0.3},
}
PAGE = "before\n<!-- chaos -->\nold\n<!-- end chaos -->\nafter\n"


def test_table_states_each_fault_and_the_sums(tmp_path: Path) -> None:
    result = tmp_path / "chaos.json"
    result.write_text(json.dumps(RESULT))
    page = chaos_table.page(PAGE, result)
    assert "| `kill_engine` | 12 | 0 | 2 | 9.2 | 4.0 |" in page
    assert "| **all** | **101** | **0** | **2** | **9.2** | **4.0** |" in page
    assert "20,000,123 rows in" in page
    assert "2 duplicated, 1 different, 7 late" in page
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_page_without_a_result_says_so(tmp_path: Path) -> None:
    assert chaos_table.NOT_MEASURED in chaos_table.page(PAGE, tmp_path / "none.json")


def test_reliability_page_is_in_step_with_the_result_file() -> None:
    assert chaos_table.main(["--check"]) == 0
