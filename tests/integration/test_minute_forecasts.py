"""The minute stage on the real broker: each forecast once, whatever dies in between."""

import contextlib

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition

from streams.engine.verification import verify_signal
from streams.forecast.minute import POLICY
from streams.forecast.minute_process import MinuteForecasts
from tapewatch.contract import topics
from tapewatch.contract.messages import stable_id
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tests.integration import group_places
from tests.integration.minute_market import MINUTES, MODEL, Market


class KilledError(Exception):
    """The process died here."""


class DyingForecasts(MinuteForecasts):
    """A stage that dies once its forecasts are written and before they are committed."""

    def produce(self, producer: Producer) -> list[TopicPartition]:
        offsets = super().produce(producer)
        producer.flush(10)
        if self._written:
            raise KilledError
        return offsets


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
        market.run(DyingForecasts(market.settings, MODEL, (market.feed,)))
    market.write(80, MINUTES)
    second = market.run()
    assert second.predictions == 20
    assert market.values() == market.expected(MINUTES)


@pytest.mark.parametrize("offset", [None, 40])
def test_group_whose_offsets_were_lost_answers_no_bar_again(settings: Settings, offset: int | None) -> None:
    market = Market(settings)
    begin = market.end()
    market.write(0, 70)
    market.run()
    group = market.settings.forecast.group
    if offset is None:
        group_places.forget(settings, group)
    else:
        group_places.stand_at(settings, group, TopicPartition(topics.BARS, 0, begin + offset))
    market.write(70, 75)
    with pytest.raises(TapewatchError, match="predictions and signals would be written again") as refusal:
        market.run()
    assert "--restore-offsets" in refusal.value.hint
    assert market.values() == market.expected(70)
    told = msgspec.structs.replace(market.settings.forecast, restore_offsets=True)
    restored = msgspec.structs.replace(market.settings, forecast=told)
    market.run(MinuteForecasts(restored, MODEL, (market.feed,)))
    market.write(75, 80)
    market.run()
    assert market.values() == market.expected(80)
