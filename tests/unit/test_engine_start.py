"""What an engine's start costs: after a death the others wait for it."""

import subprocess
import sys

import pytest

_LOADED = """
import sys
import streams.engine.process
print(*({"pandas", "sklearn", "torch", "xgboost", "scipy.optimize", "sqlalchemy"} & sys.modules.keys()))
"""


@pytest.mark.slow
def test_engine_starts_without_what_only_training_and_tables_need() -> None:
    done = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
