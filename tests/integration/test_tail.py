"""`tapewatch tail` against a real broker: frames, messages, dead letters, transactions, positions and filters."""

import json
import uuid
from typing import Any

import numpy as np
import pytest

from tapewatch import cli
from tapewatch.contract.frames import FrameHeaders, encode
from tapewatch.contract.rows import Rows, RowType
from tapewatch.contract.topics import TopicSpec
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses

AT = 1_700_000_000_000_000_000


def frame(prices: list[float]) -> bytes:
    count = len(prices)
    times = AT + np.arange(count, dtype=np.int64)
    return encode(
        Rows(
            RowType.TRADE,
            ["2330.XTAI", "0050.XTAI"],
            {
                "instrument": (np.arange(count) % 2).astype(np.int32),
                "ts_event": times,
                "ts_recv": times,
                "price": np.array(prices),
                "qty": np.full(count, 2.0),
                "aggressor_side": np.ones(count, dtype=np.int8),
                "condition": np.zeros(count, dtype=np.int8),
            },
        )
    )


@pytest.fixture(autouse=True)
def reached(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds the session's broker through the environment."""
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", settings.kafka.bootstrap)


@pytest.fixture(scope="module")
def topic(stack: Addresses) -> str:
    """Two partitions: one with numbered messages, then an aborted and a committed transaction; one with frames."""
    settings = Settings(kafka=KafkaSettings(bootstrap=stack.bootstrap))
    name = f"tail-{uuid.uuid4().hex[:8]}"
    kafka.create_topics(settings, [TopicSpec(name, 2)])
    plain = kafka.producer(settings, linger_ms=0)
    for n in range(20):
        value = json.dumps({"instrument": "2330.XTAI" if n == 3 else "AAPL.XNAS", "n": n}).encode()
        plain.produce(name, value, key=b"k", partition=0)
    headers = FrameHeaders("trade", "test", 1, 0, AT).to_kafka()
    plain.produce(name, frame([1.5, 2.5, 3.5]), partition=1, headers=headers)
    refused = [("reason", b"nan_price"), ("detail", b"price is NaN\x1b[2J"), ("topic", b"market.x")]
    plain.produce(name, frame([float("nan")]), partition=1, headers=refused)
    plain.produce(name, b"\x00\xfe\x1b[2J", partition=1)
    assert plain.flush(30) == 0
    for commits in (False, True):
        sender = kafka.producer(settings, transactional_id=f"{name}-{commits}")
        sender.init_transactions(30)
        sender.begin_transaction()
        sender.produce(name, json.dumps({"committed": commits}).encode(), partition=0)
        sender.flush(30)
        (sender.commit_transaction if commits else sender.abort_transaction)(30)
    return name


def tailed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["tail", *arguments, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    tree: dict[str, Any] = json.loads(out)
    return tree


def numbers(tree: dict[str, Any]) -> list[int]:
    return [record["value"]["n"] for record in tree["records"] if "n" in record["value"]]


def test_newest_records_come_oldest_first_without_aborted_ones(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    tree = tailed(capsys, topic, "--partition", "0", "--count", "4")
    assert [record["value"] for record in tree["records"][-1:]] == [{"committed": True}]
    assert numbers(tree) == [17, 18, 19]


def test_beginning_and_offset_start_there_and_count_stops(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    zero = (topic, "--partition", "0")
    assert numbers(tailed(capsys, *zero, "--from", "beginning", "--count", "3")) == [0, 1, 2]
    assert numbers(tailed(capsys, *zero, "--from", "18", "--count", "99")) == [18, 19]
    assert numbers(tailed(capsys, *zero, "--from", "5", "--count", "2", "--follow")) == [5, 6]
    assert tailed(capsys, *zero, "--from", "999999")["records"] == []


def test_instrument_is_found_however_far_back_it_lies(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    tree = tailed(capsys, topic, "--instrument", "2330.XTAI", "--count", "9")
    kinds = {record["kind"]: record for record in tree["records"]}
    assert kinds["json"]["value"]["n"] == 3
    first = next(record for record in tree["records"] if record["kind"] == "frame")
    assert [row["price"] for row in first["rows"]] == [1.5, 3.5]
    assert first["headers"]["sequence"] == "0"


def test_text_shows_rows_reason_and_no_control_characters(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tail", topic, "--partition", "1", "--from", "beginning"]) == 0
    out = capsys.readouterr().out
    assert "refused: nan_price: price is NaN\\x1b[2J" in out
    assert "\x1b" not in out
    assert "2330.XTAI" in out
    assert "6 bytes: 00fe1b5b 324a" in out


def test_unknown_topic_names_those_that_exist(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tail", "alrets"]) == 1
    error = capsys.readouterr().err
    assert "there is no topic alrets" in error
    assert topic in error


def test_partition_that_does_not_exist_and_wrong_place_are_refused(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["tail", topic, "--partition", "2"]) == 1
    assert "0 to 1" in capsys.readouterr().err
    assert cli.main(["tail", topic, "--from", "yesterday"]) == 1
    assert "beginning, end or an offset" in capsys.readouterr().err
