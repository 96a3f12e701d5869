"""Targets that read market records: Arrow metadata, frames, headers, admission, and a whole task.

A small partition for targets: an instrument that behaves, and one whose records are fuzzed.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from streams.driver import Driver, table
from streams.engine.task import OutputRecord
from tapewatch.clock import LATEST_NS, NANOS
from tapewatch.contract import frames, ipc
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.frames import Decoder, FrameHeaders, View
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import ContractError
from tapewatch.market_log.admission import Admission
from tapewatch.market_log.registry import FixedRegistry

GOOD, BAD = "GOOD.SIMX", "BADLY.SIMX"
START = 1_750_000_020
"""First second of the market, a whole minute, UTC."""


def driver() -> Driver:
    """A new partition with both instruments registered."""
    return Driver(FixedRegistry([Instrument(GOOD, kind="share"), Instrument(BAD, kind="spot")]))


@cache
def second(number: int) -> tuple[Rows, Rows]:
    """The good instrument's trade and quote of a second of the market."""
    rng = np.random.default_rng(number)
    price = 100.0 + round(float(rng.normal(0.0, 0.2)), 2)
    stamp = np.array([(START + number) * NANOS + 250_000_000], dtype=np.int64)
    times: dict[str, Any] = {"instrument": np.zeros(1, dtype=np.int32), "ts_event": stamp, "ts_recv": stamp}
    side = np.array([1 if rng.random() < 0.5 else -1], dtype=np.int8)
    trade: dict[str, Any] = {
        "price": price,
        "qty": float(rng.integers(1, 40)),
        "aggressor_side": side,
        "condition": np.zeros(1, dtype=np.int8),
    }
    quote: dict[str, Any] = {
        "bid_price": price - 0.01,
        "bid_qty": float(rng.integers(1, 90)),
        "ask_price": price + 0.01,
        "ask_qty": float(rng.integers(1, 90)),
        "last_price": price,
        "volume": np.nan,
    }
    made = []
    for row_type, values in ((RowType.TRADE, trade), (RowType.QUOTE, quote)):
        columns = {name: np.atleast_1d(value) for name, value in values.items()}
        made.append(Rows(row_type, (GOOD,), {**times, **columns}))
    return made[0], made[1]


Take = Callable[[bytes], None]

REFUSALS = frozenset(
    {
        *("unreadable", "oversized", "unsupported_version", "wrong_schema", "null_value", "bad_headers"),
        *("too_many_rows", "absurd_epoch", "absurd_sequence"),
    }
)
SEPARATOR = b"\x1e\x1e"
"""Between a record's headers and its value, in inputs that have both."""
EVERY = 16
"""Fuzzed records within a second of the good instrument's market."""
SECONDS = 70
"""Seconds after which a partition is looked at and begun anew."""


def metadata() -> Take:
    """Wherever reading begins, what is found lies within the bytes."""
    info, weight = np.empty(6, dtype=np.int64), np.empty(6, dtype=np.int64)
    waiting = np.empty(1 + ipc.MAX_COLUMNS, dtype=np.int64)
    layouts = list(frames._LAYOUTS.values())
    offsets = np.empty(16, dtype=np.int64)

    def take(data: bytes) -> None:
        buffer = np.frombuffer(data or b"\0", dtype=np.uint8)
        size = buffer.size
        start = 8 + int.from_bytes(data[4:8], "little") if len(data) >= 8 else 0
        for at in (0, start):
            if ipc.scan_dictionary(buffer, at, info) == 0:
                _within(size, info[1], info[2], info[4], info[5])
                layout = layouts[int(info[0]) % len(layouts)]
                end, names = int(info[2]), int(info[0])
                if ipc.scan(buffer, end, names, layout.data, layout.width, layout.required_nodes, offsets, info) == 0:
                    rows = int(info[0])
                    _within(size, *(offsets[: layout.data.size] + rows * layout.width))
            if ipc.texts_at(buffer, info) == 0:
                _within(size, info[1] + 4 * (info[0] + 1), info[2])
            ipc.batch_places(buffer, at, info)
        if ipc.weigh(buffer, weight, waiting) == ipc.OK and not (
            0 <= weight[0] <= ipc.MAX_DATA and 0 <= weight[1] <= ipc.MAX_VALUES and 0 <= weight[2] <= ipc.MAX_METADATA
        ):
            raise AssertionError(f"weighed as {weight}")

    return take


def _within(size: int, *places: int) -> None:
    if not all(0 <= place <= size for place in places):
        raise AssertionError(f"positions {places} in {size} bytes")


def decoder() -> Take:
    """A decoder that has met frames of every kind, as one at work has."""
    used, known = Decoder(), 0

    def take(data: bytes) -> None:
        nonlocal used, known
        known += 1
        if known % 20_000 == 0:
            used = Decoder()
        try:
            view = used.open(data)
            names = view.names()
            if known % 8 == 0:
                frames.to_rows(data)
        except ContractError as error:
            _reason(error)
            return
        _sound(view, len(names), len(data))

    return take


def _reason(error: ContractError) -> None:
    if error.reason not in REFUSALS:
        raise AssertionError(f"refused as {error.reason}")


def _sound(view: View, names: int, size: int) -> None:
    """Codes lie in the dictionary, and values in the frame."""
    codes = view.column("instrument")
    if not (0 < view.rows <= frames.MAX_ROWS and codes.min() >= 0 and codes.max() < names):
        raise AssertionError("codes outside of the dictionary")
    _within(len(view.data), *view.offsets.tolist())


def headers() -> Take:
    """Headers as lines `name=value`, a line without `=` being one without a value."""

    def take(data: bytes) -> None:
        try:
            FrameHeaders.from_kafka(_headers(data))
        except ContractError as error:
            _reason(error)

    return take


def _headers(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    for line in data.split(b"\n"):
        name, equals, value = line.partition(b"=")
        found.append((name.decode("latin-1"), value if equals else None))
    return found  # type: ignore[return-value]  # Kafka's headers may be null


def record(data: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and value of an input."""
    said, found, value = data.partition(SEPARATOR)
    return (_headers(said), value) if found else (FrameHeaders("quote", "fuzz", 0, len(data), 0).to_kafka(), data)


def admission() -> Take:
    """A partition's admission; its clock moves only to a time that it may believe."""
    registry = FixedRegistry([Instrument(GOOD), Instrument(BAD)])
    used, inputs = Admission(registry), 0
    appended = (START + 60) * NANOS

    def take(data: bytes) -> None:
        nonlocal used, inputs
        inputs += 1
        if inputs % 5_000 == 0:
            used = Admission(registry)
        if inputs % 4:
            used.sources.clear()  # or all but the first would be repeats
        said, value = record(data)
        try:
            admitted = used.admit(value, said, appended)
        except ContractError as error:
            _reason(error)
            return
        if used.clock[0] * NANOS > min(appended + MAX_SKEW_NS, LATEST_NS):
            raise AssertionError(f"the clock went to {used.clock[0]}")
        if admitted is not None and admitted.refused != np.count_nonzero(admitted.reasons):
            raise AssertionError("refusals were miscounted")

    return take


class Neighbours:
    """A task that is given fuzzed records of one instrument between good ones of another.

    What a well-formed record may rightly do to others is kept out: rows of later seconds are not believed (the record
    counts as appended ten minutes before), and records of status rows or of the good instrument are left out.
    """

    def __init__(self) -> None:
        self._wanted = self._good(self._begin())
        self._used, self._inputs = self._begin(), 0
        self._decoder = Decoder()

    def take(self, data: bytes) -> None:
        """A fuzzed record; at the end of a round the good instrument's rows must be what they were."""
        said, value = record(data)
        self._used.task.admission.sources.pop("fuzz", None)
        number, self._inputs = divmod(self._inputs, EVERY)[0], self._inputs + 1
        if self._alone(value):
            appended = (START + number + 1) * NANOS - 1 - MAX_SKEW_NS
            self._used.task.feed(self._used.task.next_offset, value, said, appended)
        if self._inputs % EVERY:
            return
        self._second(self._used, number + 1)
        if number + 2 == SECONDS:
            found, self._used, self._inputs = self._good(self._used), self._begin(), 0
            if found != self._wanted:
                raise AssertionError("another instrument's result has changed")

    def _alone(self, value: bytes) -> bool:
        """Whether a record speaks of nobody but its own instrument, as far as it can be read."""
        try:
            view = self._decoder.open(value)
            return view.type is not RowType.STATUS and GOOD not in view.names()
        except ContractError:
            return True

    def _begin(self) -> Driver:
        used = driver()
        self._second(used, 0)
        return used

    @staticmethod
    def _second(used: Driver, number: int) -> None:
        for rows in second(number):
            sequence = used.task.next_offset
            said = FrameHeaders(rows.type.label, "good", 0, sequence, 0).to_kafka()
            used.task.feed(sequence, frames.encode(rows), said, 2**62)

    def _good(self, used: Driver) -> dict[str, object]:
        """The good instrument's rows and the seals, offsets aside."""
        if used.task.clock_ns < (START + SECONDS - 1) * NANOS:
            for number in range(1, SECONDS):
                self._second(used, number)
        records = used.task.take()
        found: dict[str, object] = {"alerts": [_without_place(one) for one in records if _is_good_alert(one)]}
        for kind in ("features", "scores", "bars", "sealed"):
            columns = table(records, kind)
            mine = columns["instrument"] == GOOD if kind != "sealed" and columns else slice(None)
            found[kind] = {
                name: values[mine].tobytes()
                for name, values in columns.items()
                if name not in ("instrument", "offset", "instruments")
            }
        return found


def _is_good_alert(record: OutputRecord) -> bool:
    return record.topic == "alerts" and record.instrument == GOOD


def _without_place(record: OutputRecord) -> bytes | None:
    return record.key


def task() -> Take:
    """See `Neighbours`."""
    return Neighbours().take
