"""The minute stage without a broker: what is said at each closed minute is a function of the log and the model."""

import math

import msgspec
import numpy as np
import pytest

from detectors.forecast.lstm.forecasting import returns
from detectors.forecast.lstm.inputs import LOOKBACK
from detectors.forecast.lstm.model import DAY
from streams.forecast import minute_process
from streams.forecast.minute import MinuteTask, worth
from streams.paper.task import PaperTask
from tapewatch.cli import main
from tapewatch.contract import messages
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Prediction, Signal
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings
from tapewatch.settings.paper import PaperSettings
from tests.unit.minute_bars import HEADERS, MINUTE_NS, START, frame, log_of, said, untrained, walk

MODEL = untrained()
COINS = {"BTCUSDT.BINANCE": walk(70), "ETHUSDT.BINANCE": walk(70, seed=1)}


def _task(cost: float = 0.0005) -> MinuteTask:
    return MinuteTask(2, MODEL, cost)


def _run(task: MinuteTask, log: list[bytes], start: int = 0) -> list[tuple[str, bytes]]:
    for offset, value in enumerate(log[start:], start):
        task.record(offset, value, HEADERS)
    return said(task)


def test_forecasts_each_closed_minute_of_a_whole_window_as_the_batch_does() -> None:
    found = [
        messages.decode(Prediction, value) for topic, value in _run(_task(), log_of(COINS)) if topic == "predictions"
    ]
    assert len(found) == 2 * (70 - LOOKBACK + 1)
    for name, bars in COINS.items():
        mine = [each for each in found if each.instrument == name]
        expected = returns(MODEL, bars, np.arange(LOOKBACK, 71))
        values = [close * math.exp(value) for close, value in zip(bars[LOOKBACK - 1 :, 3], expected, strict=True)]
        assert [each.value for each in mine] == values
        assert [each.as_of for each in mine] == [to_rfc3339(START + end * MINUTE_NS) for end in range(LOOKBACK, 71)]
        assert {(each.horizon, each.target, each.name, each.model) for each in mine} == {
            ("60s", "close", "lstm-minute", MODEL.hash)
        }


def test_signal_names_the_record_of_bars_that_caused_it() -> None:
    signals = [messages.decode(Signal, value) for topic, value in _run(_task(), log_of(COINS)) if topic == "signals"]
    assert len(signals) == 2 * (70 - LOOKBACK + 1)
    assert {(each.cause.topic, each.cause.partition) for each in signals} == {("bars", 2)}
    assert [each.cause.offset for each in signals[::2]] == list(range(LOOKBACK - 1, 70))
    assert {each.policy for each in signals} == {"lstm-minute"}


@pytest.mark.parametrize(
    ("expected", "action"), [(0.0011, "buy"), (0.001, "hold"), (-0.0011, "sell"), (0.0, "hold"), (-0.0009, "hold")]
)
def test_acts_only_where_more_is_expected_than_both_trades_cost(expected: float, action: str) -> None:
    values = worth(expected, 0.0005)
    assert max(values, key=lambda each: (values[each], each == "hold")) == action


@pytest.mark.parametrize("cut", [1, 30, 51, 60])
def test_restart_at_any_record_says_the_same(cut: int) -> None:
    log = log_of(COINS)
    whole = _run(_task(), log)
    first = _task()
    for offset in range(cut):
        first.record(offset, log[offset], HEADERS)
    before = said(first)
    again = _task()
    for offset in range(first.needed(cut), cut):
        again.record(offset, log[offset], HEADERS, silent=True)
    assert before + _run(again, log, cut) == whole


def test_window_begins_anew_after_a_day_without_bars() -> None:
    bars = walk(120)
    log = log_of({"A": bars[:60]}) + log_of({"A": bars[60:]}, START + 60 * MINUTE_NS + 86_400_000_000_000)
    found = _run(_task(), log)
    assert len(found) == 2 * (10 + 10)


def test_instrument_that_went_silent_is_not_waited_for_at_a_restart() -> None:
    task = _task()
    log = log_of({"OLD": walk(60)}) + log_of({"NEW": walk(60)}, START + 3 * 86_400_000_000_000)
    _run(task, log)
    assert task.needed(len(log)) == 60 + 60 - LOOKBACK


def test_bar_that_is_doubled_or_no_price_is_refused() -> None:
    task = _task()
    bars = walk(3)
    at = np.array([START + MINUTE_NS])
    for row in (bars[:1], bars[:1], np.where([0, 0, 1, 0, 0], 0.0, bars[1:2])):
        task.record(0, frame(["A"], at, row), HEADERS)
    task.record(1, b"no frame", HEADERS)
    task.record(2, b"", [("type", b"bars")])
    assert (task.bars, task.refused) == (1, 4)


def test_paper_broker_hears_nothing_of_it() -> None:
    class Nobody:
        """Reference data of a market without instruments."""

        def __init__(self) -> None:
            self.instruments: dict[str, Instrument] = {}

        def kind(self, instrument: str, appended_ns: int) -> str | None:
            return None

        def partitions(self, topic: str) -> int:
            return 0

    paper = PaperTask("market.coins", 2, Nobody(), PaperSettings())
    for topic, value in _run(_task(), log_of(COINS)):
        if topic == "signals":
            paper.signal(value)
    assert paper.gate.waiting() == (0, 0, 0)


def test_newest_minute_model_is_chosen_unless_one_is_named(tmp_path) -> None:
    settings = msgspec.structs.replace(Settings(), data=str(tmp_path))
    with pytest.raises(TapewatchError, match="no minute model") as caught:
        minute_process.chosen(settings)
    assert "tapewatch train lstm --minute" in caught.value.hint
    folder = settings.data_path / "models"
    folder.mkdir()
    daily, minute = untrained(horizon=DAY), untrained(seed=8)
    for model in (minute, daily):
        (folder / f"{model.hash}.safetensors").write_bytes(model.encoded())
    assert minute_process.chosen(settings).hash == minute.hash
    named = msgspec.structs.replace(settings, forecast=msgspec.structs.replace(settings.forecast, model=daily.hash))
    with pytest.raises(TapewatchError, match=daily.hash):
        minute_process.chosen(named)


def test_train_makes_the_model_that_the_stage_takes(tmp_path, capsys) -> None:
    pytest.importorskip("torch")
    start = np.datetime64("2024-01-01T00:00", "m")
    lines = [f"{start + minute},{','.join(map(str, bar))}" for minute, bar in enumerate(walk(400).tolist())]
    file = tmp_path / "coin_1m.csv"
    file.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    sizes = ["--epochs", "1", "--units", "8", "--held-out", "0.2", "--json"]
    assert main(["--data", str(tmp_path / "data"), "train", "lstm", "--minute", str(file), *sizes]) == 0
    summary = msgspec.json.decode(capsys.readouterr().out)
    model = minute_process.chosen(Settings(data=str(tmp_path / "data")))
    assert (summary["hash"], summary["horizon"], summary["rows"]) == (model.hash, "60s", 279)
    assert model.card.metrics["windows held out"] == 69
