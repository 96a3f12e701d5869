"""The tables of docs/operations.md are what the result files say."""

import json
from pathlib import Path

from benchmarks import operations_tables

UPGRADE = {
    "old": {"source": "commit abc", "hash": "1" * 16, "snapshot_format": 5},
    "new": {"source": "this tree", "hash": "2" * 16, "snapshot_format": 5},
    "steps": [{"process": "engine-1", "to": "new", "took_s": 9.5, "stall_s": 7.25}],
    "seconds": 120.0,
    "rows_in": 1_234_567,
    "lost": 1,
    "duplicated": 2,
    "different": 3,
    "longest_stall_s": 8.0,
    "longest_engine_stall_s": 7.2,
    "commits": {"1" * 16: 1000, "2" * 16: 2000},
    "recovered": [{"snapshot_offset": 7}, {"snapshot_offset": 0}],
    "unreadable_snapshots": 0,
    "plan": {"rows_per_second": 2000.0, "instruments": 60},
    "where": {"cpu": "A", "cores": 2, "load_before": 0.3},
}
DISASTER = {
    "restored": [{"what": "PostgreSQL", "how": "`db migrate`", "seconds": 12.34, "proved": "all rows"}],
    "rows": 1_000_000,
    "alerts": 12,
    "log_mib": 321.0,
    "machine": {"cpu": "A", "cores": 2, "load_before": 0.3},
}
PAGE = "".join(f"<!-- {name} -->\nold\n<!-- end {name} -->\n" for name in operations_tables.TABLES)


def test_tables_state_steps_losses_and_what_was_lost(tmp_path: Path) -> None:
    (tmp_path / "rolling-upgrade.json").write_text(json.dumps(UPGRADE))
    (tmp_path / "disaster.json").write_text(json.dumps(DISASTER))
    page = operations_tables.page(PAGE, tmp_path)
    assert "| engine-1 | the new build | 9.5 | 7.2 |" in page
    assert "**1,234,567 rows in, 1 lost, 2 duplicated, 3 different**" in page
    assert "1 of 2 times" in page
    assert "| PostgreSQL | `db migrate` | 12.3 | all rows |" in page
    assert "old\n" not in page


def test_page_without_results_says_so(tmp_path: Path) -> None:
    assert operations_tables.page(PAGE, tmp_path).count(operations_tables.NOT_MEASURED) == len(operations_tables.TABLES)


def test_operations_page_is_in_step_with_the_result_files() -> None:
    assert operations_tables.main(["--check"]) == 0
