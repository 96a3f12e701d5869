"""Signals of the real engine: the same bytes as the brokerless driver's, counted in commits, proved from the log."""

from collections.abc import Iterator

import msgspec
import pytest

from streams.engine.detector_config import DetectorConfig
from streams.engine.model_store import KafkaModelStore
from streams.engine.models import Control
from streams.engine.policy import DDQN, SHADOW
from streams.engine.verification import verify_signal
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.messages import Commit, Signal
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import CONTROL_SOURCE
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses
from tests.integration.engine_feed import Feed
from tests.unit import engine_market as m
from tests.unit.virtual_policy import EAGER, made

SECONDS = 90


def promote_here(feed: Feed) -> None:
    """Let this feed alone begin with a policy and its shadow."""
    producer, models = kafka.producer(feed.settings), {DDQN: made(1), SHADOW: made(4)}
    KafkaModelStore(feed.settings).publish(model.encoded() for model in models.values())
    wanted = Control({name: model.hash for name, model in models.items()}, DetectorConfig(policy=EAGER))
    headers = FrameHeaders("status", CONTROL_SOURCE, 1, 0, 1).to_kafka()
    said = msgspec.json.encode(wanted).decode()
    producer.produce(feed.topic, control_rows.frame(said, m.START * 10**9), partition=0, headers=headers)
    assert producer.flush(30) == 0


@pytest.fixture(scope="module")
def feed(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    """A feed on which two policies acted, with snapshots on the way."""
    settings = Settings(
        data=str(tmp_path_factory.mktemp("signals")),
        kafka=msgspec.structs.replace(Settings().kafka, bootstrap=stack.bootstrap),
    )
    events = m.RandomMarket(seed=8, seconds=SECONDS, rate=3.0).events()
    names = m.names_in(events)
    made = Feed(settings, names[1:], snapshot_seconds=0.001)
    promote_here(made)
    with made.engine():
        for number, frame in enumerate(m.frames_of(events)):
            made.send(frame, names)
            if number % 100 == 99:
                made.wait()
    yield made


def test_signals_are_those_of_the_brokerless_driver(feed: Feed) -> None:
    driven = feed.driven(KafkaModelStore(feed.settings))
    for topic in (topics.SIGNALS, topics.SHADOW_SIGNALS):
        wanted = [(record.key, record.value) for record in driven if record.topic == topic]
        found = [(message.key(), message.value()) for message in feed.written(topic)]
        assert wanted
        assert sorted(found) == sorted(wanted)


def test_commits_count_the_signals_and_name_the_policies(feed: Feed) -> None:
    commits: list[Commit] = []
    kafka.read_all(
        feed.settings, topics.COMMITS, lambda message: commits.append(messages.decode(Commit, message.value() or b""))
    )
    mine = [commit for commit in commits if commit.topic == feed.topic]
    assert sum(commit.signals for commit in mine) == len(feed.written(topics.SIGNALS))
    assert (mine[-1].models[DDQN], mine[-1].models[SHADOW]) == (made(1).hash, made(4).hash)


@pytest.mark.parametrize("topic", [topics.SIGNALS, topics.SHADOW_SIGNALS])
def test_a_signal_is_proved_from_the_log_and_a_changed_one_is_not(feed: Feed, topic: str) -> None:
    message = feed.written(topic)[-1]
    signal = messages.decode(Signal, message.value() or b"")
    proof = verify_signal(feed.settings, signal.id)
    assert proof is not None and proof.identical
    changed = messages.encode(msgspec.structs.replace(signal, position=signal.position + 1.0))
    producer = kafka.producer(feed.settings)
    producer.produce(topic, changed, message.key(), partition=message.partition(), headers=message.headers())
    assert producer.flush(30) == 0
    proof = verify_signal(feed.settings, signal.id)
    assert proof is not None and not proof.identical
    assert "position" in proof.findings[-1].differences[0]


def test_an_unknown_signal_is_none(feed: Feed) -> None:
    assert verify_signal(feed.settings, "0" * 32) is None
