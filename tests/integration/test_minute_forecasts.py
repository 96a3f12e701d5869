"""The minute stage on the real broker: each forecast once, whatever dies in between."""

import contextlib
import threading
import uuid

import msgspec
import numpy as np
import pytest
from confluent_kafka import Message, Producer

from streams.engine.signal_proof import verify_signal
from streams.forecast.minute import POLICY, MinuteTask
from streams.forecast.minute_process import MinuteForecasts, MinuteTotals
from tapewatch import kafka, messages, topics
from tapewatch.errors import TapewatchError
from tapewatch.messages import Prediction, stable_id
from tapewatch.settings import Settings
from tests.unit.minute_bars import MINUTE_NS, START, frame, untrained, walk

MODEL = untrained()
MINUTES = 90


class KilledError(Exception):
    """The process died here."""


class Market:
    """A feed whose engine has written minutes of one coin into one partition of `bars`."""

    def __init__(self, settings: Settings) -> None:
        self.feed = f"m{uuid.uuid4().hex[:10]}"
        self.coin = f"{self.feed.upper()}.X"
        self.bars = walk(MINUTES)
        kafka.create_topics(settings, topics.shared_topics(settings.topics))
        self._producer = kafka.producer(settings)
        forecast = msgspec.structs.replace(settings.forecast, group=f"forecast-{self.feed}", instance="one")
        self.settings = msgspec.structs.replace(settings, forecast=forecast)

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        return [("type", b"bars"), ("feed", self.feed.encode()), ("partition", b"0")]

    def record(self, minute: int) -> bytes:
        return frame([self.coin], np.array([START + (minute + 1) * MINUTE_NS]), self.bars[minute : minute + 1])

    def write(self, start: int, stop: int) -> None:
        for minute in range(start, stop):
            self._producer.produce(topics.BARS, self.record(minute), partition=0, headers=self.headers)
        assert self._producer.flush(30) == 0

    def run(self, stage: MinuteForecasts | None = None) -> MinuteTotals:
        """A stage that works until nothing comes any more."""
        stage = stage or MinuteForecasts(self.settings, MODEL, (self.feed,))
        stage.run(threading.Event(), until_idle_s=1.5)
        return stage.totals

    def values(self) -> list[tuple[str, float | None]]:
        """Time and value of every committed prediction of the coin, in the log's order."""
        found: list[tuple[str, float | None]] = []

        def keep(message: Message) -> None:
            said = messages.decode(Prediction, message.value() or b"")
            if said.instrument == self.coin:
                found.append((said.as_of, said.value))

        kafka.read_all(self.settings, topics.PREDICTIONS, keep)
        return found

    def expected(self, stop: int) -> list[tuple[str, float | None]]:
        """What a task without a broker makes of the minutes before `stop`."""
        task = MinuteTask(0, MODEL, 0.0005)
        for minute in range(stop):
            task.record(minute, self.record(minute), self.headers)
        said = [messages.decode(Prediction, each.value) for each in task.take() if each.topic == topics.PREDICTIONS]
        return [(each.as_of, each.value) for each in said]


class Dying(MinuteForecasts):
    """A stage that dies once its forecasts are written and before they are committed."""

    def _produce(self, producer: Producer) -> int:
        written = super()._produce(producer)
        producer.flush(10)
        if written:
            raise KilledError
        return written


def test_forecast_is_written_once_though_the_stage_dies_in_a_transaction_and_between_two(settings) -> None:
    market = Market(settings)
    market.write(0, 70)
    first = market.run()
    assert market.values() == market.expected(70)
    assert first.predictions == first.signals == 20
    with pytest.raises(TapewatchError, match="minute stage's"):
        verify_signal(settings, stable_id(POLICY, market.coin, market.values()[0][0]))
    market.write(70, 80)
    with contextlib.suppress(KilledError):
        market.run(Dying(market.settings, MODEL, (market.feed,)))
    market.write(80, MINUTES)
    second = market.run()
    assert second.predictions == 20
    assert market.values() == market.expected(MINUTES)
