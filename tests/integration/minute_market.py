"""A feed whose engine has written minutes of one coin."""

import threading
import uuid

import msgspec
import numpy as np
from confluent_kafka import Message

from streams.forecast.minute import MinuteTask
from streams.forecast.minute_process import MinuteForecasts, MinuteTotals
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Prediction
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.unit.minute_bars import MINUTE_NS, START, frame, untrained, walk

MODEL = untrained()
MINUTES = 90


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

    def end(self) -> int:
        """Where the partition of `bars` ends."""
        reader = kafka.consumer(self.settings)
        try:
            return kafka.watermarks(reader, topics.BARS, 0)[1]
        finally:
            reader.close()

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
