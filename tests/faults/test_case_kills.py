"""The case stage's one promise: however often it dies, each case has one chain of revisions and each command one
answer.
"""

import collections
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Case, CaseAnswer, stable_id
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings
from tests.eventually import eventually
from tests.unit.case_scene import alert, command

pytestmark = pytest.mark.slow  # a real process, killed and started again

EPISODES = 75
KILLS = 4
DEADLINE_S = 120.0
LOG = "stage.log"


class Load:
    """Episodes of 40 instruments, each with three revisions and a day's work on its case, one record at a time.

    Every fifth command is sent twice. left : records that are not sent yet
    """

    def __init__(self, settings: Settings) -> None:
        self._producer = kafka.producer(settings, linger_ms=0)
        self.alerts, self.commands = {}, []
        self.left = []
        for number in range(EPISODES):
            name = f"K{number % 40}.XTAI"
            revisions = [alert(instrument=name, begin=9000.0 * number, revision=each) for each in range(3)]
            self.alerts[revisions[0].id] = stable_id(f"share:{name}", revisions[0].id)
            case = self.alerts[revisions[0].id]
            work = [
                command("assign", case, owner="ann"),
                command("close", case, disposition="reported"),
                command("approve", case, who="bob"),
                command("approve", case, who="eve"),
            ]
            self.commands += work
            for step in (revisions[0], work[0], revisions[1], work[1], work[2], revisions[2], work[3]):
                self.left.append((step, number % 4))
                if isinstance(step, messages.CaseCommand) and int(step.id, 16) % 5 == 0:
                    self.left.append((step, number % 4))
        self.left.reverse()

    def send(self, count: int) -> None:
        """Send the next records."""
        for _ in range(min(count, len(self.left))):
            message, partition = self.left.pop()
            where = partition if isinstance(message, messages.Alert) else 0
            self._producer.produce(message.TOPIC, messages.encode(message), message.id.encode(), where)
        self._producer.flush()


def start(settings: Settings) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TAPEWATCH_KAFKA_BOOTSTRAP": settings.bootstrap()}
    words = [sys.executable, "-m", "tapewatch", "--data", str(settings.data_path), "run", "cases", "--quiet"]
    with (settings.data_path / LOG).open("ab") as log:
        return subprocess.Popen(words, env=environment, stderr=log)


def said(settings: Settings) -> str:
    """The end of what the stage said."""
    return (settings.data_path / LOG).read_text()[-4000:]


def position(settings: Settings) -> int:
    """Sum of the group's committed offsets."""
    reader = kafka.consumer(settings, settings.cases.group)
    try:
        many = settings.topics.market_partitions
        places = [TopicPartition(topics.ALERTS, each) for each in range(many)]
        found = group_offsets.committed(reader, [*places, TopicPartition(topics.CASE_COMMANDS, 0)])
        return sum(place.offset for place in found if place.offset > 0)
    finally:
        reader.close()


def moved(settings: Settings, since: int) -> None:
    """Wait until the stage has committed something."""
    eventually(
        lambda: position(settings) > since,
        what="the stage goes on", seconds=DEADLINE_S, pause=0.02, told=lambda: said(settings),
    )  # fmt: skip


def test_kills_double_no_revision_and_no_answer_and_lose_none(settings: Settings) -> None:
    kafka.create_topics(settings, topics.shared_topics(settings.topics) + topics.case_topics(settings.topics))
    load, rng = Load(settings), random.Random(7)
    process = start(settings)
    try:
        for kill in range(KILLS):
            before = position(settings)
            load.send(25)
            if kill % 3 < 2:
                moved(settings, before)
                for _ in range(rng.randrange(2, 12)):
                    load.send(4)
                    time.sleep(rng.uniform(0.0, 0.01))
            else:
                time.sleep(rng.uniform(0.5, 1.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start(settings)
        load.send(10_000)
        cases, answers = settled(settings, load)
        process.terminate()
        assert process.wait(DEADLINE_S) == 0, said(settings)
    finally:
        process.kill()
        process.wait()
    for first, case in load.alerts.items():
        chain = cases[case]
        assert [each.revision for each in chain] == list(range(len(chain)))
        assert [each.revision for each in chain[-1].alerts if each.id == first] == [2]
        assert all(later.history[: len(each.history)] == each.history for each, later in itertools.pairwise(chain))
        done = [each.command for each in chain[-1].history if each.command]
        accepted = {each.id for each in load.commands if each.case == case and answers[each.id][0].accepted}
        assert sorted(done) == sorted(accepted)
    assert {each.id: len(answers[each.id]) for each in load.commands} == {each.id: 1 for each in load.commands}


def settled(settings: Settings, load: Load):
    """Our cases' revisions and our commands' answers, once all have come."""

    def found() -> tuple[Any, Any] | None:
        # In this order: a command's answer and its case's revision are one transaction.
        answers = by_id(settings, CaseAnswer, "command")
        cases = by_id(settings, Case, "id")
        newest = [cases[case][-1].alerts[0].revision if cases[case] else -1 for case in load.alerts.values()]
        if set(newest) == {2} and all(answers[each.id] for each in load.commands):
            return cases, answers
        return None

    return eventually(found, what="the stage finishes", seconds=DEADLINE_S, pause=0.1, told=lambda: said(settings))


def by_id(settings: Settings, kind, key: str):
    """Every message of a kind by one of its fields, in the order of the log."""
    found = collections.defaultdict(list)

    def keep(record) -> None:
        message = messages.decode(kind, record.value())
        found[getattr(message, key)].append(message)

    kafka.read_all(settings, kind.TOPIC, keep)
    return found
