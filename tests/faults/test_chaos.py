"""The short run of the fault kit: a site of its own, every lane of faults, nothing lost, doubled or different."""

import json
import os
import subprocess
import sys

import pytest

SHORT = (
    *("chaos", "--minutes", "1", "--seed", "7", "--per-minute", "10", "--json"),
    *("--rate", "1500", "--instruments", "60", "--database-mb", "1024"),
    # The stages that are left out have kill tests of their own beside this one.
    *("--without", "elasticsearch,evidence,paper"),
)


@pytest.mark.slow  # a minute under faults, and a site to start and to verify
@pytest.mark.timeout(1500)
def test_short_run_under_faults_loses_doubles_and_changes_nothing() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
    words = [sys.executable, "-m", "tapewatch", *SHORT]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout, done.stderr[-3000:]
    result = json.loads(done.stdout)
    found = {key: result[key] for key in ("lost", "duplicated", "different", "problems")}
    assert found == {"lost": 0, "duplicated": 0, "different": 0, "problems": []}, done.stderr[-3000:]
    assert done.returncode == 0
    assert result["rows_in"] > 50_000
    # By the verifier that imports nothing of ours: every row but those of records that no reader can open.
    assert result["verified"]["foreign"] == {"lost": 0, "duplicated": 0, "different": 0}
    assert 0 <= result["rows_in"] - result["counted_again"] < 100
    assert result["faults_in_all"] >= 4
    assert len(result["faults"]) >= 4
    assert sum(each["times"] for each in result["by_fault"]) == result["faults_in_all"]
