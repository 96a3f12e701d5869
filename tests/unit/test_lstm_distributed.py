"""Training the LSTM in two processes: the same steps as one process takes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detectors.forecast.lstm import distributed, training
from tests.needs import needs
from tests.unit.lstm_sample import RECIPE, ROWS, sample

pytestmark = needs("torch")

_ROOT = Path(__file__).resolve().parents[2]
_SECOND = """
import json, sys
from pathlib import Path
from detectors.forecast.lstm import distributed
from tests.unit.lstm_sample import RECIPE, sample
fitted = distributed.fit(*sample(), RECIPE)
state = {name: value.tolist() for name, value in fitted.state.items()}
Path(sys.argv[1]).write_text(json.dumps({"losses": fitted.losses.tolist(), "state": state}))
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.slow
# A second Python process starts, with torch; what torchrun would tell both is in their environment.
def test_two_processes_take_the_steps_of_one_with_dropout(tmp_path, monkeypatch):
    alone = training.fit(*sample(), RECIPE)
    told = {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
        "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(_ROOT),
    }  # fmt: skip
    file = tmp_path / "second.json"
    for name, word in told.items():
        monkeypatch.setenv(name, word)
    monkeypatch.setenv("RANK", "0")
    with subprocess.Popen(
        [sys.executable, "-c", _SECOND, str(file)], cwd=_ROOT, env={**os.environ, "RANK": "1"}
    ) as process:
        first = distributed.fit(*sample(), RECIPE)
        assert process.wait(600) == 0
    second = json.loads(file.read_text())
    assert first.losses.tolist() == second["losses"]
    assert {name: value.tolist() for name, value in first.state.items()} == second["state"]
    assert len(first.losses) == 2 * (ROWS // 32)
    np.testing.assert_allclose(first.losses, alone.losses, rtol=0, atol=1e-5)
    for name, value in alone.state.items():
        np.testing.assert_allclose(first.state[name], value, rtol=0, atol=1e-5)


def test_shares_of_a_step_are_equal_and_together_the_step():
    step = next(training.schedule(ROWS, RECIPE))
    shares = [distributed.share(step, rank, 4) for rank in range(4)]
    assert [len(each.rows) for each in shares] == [8] * 4
    assert np.array_equal(np.concatenate([each.rows for each in shares]), step.rows)
    assert np.array_equal(np.concatenate([each.keep for each in shares]), step.keep)


def test_a_batch_that_cannot_be_shared_equally_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="32 rows cannot be shared equally among 3"):
        distributed.fit(*sample(), RECIPE)


def test_without_torchrun_it_is_the_ordinary_run():
    assert np.array_equal(distributed.fit(*sample(), RECIPE).losses, training.fit(*sample(), RECIPE).losses)
