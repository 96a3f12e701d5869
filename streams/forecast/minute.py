"""A forecast at every closed minute: records of one partition of `bars` go in, predictions and signals come out.

No broker and no clock: what comes out is a function of the partition's log and of the model, however the log is cut.
"""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from detectors.forecast.lstm import score
from detectors.forecast.lstm.forecasting import APART
from detectors.forecast.lstm.inputs import LOOKBACK
from detectors.forecast.lstm.model import MINUTE, Model
from streams.engine.task import OutputRecord
from streams.forecast.minute_group_position import headers
from tapewatch.contract import frames, messages, topics
from tapewatch.contract.frames import Headers
from tapewatch.contract.message import Cause, stable_id
from tapewatch.contract.messages import Prediction, Signal
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings.canaries import is_canary

POLICY = "lstm-minute"
"""Name of its predictions too: those of days are another model's, whose newest stands beside."""
_INTERVAL_S = 60
_COLUMNS = ("open", "high", "low", "close", "volume")
_END = np.array([LOOKBACK])

Source = tuple[str, int]
"""Feed and partition of the market that a record of bars comes from."""


class Window:
    """The newest bars of one instrument, at most LOOKBACK, with no two neighbours a day apart.

    bars : float64[LOOKBACK, 5], the newest last; at : close of the newest, ns; offsets : of their records, oldest first
    """

    def __init__(self) -> None:
        self.bars = np.zeros((LOOKBACK, len(_COLUMNS)))
        self.at = 0
        self.offsets: list[int] = []

    def add(self, at: int, bar: npt.NDArray[np.float64], offset: int) -> bool:
        """Take a bar in; whether there is a whole window now."""
        if at - self.at > APART[MINUTE]:
            self.offsets.clear()
        self.bars[:-1] = self.bars[1:]
        self.bars[-1] = bar
        self.at = at
        self.offsets.append(offset)
        del self.offsets[:-LOOKBACK]
        return len(self.offsets) == LOOKBACK


class MinuteTask:
    """One partition. cost : of one trade, as a share of its price; feeds : only these, empty for all; build : of this
    program; canaries : what the ids of instruments begin with of which nothing is said; group : which predictions name
    """

    def __init__(
        self,
        partition: int,
        model: Model,
        cost: float,
        feeds: tuple[str, ...] = (),
        build: str = "",
        canaries: tuple[str, ...] = (),
        group: str = "",
    ) -> None:
        self._canaries, self._group = canaries, group
        self.partition, self._cost, self._feeds, self._build = partition, cost, feeds, build
        self._network, self._model = model.network(), model.hash
        self._scratch, self._found = score.scratch(model.units), np.empty(1)
        self._windows: dict[tuple[Source, str], Window] = {}
        self._newest: dict[Source, int] = {}
        self._outgoing: list[OutputRecord] = []
        self.bars = self.refused = 0

    def record(self, offset: int, value: bytes | None, headers: Headers | None, silent: bool = False) -> None:
        """A record of `bars`. silent : it was answered before, and is read again for the windows alone"""
        told = dict(headers or ())
        try:
            source = (bytes(told["feed"] or b"").decode(), int(told["partition"] or b""))
            if told["type"] != topics.BARS.encode() or (self._feeds and source[0] not in self._feeds):
                return
            names, at, values = _opened(value or b"")
        except (KeyError, ValueError, ContractError):
            self.refused += 1
            return
        for name, closed, bar in zip(names, at, values, strict=True):
            if not is_canary(self._canaries, name):
                self._bar(source, name, closed, bar, offset, silent)
        if at:
            self._forget(source, max(at))

    def _bar(self, source: Source, name: str, at: int, bar: npt.NDArray[np.float64], offset: int, silent: bool) -> None:
        window = self._windows.setdefault((source, name), Window())
        if at <= window.at or not (np.isfinite(bar).all() and bar[:4].min() > 0.0 and bar[4] >= 0.0):
            self.refused += not silent
            return
        self.bars += not silent
        if window.add(at, bar, offset) and not silent:
            score.returns(self._network, window.bars, _END, self._scratch, self._found)
            self._say(name, at, float(bar[3]), float(self._found[0]), offset)

    def _forget(self, source: Source, at: int) -> None:
        """Once a day, let go of windows that their next bar would begin anew."""
        newest = self._newest.get(source, 0)
        self._newest[source] = max(at, newest)
        if at // APART[MINUTE] > newest // APART[MINUTE]:
            old = [key for key, each in self._windows.items() if key[0] == source and at - each.at > APART[MINUTE]]
            for key in old:
                del self._windows[key]

    def _say(self, name: str, at: int, close: float, expected: float, offset: int) -> None:
        """Write what is expected, and what to do about it."""
        time = to_rfc3339(at)
        prediction = Prediction(
            id=stable_id(POLICY, name, "close", MINUTE, time), instrument=name, as_of=time, horizon=MINUTE,
            target="close", name=POLICY, model=self._model, reference=close, value=close * math.exp(expected),
            build=self._build,
        )  # fmt: skip
        values = worth(expected, self._cost)
        action = max(values, key=lambda each: (values[each], each == "hold"))
        signal = Signal(
            id=stable_id(POLICY, name, time), instrument=name, ts=time, policy=POLICY, model=self._model,
            action=action, q_values=dict(values.items()), advantage=values[action] - values["hold"],
            cause=Cause(topics.BARS, self.partition, offset), build=self._build,
        )  # fmt: skip
        told = headers(self._group, self.partition, offset)
        for message, said in ((prediction, told), (signal, [])):
            value = messages.encode(message)
            self._outgoing.append(OutputRecord(message.TOPIC, value, message.id.encode(), list(said), name))

    def take(self) -> list[OutputRecord]:
        """Records of `predictions` and `signals` since the last call."""
        taken, self._outgoing = self._outgoing, []
        return taken

    def needed(self, offset: int) -> int:
        """The first record that a task which goes on at `offset` has to read for its windows."""
        return min((window.offsets[0] for window in self._windows.values() if window.offsets), default=offset)


Action = Literal["hold", "buy", "sell"]


def worth(expected: float, cost: float) -> dict[Action, float]:
    """What an action is expected to bring, as a log return: buying or selling now and closing a minute later pays the
    cost twice. expected : log return of the next minute; cost : of one trade
    """
    return {"hold": 0.0, "buy": expected - 2.0 * cost, "sell": -expected - 2.0 * cost}


def _opened(value: bytes) -> tuple[list[str], list[int], npt.NDArray[np.float64]]:
    """Instruments, closes in ns, and float64[rows, 5] of a frame's minute bars. ContractError where it is none."""
    batch = frames.read_stream(value)
    columns = [batch.column(name).to_numpy() for name in _COLUMNS]
    minutes = np.flatnonzero(batch.column("interval_s").to_numpy() == _INTERVAL_S)
    names = batch.column("instrument").to_pylist()
    at = batch.column("ts").cast("int64").to_numpy()
    bars = np.ascontiguousarray(np.column_stack(columns)[minutes], dtype=np.float64)
    return [names[row] for row in minutes], at[minutes].tolist(), bars
