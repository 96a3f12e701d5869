"""A stage whose broker stops answering under Faust's start: it ends when told, and works once the broker is back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from infra import embedded
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Case
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually, runs
from tests.unit.case_scene import alert

pytestmark = pytest.mark.slow  # a stack of its own, whose broker is stopped, and a stage that begins twice

DEADLINE_S = 120.0


def begun(settings: Settings, log: Path) -> "subprocess.Popen[bytes]":
    """A case stage that has read its state and is about to start Faust."""
    command = [sys.executable, "-P", "-m", "tapewatch", "--data", settings.data, "run", "cases", "--quiet"]
    env = os.environ | {"TAPEWATCH_KAFKA_BOOTSTRAP": settings.kafka.bootstrap}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)
    eventually(
        lambda: runs(process, log.read_text) and "state read" in log.read_text(),
        what="the stage has read its state", seconds=DEADLINE_S, pause=0.01, told=log.read_text,
    )  # fmt: skip
    return process


def cases(settings: Settings) -> list[Case]:
    found: list[Case] = []
    kafka.read_all(settings, topics.CASES, lambda one: found.append(messages.decode(Case, one.value() or b"")))
    return found


def test_stage_ends_when_told_while_its_broker_does_not_answer_and_works_when_it_does(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    addresses = embedded.start(settings, owner_pid=os.getpid())
    settings = msgspec.structs.replace(
        settings, kafka=msgspec.structs.replace(settings.kafka, bootstrap=addresses.bootstrap)
    )
    processes = []
    try:
        processes.append(begun(settings, tmp_path / "first"))
        os.kill(addresses.pids["kafka"], signal.SIGSTOP)
        time.sleep(3)
        processes[0].terminate()
        assert processes[0].wait(DEADLINE_S) == 0, (tmp_path / "first").read_text()
        os.kill(addresses.pids["kafka"], signal.SIGCONT)

        processes.append(begun(settings, tmp_path / "second"))
        first = alert(instrument="K1.XTAI", begin=0.0, revision=0)
        kafka.enqueue(producer := kafka.producer(settings), topics.ALERTS, messages.encode(first), partition=0)
        assert not producer.flush(30)
        eventually(
            lambda: [each for each in cases(settings) if first.id in {one.id for one in each.alerts}],
            what="the alert has a case", seconds=DEADLINE_S, pause=0.2, told=(tmp_path / "second").read_text,
        )  # fmt: skip
        processes[1].terminate()
        assert processes[1].wait(DEADLINE_S) == 0, (tmp_path / "second").read_text()
    finally:
        for process in processes:
            process.kill()
            process.wait()
        embedded.stop(settings.data_path)
