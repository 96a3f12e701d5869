"""`tapewatch produce` against a real broker: what is sent twice is the same twice; synthetic rows keep the clock."""

import gzip
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from producers.feed import FeedWriter, LiveWriter, feed_producer, open_feed, read_tail
from producers.live import SyntheticFeed, run_synthetic
from producers.replay import replay
from producers.synthetic import SyntheticConfig
from tapewatch import cli
from tapewatch.clock import WALL
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import TapewatchError
from tapewatch.market_log.admission import Admission
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

START_MS = 1_500_000_000_000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Trades of one symbol over three minutes, and two lines that are none."""
    lines = ["symbol,timestamp,datetime,side,price,amount,btc_volume"]
    for n in range(60):
        at, side = START_MS + n * n * 50, ("buy", "sell")[n % 2]
        lines.append(f"ZED/BTC,{at},2017-07-14T02:40:00,{side},0.0{n + 100},{n + 1}.5,0.1")
    lines[20:20] = ["ZED/BTC,not a time,x,buy,1,1,1", "ZED/BTC,1500000000000,x,give,1,1,1"]
    path = tmp_path / "ZED.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def feed() -> str:
    return f"t-{uuid.uuid4().hex[:10]}"


def log(settings: Settings, topic: str) -> list[Message]:
    found: list[Message] = []
    kafka.read_all(settings, topic, found.append)
    return found


def headers(message: Message) -> dict[str, bytes]:
    return {name: bytes(value or b"") for name, value in message.headers() or []}


def without_time(message: Message) -> tuple[bytes, dict[str, bytes]]:
    read = headers(message)
    read.pop("produced_at")
    return bytes(message.value() or b""), read


def test_recording_sent_twice_is_the_same_frames_and_is_admitted_once(settings: Settings, recording: Path) -> None:
    name = feed()
    first = replay(settings, [recording], feed=name)
    second = replay(settings, [recording], feed=name, speed=10_000.0)
    messages = log(settings, first.topic)
    assert len(messages) == 2 * first.frames
    sent, again = messages[: first.frames], messages[first.frames :]
    assert [without_time(message) for message in sent] == [without_time(message) for message in again]
    assert first.rows == second.rows == {"trade": 60}
    registry = Registry(settings)
    admission = Admission(registry)
    admitted = [
        admission.admit(message.value(), message.headers(), message.timestamp()[1] * 1_000_000) for message in messages
    ]
    registry.close()
    assert sum(one.view.rows for one in admitted[: first.frames] if one) == 60 + first.heartbeats
    assert not any(one.refused for one in admitted if one)
    assert admitted[first.frames :] == [None] * first.frames


def test_refused_lines_are_dead_letters_once(settings: Settings, recording: Path) -> None:
    name = feed()
    summaries = [replay(settings, [recording], feed=name) for _ in range(2)]
    assert [summary.dead_letters for summary in summaries] == [2, 0]
    letters = log(settings, f"market.{name}.dlq")
    read = [headers(letter) for letter in letters]
    assert [(one["kind"], one["file"], one["line"]) for one in read] == [
        (b"line", b"ZED.csv.gz", b"21"),
        (b"line", b"ZED.csv.gz", b"22"),
    ]
    assert {one["reason"].decode() for one in read} == set(summaries[0].refused)
    assert letters[0].value() == b"ZED/BTC,not a time,x,buy,1,1,1"


def test_topic_that_exists_keeps_its_partitions(settings: Settings, recording: Path) -> None:
    name, said = feed(), list[str]()
    assert replay(settings, [recording], feed=name, partitions=3).partitions == 3
    again = replay(settings, [recording], feed=name, partitions=2, say=said.append)
    assert again.partitions == 3
    assert "exists with 3 partitions" in said[0]


def test_default_feed_is_named_after_the_recording(settings: Settings, recording: Path) -> None:
    summary = replay(settings, [recording])
    assert summary.feed == f"replay-{summary.fingerprint[:12]}"
    assert summary.source == f"replay-{summary.fingerprint}"
    assert summary.partitions == 1


def test_command_prints_one_json_document(
    settings: Settings, recording: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", settings.kafka.bootstrap)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        assert cli.main(["produce", "replay", str(recording), "--feed", feed(), "--json"]) == 0
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            signal.signal(number, handler)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    summary: dict[str, Any] = json.loads(out)
    assert summary["rows"] == {"trade": 60}
    assert summary["complete"] is True


def show(name: str, back_date_s: int = 30, seconds: int = 2) -> SyntheticFeed:
    config = SyntheticConfig(instruments=6, sectors=2, rows_per_second=80.0, warmup_s=float(back_date_s))
    return SyntheticFeed(config, 5, name, back_date_s, seconds, partitions=2)


def test_synthetic_market_follows_the_clock_and_a_second_run_goes_on_after_the_first(settings: Settings) -> None:
    name, said = feed(), list[str]()
    first = run_synthetic(settings, show(name))
    second = run_synthetic(settings, show(name, seconds=1), say=said.append)
    assert first.back_dated_s >= 30
    assert second.epoch > first.epoch
    assert second.started > first.ended
    assert "starting right after" in said[0]
    registry = Registry(settings)
    admissions = [Admission(registry), Admission(registry)]
    for message in log(settings, first.topic):
        admitted = admissions[message.partition() or 0].admit(
            message.value(),
            message.headers(),
            message.timestamp()[1] * 1_000_000,
        )
        assert admitted is not None
        assert admitted.refused == 0
    registry.close()


def test_replay_into_a_feed_of_newer_rows_is_refused(settings: Settings, recording: Path) -> None:
    name = feed()
    partitions = open_feed(settings, name, [Instrument(id="ZED.SIMX")])
    live = LiveWriter(FeedWriter(feed_producer(settings, 1), name, "synthetic", 1, partitions, ["ZED.SIMX"]))
    live.close(WALL.now())
    assert read_tail(settings, name).epochs == {"synthetic": 1}
    with pytest.raises(TapewatchError, match="would be refused as late"):
        replay(settings, [recording], feed=name)


def test_terminated_producer_flushes_and_writes_labels_and_summary(settings: Settings, tmp_path: Path) -> None:
    name, labels = feed(), tmp_path / "labels.csv"
    call = "import sys; from tapewatch.cli import main; sys.exit(main())"
    market = "produce synthetic --instruments 4 --rows-per-second 40 --back-date 5 --json"
    process = subprocess.Popen(
        [sys.executable, "-c", call, *market.split(), "--feed", name, "--labels", str(labels)],
        env={**os.environ, "TAPEWATCH_KAFKA_BOOTSTRAP": settings.kafka.bootstrap},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert process.stderr is not None
        while "following the clock" not in (line := process.stderr.readline()):
            assert line, "the producer ended before it followed the clock"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0
    summary = json.loads(out)
    assert len(log(settings, topics.market(name))) == summary["frames"]
    assert labels.read_text().startswith("scenario,instrument,start,end\n")
