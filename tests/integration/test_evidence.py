"""The archiver on a real broker: killed, started again, no revision lost or doubled; alerts outlive their log."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition

from streams.engine.build import build_hash
from streams.evidence.follower import Follower
from tapewatch import cli
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert
from tapewatch.proof.evidence import Archive
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.delivery import EvidenceSettings
from tapewatch.settings.stack import Addresses
from tests.eventually import eventually
from tests.integration.engine_feed import Feed
from tests.unit import engine_market as m
from tests.unit.evidence_scene import pumped_events

COIN = "PROVED.XPMP"


@pytest.fixture(scope="module")
def feed(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    """A feed over which the engine has raised its alerts; the archiver's group stands before them."""
    settings = Settings(
        data=str(tmp_path_factory.mktemp("evidence")),
        kafka=msgspec.structs.replace(Settings().kafka, bootstrap=stack.bootstrap),
    )
    made = Feed(settings, [COIN], snapshot_seconds=0.001)
    made.settings = msgspec.structs.replace(made.settings, evidence=EvidenceSettings(group=f"{made.name}-evidence"))
    kafka.create_topics(made.settings, topics.shared_topics(made.settings.topics))
    begin_at_the_end(made.settings)
    with made.engine():
        for number, frame in enumerate(m.frames_of(pumped_events(COIN))):
            made.send(frame)
            if number % 400 == 399:
                made.wait()
    yield made


def begin_at_the_end(settings: Settings) -> None:
    """Other tests' alerts are none of ours."""
    reader = kafka.consumer(settings, settings.evidence.group)
    count = kafka.existing_topics(kafka.admin(settings))[topics.ALERTS]
    ends = [kafka.watermarks(reader, topics.ALERTS, partition)[1] for partition in range(count)]
    places = [TopicPartition(topics.ALERTS, partition, end) for partition, end in enumerate(ends)]
    reader.commit(offsets=places, asynchronous=False)
    reader.close()


def killed_archiver(feed: Feed) -> int:
    """An archiver that is killed as soon as the first bundle is there; returns how many it left."""
    environment = os.environ | {
        "TAPEWATCH_KAFKA_BOOTSTRAP": feed.settings.kafka.bootstrap,
        "TAPEWATCH_ENGINE_GROUP": feed.settings.engine.group,
        "TAPEWATCH_EVIDENCE_GROUP": feed.settings.evidence.group,
    }
    words = ["--data", feed.settings.data, "run", "evidence", "--instance", feed.name, "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "tapewatch", *words], env=environment)
    bundles = Path(feed.settings.data) / "evidence/bundles"
    eventually(lambda: list(bundles.glob("*.json")), what="a bundle", seconds=90, pause=0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(600)
    return len(list(bundles.glob("*.json")))


def verified(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], alert: str
) -> dict[str, Any]:
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", feed.settings.kafka.bootstrap)
    monkeypatch.setenv("TAPEWATCH_ENGINE_GROUP", feed.settings.engine.group)
    monkeypatch.setattr(logging.getLogger("tapewatch"), "handlers", [])
    assert cli.main(["--data", feed.settings.data, "verify", alert, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


# About 15 s: an engine over 660 s of market, and two starts of the archiver, one as a process of its own.
def test_alert_is_archived_once_however_the_archiver_dies_and_outlives_its_log(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert killed_archiver(feed) >= 1
    follower = Follower(feed.settings, feed.name)
    follower.run(threading.Event(), until_idle_s=1.5)
    archive = Archive(feed.settings)
    entries = archive.entries()
    said = [messages.decode(Alert, each.value()) for each in feed.written(topics.ALERTS)]
    archived = Counter((entry.subject.alert, max(entry.subject.revisions)) for entry in entries)
    assert archived == Counter((alert.id, alert.revision) for alert in said)
    assert all(entry.proved for entry in entries), [entry.problem for entry in entries]
    assert {entry.subject.origin for entry in entries} == {"engine"}
    assert archive.check().intact
    pump = next(alert.id for alert in said if alert.scenario == "pump_and_dump")
    assert verified(feed, monkeypatch, capsys, pump)["source"] == "log"

    upto = TopicPartition(feed.topic, 0, feed.end())
    client = kafka.admin(feed.settings)
    client.delete_records([upto])[upto].result(timeout=15)
    proof = verified(feed, monkeypatch, capsys, pump)
    assert proof["source"] == "bundle"
    assert proof["build"] == build_hash()
    assert len(proof["findings"]) == sum(alert.id == pump for alert in said)
