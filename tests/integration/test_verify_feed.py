"""A whole feed that a real engine worked on is proved from the log; what is written beside it afterwards is told."""

import json
from typing import Any

import msgspec
import pytest

from streams.verifying.feed import verify_feed
from tapewatch import cli
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses
from tests.integration.engine_feed import Feed
from tests.integration.pumped_market import COIN, pumped_market


@pytest.fixture(scope="module")
def feed(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Feed:
    settings = Settings(
        data=str(tmp_path_factory.mktemp("verify-feed")),
        kafka=msgspec.structs.replace(Settings().kafka, bootstrap=stack.bootstrap),
    )
    made = Feed(settings, [COIN])
    made.record(b"no frame")
    for frame in pumped_market():
        made.send(frame)
    with made.engine():
        made.wait()
    return made


def test_feed_of_a_real_engine_is_proved_and_a_second_copy_is_told(
    feed: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    found = verify_feed(feed.settings, feed.name, quiet=True)
    assert found.sound
    rows = {(table.topic, table.type): table.rows for table in found.tables}
    assert rows[topics.ALERTS, "alert"] >= 2
    assert rows[topics.FEATURES, "features"] > 600
    assert rows[topics.dead_letters(feed.topic), "dead letter"] == 1
    assert found.rows_in["trade"] == 1420
    alerts = [message for message in _records(feed, topics.ALERTS) if feed.topic.encode() in message.value()]
    producer = kafka.producer(feed.settings)
    again = alerts[0]
    producer.produce(topics.ALERTS, again.value(), again.key(), partition=again.partition(), headers=again.headers())
    producer.flush(10)
    assert cli.main([*_at(feed), "verify", "--feed", feed.name, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["lost"], told["duplicated"], told["different"]) == (0, 1, 0)
    place = next(place for table in told["tables"] for place in table["places"])
    assert (place["kind"], place["instrument"]) == ("duplicated", COIN)


def test_frames_that_no_engine_has_processed_are_waiting(feed: Feed) -> None:
    nobody = msgspec.structs.replace(feed.settings.engine, group=f"nobody-{feed.name}")
    found = verify_feed(msgspec.structs.replace(feed.settings, engine=nobody), feed.name, wait_s=0.0, quiet=True)
    assert (found.sound, found.waiting, found.rows_out) == (False, feed.sequence, 0)


def test_feed_that_is_not_there_is_named(feed: Feed) -> None:
    with pytest.raises(TapewatchError, match="there is no feed"):
        verify_feed(feed.settings, "nowhere")


def _records(feed: Feed, topic: str) -> list[Any]:
    found: list[Any] = []
    kafka.read_all(feed.settings, topic, found.append)
    return found


def _at(feed: Feed) -> list[str]:
    """Words that point the command at the feed's broker and group."""
    path = feed.settings.data_path / "verify.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    bootstrap, group = feed.settings.bootstrap(), feed.settings.engine.group
    path.write_text(f'[kafka]\nbootstrap = "{bootstrap}"\n[engine]\ngroup = "{group}"\n')
    return ["--settings", str(path)]
