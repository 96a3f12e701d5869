"""`from tapewatch import subscribe` on a real broker: typed, filtered, from where the group stands, at least once."""

import asyncio
import uuid

import msgspec
import pytest

from tapewatch import subscribe
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import to_rfc3339
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.runtime import kafka

START = 1_700_000_000 * NANOS


@pytest.fixture
def ours(settings):
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    return settings


def alert(instrument: str, revision: int = 0, **changes) -> messages.Alert:
    sound = messages.Alert(
        id=messages.alert_id("spoofing", instrument, START), scenario="spoofing", instrument=instrument,
        onset=to_rfc3339(START), decided=to_rfc3339(START), updated=to_rfc3339(START), state="open",
        revision=revision, severity="high", score=50.0, sentence="It rose.", data_tier="trades",
        provenance=messages.Provenance("market.x", 0, 1, 2, 3, "c", {}, "b"),
    )  # fmt: skip
    return msgspec.structs.replace(sound, **changes)


def signal(instrument: str, number: int) -> messages.Signal:
    return messages.Signal(
        id=messages.stable_id(instrument, number), instrument=instrument, ts=to_rfc3339(START + number), policy="ddqn",
        model="m", action="buy", q_values={"buy": 1.0}, advantage=0.5, cause=messages.Cause("market.x", 0, number),
    )  # fmt: skip


def publish(settings, *sent) -> None:
    producer = kafka.producer(settings)
    for message in sent:
        producer.produce(message.TOPIC, messages.encode(message), key=message.instrument)
    producer.flush()


def name() -> str:
    return f"C{uuid.uuid4().hex[:10].upper()}"


def test_messages_come_typed_and_filtered(ours):
    mine, now = name(), to_rfc3339(WALL.now())
    alerts = [
        alert(f"{mine}A.XTST"), alert(f"{mine}B.XTST", severity="low"), alert(f"{mine}C.XNAS"),
        alert(f"{mine}D.XTST", scenario="layering"),
    ]  # fmt: skip
    publish(ours, *alerts, *(signal(f"{mine}A.XTST", number) for number in range(3)))
    options = {"settings": ours, "since": now, "instruments": [f"{mine}*"], "until_idle": 0.0}
    with subscribe("alerts", min_severity="high", venues=["XTST"], scenarios=["spoofing"], **options) as found:
        assert list(found) == alerts[:1]

    async def gathered() -> list[messages.Signal]:
        async with subscribe("signals", **options) as signals:
            return [each async for each in signals]

    assert [each.cause.offset for each in asyncio.run(gathered())] == [0, 1, 2]


def test_a_group_goes_on_behind_what_was_done_and_sees_the_unfinished_again(ours):
    mine, now, group = name(), to_rfc3339(WALL.now()), f"g-{uuid.uuid4().hex[:8]}"
    publish(ours, *(alert(f"{mine}.XTST", revision) for revision in range(6)))

    def opened(**more):
        return subscribe("alerts", group=group, since=now, instruments=[f"{mine}*"], settings=ours, **more)

    with opened() as stream:
        first = [each.revision for each, _ in zip(stream, range(3), strict=False)]
    with opened() as stream:
        second = next(iter(stream))
        stream.done()
    with opened(until_idle=1.0) as stream:
        rest = [each.revision for each in stream]
    assert (first, second.revision, rest) == ([0, 1, 2], 3, [4, 5])


def test_a_malformed_record_is_passed_over_and_a_later_major_version_is_refused(ours):
    mine, now = name(), to_rfc3339(WALL.now())
    producer = kafka.producer(ours)
    sound = messages.encode(alert(f"{mine}.XTST"))
    for value in (b"{", sound, sound.replace(b'"version":"1.0"', b'"version":"9.0"')):
        producer.produce(topics.ALERTS, value, partition=0)
    producer.flush()
    with subscribe("alerts", since=now, instruments=[f"{mine}*"], until_idle=1.0, settings=ours) as stream:
        loop = iter(stream)
        assert next(loop).instrument == f"{mine}.XTST"
        with pytest.raises(ContractError):
            next(loop)


def test_what_is_no_topic_of_messages_is_told(ours):
    with pytest.raises(TapewatchError, match="no topic of messages"):
        subscribe("features", settings=ours)
    with pytest.raises(TapewatchError, match="place to begin"):
        subscribe("alerts", since="yesterday", settings=ours)
