"""The news stage on a real broker: each item scored once, however often the stage dies; bad records stop nothing."""

import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from typing import Any

import msgspec

from detectors.sentiment.decay import ScoredHeadline, over
from infra.chaos.proxy import Proxy
from streams.news.process import NewsStage
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Factor, News, from_rfc3339
from tapewatch.errors import ContractError
from tapewatch.market_log import dead_letters
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, Settings
from tests.eventually import eventually
from tests.integration.at_work import at_work
from tests.integration.dead_letters_at_hand import bury, call
from tests.integration.postgres_kept import keep, query
from tests.unit.news_scene import TwoWords, item


def prepared(settings: Settings) -> tuple[Settings, str]:
    """Settings with a group of the test's own, and an instrument nobody else speaks of."""
    kafka.create_topics(settings, topics.source_topics(settings.topics))
    own = uuid.uuid4().hex[:8].upper()
    return msgspec.structs.replace(settings, news=msgspec.structs.replace(settings.news, group=f"news-{own}")), own


def stories(own: str, count: int) -> list[News]:
    """Different headlines of one instrument, every fourth a rewording of the one before."""
    found = []
    for each in range(count):
        word = ("good", "bad")[each // 4 % 2]
        said = f"chapter {each // 4 * 4 if each % 4 == 3 else each} of {word} story at {own.lower()} number {each // 4}"
        found.append(item(said, each / 10, f"N{own}.XTST"))
    return found


def send(settings: Settings, *values: bytes) -> None:
    # Compressed, as the sources of news send: who consumes by aiokafka needs its codecs.
    producer = kafka.producer(settings, compression_type="lz4")
    for value in values:
        producer.produce(topics.NEWS, value, None, 0)
    assert not producer.flush(30)


def written(settings: Settings, kind: type[News | Factor], own: str) -> list[Any]:
    """Every message of a kind that speaks of our instrument, in the order of the log."""
    found: list[Any] = []

    def told(record) -> None:
        try:
            found.append(messages.decode(kind, record.value() or b""))
        except ContractError:
            return

    kafka.read_all(settings, kind.TOPIC, told)
    name = f"N{own}.XTST"
    return [each for each in found if name in (each.instruments if kind is News else (each.instrument,))]


def scored(settings: Settings, own: str) -> list[News]:
    return [each for each in written(settings, News, own) if each.sentiment is not None]


def wait_for(settings: Settings, own: str, count: int) -> None:
    eventually(lambda: len(scored(settings, own)) >= count, what=f"{count} stories are scored")


def told_of(said: list[Factor]) -> list[tuple[int, float]]:
    return [(from_rfc3339(each.published_at), each.value) for each in said if each.series == "news_sentiment"]


def test_bad_records_are_dead_letters_and_scored_news_takes_the_place_of_unscored_in_the_tables(ours) -> None:
    ready, own = prepared(ours)
    items = stories(own, 8)
    send(ready, b"{", b"\xff", *map(messages.encode, items[:4]))
    foreign = msgspec.structs.replace(items[0], id="f" * 32, instruments=(f"N{own}.XTST", "<img onerror>"))
    stage = NewsStage(ready, TwoWords())
    with at_work(stage.run):
        wait_for(ready, own, 4)
        send(ready, messages.encode(foreign), *map(messages.encode, items[4:]), messages.encode(items[0]))
        wait_for(ready, own, 8)
    assert Counter(each.id for each in scored(ready, own)) == Counter(each.id for each in items)
    assert stage.totals.refused >= 3
    reasons = Counter[str]()
    kafka.read_all(ready, "news.dlq", lambda record: reasons.update([dict(record.headers())["reason"].decode()]))
    assert reasons["malformed_instrument"] >= 1
    assert reasons["malformed_message"] >= 2
    keep(ready)
    # Sent again without its sentiment, now in a batch of its own: the scored one stays.
    send(ready, messages.encode(items[1]))
    keep(ready)
    found = query(ready, "SELECT sentiment, model FROM v_news WHERE %s = ANY(instruments)", f"N{own}.XTST")
    assert len(found) == 9  # the sink keeps the one that the stage refused, unscored
    assert [model for sentiment, model in found if sentiment is not None] == [TwoWords.hash] * 8
    kept = query(ready, "SELECT series, count(*) FROM v_factors WHERE instrument = %s GROUP BY 1", f"N{own}.XTST")
    assert dict(kept) == {"news_count": 6, "news_sentiment": 6}


def test_stage_waits_for_a_broker_that_is_away_says_so_and_then_begins(settings, caplog) -> None:
    ready, own = prepared(settings)
    address, port = ready.bootstrap().split(",")[0].rsplit(":", 1)
    assert address == "127.0.0.1"
    with Proxy(0, int(port)) as proxy:
        free = proxy.port
    away = msgspec.structs.replace(ready, kafka=KafkaSettings(bootstrap=f"127.0.0.1:{free}"))
    with at_work(NewsStage(away, TwoWords()).run) as failed:
        eventually(lambda: failed() or "waiting for Kafka" in caplog.text, what="the stage says that it waits")
        assert not failed()
        with Proxy(free, int(port)):
            send(ready, messages.encode(stories(own, 1)[0]))
            wait_for(ready, own, 1)


def test_record_that_the_stage_refused_is_taken_when_it_is_replayed(settings, capsys) -> None:
    ready, own = prepared(settings)
    item = messages.encode(stories(own, 1)[0])
    # Refused by an earlier build, and expired at its origin since.
    bury(ready, dead_letters.of_record((topics.NEWS, 0, 10**9), "malformed_message", own, item, dead_letters.NEWS))
    words = ("replay", "--topic", "news", "--instrument", f"N{own}.XTST", "--why", "readable now", "--yes")
    with at_work(NewsStage(ready, TwoWords()).run):
        assert call(ready, capsys, *words)[1]["by_target"] == {"retry.news": 1}
        wait_for(ready, own, 1)
        assert call(ready, capsys, *words)[1]["replayed"] == 0
    assert len(scored(ready, own)) == 1


def start(settings: Settings) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "TAPEWATCH_KAFKA_BOOTSTRAP": settings.bootstrap(),
        "TAPEWATCH_NEWS_GROUP": settings.news.group,
        "TAPEWATCH_LOG_LEVEL": "error",
    }
    words = [sys.executable, "-m", "tapewatch", "--data", str(settings.data_path), "run", "news", "--quiet"]
    return subprocess.Popen(words, env=environment)


def test_a_kill_scores_no_item_twice_loses_none_and_changes_no_bit_of_the_factors(settings) -> None:
    # Eight seconds: a real process starts twice.
    ready, own = prepared(settings)
    items = stories(own, 40)
    process = start(ready)
    try:
        send(ready, *map(messages.encode, items[:12]))
        wait_for(ready, own, 3)
        send(ready, *map(messages.encode, items[12:20]))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start(ready)
        send(ready, *map(messages.encode, items[20:]))
        wait_for(ready, own, len(items))
    finally:
        process.terminate()
        assert process.wait(600) == 0
    found = scored(ready, own)
    assert [each.id for each in found] == [each.id for each in items]
    counted = [each for each in found if not each.duplicate_of]
    assert len(counted) == 30
    stored = [
        ScoredHeadline(from_rfc3339(n.published), from_rfc3339(n.received), n.sentiment, n.instruments)
        for n in counted
        if n.sentiment is not None
    ]
    batch = over(stored, ready.news.half_life_h)
    assert told_of(written(ready, Factor, own)) == [(state.at, state.value) for _, state in batch]
