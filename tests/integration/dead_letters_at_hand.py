"""What tests of dead letters share: letters as their writers make them, the command, and what was replayed."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Message

from tapewatch.commands import dlq
from tapewatch.contract import frames, topics
from tapewatch.dlq import replaying
from tapewatch.market_log import dead_letters
from tapewatch.market_log.admission import REPLAY_SOURCE
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.unit import engine_market as m


def bury(settings: Settings, *letters: DeadLetter) -> None:
    """Write dead letters."""
    kafka.create_topics(settings, [topics.dead_letter_topic(letter.topic) for letter in letters])
    producer = kafka.producer(settings)
    for letter in letters:
        producer.produce(letter.topic, letter.value, headers=list(letter.headers), partition=0)
    assert producer.flush(30) == 0


def strangers(topic: str, names: Sequence[str], count: int) -> list[DeadLetter]:
    """Quotes that the engine refused since nobody had registered their instruments, in turns; one an offset."""
    made = []
    for number in range(count):
        rows = m.rows_of([m.quote(names[number % len(names)], number / 1000, 99, 101, last=1.0 + number)], names)
        frame = frames.encode(rows)
        made.append(dead_letters.of_rows((topic, 0, number), "unregistered_instrument", rows.type, [0], frame))
    return made


def call(settings: Settings, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """`tapewatch dlq ... --json`: exit code and document."""
    code, out = _run(settings, capsys, *words, "--json")
    return code, json.loads(out)


def printed(settings: Settings, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What `tapewatch dlq ...` prints for people."""
    return _run(settings, capsys, *words)[1]


def _run(settings: Settings, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    dlq.configure(parser)
    capsys.readouterr()
    code = dlq.run(parser.parse_args(words), settings)
    return code, capsys.readouterr().out


def replayed(settings: Settings, topic: str) -> list[Message]:
    """The replayed records of a market topic, in their order in each partition."""
    found: list[Message] = []

    def keep(message: Message) -> None:
        if dict(message.headers() or ()).get("source") == REPLAY_SOURCE.encode():
            found.append(message)

    kafka.read_all(settings, topic, keep)
    return found


def told(settings: Settings, topic: str) -> list[str]:
    """The letters of a dead-letter topic that are written down as replayed."""
    return [letter for letter, _ in replaying.known(settings).by_letter if letter.startswith(f"{topic}@")]
